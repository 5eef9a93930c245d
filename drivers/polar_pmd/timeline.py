"""Places a band's frames on the box's clock by the band's own timestamps, and counts what is missing between them.

Receipts jitter by a connection interval or more; the band's clock does not, but starts anywhere (2000, 2019) and
drifts. The offset between the two follows the least delayed frames and creeps up no faster than two clocks drift.
"""

from dataclasses import dataclass

from gateway.core.model import Stamp

DRIFT = 200e-6  # two crystals and a cold morning
JUMP_S = 10.0  # further apart than a band's buffer explains: the band's clock was set
RATE_TOLERANCE = 0.05  # a real band runs within a few percent of the rate it declares
RATE_GAIN = 0.1  # weight of one frame in the estimate of the true sample period


@dataclass(frozen=True, slots=True)
class Placed:
    """start: when the first sample was taken. lost: samples missing before it. jumped: the band's clock was set."""

    start: Stamp
    lost: int
    jumped: bool


@dataclass(frozen=True, slots=True)
class _Last:
    at_ns: int
    receipt: Stamp


class Timeline:
    """State of one band's one stream; survives reconnections, so that the samples missed meanwhile are counted."""

    def __init__(self, rate_hz: float, *, jump_s: float = JUMP_S) -> None:
        self._nominal_ns = 1e9 / rate_hz
        self._period_ns = self._nominal_ns
        self._jump_ns = jump_s * 1e9
        self._last: _Last | None = None
        self._offset_ns = 0.0
        self._new_session = True

    def reconnected(self) -> None:
        """The next frame opens a session: the band may have restarted its clock meanwhile."""
        self._new_session = True

    def place(self, at_ns: int, n: int, receipt: Stamp) -> Placed | None:
        """at_ns: device time of the last of n samples. None when it is not newer than the frame before."""
        last, opening = self._last, self._new_session
        if last is not None and not opening and at_ns <= last.at_ns:
            return None
        lost, jumped = 0, False
        if last is None:
            self._offset_ns = float(receipt.mono_ns - at_ns)
        else:
            device_ns, box_ns = at_ns - last.at_ns, receipt.mono_ns - last.receipt.mono_ns
            jumped = device_ns <= 0 or abs(device_ns - box_ns) > self._jump_ns
            span_ns = box_ns if jumped else device_ns
            lost = self._missing(span_ns, n)
            self._follow(receipt.mono_ns - at_ns, 0 if jumped else device_ns, restart=jumped)
            if not (jumped or opening or lost):
                self._learn(device_ns / n)
        self._last, self._new_session = _Last(at_ns, receipt), False
        newest_ns = min(at_ns + self._offset_ns, receipt.mono_ns)
        start = Stamp(receipt.boot_id, round(newest_ns - (n - 1) * self._period_ns))
        return Placed(start, lost, jumped and not opening)

    def _missing(self, span_ns: int, n: int) -> int:
        """Less than a tenth of a frame is drift, not loss: notifications are lost whole."""
        missing = span_ns / self._period_ns - n
        return round(missing) if missing > max(1.5, 0.1 * n) else 0

    def _follow(self, offset_ns: int, elapsed_ns: int, *, restart: bool) -> None:
        if restart or offset_ns < self._offset_ns:
            self._offset_ns = float(offset_ns)
        else:
            self._offset_ns += min(offset_ns - self._offset_ns, elapsed_ns * DRIFT)

    def _learn(self, period_ns: float) -> None:
        if abs(period_ns / self._nominal_ns - 1) <= RATE_TOLERANCE:
            self._period_ns += RATE_GAIN * (period_ns - self._period_ns)
