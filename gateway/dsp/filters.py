"""Butterworth filters: their design (bilinear, no scipy at run time) and the state that one channel carries."""

import math

import numpy as np

from gateway.dsp.kernels import filtering
from gateway.dsp.kernels.compiler import Floats


def _qualities(order: int) -> list[float]:
    """Q of each second-order section of a Butterworth filter of even order."""
    if order < 2 or order % 2:
        raise ValueError(f"order {order} is not an even number of at least 2")
    return [1.0 / (2.0 * math.cos(math.pi * (2 * k + 1) / (2 * order))) for k in range(order // 2)]


def lowpass(order: int, corner_hz: float, rate_hz: float) -> Floats:
    """Sections of a Butterworth low-pass: float64, shape (order / 2, 6), a0 = 1. Equals scipy.signal.butter to 1e-9."""
    warped = math.tan(math.pi * corner_hz / rate_hz)
    rows = []
    for q in _qualities(order):
        norm = 1.0 / (1.0 + warped / q + warped**2)
        gain = warped**2 * norm
        rows.append([gain, 2 * gain, gain, 1.0, 2 * (warped**2 - 1) * norm, (1 - warped / q + warped**2) * norm])
    return np.array(rows)


def highpass(order: int, corner_hz: float, rate_hz: float) -> Floats:
    """As `lowpass`, but a high-pass: float64, shape (order / 2, 6), a0 = 1. Equals scipy.signal.butter to 1e-9."""
    warped = math.tan(math.pi * corner_hz / rate_hz)
    rows = []
    for q in _qualities(order):
        norm = 1.0 / (1.0 + warped / q + warped**2)
        rows.append([norm, -2 * norm, norm, 1.0, 2 * (warped**2 - 1) * norm, (1 - warped / q + warped**2) * norm])
    return np.array(rows)


def band(low_hz: float, high_hz: float, rate_hz: float, *, order: int = 4) -> Floats:
    """High-pass and low-pass in cascade; a corner above 0.45 of the rate is moved down to it."""
    return np.vstack([highpass(order, low_hz, rate_hz), lowpass(order, min(high_hz, 0.45 * rate_hz), rate_hz)])


class Filter:
    """A cascade with its state. Gap policy: a missing sample is the last one again; after a long gap call `reset`."""

    def __init__(self, sos: Floats) -> None:
        self._sos = sos
        self._state = np.zeros((sos.shape[0], 2))
        self._hold = np.zeros(3)

    def step(self, x: Floats) -> Floats:
        """The filtered samples: float64, shape (n,), never NaN."""
        y = np.empty(x.shape[0])
        filtering.sos_filter(x, self._sos, self._state, self._hold, y)
        return y

    def reset(self) -> None:
        """Forget everything, as after a long gap."""
        self._state[:] = 0.0
        self._hold[:] = 0.0


class Window:
    """The newest `span_s` seconds of a band-limited signal, thinned to about `target_hz`."""

    def __init__(self, rate_hz: float, target_hz: float, span_s: float) -> None:
        self._factor = max(1, round(rate_hz / target_hz))
        self.rate_hz = rate_hz / self._factor
        self.samples: Floats = np.zeros(max(4, round(span_s * self.rate_hz)))
        self._phase = np.zeros(1, dtype=np.int64)
        self._filled = 0

    def push(self, x: Floats) -> None:
        self._filled += int(filtering.decimate(x, self._factor, self._phase, self.samples))

    @property
    def pushed(self) -> int:
        """Samples that have entered the window since the start or the last reset."""
        return self._filled

    @property
    def full(self) -> bool:
        """True once every sample of the window came from the signal."""
        return self._filled >= len(self.samples)

    def reset(self) -> None:
        self.samples[:] = 0.0
        self._phase[:] = 0
        self._filled = 0
