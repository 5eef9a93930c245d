"""Belt frames from bytes and back. The format is the profile's; here it is only compiled and given its meaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.profile import load
from drivers.profile_frames import Layout, Rejects, StreamDecoder
from drivers.profile_schema import Framer, Message, MessageField, Profile, Stream, Vector
from drivers.profile_values import decode_message, encode_message, limits
from gateway.core.errors import ConfigError, Fault, ProtocolError


@dataclass(frozen=True, slots=True)
class BeltFrame:
    """sequence: counts frames, wraps. samples: float32, shape (n,), n >= 1, in the profile's unit, not yet judged.

    load_kg: static load on the belt, None where the belt does not know it. status: bits, named by the profile.
    """

    sequence: int
    samples: NDArray[np.float32]
    load_kg: float | None = None
    status: int = 0


class BeltFormat:
    """A belt's profile made ready to decode and to encode."""

    def __init__(self, profile: Profile) -> None:
        framer, stream = profile.framer, profile.stream
        if framer is None or stream is None:
            fault = Fault(0, "stream", "a belt's profile needs [framer], [[message]] and [stream]", "add the section")
            raise ConfigError(profile.device.id, (fault,))
        self.profile = profile
        self.framer: Framer = framer
        self.stream: Stream = stream
        self.message: Message = profile.message[0]
        self.layout = Layout(framer)

    @cached_property
    def modulus(self) -> int:
        """How many sequence numbers there are."""
        return 1 << (8 * {"u8": 1, "u16": 2, "u32": 4}[self._field(self.stream.sequence).type])

    @cached_property
    def sample_limits(self) -> tuple[float, float]:
        """Scaled value of a sample at the type's lower and upper end."""
        return limits(self._field(self.stream.samples))

    def decode(self, data: bytes) -> BeltFrame:
        """One frame from its data. ProtocolError whose message begins with the reason."""
        values = decode_message(self.message.field, self.framer.byte_order, data)
        stream = self.stream
        if not len(values[stream.samples]):
            raise ProtocolError("short: a frame without samples", hint="the belt must send at least one sample a frame")
        return BeltFrame(
            sequence=int(values[stream.sequence]),
            samples=values[stream.samples],
            load_kg=values[stream.load] if stream.load else None,
            status=int(values[stream.status] or 0) if stream.status else 0,
        )

    def encode(self, frame: BeltFrame) -> bytes:
        """The bytes a belt sends for `frame`."""
        values: dict[str, Any] = {
            self.stream.samples: frame.samples,
            self.stream.sequence: frame.sequence % self.modulus,
            self.stream.load or "": frame.load_kg,
            self.stream.status or "": frame.status,
        }
        return self.layout.wrap(encode_message(self.message.field, self.framer.byte_order, values))

    def _field(self, name: str) -> MessageField:
        return next(field for field in self.message.field if field.name == name)


class BeltDecoder:
    """Bytes in, frames out, in any chunks; never raises on what a line may carry."""

    def __init__(self, belt: BeltFormat) -> None:
        self._format = belt
        self.stream = StreamDecoder(belt.layout)
        self.refused: dict[str, int] = {}

    def feed(self, data: bytes) -> tuple[list[BeltFrame], Rejects]:
        """Frames completed by `data`. A frame that is intact but says what the profile forbids is rejected whole."""
        cuts, rejects = self.stream.feed(data)
        frames = []
        for cut in cuts:
            try:
                frames.append(self._format.decode(cut.data))
            except ProtocolError as error:
                reason = str(error).split(":")[0]
                rejects.add(reason, cut.raw)
                self.refused[reason] = self.refused.get(reason, 0) + 1
        return frames, rejects


def decode_vector(profile: Profile, vector: Vector) -> Mapping[str, Any]:
    """Values of a vector's one frame; ProtocolError with the reason of the first rejection, or "short" for none."""
    belt = BeltFormat(profile)
    cuts, rejects = StreamDecoder(belt.layout).feed(bytes.fromhex(vector.hex))
    if not cuts:
        reason = next(iter(rejects.counts), "short")
        raise ProtocolError(f"{reason}: no frame in these bytes", hint="compare head, length and checksum")
    return decode_message(belt.message.field, belt.framer.byte_order, cuts[0].data)


def load_format(path: Path) -> BeltFormat:
    """The profile in `path`, checked. ConfigError with every fault."""
    return BeltFormat(load(path, decode_vector))
