"""Does whoever loads the bed show a sign of life: movement, breath or pulse?

1 while a sign was seen in the last ten seconds; 0 when the static load says that somebody is there and none was. Gap
policy: 0 needs 40 s of waveform without a long gap (the respiration's window) and 80 % real samples in the last ten
seconds; without them, and in a second of which half is missing, the answer is None. A sensor that is silent or at its
stop is not a sleeper who is.
"""

from collections import deque

from gateway.dsp.estimate import Estimate

ORIGIN = "vital/1"
HOLD_S = 10
SETTLE_S = 40
MIN_REAL = 0.8
MIN_REAL_NOW = 0.5
MOVED = 0.05
ABOVE_EMPTY = 2.5  # energy of the pulse band over the empty bed's that counts as a pulse though it has no rhythm


class Vital:
    """Stepped once per hop of waveform, one second."""

    def __init__(self) -> None:
        self._signs: deque[bool] = deque(maxlen=HOLD_S)
        self._real: deque[float] = deque(maxlen=HOLD_S)
        self._seen_s = 0

    def step(self, *, loaded: bool | None, sign: bool, real: float) -> Estimate | None:
        """loaded: by static load. sign: movement, breath or pulse in this hop. real: fraction of real samples."""
        self._signs.append(sign and real >= MIN_REAL_NOW)
        self._real.append(real)
        self._seen_s += 1
        share = sum(self._real) / HOLD_S
        if not loaded or real < MIN_REAL_NOW:
            return None
        if any(self._signs):
            return Estimate(1.0, min(1.0, sum(self._real) / len(self._real)), HOLD_S)
        if self._seen_s < SETTLE_S or share < MIN_REAL:
            return None
        return Estimate(0.0, share, HOLD_S)

    def reset(self) -> None:
        """After a long gap: what was seen before says nothing of now."""
        self._signs.clear()
        self._real.clear()
        self._seen_s = 0
