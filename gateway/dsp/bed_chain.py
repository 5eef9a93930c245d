"""A bed belt's waveform and load in, a bed's second out: occupied, movement, breath, pulse, sign of life, turning over.

What a second does not tell is booked with its reason (`withholding`); a broken input is a `device_fault` with an end.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gateway.core.model import Event, Measurement, SampleBlock, Stamp
from gateway.dsp import heart, movement, occupancy, pauses, respiration, restlessness, turning, vital
from gateway.dsp.bed_energy import SILENT, Level
from gateway.dsp.disturbances import Disturbances
from gateway.dsp.estimate import Estimate
from gateway.dsp.filters import Filter, band
from gateway.dsp.heart import Heart
from gateway.dsp.hops import Hop, Hopper
from gateway.dsp.inputs import Faults, RateWatch, fault_of
from gateway.dsp.join import Join
from gateway.dsp.kernels import filtering
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.movement import Movement
from gateway.dsp.occupancy import Occupancy, Occupied
from gateway.dsp.pauses import Pauses
from gateway.dsp.reasons import Withheld, Withholding
from gateway.dsp.respiration import Respiration
from gateway.dsp.restlessness import Restlessness
from gateway.dsp.turning import Turning
from gateway.dsp.vital import Vital

HOP_S = 1.0
MAX_FILL_S = 2.0
FULL_SCALE = 0.9999  # of the waveform, whose unit is its own range: what reaches the stop is clipped, not measured
MAX_LOAD_KG = 1000.0  # no bed carries more: garbage of a line
PULSE_BAND_HZ = (0.7, 10.0)
WAVE, LOAD = "bed.wave", "bed.load"
CHANNELS = (WAVE, LOAD)


_Found = tuple[str, Estimate | None, str]


def _number(settings: Mapping[str, object], key: str, default: float) -> float:
    value = settings.get(key, default)
    return float(value) if isinstance(value, int | float) else default


class BedChain:
    """One belt under one bed. settings: load_on_kg, load_off_kg, wave_full_scale (in the waveform's unit)."""

    def __init__(
        self,
        device: str,
        bed: str | None,
        settings: Mapping[str, object],
        memory: Mapping[str, float],
        *,
        degraded: bool = False,
    ) -> None:
        """memory: what an earlier chain of this bed had learnt (see `memory`). degraded: leave out what plain Python
        is too slow for: the pulse, and respiration at every hop."""
        self._device, self._bed, self._degraded = device, bed, degraded
        self._full_scale = _number(settings, "wave_full_scale", FULL_SCALE)
        self._join = Join()
        self._hoppers: dict[str, Hopper] = {}
        self._movement = Movement(resting=memory.get("resting"), empty=memory.get("empty"))
        self._occupancy = Occupancy(
            on_kg=_number(settings, "load_on_kg", occupancy.ON_KG),
            off_kg=_number(settings, "load_off_kg", occupancy.OFF_KG),
            memory=memory,
        )
        self._turning, self._restlessness = Turning(), Restlessness()
        self._rates: dict[str, RateWatch] = {}
        self._faults = {channel: Faults(device, bed, channel) for channel in CHANNELS}
        self._slipped = False
        self.withholding = Withholding()
        self._vital = Vital()
        self._band: Filter | None = None
        self._heart: Heart | None = None
        self._respiration: Respiration | None = None
        self._pauses: Pauses | None = None
        self._disturbances: Disturbances | None = None
        self._pump_hz = memory.get("pump_hz")
        self._moving = self._alive = False
        self._loaded: bool | None = None
        self._load_kg = math.nan
        self._filtered: Floats = np.zeros(0)

    def start(self, channel: str, rate_hz: float, phase: int = 0) -> None:
        """(Re)start a channel at this rate; phase: see `Hopper`."""
        full_scale = self._full_scale if channel == WAVE else MAX_LOAD_KG
        self._hoppers[channel] = Hopper(
            rate_hz, HOP_S, max_fill_s=MAX_FILL_S, full_scale=full_scale, phase=phase, varies=channel == WAVE
        )
        self._rates[channel] = RateWatch(rate_hz)
        if channel != WAVE:
            return
        self._band = Filter(band(*PULSE_BAND_HZ, rate_hz))
        every = respiration.DEGRADED_EVERY if self._degraded else 1
        self._respiration = Respiration(rate_hz, every=every)
        self._pauses = None if self._degraded else Pauses(rate_hz)
        able = not self._degraded and rate_hz >= heart.MIN_RATE_HZ
        self._heart = Heart(rate_hz) if able else None
        self._disturbances = Disturbances(rate_hz, pump_hz=self._pump_hz) if able else None

    def rate_hz(self, channel: str) -> float | None:
        """The rate at which a channel runs, None before it was started."""
        hopper = self._hoppers.get(channel)
        return hopper.rate_hz if hopper else None

    def phase(self, channel: str) -> int:
        """Samples in the hop that the channel is filling."""
        return self._hoppers[channel].phase

    def memory(self) -> dict[str, float]:
        """What was learnt of this bed and would take minutes to learn again."""
        pump_hz = self._disturbances.pump_hz if self._disturbances else self._pump_hz
        learnt = {"resting": self._movement.resting, "empty": self._movement.empty, "pump_hz": pump_hz}
        return {key: value for key, value in learnt.items() if value is not None} | self._occupancy.memory()

    def feed(self, block: SampleBlock) -> list[Measurement | Event]:
        """The seconds that this block completes, in order."""
        self._rates[block.channel].block(block)
        for hop in self._hoppers[block.channel].push(block):
            self._join.push(CHANNELS.index(block.channel), hop)
        results: list[Measurement | Event] = []
        for wave, load in self._join.ready():
            results += self._tick(wave, load)
        return results

    def _tick(self, wave: Hop | None, load: Hop | None) -> list[Measurement | Event]:
        at = wave.at if wave is not None else load.at if load is not None else None
        assert at is not None
        if wave is not None:
            self._hear(wave)
        results = self._tick_load(load, at, hears=wave is not None)
        return results + (self._tick_wave(wave) if wave is not None else [])

    def _hear(self, hop: Hop) -> None:
        """The energy of this second must be known before load and waveform decide together."""
        assert self._band is not None
        if hop.fresh:
            self._band.reset()
            self._forget_sleeper()
            if self._disturbances is not None:
                self._disturbances.reset()
        self._filtered = self._band.step(hop.data)
        self._movement.hear(self._filtered, 0.0 if self._rates[WAVE].wrong else hop.real)

    def _tick_load(self, load: Hop | None, at: Stamp, *, hears: bool) -> list[Measurement | Event]:
        rate_hz = self._hoppers[LOAD].rate_hz if load is not None else 1.0
        data = load.data if load is not None else None
        level = Level(self._movement.now, self._movement.empty) if hears else SILENT
        state = self._occupancy.step(data, rate_hz, self._moving, self._alive, level)
        self._loaded, self._load_kg, self._slipped = state.loaded, state.load_kg, state.slipped
        self.withholding.note("bed_occupied", Withheld.GAP if state.loaded is None else Withheld.NOTHING)
        results: list[Measurement | Event] = []
        if load is not None:
            fault = fault_of(load, wrong_rate=self._rates[LOAD].wrong, varies=False)
            if self._slipped and not fault:
                fault = Withheld.SLIPPED
            results += self._faults[LOAD].step(fault, HOP_S, at, fresh=load.fresh)
        if state.changed:
            results.append(self._changed(state, at))
        if state.loaded is not None and state.quality > 0.0:
            estimate = Estimate(float(state.loaded), state.quality, HOP_S)
            results.append(self._measured("bed_occupied", estimate, at, occupancy.ORIGIN))
        return results

    def _changed(self, state: Occupied, at: Stamp) -> Event:
        if not state.loaded:
            self._forget_sleeper()
            self._turning.reset()
            self._restlessness.pause()
        detail: dict[str, str | int | float | bool] = {"after_gap": state.after_gap, "origin": occupancy.ORIGIN}
        if math.isfinite(state.load_kg):
            detail["load_kg"] = round(state.load_kg, 1)
        kind = "bed_entered" if state.loaded else "bed_exited"
        return Event(kind, at, bed=self._bed, device=self._device, detail=detail)

    def _tick_wave(self, hop: Hop) -> list[Measurement | Event]:
        assert self._respiration is not None
        fault = fault_of(hop, wrong_rate=self._rates[WAVE].wrong)
        if fault is Withheld.WRONG_RATE:
            hop = replace(hop, real=0.0)
        filtered = self._filtered
        moved = self._movement.step(hop.real, self._loaded, self._occupancy.load_step_kg)
        amount = moved.value if moved is not None else None
        pulse = self._heart.step(filtered, hop.real, amount) if self._heart is not None else None
        breath = self._respiration.step(hop.data, hop.real, amount)
        self._moving = amount is not None and amount > 0.0
        pulse, breath = self._undisturbed(hop, pulse, breath)
        beating = self._heart is not None and self._heart.beating
        self._alive = beating or self._respiration.breath_now
        sign = self._alive or (amount is not None and amount > vital.MOVED) or self._above_empty()
        life = self._vital.step(loaded=self._occupancy.loaded, sign=sign, real=hop.real)
        found = (
            ("movement", moved, movement.ORIGIN),
            ("heart_rate", pulse, heart.ORIGIN),
            ("respiration_rate", breath, respiration.ORIGIN),
            ("breathing_pause", self._pause(hop, amount), pauses.ORIGIN),
            ("vital_sign", life, vital.ORIGIN),
            *self._posture(amount, filtered),
        )
        self._withhold(fault, found)
        if fault is Withheld.CONSTANT and self._loaded is False:  # a coarse converter in a quiet, empty bed
            fault = Withheld.NOTHING
        told: list[Measurement | Event] = [*self._faults[WAVE].step(fault, HOP_S, hop.at, fresh=hop.fresh)]
        if self._loaded is False:
            return told
        told += [self._measured(name, value, hop.at, origin) for name, value, origin in found if value is not None]
        return told

    def _undisturbed(
        self, hop: Hop, pulse: Estimate | None, breath: Estimate | None
    ) -> tuple[Estimate | None, Estimate | None]:
        """The rates without those that may be another sleeper's, a pump's or a tremor's."""
        if self._disturbances is None or self._heart is None:
            return pulse, breath
        self._disturbances.step(
            hop.data, self._filtered, self._heart.envelope, hop.real, rms=self._movement.now, load_kg=self._load_kg,
            moving=self._moving, empty=self._loaded is False,
        )  # fmt: skip
        return self._disturbances.judge(pulse, breath)

    def _posture(self, amount: float | None, filtered: Floats) -> Sequence[_Found]:
        """Turning over and restlessness of who is in bed."""
        if self._loaded is False:
            return ()
        slope = filtering.energy(filtered[1:] - filtered[:-1]) if amount is not None else math.nan
        turned = self._turning.step(amount, self._load_kg, self._movement.now, slope)
        index = self._restlessness.step(amount)
        return ("turned", turned, turning.ORIGIN), ("restlessness", index, restlessness.ORIGIN)

    def _withhold(self, fault: Withheld, found: Sequence[_Found]) -> None:
        """Book why there is no rate: what is wrong with the input before what the estimator says."""
        told = {name for name, value, _ in found if value is not None}
        without_heart = Withheld.DEGRADED if self._degraded else Withheld.SLOW
        whys = {
            "heart_rate": self._heart.withheld if self._heart else without_heart,
            "respiration_rate": self._respiration.withheld if self._respiration else Withheld.NOTHING,
        }
        if self._disturbances is not None:
            whys["heart_rate"] = self._disturbances.heart or whys["heart_rate"]
            whys["respiration_rate"] = self._disturbances.breath or whys["respiration_rate"]
        for name, why in whys.items():
            if self._loaded is False:
                why = Withheld.SLIPPED if self._slipped else Withheld.EMPTY
            elif name in told:
                why = Withheld.NOTHING
            elif fault or self._slipped:
                why = fault or Withheld.SLIPPED
            elif not why:
                continue  # not its turn
            self.withholding.note(name, why)

    def _pause(self, hop: Hop, amount: float | None) -> Estimate | None:
        """The breathing pause that ended in this second, of somebody who surely lies there and alone."""
        if self._pauses is None:
            return None
        why = self._disturbances.heart if self._disturbances is not None else Withheld.NOTHING
        disturbed = self._slipped or why in (Withheld.TWO_SOURCES, Withheld.PUMP)  # their waves fill a pause
        return self._pauses.step(hop.data, hop.real, amount, loaded=self._loaded is True and not disturbed)

    def _above_empty(self) -> bool:
        """True when the pulse band carries clearly more energy than this bed does when nobody is in it."""
        empty = self._movement.empty
        return empty is not None and self._movement.now > vital.ABOVE_EMPTY * empty

    def _forget_sleeper(self) -> None:
        """After an exit or a long gap no window may mix what was before with what is now."""
        if self._respiration is not None:
            self._respiration.reset()
        if self._pauses is not None:
            self._pauses.reset()
        if self._disturbances is not None:
            self._disturbances.forget_sleeper()
        if self._heart is not None:
            self._heart.reset()
        self._vital.reset()
        self._alive = False

    def _measured(self, name: str, estimate: Estimate, at: Stamp, origin: str) -> Measurement:
        return estimate.measured(name, at, bed=self._bed, device=self._device, origin=origin)
