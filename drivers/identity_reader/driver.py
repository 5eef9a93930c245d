"""A reader at a shared kiosk: who shows a card or a code there becomes an event, once for each time it is shown.

No number is ever told in clear: an event bears a resident's pseudonym or a card's key, and of damaged bytes only their
shape is kept. Silence is no fault here: hours may pass between two people.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.base import Device, Family, Sink
from drivers.byte_stream import ByteStream, Rejects
from drivers.coded_model import Key, code_for, profile_for
from drivers.identity_reader import frame
from drivers.identity_reader.settings import card_key, settings_of
from drivers.identity_reader.turns import Turns
from drivers.profile import models_in
from drivers.serial_link import SerialPort, wire_seconds
from gateway.core.clock import Clock
from gateway.core.errors import ProtocolError
from gateway.core.model import Event, Stamp

HERE = Path(__file__).parent
PAUSE_S = 0.5  # real; a reader sends a frame in one go, so that half a frame before a pause is a damaged one
PRESENTED = "identity_presented"
UNKNOWN = "identity_unknown"


@dataclass(frozen=True, slots=True)
class Spoken:
    """How a model speaks. by: as what its finds are told. lines: its frames are lines, with perhaps a prefix."""

    stream: Callable[[], ByteStream[Any]]
    decode: Callable[[bytes], frame.Shown]
    by: str = "card"
    lines: bool = False


SPOKEN: dict[Key, Spoken] = {
    ("em4100_frame", None): Spoken(frame.Em4100Stream, frame.em4100),
    ("card_bcc_frame", None): Spoken(frame.BccStream, frame.bcc),
    ("card_uid_hex_line", None): Spoken(frame.LineStream, frame.uid_hex, lines=True),
    ("card_uid_decimal_line", None): Spoken(frame.LineStream, frame.uid_decimal, lines=True),
    ("scanned_code_line", None): Spoken(frame.LineStream, frame.code, by="qr", lines=True),
}
MODELS = models_in(HERE)


def shape(raw: bytes) -> bytes:
    """Bytes without what they say: letters and digits as x, so that no number can be read from a damaged one."""
    printable = re.sub(rb"[0-9A-Za-z]", b"x", raw)
    return bytes(byte if byte < 0x80 else ord("?") for byte in printable)


class IdentityReader:
    """One reader on its own port."""

    def __init__(self, device: Device, port: SerialPort, clock: Clock) -> None:
        self.devices = (device,)
        _, self._spoken = code_for(profile_for(device, MODELS), SPOKEN)
        self._device = device
        self._settings = settings_of(device, self._spoken.by)
        self._port = port
        self._clock = clock
        self._turns = Turns(clock)

    async def run(self, sink: Sink) -> None:
        """Listen until the port breaks: LinkError."""
        self._port.open()
        stream = self._spoken.stream()
        dropped = self._port.dropped_bytes
        try:
            while True:
                pause_s = wire_seconds(self._clock, PAUSE_S)
                chunk = await (self._port.read_within(pause_s) if stream.pending_bytes else self._port.read())
                if chunk is None:
                    self._refuse("half_frame", stream.pending, sink)
                    stream.drop_pending()
                    continue
                frames, rejects = stream.feed(chunk[0])
                self._report(rejects, sink)
                if (lost := self._port.dropped_bytes - dropped) > 0:
                    dropped += lost
                    sink.rejected(self._device.id, "receive_buffer_full", b"", count=lost)
                for one in frames:
                    self.take(one, chunk[1], sink)
        finally:
            self._port.close()

    def take(self, found: bytes | frame.Piece, at: Stamp, sink: Sink) -> None:
        """One frame or line received at `at`."""
        raw = found.raw if isinstance(found, frame.Piece) else found
        try:
            if isinstance(found, frame.Piece):
                raw = self._unwrapped(found)
            shown = self._spoken.decode(raw)
        except ProtocolError as error:
            self._refuse(str(error).split(":")[0], raw, sink)
            return
        sink.heard(self._device.id)
        turn = self._turns.take(shown, at)
        if turn == "replaced":
            self._refuse("read_once", b"", sink)
        elif turn == "new":
            self._tell(shown, at, sink)

    def _unwrapped(self, piece: frame.Piece) -> bytes:
        """The line without what the reader is set to put around it."""
        prefix, suffix = self._settings.prefix, self._settings.suffix
        if not piece.whole:
            raise ProtocolError("length: the line is too long", hint=frame.HINT)
        line = piece.raw
        if not (line.startswith(prefix) and line.endswith(suffix) and len(line) >= len(prefix) + len(suffix)):
            raise ProtocolError("prefix: the line is not framed as the reader is set to", hint=frame.HINT)
        return line[len(prefix) : len(line) - len(suffix)]

    def _tell(self, shown: frame.Shown, at: Stamp, sink: Sink) -> None:
        """Somebody shows it now: a pseudonym if it is known whose it is, else by what it may be registered."""
        resident, detail = shown.resident, {"by": self._settings.by}
        if resident is None and self._settings.salt:
            detail["card"] = card_key(shown.number, self._settings.salt)
            resident = self._settings.cards.get(detail["card"])
        if resident is None:
            sink.event(Event(UNKNOWN, at, None, self._device.id, detail))
            return
        sink.event(Event(PRESENTED, at, None, self._device.id, {"by": self._settings.by, "resident": resident}))

    def _report(self, rejects: Rejects, sink: Sink) -> None:
        for reason, count in rejects.counts.items():
            sink.rejected(self._device.id, reason, shape(rejects.last[reason]), count=count)

    def _refuse(self, reason: str, raw: bytes, sink: Sink) -> None:
        sink.rejected(self._device.id, reason, shape(raw))


def make(devices: Sequence[Device], port: SerialPort, clock: Clock) -> IdentityReader:
    """One driver for one reader. ConfigError for an unknown model and for settings that say nothing."""
    (device,) = devices
    return IdentityReader(device, port, clock)


FAMILY: Family[SerialPort] = Family("identity_reader", "serial", tuple(MODELS), make)
