"""How a fact becomes a row and comes back: the four streams and the payload they carry.

What an upstream must see is a row of one of four streams: "alarm" (each transition of an alarm), "obs" (spot
measurements, and events about a person: a button, a bed exit, a suspected fall), "summary" (a bed's minute with all its
quantities) and "tech" (events about the box and its devices, and gaps). Index columns hold no values; these live in the
payload, whose first byte names its format, so that a sealed format can stand beside the plain one.
"""

import zlib
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.core.errors import StoreError
from gateway.core.model import Alarm, Event, Gap, Measurement, Minute, Mode, Stamp

JOURNAL_STREAMS = ("obs", "summary", "tech")
STREAMS = ("alarm", *JOURNAL_STREAMS)

TECHNICAL = frozenset((
    "link_up", "link_lost", "device_fault", "sensor_off", "readings_rejected", "frames_rejected", "battery_low",
    "uplink_lost", "uplink_back", "uplink_taken_over", "box_trouble", "box_recovered", "box_started", "box_stopped",
    "worker_lost", "worker_ready", "clock_stepped", "clock_drift", "configuration_changed", "records_read",
    "device_clock", "device_clock_unset", "charging_started", "charging_ended", "ble_slots_full", "pairing_refused",
    "device_bonded", "identity_unknown", "bus_echo", "notifications_dropped", "model_doubted", "pairing_started",
    "pairing_failed",
))  # fmt: skip  # any other kind is about a person and goes to "obs", so that none is missed among the technical ones

PLAIN = b"\x01"  # msgpack of the dataclass, field by name: unknown fields are ignored, missing ones take their default

FactT = TypeVar("FactT", Alarm, Measurement, Event, Gap)
Fact = Alarm | Measurement | Event | Gap
Body = Fact | tuple[Minute, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One numbered row of a stream.

    at: receipt of the fact; of an alarm the moment this transition was handed in; of a summary the minute's first
    moment. body: Alarm ("alarm"), Measurement or Event ("obs"), the bed's minutes ("summary"), Event or Gap ("tech").
    """

    stream: str
    seq: int
    bed: str | None
    at: Stamp
    body: Body


class _MinuteValues(msgspec.Struct, array_like=True):
    """A Minute without what its index columns say; new fields are added at the end, with a default."""

    n: int
    min: float
    mean: float
    max: float
    quality: float
    mode: Mode
    column: bytes


_encoder = msgspec.msgpack.Encoder()
_minute_decoder = msgspec.msgpack.Decoder(_MinuteValues)
_FORMS: dict[str, type[Fact]] = {"alarm": Alarm, "measurement": Measurement, "event": Event, "gap": Gap}
_decoders: dict[type[Fact], msgspec.msgpack.Decoder[Fact]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in _FORMS.values()
}


def stream_of(event: Event) -> str:
    """ "tech" for what concerns the box and its devices, "obs" for what concerns a person."""
    return "tech" if event.kind in TECHNICAL else "obs"


def pack(fact: Fact) -> bytes:
    """The payload of one fact."""
    return PLAIN + _encoder.encode(fact)


def unpack(payload: bytes, kind: type[FactT]) -> FactT:
    """The fact of a payload. StoreError when it is of an unknown format or does not decode."""
    fact = _decoded(payload, kind)
    assert isinstance(fact, kind)
    return fact


def unpack_form(payload: bytes, form: str) -> Fact:
    """The fact of a payload whose row says "alarm", "measurement", "event" or "gap"."""
    return _decoded(payload, _FORMS[form])


def _decoded(payload: bytes, kind: type[Fact]) -> Fact:
    try:
        return _decoders[kind].decode(_plain(payload))
    except msgspec.MsgspecError as error:
        raise _undecodable(kind.__name__, str(error)) from error


def pack_minute(minute: Minute) -> bytes:
    """The payload of one minute: its statistics, and the 60 float32 values with their bytes shuffled and deflated."""
    values = _MinuteValues(
        minute.n, minute.min, minute.mean, minute.max, minute.quality, minute.mode, _squeeze(minute.column)
    )
    return PLAIN + _encoder.encode(values)


def unpack_minute(payload: bytes, bed: str, quantity: str, start: Stamp) -> Minute:
    """The Minute of a payload and its index columns; the column is read-only. StoreError as `unpack`."""
    try:
        values = _minute_decoder.decode(_plain(payload))
        column = _spread(values.column)
    except (msgspec.MsgspecError, zlib.error, ValueError) as error:
        raise _undecodable("Minute", str(error)) from error
    return Minute(
        bed, quantity, start, values.n, values.min, values.mean, values.max, values.quality, column, values.mode
    )


def _squeeze(column: NDArray[np.float32]) -> bytes:
    """Neighbouring values share their high bytes: those side by side deflate well. Lossless, NaN included."""
    plain = np.ascontiguousarray(column, np.dtype("<f4"))
    return zlib.compress(plain.view(np.uint8).reshape(-1, 4).T.tobytes(), 6)


def _spread(squeezed: bytes) -> NDArray[np.float32]:
    planes = np.frombuffer(zlib.decompress(squeezed), np.uint8).reshape(4, -1)
    column: NDArray[np.float32] = np.ascontiguousarray(planes.T).view(np.dtype("<f4")).reshape(-1)
    column.flags.writeable = False
    return column


def _plain(payload: bytes) -> bytes:
    if payload[:1] != PLAIN:
        raise _undecodable("row", f"its format byte is {payload[:1].hex() or 'missing'}, expected {PLAIN.hex()}")
    return payload[1:]


def _undecodable(what: str, why: str) -> StoreError:
    return StoreError(
        f"a stored {what} cannot be read: {why}",
        hint="the row was written by a newer version or is damaged; keep a copy of the databases and report it",
    )
