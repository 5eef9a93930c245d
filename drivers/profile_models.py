"""Any model's profile, whatever its transport: loaded with its vectors tried, and bytes decoded by it.

`decode` is the one way from a whole frame to values that the loader, `carebed profile decode` and the drivers share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from drivers import profile_decoders
from drivers.profile import load
from drivers.profile_ble import Source
from drivers.profile_frames import Cut, Layout, StreamDecoder
from drivers.profile_line import LineDecoder, LineStream
from drivers.profile_message import Decoded, MessageDecoder
from drivers.profile_parts import SIZES, WIDE_SIZES
from drivers.profile_schema import Framer, Message, Profile, Vector
from gateway.core.errors import ConfigError, Fault, ProtocolError

QUERY = b"\x0f"  # the data of a question where answers bear ack_mask


@dataclass(frozen=True, slots=True)
class Compiled:
    """One [[message]] made ready."""

    message: Message
    decoder: MessageDecoder


class Sources:
    """The [[source]]s of a BLE profile made ready."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.decoders = tuple(
            MessageDecoder(source.field, source.byte_order, exact=source.exact_length) for source in profile.source
        )

    def items(self) -> list[tuple[Source, MessageDecoder]]:
        return list(zip(self.profile.source, self.decoders, strict=True))


class Framed:
    """A serial profile with message keys made ready: cut frames, then values by the message that the key names."""

    def __init__(self, profile: Profile) -> None:
        if profile.framer is None:
            fault = Fault(0, "framer", "this family needs a [framer] and [[message]]s with keys", "add the section")
            raise ConfigError(profile.device.id, (fault,))
        self.profile = profile
        self.framer: Framer = profile.framer
        sizes = {  # an answer's key is also that of its question, which has other data
            key: size
            for message in profile.message
            if (size := _size(message))
            for key in message.keys
            if not self.is_answer(key)
        }
        self.layout = Layout(profile.framer, sizes if _key_in_head(profile.framer) else None)
        self._messages: dict[bytes, Compiled] = {}
        for message in profile.message:
            compiled = Compiled(message, MessageDecoder(message.field, profile.framer.byte_order))
            self._messages |= dict.fromkeys(message.keys, compiled)

    @cached_property
    def keys(self) -> frozenset[bytes]:
        return frozenset(self._messages)

    def is_answer(self, key: bytes) -> bool:
        return bool(self.framer.ack_mask and key and key[-1] & self.framer.ack_mask)

    def message_of(self, key: bytes) -> Compiled | None:
        """What a key means; an answer's key means what the key without ack_mask means. None: nothing we know."""
        if (exact := self._messages.get(key)) is not None or not key:
            return exact
        return self._messages.get(key[:-1] + bytes([key[-1] & ~self.framer.ack_mask & 0xFF]))

    def decode(self, cut: Cut) -> Decoded:
        """ProtocolError with the field's reason. Empty for a message nobody described, and for a question."""
        compiled = self.message_of(cut.key)
        if compiled is None or (self.is_answer(cut.key) and cut.data == QUERY):
            return Decoded()
        decoded = compiled.decoder.decode(cut.data)
        if compiled.message.name:
            decoded.values[compiled.message.name] = True
        return decoded

    def only_cut(self, frame: bytes) -> Cut:
        """The one frame in `frame`; ProtocolError with the reason of its refusal, "short" for none."""
        cuts, rejects = StreamDecoder(self.layout).feed(frame)
        if len(cuts) != 1 or cuts[0].raw != frame:
            reason = next(iter(rejects.counts), "short")
            raise ProtocolError(f"{reason}: no frame in these bytes", hint="compare head, length and checksum")
        return cuts[0]


def _size(message: Message) -> int | None:
    """Bytes of data that a message always has; None where they depend on its content."""
    if any(entry.repeat or entry.when or entry.type_if or entry.type == "ascii" for entry in message.field):
        return None
    return sum(WIDE_SIZES[entry.type] for entry in message.field)


def _key_in_head(framer: Framer) -> bool:
    """True when the key is there as soon as a head is judged."""
    judged = framer.data_at if framer.head_checksum else framer.length.at + SIZES[framer.length.type]
    return all(at < judged for at in framer.key_at)


def decode(profile: Profile, vector: Vector) -> Mapping[str, Any]:
    """Values of a vector's bytes by field name. ProtocolError whose message begins with the reason."""
    data = bytes.fromhex(vector.hex)
    if profile.codec is not None:
        return profile_decoders.decode(profile.codec, vector.kind or profile.codec.kinds[0], data, vector.context)
    if profile.device.transport in ("ble-gatt", "ble-adv"):
        return Sources(profile).decoders[vector.source_at].decode(data).values
    if profile.line is not None:
        return LineDecoder(profile.line).decode(LineStream.only_line(profile.line, data)).values
    framed = Framed(profile)
    return framed.decode(framed.only_cut(data)).values


def load_model(path: Path) -> Profile:
    """The BLE, framed or line profile in `path`, checked. ConfigError with every fault."""
    return load(path, decode)
