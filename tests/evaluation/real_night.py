"""python -m tests.evaluation.real_night DIR FILE.png: one night as the gateway tells it, beside what it was made of.

The heart's beats and the chest's movement are a real person's; the waveform that carries them is made (bed_synth). The
README's picture is this one.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from gateway.core.model import Event, Measurement
from tests.evaluation import bed_synth, feeding, recordings
from tests.evaluation.recordings import Floats

HOURS = 7
SEED = 5
TRUTH_S = 30  # the true rate is that of so many seconds


def _sleeper(directory: Path) -> tuple[str, bed_synth.Sleeper]:
    """The first subject with both a night of beats and one of breath; else the first of each. ValueError for none."""
    beats = {night.subject: night for night in recordings.nights_of_beats(directory)}
    breath = {night.subject: night for night in recordings.nights_of_breath(directory)}
    if not beats or not breath:
        raise ValueError(f"{directory} holds no night: expected bed_nights/*_rr.npz and bed_nights/*_resp.npz")
    both = sorted(beats.keys() & breath.keys())
    heart = beats[both[0]] if both else next(iter(beats.values()))
    chest = breath[both[0]] if both else next(iter(breath.values()))
    moments = bed_synth.beats_from(heart.intervals_s, HOURS * 3600.0, start=600)
    return heart.subject, bed_synth.Sleeper(moments, chest.resp)


def _rates(results: list[Measurement | Event], quantity: str) -> tuple[Floats, Floats]:
    """Hours and values of what was told."""
    told = [r for r in results if isinstance(r, Measurement) and r.quantity == quantity]
    return np.array([feeding.second(r) / 3600 for r in told]), np.array([r.value for r in told])


def draw(directory: Path) -> Drawing:
    """The night: heart, breath, movement, bed. ValueError when the directory holds none."""
    subject, sleeper = _sleeper(directory)
    hours = min(HOURS, float(sleeper.beats_s[-1]) / 3600)
    seconds = int(hours * 3600) // 60 * 60
    plan = bed_synth.Plan(seconds, snr_db=3.0, outings=((0.55 * seconds, 0.55 * seconds + 420.0),))
    scene = bed_synth.scene(sleeper, plan, SEED)
    waves = {"bed.wave": (bed_synth.RATE_HZ, scene.wave), "bed.load": (bed_synth.LOAD_RATE_HZ, scene.load)}
    results = feeding.results(waves)
    drawing = Drawing(figsize=(11, 6), layout="constrained")
    heart, chest, move, bed = drawing.subplots(4, 1, sharex=True, height_ratios=(3, 2, 1, 0.6))
    at = np.arange(TRUTH_S, seconds, 10)
    truth = [scene.rate(float(end), TRUTH_S) if scene.in_bed[end - 1] else np.nan for end in at]
    heart.plot(at / 3600, truth, color="black", linewidth=0.7, label="beats of the ECG")
    _dots(heart, results, "heart_rate", "tab:red", "heart, /min")
    heart.legend(loc="upper right", markerscale=6)
    _dots(chest, results, "respiration_rate", "tab:blue", "breath, /min")
    hour, movement = _rates(results, "movement")
    move.vlines(hour, 0, movement, color="tab:orange", linewidth=0.3)
    move.set_ylabel("moves")
    hour, occupied = _rates(results, "bed_occupied")
    bed.fill_between(hour, 0, occupied, step="mid", color="tab:green")
    bed.set(ylabel="in bed", xlabel="hours", yticks=(), xlim=(0, seconds / 3600))
    heart.set_title(f"A night of {subject}: beats and breath are real, the bed's waveform is made of them (3 dB)")
    return drawing


def _dots(axes: Axes, results: list[Measurement | Event], quantity: str, colour: str, label: str) -> None:
    hour, value = _rates(results, quantity)
    axes.plot(hour, value, ".", markersize=0.8, color=colour, label="told by the gateway")
    axes.set_ylabel(label)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evaluation.real_night", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="recordings, one folder a set")
    parser.add_argument("file", type=Path, metavar="FILE", help="picture to write, .png or .svg")
    options = parser.parse_args()
    try:
        drawing = draw(options.directory)
    except ValueError as error:
        parser.error(str(error))
    drawing.savefig(options.file, dpi=100)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
