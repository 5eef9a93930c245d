"""What makes a rate that both estimators agree on the rate of something else: another sleeper, a pump, tremor.

Two sources withhold heart and breath, tremor the heart, a pump the heart and a breath that lies at its line or the
line's double. Occupancy, movement and sign of life are not touched. For gaps and windows see the parts.
"""

from gateway.dsp.estimate import Estimate
from gateway.dsp.kernels.compiler import Floats
from gateway.dsp.lines import Pump, Tremor
from gateway.dsp.reasons import Withheld
from gateway.dsp.second_source import SecondSource

MIN_REAL = 0.8
NEAR_LINE = 0.06  # relative: a breath this near a pump's line, or the line's double, may be the pump


class Disturbances:
    """Fed once per hop of one second of waveform."""

    def __init__(self, rate_hz: float, *, pump_hz: float | None = None) -> None:
        """pump_hz: a pump that an earlier chain of this bed learnt."""
        self._tremor, self._pump = Tremor(rate_hz), Pump(rate_hz, learnt_hz=pump_hz)
        self._second = SecondSource(rate_hz)
        self._why = Withheld.NOTHING
        self.heart = self.breath = Withheld.NOTHING  # why this second's rate was taken back

    @property
    def pump_hz(self) -> float | None:
        """The line of this bed's pump, None while none is known."""
        return self._pump.learnt_hz

    def step(
        self, wave: Floats, band: Floats, envelope: Floats, real: float, *, rms: float, load_kg: float, moving: bool,
        empty: bool,
    ) -> None:  # fmt: skip
        """wave, band, envelope: the hop, its pulse band, the envelope of its beats. rms: of the band. empty: nobody is
        in the bed."""
        pump = self._pump.step(wave, empty=empty)
        tremor = self._tremor.step(band) and not moving
        second = self._second.step(envelope, rms, load_kg, unfit=moving or empty or real < MIN_REAL)
        found = ((second, Withheld.TWO_SOURCES), (tremor, Withheld.TREMOR), (pump, Withheld.PUMP))
        self._why = next((why for flagged, why in found if flagged), Withheld.NOTHING)

    def judge(self, pulse: Estimate | None, breath: Estimate | None) -> tuple[Estimate | None, Estimate | None]:
        """What is left of a second's rates; `heart` and `breath` say why one was taken back."""
        self.heart = self._why
        near = breath is not None and self._near_line(breath.value / 60.0)
        taken = self._why is Withheld.TWO_SOURCES or (self._why is Withheld.PUMP and near)
        self.breath = self._why if taken else Withheld.NOTHING
        return None if self.heart else pulse, None if taken else breath

    def _near_line(self, hertz: float) -> bool:
        return any(abs(hertz / (k * self._pump.now_hz) - 1.0) < NEAR_LINE for k in (1, 2))

    def forget_sleeper(self) -> None:
        """After an exit: the pump stays."""
        self._tremor.reset()
        self._second.reset()
        self._why = Withheld.NOTHING

    def reset(self) -> None:
        """After a long gap."""
        self.forget_sleeper()
        self._pump.reset()
