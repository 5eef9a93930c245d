"""One measurement of a band: what is wanted of it, whether it runs, and where its frames stand in time.

PPG ("ppg", upright: a beat goes up): minus the mean of the three lights. All three are green and pass the same skin by
other ways, so their mean has less noise and survives one that is badly lit; blood takes green light, so the counts fall
with a beat (polar-ble-sdk, issues 202, 445 and 472). The ambient light is not subtracted: no document says that it has
the lights' scale, it is constant in the dark, and lamps are above the worker's band. What a band declares of its PPG
rate can be wrong (polar-ble-sdk, known issues: a Verity before 2.1.0 says 135 Hz and sends 55, an OH1 says 130 and
sends 135): the time stamps of the first frames tell the true one, and those frames wait for it.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from drivers.base import Device, Sink
from drivers.hrs.frame import Rejected
from drivers.pleth import PpgBlocks
from drivers.polar_pmd import frame
from drivers.polar_pmd.timeline import RATE_TOLERANCE, Placed, Timeline
from gateway.core.model import Stamp

PPG_RATES_HZ = (22.0, 28.0, 44.0, 55.0, 100.0, 135.0, 176.0)  # of the bands' documents
RATE_FRAMES = 3  # whose time stamps tell the rate of PPG: two steps, the quicker of which lost no frame


@dataclass(slots=True)
class Stream:
    """heard: the last good frame, None while it does not run. asked: when it was asked for last. complaint: what was
    told of it last, so that each trouble is told once."""

    kind: int
    name: str
    wanted: frame.Settings
    channels: int
    rate_hz: float
    jump_s: float
    factor: float = 1.0
    heard: Stamp | None = None
    asked: Stamp | None = None
    complaint: str = ""
    timeline: Timeline | None = None

    @property
    def refused(self) -> str:
        return f"{self.name} refused"

    def connected(self) -> None:
        """The band may have restarted since: nothing runs, and its clock may have been set."""
        self.heard = self.asked = None
        if self.timeline is not None:
            self.timeline.reconnected()

    def chosen(self, params: bytes) -> bytes:
        """The settings nearest to what we want among those offered; ours where the offer cannot be read."""
        offered = frame.decode_settings(params)
        if isinstance(offered, Rejected):
            offered = {}
        chosen: frame.Settings = {}
        for kind, (target,) in self.wanted.items():
            distances = [(abs(value - target), value) for value in offered.get(kind) or (target,)]
            chosen[kind] = (min(distances)[1],)
        if frame.CHANNEL_COUNT in offered:
            chosen[frame.CHANNEL_COUNT] = (self.channels,)
        self.declared(float(chosen[frame.RATE_HZ][0]))
        return frame.encode_settings(chosen)

    def declared(self, rate_hz: float) -> None:
        """The band says that it will run at this rate."""
        if rate_hz != self.rate_hz:
            self.rate_hz = rate_hz
            self.timeline = None

    def place(self, at_ns: int, n: int, receipt: Stamp) -> Placed | None:
        """See `Timeline.place`."""
        if self.timeline is None:
            self.timeline = Timeline(self.rate_hz, jump_s=self.jump_s)
        return self.timeline.place(at_ns, n, receipt)


@dataclass(frozen=True, slots=True)
class _Waiting:
    light: frame.Light
    receipt: Stamp


class PpgStream:
    """The PPG of one band: frames to blocks of the channel "ppg"."""

    def __init__(self, device: Device, jump_s: float) -> None:
        wanted: frame.Settings = {frame.RATE_HZ: (55.0,), frame.RESOLUTION_BITS: (22.0,)}
        self.stream = Stream(frame.PPG, "PPG", wanted, 4, 0.0, jump_s)
        self._device = device
        self._declared_hz = 0.0
        self._waiting: list[_Waiting] = []  # fewer than RATE_FRAMES
        self._blocks: PpgBlocks | None = None

    def take(self, light: frame.Light, receipt: Stamp, raw: bytes, sink: Sink) -> None:
        """One frame."""
        if self.stream.rate_hz != self._declared_hz or self._blocks is None:
            self._waiting.append(_Waiting(light, receipt))
            if len(self._waiting) < RATE_FRAMES:
                return
            self.flush(sink)
            self._declared_hz = self.stream.rate_hz
            true_hz = _true_rate_hz(self._waiting, self._declared_hz)
            self.stream.timeline = Timeline(true_hz, jump_s=self.stream.jump_s)
            self._blocks = PpgBlocks(self._device, true_hz)
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                self._place(one.light, one.receipt, raw, self._blocks, sink)
            return
        self._place(light, receipt, raw, self._blocks, sink)

    def flush(self, sink: Sink) -> None:
        """The link breaks: tell what was gathered."""
        if self._blocks is not None:
            self._blocks.flush(sink)

    def _place(self, light: frame.Light, receipt: Stamp, raw: bytes, blocks: PpgBlocks, sink: Sink) -> None:
        placed = self.stream.place(light.at_ns, len(light.counts), receipt)
        if placed is None:
            sink.rejected(self._device.id, "ppg_timestamp_not_newer", raw)
            return
        upright = -np.mean(light.counts[:, :3], axis=1)
        blocks.take(upright.tolist(), placed.start, placed.lost, sink)


def _true_rate_hz(frames: list[_Waiting], declared_hz: float) -> float:
    """What is declared where the time stamps agree, else the documented rate next to what they say."""
    steps = [
        (len(later.light.counts), later.light.at_ns - earlier.light.at_ns)
        for earlier, later in itertools.pairwise(frames)
    ]
    seen_hz = max((1e9 * n / span_ns for n, span_ns in steps if span_ns > 0), default=declared_hz)
    near_hz = min((declared_hz, *PPG_RATES_HZ), key=lambda rate_hz: abs(rate_hz / seen_hz - 1))
    if abs(declared_hz / seen_hz - 1) <= RATE_TOLERANCE / 2:
        return declared_hz
    return near_hz if abs(near_hz / seen_hz - 1) <= RATE_TOLERANCE else seen_hz
