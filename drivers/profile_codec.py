"""What a profile says of a model whose layout is code, not data.

A 25-frame packet, a delta codec or an encrypted advert is no list of fields. Such a model names its family's decoder;
its vectors go through what the daemon runs, and are refused at load like those of any other profile.
"""

from typing import Literal

from pydantic import Field

from drivers.profile_ble import Uuid
from drivers.profile_parts import Hex, Name, Part


class Codec(Part):
    """The family's code for a model whose layout is no data.

    family: its package under drivers/. kinds: what the device sends, as VECTOR_DECODERS of that code name it; by the
    first one the driver knows the model, and a test without a kind is of it. dialect: a name for what one maker means
    by the same bits. greeting: bytes written one after another as soon as the link is there, and every
    greeting_every_s again where the device falls silent without it. notify, write: the characteristics of a ble-gatt
    device that carry the stream. presence: "when_used" is switched on for a measurement
    only, so that its silence is no loss.
    """

    family: Name
    kinds: tuple[str, ...] = Field(min_length=1)
    dialect: Name | None = None
    greeting: tuple[Hex, ...] = ()
    greeting_every_s: float | None = Field(default=None, gt=0)
    notify: Uuid | None = None
    write: Uuid | None = None
    presence: Literal["always", "when_used"] = "always"
