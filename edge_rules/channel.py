"""One quantity of one bed (or device, or the site) as one rule sees it: gated by quality, smoothed, and stale in time.

Several devices may measure the same quantity in one bed. A channel listens to one of them at a time, so that a median
never mixes two instruments, and goes over to another when the first has told nothing good for the freshness time.
"""

from collections import deque
from collections.abc import Callable, Mapping
from statistics import fmean, median

from edge_rules.rule import Input
from gateway.core.model import Measurement, Status

SMOOTHINGS: Mapping[str, Callable[[list[float]], float]] = {"median": median, "mean": fmean, "min": min, "max": max}
MAX_WINDOW_S = 600.0  # longer windows belong to the minutes
MAX_SAMPLES = 4096  # in one window; the oldest goes first: seven readings a second over the longest window
_USABLE = frozenset({Status.VALID, Status.QUESTIONABLE, Status.OVER, Status.UNDER})


class Channel:
    """Takes measurements, gives the present value or None for unknown."""

    __slots__ = ("_device", "_samples", "_span_ns", "_value", "at_ns", "fresh_ns", "input", "quality")

    def __init__(self, source: Input) -> None:
        self.input = source
        self.fresh_ns = round(source.fresh_s * 1e9)
        self._span_ns = round(source.window_s * 1e9)
        self._samples: deque[tuple[int, float]] = deque(maxlen=MAX_SAMPLES)
        self._value: float | None = None
        self._device = ""
        self.at_ns = -1
        self.quality = 1.0

    @property
    def ever(self) -> bool:
        """Whether anything good was ever received."""
        return self.at_ns >= 0

    def accept(self, m: Measurement, at_ns: int) -> bool:
        """Take one measurement; False when it tells nothing (bad quality, older than what is known, second source)."""
        if m.quality < self.input.quality or m.status not in _USABLE or at_ns < self.at_ns:
            return False
        if m.device != self._device:
            if self.ever and at_ns - self.at_ns <= self.fresh_ns:
                return False
            self._device = m.device
            self._samples.clear()
        self.at_ns = at_ns
        self.quality = m.quality
        self._value = self._smoothed(at_ns, m.value) if self._span_ns else m.value
        return True

    def read(self, at_ns: int) -> float | None:
        """The value at that moment; None when it never came or is stale."""
        return self._value if self.ever and at_ns - self.at_ns <= self.fresh_ns else None

    def _smoothed(self, at_ns: int, value: float) -> float:
        samples = self._samples
        if not samples or samples[-1] != (at_ns, value):  # a kiosk's reading that got its bed later is still one sample
            samples.append((at_ns, value))
        while samples[0][0] <= at_ns - self._span_ns:
            samples.popleft()
        return SMOOTHINGS[self.input.smoothing]([sample for _, sample in samples])

    def state(self) -> tuple[str, int, float, float | None, list[tuple[int, float]]]:
        """What `load` needs to go on as if nothing had happened."""
        return self._device, self.at_ns, self.quality, self._value, list(self._samples)

    def load(
        self, device: str, at_ns: int, quality: float, value: float | None, samples: list[tuple[int, float]]
    ) -> None:
        """Take over a stored state."""
        self._device, self.at_ns, self.quality, self._value = device, at_ns, quality, value
        self._samples = deque(samples, maxlen=MAX_SAMPLES)


class Age:
    """Seconds since a channel's last good reading."""

    __slots__ = ("channel",)

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def read(self, at_ns: int) -> float | None:
        """None when there never was one."""
        return (at_ns - self.channel.at_ns) / 1e9 if self.channel.ever else None


class Pulse:
    """An event: true only while the engine steps the rule because of it."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = False

    def read(self, at_ns: int) -> bool:
        """True at the event itself."""
        return self.on
