"""Did the sleeper turn over? A large movement of 2 to 15 s after which the bed is loaded otherwise than before it.

In: once a second movement (0 to 1), load (kg, NaN without), rms of the pulse band and of its differences. The medians
of BEFORE_S still seconds before the movement are held against those of AFTER_S still seconds after it: load, energy,
and pitch (differences over energy: posture changes the shape of a beat on the belt). One that changed by its threshold
is enough. Out: 1 at the second in which that is known, AFTER_S + 1 s after the movement at the earliest; nothing else.
Quality: how far the largest change is beyond its threshold. Gap policy: a second that is missing is neither still nor
moving; MAX_WAIT_S without enough still seconds, an exit or a long gap forget the movement. Source: own definition;
thresholds from synthetic beds (tests/evaluation/bed_synth.py): 87 of 100 turns told, none that was not there, and of
228 movements that ended as they began three.
"""

import math
from collections import deque
from typing import NamedTuple

from gateway.dsp.estimate import Estimate

ORIGIN = "turning/1"
LARGE, MOVES, STILL = 0.6, 0.3, 0.1  # movement
SHORTEST_S, LONGEST_S = 3, 17  # hops: 2 to 15 s of movement, which begins and ends within a second
PAUSE_S = 2  # still seconds within one movement
BEFORE_S, AFTER_S = 20, 12
MIN_BEFORE_S = 8
MAX_WAIT_S = 60
LOAD_SHARE, LOAD_KG = 0.04, 1.0  # change of the load, whichever is more
ENERGY, PITCH = 0.25, 0.12  # change of the logarithm


class Look(NamedTuple):
    """One still second."""

    load_kg: float
    energy: float
    pitch: float


class Turning:
    """Stepped once a second while somebody is in bed."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """After an exit or a long gap: what comes is not the same sleeper's posture."""
        self._before: deque[Look] = deque(maxlen=BEFORE_S)
        self._after: list[Look] = []  # bounded by AFTER_S
        self._span_s = self._loud_s = self._waited_s = self._still_s = 0

    def step(self, amount: float | None, load_kg: float, rms: float, slope: float) -> Estimate | None:
        """amount: movement, None when unknown. slope: rms of the differences of successive samples."""
        if amount is None:
            self._wait()
            return None
        if amount >= MOVES:
            self._move(amount)
            return None
        if self._span_s == 0:
            if amount < STILL and rms > 0.0 and slope > 0.0:
                self._before.append(_look(load_kg, rms, slope))
            return None
        self._still_s += 1
        if amount < STILL and rms > 0.0 and slope > 0.0 and self._still_s > 1:  # the first still second still rings
            self._after.append(_look(load_kg, rms, slope))
        if len(self._after) == AFTER_S:
            return self._judge()
        self._wait()
        return None

    def _move(self, amount: float) -> None:
        """One more second of movement; one that comes before the last is judged belongs to it."""
        self._after.clear()
        self._span_s += 1 + (self._still_s if self._still_s <= PAUSE_S else 0)
        self._loud_s += amount >= LARGE
        self._still_s = self._waited_s = 0

    def _wait(self) -> None:
        """Time goes by without an answer."""
        if self._span_s:
            self._waited_s += 1
            if self._waited_s > MAX_WAIT_S:
                self.reset()

    def _judge(self) -> Estimate | None:
        span_s, loud_s, before, after = self._span_s, self._loud_s, self._before, self._after
        self.reset()
        self._before.extend(after)
        if not (SHORTEST_S <= span_s <= LONGEST_S and loud_s and len(before) >= MIN_BEFORE_S):
            return None
        load, energy, pitch = (
            abs(_median([look[i] for look in after]) - _median([look[i] for look in before])) for i in range(3)
        )
        usual_kg = _median([look.load_kg for look in before])
        changes = [energy / ENERGY, pitch / PITCH]
        if math.isfinite(load):
            changes.append(load / max(LOAD_KG, LOAD_SHARE * usual_kg))
        most = max(changes)
        return Estimate(1.0, min(1.0, 0.5 * most), float(span_s)) if most >= 1.0 else None


def _look(load_kg: float, rms: float, slope: float) -> Look:
    return Look(load_kg, math.log(rms), math.log(slope / rms))


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
