"""The same work by those who do it elsewhere: scipy, neurokit2, HeartPy and biosppy, as their documentation says.

None of them carries a state from one second to the next, but for scipy's sosfilt: for a live number they see the whole
window again each second. A peer whose answer differs is listed and not counted. Imports are not timed.
"""

import importlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from gateway.core.errors import CarebedError
from gateway.dsp.kernels.compiler import Floats
from tests.benchmarks.figures import Figure
from tests.benchmarks.kernel_speed import fastest_s
from tests.gateway.dsp.synthetic import finger

PPG_RATE_HZ, HEART_RATE = 25.0, 66.0
SAME_PER_MIN = 2.0
LIVE_BAR = 100.0
LIVE_S, LIVE_WINDOW_S = 20, 10  # estimates timed, and what a peer is given for each
BREATH_WINDOW_S = 40
OFFLINE_S = 600
PEERS = {
    "scipy": "scipy.signal",
    "neurokit2": "neurokit2",
    "HeartPy": "heartpy",
    "biosppy": "biosppy.signals.ppg",
    "biosppy's tools": "biosppy.signals.tools",
    "biosppy's resp": "biosppy.signals.resp",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant of a row. us: CPU time per second of signal (or per estimate). apart: how far its answer is from
    the truth on average, NaN where the work has no answer to compare; in the unit of the answer."""

    who: str
    us: float
    apart: float = float("nan")

    @property
    def same(self) -> bool:
        return not self.apart > SAME_PER_MIN


def row(work: str, entries: Sequence[Entry], unit: str = "µs") -> Figure:
    """A row of the table: ours is the first entry; whoever is fastest of those with the same answer wins."""
    winner = min((entry for entry in entries if entry.same), key=lambda entry: entry.us)
    others = "; ".join(
        f"{entry.who} {entry.us:.3g}" + ("" if entry.same else f" (other answer: {entry.apart:.0f}/min off)")
        for entry in sorted(entries[1:], key=lambda entry: entry.us)
    )
    verdict = "we win" if winner is entries[0] else f"{winner.who} wins"
    return Figure(work, entries[0].us, unit, None, "lower", f"{verdict}: {others}")


def peers() -> dict[str, ModuleType]:
    """Those that are installed (the `peers` extra); a line for each that is not."""
    found = {}
    for name, module in PEERS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # HeartPy: pkg_resources is deprecated
            try:
                found[name] = importlib.import_module(module)
            except ImportError as error:
                print(f"{name} is not here, its figures are left out: {error}")
    return found


def measure() -> list[Figure]:
    """Filtering, live pulse, pulse of a recording, live breath."""
    here = peers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peers, about short windows
        return [*_filtering(here), *_live_pulse(here), *_offline_pulse(here), *_live_breath(here)]


def _filtering(here: dict[str, ModuleType]) -> list[Figure]:
    """Four sections at 100 Hz, a second at a time, state carried."""
    from gateway.dsp.filters import Filter, band

    rng, sos = np.random.default_rng(5), band(0.7, 10.0, 100.0)
    seconds: list[Floats] = [rng.standard_normal(100) for _ in range(1000)]
    ours = Filter(sos)

    def us(step: Callable[[Floats], object]) -> float:
        return 1e6 * fastest_s(lambda: [step(second) for second in seconds]) / len(seconds)

    entries = [Entry("ours", us(ours.step))]
    if (scipy := here.get("scipy")) is not None:
        state = np.zeros((len(sos), 2))

        def peer(second: Floats) -> Floats:
            nonlocal state
            y, state = scipy.sosfilt(sos, second, zi=state)
            return y  # type: ignore[no-any-return]

        check = Filter(sos)
        difference = max(float(np.abs(check.step(x - 0.0) - peer(x)).max()) for x in _from_zero(seconds[:20]))
        if difference > 1e-9:
            raise CarebedError(f"our filter and scipy's differ by {difference}", hint="the comparison means nothing")
        entries.append(Entry("scipy sosfilt with zi", us(peer)))
    return [row("filter of 4 sections, 1 s of 100 Hz at a time", entries)]


def _from_zero(seconds: list[Floats]) -> list[Floats]:
    """Our filter starts in the steady state of its first sample, scipy's with zi = 0 at zero: the same when it is 0."""
    return [np.concatenate([[0.0], seconds[0][1:]]), *seconds[1:]]


Rate = Callable[[Floats, float], float]


def _pulse_peers(here: dict[str, ModuleType]) -> dict[str, Rate]:
    """Who gives a pulse rate, per minute, of a stretch of PPG at a rate in Hz."""
    found: dict[str, Rate] = {}
    if (nk := here.get("neurokit2")) is not None:

        def with_method(method: str) -> Rate:
            def rate(x: Floats, rate_hz: float) -> float:
                whole = round(rate_hz)  # charlton wants an int
                cleaned = nk.ppg_clean(x, sampling_rate=whole)
                return _rate(nk.ppg_findpeaks(cleaned, sampling_rate=whole, method=method)["PPG_Peaks"], rate_hz)

            return rate

        found["neurokit2 ppg_clean + ppg_findpeaks (elgendi)"] = with_method("elgendi")
        found["neurokit2 ppg_clean + ppg_findpeaks (charlton)"] = with_method("charlton")
        found["neurokit2 ppg_process"] = lambda x, rate_hz: float(
            nk.ppg_process(x, sampling_rate=rate_hz)[0]["PPG_Rate"].mean()
        )
    if (heartpy := here.get("HeartPy")) is not None:
        found["HeartPy process"] = lambda x, rate_hz: float(heartpy.process(x, rate_hz)[1]["bpm"])
    if (biosppy := here.get("biosppy")) is not None:
        found["biosppy ppg"] = lambda x, rate_hz: float(
            np.mean(biosppy.ppg(x, sampling_rate=rate_hz, show=False)["heart_rate"])
        )
        if (tools := here.get("biosppy's tools")) is not None:

            def onsets(x: Floats, rate_hz: float) -> float:
                settings = {"ftype": "butter", "band": "bandpass", "order": 4, "frequency": [1, 8]}
                filtered = tools.filter_signal(signal=x, sampling_rate=rate_hz, **settings)["signal"]
                return _rate(biosppy.find_onsets_elgendi2013(filtered, sampling_rate=rate_hz)["onsets"], rate_hz)

            found["biosppy filter_signal + find_onsets_elgendi2013"] = onsets
    return found


def _scipy_recipe(scipy: ModuleType) -> Rate:
    """scipy has no pulse detector; this is what one writes with it in five lines. Filter designed once."""
    sos = scipy.butter(2, (0.7, 8.0), "bandpass", fs=PPG_RATE_HZ, output="sos")

    def rate(x: Floats, rate_hz: float) -> float:
        y = scipy.sosfiltfilt(sos, x)
        return _rate(scipy.find_peaks(y, distance=0.33 * rate_hz, prominence=y.std())[0], rate_hz)

    return rate


def _rate(at: Sequence[int], rate_hz: float) -> float:
    """Per minute, of beats at these samples; NaN for fewer than two."""
    return 60.0 * rate_hz * (len(at) - 1) / float(at[-1] - at[0]) if len(at) > 1 else float("nan")


def _hops(x: Floats, rate_hz: float) -> list[Floats]:
    n = round(rate_hz)
    return [x[k * n : (k + 1) * n].copy() for k in range(len(x) // n)]


def _windows(x: Floats, rate_hz: float, window_s: int, count: int) -> list[Floats]:
    n = round(rate_hz)
    return [x[k * n : (k + window_s) * n].copy() for k in range(count)]


def _of_windows(who: str, rate: Rate, windows: list[Floats], rate_hz: float, truth: float) -> Entry:
    """CPU per window, and how far the answers are from the truth."""
    try:
        apart = [abs(rate(window, rate_hz) - truth) for window in windows]
    except (ValueError, IndexError, ZeroDivisionError, UserWarning) as error:
        return Entry(f"{who} ({type(error).__name__})", float("inf"), float("inf"))
    spent_s = fastest_s(lambda: [rate(window, rate_hz) for window in windows], runs=15)
    mean = float(np.mean(apart))
    return Entry(who, 1e6 * spent_s / len(windows), mean if mean == mean else float("inf"))


def _live_pulse(here: dict[str, ModuleType]) -> list[Figure]:
    """An estimate each second: ours from its state, a peer's from the last ten seconds."""
    from gateway.dsp.pulse import Pulse

    x = finger(60 + LIVE_S + LIVE_WINDOW_S, PPG_RATE_HZ, heart_rate=HEART_RATE)
    hops = _hops(x, PPG_RATE_HZ)
    pulse = Pulse(PPG_RATE_HZ)
    rates = [second.rate for second in (pulse.step(hop, 1.0, 0.0) for hop in hops)][-LIVE_S:]
    apart = [abs(rate.value - HEART_RATE) if rate is not None else float("inf") for rate in rates]
    spent_s = fastest_s(lambda: [pulse.step(hop, 1.0, 0.0) for hop in hops])
    ours = Entry("ours", 1e6 * spent_s / len(hops), float(np.mean(apart)))
    windows = _windows(x, PPG_RATE_HZ, LIVE_WINDOW_S, LIVE_S)
    others = [
        _of_windows(who, rate, windows, PPG_RATE_HZ, HEART_RATE) for who, rate in _pulse_peers(here).items()
    ]
    figures = faster(ours, others)
    if (scipy := here.get("scipy")) is not None:
        recipe = _of_windows("scipy sosfiltfilt + find_peaks, a recipe of ours", _scipy_recipe(scipy), windows,
                             PPG_RATE_HZ, HEART_RATE)  # fmt: skip
        others.append(recipe)
    return [row("live pulse from PPG, per estimate", [ours, *others]), *figures]


def faster(ours: Entry, others: Sequence[Entry]) -> list[Figure]:
    """How many times faster than the fastest peer with the same answer; CarebedError when ours is not the answer."""
    if not ours.same:
        raise CarebedError(f"our pulse is {ours.apart:.1f} /min off", hint="the comparison means nothing")
    same = [entry for entry in others if entry.same]
    if not same:
        return []
    best = min(same, key=lambda entry: entry.us)
    return [
        Figure(
            "live pulse from PPG, times faster than the fastest peer with the same answer", best.us / ours.us, "x",
            LIVE_BAR, "higher", f"ours {ours.us:.1f} µs, {best.who} {best.us:.0f} µs",
        )
    ]  # fmt: skip


def _offline_pulse(here: dict[str, ModuleType]) -> list[Figure]:
    """Ten minutes at once for peers, second by second for ours."""
    from gateway.dsp.pulse import Pulse

    x = finger(OFFLINE_S, PPG_RATE_HZ, heart_rate=HEART_RATE)
    hops = _hops(x, PPG_RATE_HZ)
    told: list[float] = []

    def ours() -> None:
        pulse = Pulse(PPG_RATE_HZ)
        lengths = [each.length_s for hop in hops for each in pulse.step(hop, 1.0, 0.0).intervals]
        told.append(60.0 / float(np.mean(lengths)))

    spent_s = fastest_s(ours, runs=15)
    entries = [Entry("ours", 1e6 * spent_s / OFFLINE_S, abs(told[-1] - HEART_RATE))]
    contestants = _pulse_peers(here)
    contestants = {who: rate for who, rate in contestants.items() if "charlton" not in who}  # live only: slow
    if (scipy := here.get("scipy")) is not None:
        contestants["scipy sosfiltfilt + find_peaks, a recipe of ours"] = _scipy_recipe(scipy)
    for who, rate in contestants.items():
        entry = _of_windows(who, rate, [x], PPG_RATE_HZ, HEART_RATE)
        entries.append(Entry(entry.who, entry.us / OFFLINE_S, entry.apart))
    return [row("pulse of ten minutes of PPG, per second of signal", entries)]


def _live_breath(here: dict[str, ModuleType]) -> list[Figure]:
    """A belt's breath at 25 Hz, an estimate each second of the last 40 s."""
    from gateway.dsp.respiration import Respiration

    rate_hz, truth = 25.0, 15.0
    t = np.arange(round((BREATH_WINDOW_S + 2 * LIVE_S) * rate_hz)) / rate_hz
    x = np.sin(2 * np.pi * truth / 60.0 * t) + 0.05 * np.random.default_rng(6).standard_normal(len(t))
    hops = _hops(x, rate_hz)
    breath = Respiration(rate_hz)
    last = [breath.step(hop, 1.0, 0.0) for hop in hops][-1]
    spent_s = fastest_s(lambda: [breath.step(hop, 1.0, 0.0) for hop in hops])
    entries = [
        Entry("ours", 1e6 * spent_s / len(hops), abs(last.value - truth) if last is not None else float("inf"))
    ]
    windows = _windows(x, rate_hz, BREATH_WINDOW_S, 5)
    for who, rate in _breath_peers(here).items():
        entries.append(_of_windows(who, rate, windows, rate_hz, truth))
    return [row("live breath from a belt, per estimate", entries)]


def _breath_peers(here: dict[str, ModuleType]) -> dict[str, Rate]:
    found: dict[str, Rate] = {}
    if (nk := here.get("neurokit2")) is not None:

        def with_troughs(x: Floats, rate_hz: float) -> float:
            cleaned = nk.rsp_clean(x, sampling_rate=rate_hz)
            _, info = nk.rsp_peaks(cleaned, sampling_rate=rate_hz)
            return float(np.mean(nk.rsp_rate(cleaned, troughs=info, sampling_rate=rate_hz)))

        found["neurokit2 rsp_clean + rsp_peaks + rsp_rate"] = with_troughs
    if (resp := here.get("biosppy's resp")) is not None:
        found["biosppy resp"] = lambda x, rate_hz: 60.0 * float(
            np.mean(resp.resp(x, sampling_rate=rate_hz, show=False)["resp_rate"])
        )
    return found
