"""Is the bed occupied? From the static load and from the energy of the waveform, each able to speak alone.

In: once a second the load's samples (kg above the empty bed, any rate, NaN where missing) and what the waveform says.
By load an entry is told within 3 s and an exit within 5 s: a load below the threshold must last 2 s, or 3 s while the
waveform moves, because a sleeper who turns over lifts off the belt for a moment. The load's zero creeps with mattress
and temperature: it is followed while the bed is surely empty, never while it may be occupied; a creep beyond the
threshold is still an exit when most of the load goes and the waveform falls to that of the empty bed.
By waveform, where there is no load: a pulse or breath proves a sleeper (within 45 s), a rise out of the empty bed's
energy an entry (3 s), a fall to it after movement an exit (5 s). What the empty bed's energy is must have been learnt:
a minute without breath or pulse, steady and well below a living sleeper's. Such an exit has half the quality, and one
who dies without moving is no exit. Contradictions are told as `slipped`.
Window: none, hop 1 s. Gap policy: the state is held for 10 s without load samples and then is the waveform's; a
second without waveform changes nothing there. Quality: share of real samples, halved when the two contradict, at most
0.5 by waveform. Source: Schmitt trigger; Lydon 2015 for energy instead of beats. No recording of a real bed stands
behind it (tests/evaluation/bed_synth.py).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gateway.dsp.bed_energy import SILENT, BedEnergy, Level
from gateway.dsp.kernels import loading
from gateway.dsp.kernels.compiler import Floats

ORIGIN = "occupancy/2"
ON_KG, OFF_KG = 12.0, 6.0  # above the empty bed; a belt carries only a part of the sleeper
ON_S, OFF_STILL_S, OFF_MOVING_S = 1.0, 2.0, 3.0
FORGET_S = 10.0
ZERO_AFTER_S = 60  # so long the bed must have been empty before its zero is followed
ZERO_UP_S, ZERO_DOWN_S = 300.0, 60.0  # time constants; nobody lies on a bed with less than nothing
ZERO_LIMIT_KG = 10.0
USUAL_S = 300.0
CREPT = 0.35  # of the sleeper's usual load: what may be left of it by creep when nobody is there
CREPT_S = 3
ALIVE_S = 10
CONTRADICTS_S = 30  # so long load and waveform must contradict each other before the sensor is doubted
FALLEN = 0.25  # of the usual load, while somebody is there
WAVE_QUALITY = 0.5


@dataclass(frozen=True, slots=True)
class Occupied:
    """loaded: None is unknown. changed: the state went over between loaded and empty in this hop. after_gap: the last
    known state is older than this hop. quality: 0 to 1. load_kg: median of the hop above the zero, NaN without load
    samples. slipped: load and waveform contradict each other. by: "load" or "wave"."""

    loaded: bool | None
    changed: bool
    after_gap: bool
    quality: float
    load_kg: float
    slipped: bool = False
    by: str = "load"


class Occupancy:
    """Stepped once a second with what is there of load and waveform."""

    def __init__(
        self, *, on_kg: float = ON_KG, off_kg: float = OFF_KG, memory: Mapping[str, float] | None = None
    ) -> None:
        """memory: what an earlier one had learnt of this bed (see `memory`)."""
        learnt = memory or {}
        self._params: Floats = np.array([on_kg, off_kg, ON_S, OFF_STILL_S, OFF_MOVING_S, FORGET_S])
        self._state: Floats = np.array([-1.0, 0.0, 0.0, 0.0])
        self._known: bool | None = None
        self._silent_s = 0.0
        self._unknown_since_known = False
        self._last_kg = math.nan
        self._zero_kg = learnt.get("zero_kg", 0.0)
        self._usual_kg = learnt.get("usual_kg", 0.0)
        self._empty_s = self._crept_s = self._contradicts_s = self._alive_s = 0
        self.energy = BedEnergy(learnt)
        self.load_step_kg = 0.0

    @property
    def loaded(self) -> bool | None:
        """By static load alone."""
        return None if self._state[0] < 0.0 else bool(self._state[0])

    def memory(self) -> dict[str, float]:
        """What was learnt of this bed and would take hours to learn again."""
        return {"zero_kg": self._zero_kg, "usual_kg": self._usual_kg} | self.energy.memory()

    def step(
        self, load: Floats | None, rate_hz: float, moving: bool, alive: bool, level: Level = SILENT
    ) -> Occupied:
        """load: kg, shape (n,), None when the channel was silent for this hop of one second. moving, alive: what the
        waveform says (moved; pulse or breath seen). level: its energy."""
        quality, load_kg = self._step_load(load, rate_hz, moving)
        self._alive_s = self._alive_s + 1 if alive else 0
        by_wave = self.energy.step(level, moving=moving, alive=alive)
        if self.loaded and self._crept(load_kg):
            self._state[:3] = (0.0, 0.0, 0.0)
        loaded, by = self.loaded, "load"
        if loaded is None:
            loaded, by = by_wave, "wave"
            quality = max(quality, WAVE_QUALITY if by_wave or alive else 0.8 * WAVE_QUALITY)
        else:
            self.energy.agree(loaded)
            self._learn(loaded, load_kg, moving)
        slipped = self._contradict(load_kg, alive)
        if slipped or (loaded is False and by == "load" and alive):
            quality *= 0.5  # the load says empty, the waveform breathes: one of the two is broken
        return self._told(loaded, quality, load_kg, slipped, by)

    def _told(self, loaded: bool | None, quality: float, load_kg: float, slipped: bool, by: str) -> Occupied:
        changed = loaded is not None and self._known is not None and loaded != self._known
        after_gap = changed and self._unknown_since_known
        if loaded is None:
            self._unknown_since_known = True
        else:
            self._known, self._unknown_since_known = loaded, False
        if changed:
            self._contradicts_s = self._crept_s = 0
        return Occupied(loaded, changed, after_gap, quality, load_kg, slipped, by)

    def _step_load(self, load: Floats | None, rate_hz: float, moving: bool) -> tuple[float, float]:
        self.load_step_kg = 0.0
        if load is None:
            self._silent_s += 1.0
            if self._silent_s > FORGET_S:
                self._state[:] = (-1.0, 0.0, 0.0, 0.0)
            return max(0.0, 1.0 - self._silent_s / FORGET_S), math.nan
        self._silent_s = 0.0
        above = load - self._zero_kg
        loading.occupancy(above, rate_hz, float(moving), self._params, self._state)
        finite = sorted(kg for kg in above.tolist() if math.isfinite(kg))  # ten samples: faster than numpy's median
        if not finite:
            return 0.0, math.nan
        load_kg = 0.5 * (finite[len(finite) // 2] + finite[(len(finite) - 1) // 2])
        if math.isfinite(self._last_kg):
            self.load_step_kg = abs(load_kg - self._last_kg)
        self._last_kg = load_kg
        return len(finite) / load.size, load_kg

    def _crept(self, load_kg: float) -> bool:
        """True when most of the sleeper's load is gone, though not all of it, and the waveform is the empty bed's."""
        gone = self._usual_kg > 0.0 and load_kg < CREPT * self._usual_kg and self.energy.quiet
        self._crept_s = self._crept_s + 1 if gone else 0
        return self._crept_s >= CREPT_S

    def _learn(self, loaded: bool, load_kg: float, moving: bool) -> None:
        """Follow the zero of an empty bed and the load of a sleeper."""
        off_kg = float(self._params[1])
        if not math.isfinite(load_kg):
            return
        if loaded:
            self._empty_s = 0
            if not moving and load_kg > self._params[0]:
                self._usual_kg += (load_kg - self._usual_kg) / USUAL_S if self._usual_kg > 0.0 else load_kg
            return
        # No waveform, or an unknown empty bed (None), leave it to the load. Noise looks alive for seconds, no longer.
        unoccupied = self._alive_s < ALIVE_S and self.energy.quiet is not False
        near = load_kg < (off_kg if self.energy.quiet else 0.5 * off_kg)
        self._empty_s = self._empty_s + 1 if unoccupied and near else 0
        if self._empty_s > ZERO_AFTER_S:
            zero_kg = self._zero_kg + load_kg / (ZERO_UP_S if load_kg > 0.0 else ZERO_DOWN_S)
            self._zero_kg = min(ZERO_LIMIT_KG, max(-ZERO_LIMIT_KG, zero_kg))

    def _contradict(self, load_kg: float, alive: bool) -> bool:
        """True when for a while the load has said that nobody (or hardly anybody) is there and the waveform lives, or
        the load that somebody is and the waveform has lost a tenfold of its energy."""
        if self.loaded is None:
            return False
        fallen = self._usual_kg > 0.0 and load_kg < FALLEN * self._usual_kg
        contradicts = alive if not self.loaded else fallen or self.energy.lost
        self._contradicts_s = min(CONTRADICTS_S, self._contradicts_s + 1) if contradicts else 0
        return self._contradicts_s >= CONTRADICTS_S
