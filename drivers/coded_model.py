"""The profile of a device whose layout is code: loaded with its vectors tried, and the code it chooses.

The driver of such a family has a table from what a profile's [codec] says (its first kind and its dialect) to the
family's own code; which models there are, on which line and with which greeting, the profiles say.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from drivers.base import Device
from drivers.profile_codec import Codec
from drivers.profile_models import load_model
from drivers.profile_schema import Profile
from gateway.core.errors import ConfigError, Fault

Key = tuple[str, str | None]  # the first of codec.kinds, and codec.dialect
CodeT = TypeVar("CodeT")


@cache
def loaded(path: Path) -> Profile:
    """The profile in `path`, its vectors tried once. ConfigError with every fault."""
    return load_model(path)


def profile_for(device: Device, models: Mapping[str, Path]) -> Profile:
    """The device's profile. ConfigError when no file is called as its model, or when the file has faults."""
    if device.model not in models:
        message = f"unknown model {device.model!r}; known: {', '.join(models)}"
        raise ConfigError(device.id, (Fault(0, "model", message, "name one of these models"),))
    return loaded(models[device.model])


def code_for(profile: Profile, table: Mapping[Key, CodeT]) -> tuple[Codec, CodeT]:
    """What the profile says of its code, and the code. ConfigError when the family's driver has none for it."""
    codec = profile.codec
    if codec is None or (codec.kinds[0], codec.dialect) not in table:
        told = _words((codec.kinds[0], codec.dialect)) if codec is not None else "no [codec]"
        known = ", ".join(map(_words, table))
        fault = Fault(0, "codec", f"the driver has no code for {told}; known: {known}", "mend codec.kinds and dialect")
        raise ConfigError(profile.device.id, (fault,))
    return codec, table[codec.kinds[0], codec.dialect]


def line_of(profile: Profile) -> str:
    """How the model speaks on its port, in words: "19200 baud 8O1"."""
    serial = profile.device.serial
    return f"{serial.baud} baud {serial.format}" if serial is not None else ""


def _words(key: Key) -> str:
    kind, dialect = key
    return kind if dialect is None else f"{kind} as {dialect} means it"
