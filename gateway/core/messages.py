"""The pipe between the daemon and its signal worker: length-prefixed msgpack frames, samples as float32 bytes.

A frame is four bytes of length (big-endian) and one tagged message. Both ends are ours and of the same build; what does
not decode is not resynchronised but ends the worker: a byte lost in a pipe means a bug, never noise.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec
import numpy as np

from gateway.core.errors import WorkerError
from gateway.core.model import Event, Measurement, SampleBlock, Stamp

MAX_FRAME_BYTES = 4 * 1024 * 1024  # a block of 90 minutes at 100 Hz; a driver's blocks are a few hundred bytes
PREFIX_BYTES = 4
Setting = str | int | float | bool


class Describe(msgspec.Struct, frozen=True, tag="describe"):
    """Daemon to worker: what is known of a device, before its first block. memory: what an earlier worker learnt."""

    device: str
    settings: dict[str, Setting]
    memory: dict[str, float]


class Feed(msgspec.Struct, frozen=True, tag="feed"):
    """Daemon to worker: one block. id rises by one with each; phase: samples of the hop in which a new chain starts.

    axes: 1 for samples of shape (n,), else columns. data: float32 in the machine's byte order, row by row.
    """

    id: int
    device: str
    channel: str
    bed: str | None
    start: Stamp
    rate_hz: float
    unit: str
    lost_before: int
    axes: int
    data: bytes
    phase: int = 0


class Warmed(msgspec.Struct, frozen=True, tag="warmed"):
    """Worker to daemon: a kernel has been compiled (or loaded) and gave the stored numbers."""

    kernel: str
    seconds: float


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Worker to daemon: blocks are welcome. degraded: empty, or why only the slow chains run. cache: "warm" (loaded),
    "cold" (compiled and stored) or "off" (compiled, nowhere to store)."""

    degraded: str
    cache: str
    seconds: float
    rss_bytes: int


class MeasurementResult(msgspec.Struct, frozen=True, tag="measurement"):
    measurement: Measurement


class EventResult(msgspec.Struct, frozen=True, tag="event"):
    event: Event


class Done(msgspec.Struct, frozen=True, tag="done"):
    """Worker to daemon: this block is processed, these are its results. One frame carries both, so that a worker killed
    at any moment has answered a block wholly or not at all.

    phase: samples in the hop that the block's channel is filling. memory: what the device's chain has learnt, now and
    then. refused: empty, or why the block could not be used. withheld: by quantity of the device, why it has no value
    now ("" when it has one); only what has changed, at most once a minute.
    """

    id: int
    results: list[MeasurementResult | EventResult]
    phase: int = 0
    memory: dict[str, float] = {}
    refused: str = ""
    withheld: dict[str, str] = {}


ToWorker = Describe | Feed
FromWorker = Warmed | Ready | Done
M = TypeVar("M")


def _plain(value: object) -> object:
    """A number of numpy's as Python's: kernels that run as plain Python give numpy's, which compiled ones never do."""
    if isinstance(value, np.floating | np.integer | np.bool_):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in a message between daemon and worker")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)


def feed_of(block: SampleBlock, block_id: int, phase: int = 0) -> Feed:
    """The frame's content for a block."""
    data = np.ascontiguousarray(block.data, dtype=np.float32)
    return Feed(
        id=block_id,
        device=block.device,
        channel=block.channel,
        bed=block.bed,
        start=block.start,
        rate_hz=block.rate_hz,
        unit=block.unit,
        lost_before=block.lost_before,
        axes=data.shape[1] if data.ndim == 2 else 1,
        data=data.tobytes(),
        phase=phase,
    )


def block_of(feed: Feed) -> SampleBlock:
    """The block a frame carries. WorkerError when its bytes are no whole number of rows."""
    if feed.axes < 1 or len(feed.data) % (4 * feed.axes):
        raise WorkerError(f"block {feed.id}: {len(feed.data)} bytes for {feed.axes} axes of float32", hint=_HINT)
    data = np.frombuffer(feed.data, dtype=np.float32)
    return SampleBlock(
        device=feed.device,
        channel=feed.channel,
        start=feed.start,
        rate_hz=feed.rate_hz,
        unit=feed.unit,
        data=data.reshape(-1, feed.axes) if feed.axes > 1 else data,
        lost_before=feed.lost_before,
        bed=feed.bed,
    )


def encode(message: ToWorker | FromWorker) -> bytes:
    """One frame. WorkerError when it would be longer than MAX_FRAME_BYTES."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise WorkerError(
            f"frame of {len(body)} bytes, at most {MAX_FRAME_BYTES} are allowed", hint="cut the block into shorter ones"
        )
    return len(body).to_bytes(PREFIX_BYTES, "big") + body


_HINT = "the worker is restarted; if it happens again, daemon and worker are not of the same build"


class Splitter(Generic[M]):
    """Bytes in, messages out, at one end of the pipe."""

    def __init__(self, decoder: "msgspec.msgpack.Decoder[M]") -> None:
        self._decoder = decoder
        self._buffer = bytearray()  # bounded: feed() refuses a length above MAX_FRAME_BYTES as soon as it is seen

    def feed(self, data: bytes) -> Iterator[M]:
        """The messages that `data` completes. WorkerError when a frame is too long, empty or not a message."""
        self._buffer += data
        while len(self._buffer) >= PREFIX_BYTES:
            length = int.from_bytes(self._buffer[:PREFIX_BYTES], "big")
            if not 0 < length <= MAX_FRAME_BYTES:
                raise WorkerError(f"frame says {length} bytes, expected 1 to {MAX_FRAME_BYTES}", hint=_HINT)
            if len(self._buffer) < PREFIX_BYTES + length:
                return
            body = bytes(self._buffer[PREFIX_BYTES : PREFIX_BYTES + length])
            del self._buffer[: PREFIX_BYTES + length]
            yield self._decode(body)

    def _decode(self, body: bytes) -> M:
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WorkerError(f"frame of {len(body)} bytes is no message: {error}", hint=_HINT) from error


def to_worker() -> Splitter[ToWorker]:
    """The worker's end."""
    return Splitter(msgspec.msgpack.Decoder(ToWorker))


def from_worker() -> Splitter[FromWorker]:
    """The daemon's end."""
    return Splitter(msgspec.msgpack.Decoder(FromWorker))
