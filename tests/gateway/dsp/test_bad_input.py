"""Every chain fed with what a wrong profile, a broken sensor or a bad line sends: no wrong number, but a reason."""

import math
import time
import tracemalloc
from collections.abc import Iterator
from itertools import chain as chained

import numpy as np
import pytest

from gateway.core.model import Event, Measurement, SampleBlock
from gateway.dsp.chain import Chains, Result
from gateway.dsp.reasons import Withheld
from tests.gateway.dsp.synthetic import (
    START,
    Floats,
    block,
    empty_bed,
    falling_wrist,
    finger,
    sleeper,
    wrist,
)

RATES = ("heart_rate", "respiration_rate", "pulse_rate")
FAULT_S = 75.0  # a minute of it, and what it takes to see it


class Fed:
    """A device's chain after all its blocks. withheld: by quantity, every reason in order of appearance."""

    def __init__(self, blocks: list[SampleBlock], **settings: object) -> None:
        self.chains = Chains()
        for device in {each.device for each in blocks}:
            self.chains.describe(device, settings, {})
        self.results: list[Result] = []
        self.withheld: dict[str, list[str]] = {}
        for each in blocks:
            self.results += self.chains.feed(each)
            self._look(each.device)

    def _look(self, device: str) -> None:
        for known in (self.chains._beds.get(device), self.chains._pulses.get(device)):
            for quantity, why in known[1].withholding.now.items() if known else ():
                seen = self.withheld.setdefault(quantity, [])
                if not seen or seen[-1] != why:
                    seen.append(why)

    def values(self, quantity: str) -> list[float]:
        return [r.value for r in self.results if isinstance(r, Measurement) and r.quantity == quantity]

    @property
    def rates(self) -> list[float]:
        return [value for quantity in RATES for value in self.values(quantity)]

    @property
    def faults(self) -> list[tuple[str, str, bool]]:
        return [
            (str(e.detail["part"]), str(e.detail["fault"]), bool(e.detail["active"]))
            for e in self.results if isinstance(e, Event) and e.kind == "device_fault"
        ]  # fmt: skip


def cut(channel: str, data: Floats, rate_hz: float, *, true_hz: float = 0.0, from_s: float = 0.0) -> list[SampleBlock]:
    """Blocks of half a second. true_hz: at which the samples really come, as their stamps show."""
    per = max(1, round(rate_hz / 2))
    true_hz = true_hz or rate_hz
    return [
        block(channel, data[i : i + per], at_s=from_s + i / true_hz, rate_hz=rate_hz) for i in range(0, len(data), per)
    ]


def woven(*channels: list[SampleBlock]) -> list[SampleBlock]:
    """In the order of their starts, as a driver would hand them over."""
    return sorted(chained(*channels), key=lambda each: each.start)


def bed(wave: Floats, kg: float | Floats = 45.0) -> list[SampleBlock]:
    n = len(wave) // 10
    load = np.full(n, kg) + 0.1 * np.sin(np.arange(n)) if isinstance(kg, float) else kg
    return woven(cut("bed.wave", wave, 100.0), cut("bed.load", load, 10.0))


# -- wrong rate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [50.0, 200.0])
def test_a_bed_waveform_at_half_or_double_the_declared_rate_gives_no_rate_but_a_fault(declared: float) -> None:
    load = cut("bed.load", np.full(2000, 45.0), 10.0)
    fed = Fed(woven(cut("bed.wave", sleeper(200.0), declared, true_hz=100.0), load))
    assert fed.rates == []
    assert fed.withheld["heart_rate"][-1] == fed.withheld["respiration_rate"][-1] == Withheld.WRONG_RATE
    assert fed.faults == [("bed.wave", "wrong_rate", True)]
    assert set(fed.values("bed_occupied")) == {1.0}


@pytest.mark.parametrize("declared", [50.0, 200.0])
def test_a_ppg_at_half_or_double_the_declared_rate_gives_no_rate_but_a_fault(declared: float) -> None:
    fed = Fed(cut("ppg", finger(150.0), declared, true_hz=100.0), position="finger")
    assert len(fed.rates) <= 3, "only what comes before eight seconds have been counted"
    assert fed.withheld["pulse_rate"][-1] == Withheld.WRONG_RATE
    assert fed.faults == [("ppg", "wrong_rate", True)]


@pytest.mark.parametrize("declared", [26.0, 104.0])
def test_an_acceleration_at_half_or_double_the_declared_rate_is_a_fault(declared: float) -> None:
    fed = Fed(cut("acc", wrist(200.0), declared, true_hz=52.0))
    assert fed.faults == [("acc", "wrong_rate", True)]


def test_a_clock_that_drifts_by_200_ppm_and_a_radio_that_sends_in_bursts_are_no_fault() -> None:
    rng = np.random.default_rng(5)
    drifting = cut("bed.wave", sleeper(600.0), 100.0, true_hz=100.02)
    late = [
        block("bed.load", np.full(5, 45.0), at_s=i * 0.5 + float(rng.uniform(0.0, 2.0)), rate_hz=10.0)
        for i in range(1200)
    ]
    fed = Fed(woven(drifting, late))
    assert fed.faults == []
    assert fed.values("heart_rate")
    assert fed.values("heart_rate") == pytest.approx([64.0] * len(fed.values("heart_rate")), abs=2.0)
    assert np.median(fed.values("respiration_rate")) == pytest.approx(15.0, abs=0.1)


@pytest.mark.parametrize("channel", ["bed.wave", "bed.load", "ppg", "acc"])
@pytest.mark.parametrize("rate_hz", [0.01, 1.0, 4.0, 10.0, 20.0, 25.0, 500.0, 2000.0])
def test_any_rate_that_a_block_may_declare_is_survived(channel: str, rate_hz: float) -> None:
    n = max(3, round(40 * rate_hz))
    noise = 0.1 * np.random.default_rng(6).standard_normal((n, 3))
    given = cut(channel, noise if channel == "acc" else noise[:, 0], rate_hz)
    fed = Fed(given, position="finger")
    assert fed.values("heart_rate") == []
    assert fed.values("respiration_rate") == [] or rate_hz >= 25.0


@pytest.mark.parametrize(
    ("channel", "rate_hz", "quantity"),
    [("bed.wave", 20.0, "heart_rate"), ("bed.wave", 2.0, "respiration_rate"), ("ppg", 10.0, "pulse_rate")],
)
def test_a_rate_too_low_for_a_quantity_is_named(channel: str, rate_hz: float, quantity: str) -> None:
    noise = 0.1 * np.random.default_rng(6).standard_normal(round(60 * rate_hz))
    fed = Fed(cut(channel, noise, rate_hz), position="finger")
    assert fed.withheld[quantity] == [Withheld.SLOW]


def test_a_degraded_worker_says_of_a_pulse_that_it_leaves_it_out() -> None:
    chains = Chains(degraded=True)
    for each in cut("ppg", finger(5.0), 100.0):
        assert chains.feed(each) == []
    assert chains.withheld(each) == {"pulse_rate": "degraded"}


# -- constant and saturated -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fault"), [(0.0, "constant"), (0.25, "constant"), (1.0, "saturated"), (-1.0, "saturated")]
)
def test_a_waveform_that_stands_still_is_named_and_so_is_its_end(value: float, fault: str) -> None:
    fed = Fed(bed(np.concatenate([sleeper(90.0), np.full(9000, value), sleeper(120.0, seed=7)])))
    assert fed.faults == [("bed.wave", fault, True), ("bed.wave", fault, False)]
    assert fault in fed.withheld["heart_rate"]
    assert fault in fed.withheld["respiration_rate"]
    assert fed.withheld["heart_rate"][-1] == Withheld.NOTHING
    dead = [
        r for r in fed.results
        if isinstance(r, Measurement) and r.quantity in RATES and 105.0 < r.at.since_s(START) < 180.0
    ]  # fmt: skip
    assert dead == []
    assert 0.0 not in fed.values("vital_sign"), "a sensor that stands still is not a sleeper who does"


def test_a_coarse_sensor_that_rests_in_an_empty_bed_is_no_fault() -> None:
    fed = Fed(bed(np.zeros(12000), 0.5))
    assert fed.faults == []
    assert fed.withheld["heart_rate"][-1] == Withheld.EMPTY


def test_a_fault_of_less_than_a_minute_is_no_news_for_a_technician() -> None:
    fed = Fed(bed(np.concatenate([sleeper(60.0), np.full(5000, 0.5), sleeper(60.0)])))
    assert fed.faults == []
    assert "constant" in fed.withheld["heart_rate"]


def test_a_fault_that_outlasts_a_broken_link_is_told_again_and_ended_once() -> None:
    before = bed(np.concatenate([sleeper(60.0), np.zeros(9000)]))
    after = bed(np.concatenate([np.zeros(9000), sleeper(60.0)]))
    later = [
        block(each.channel, each.data.astype(np.float64), at_s=200.0 + each.start.since_s(START), rate_hz=each.rate_hz)
        for each in after
    ]
    fed = Fed([*before, *later])
    assert [active for _, _, active in fed.faults] == [True, True, False]


@pytest.mark.parametrize(("value", "fault"), [(0.0, "constant"), (3.3, "saturated")])
def test_a_ppg_that_stands_still_is_named_and_so_is_its_end(value: float, fault: str) -> None:
    wave = np.concatenate([finger(30.0), np.full(9000, value), finger(30.0)])
    fed = Fed(cut("ppg", wave, 100.0), position="finger", ppg_full_scale=3.3)
    assert fed.faults == [("ppg", fault, True), ("ppg", fault, False)]
    assert fault in fed.withheld["pulse_rate"]
    assert fed.withheld["pulse_rate"][-1] == Withheld.NOTHING


@pytest.mark.parametrize(
    ("stuck", "fault"), [((0.0, 0.0, 1.0), "constant"), ((0.0, 0.0, 0.0), "constant"), ((8.0, 0.1, 0.2), "saturated")]
)
def test_an_acceleration_that_stands_still_is_named_and_so_is_its_end(
    stuck: tuple[float, float, float], fault: str
) -> None:
    still = np.tile(stuck, (52 * 90, 1))
    if fault == "saturated":
        still[:, 1] += 0.01 * np.sin(np.arange(len(still)))
    fed = Fed(cut("acc", np.concatenate([wrist(30.0), still, wrist(30.0)]), 52.0))
    assert fed.faults == [("acc", fault, True), ("acc", fault, False)]


# -- swapped channels -------------------------------------------------------------------------------------------------


def test_load_and_waveform_swapped_give_no_rate_and_a_fault() -> None:
    wave = sleeper(150.0)
    load = 45.0 + 0.3 * np.random.default_rng(1).standard_normal(1500)
    fed = Fed(woven(cut("bed.wave", np.repeat(load, 10), 100.0), cut("bed.load", wave[::10], 10.0)))
    assert fed.rates == []
    assert fed.faults == [("bed.wave", "saturated", True)]
    assert 1.0 not in fed.values("bed_occupied")


def test_the_order_of_an_accelerometers_axes_does_not_matter_for_a_fall() -> None:
    acc = falling_wrist(5.0, 30.0)
    found = [Fed(cut("acc", acc[:, list(order)], 52.0)).results for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0))]
    assert [event.kind for event in found[0] if isinstance(event, Event)] == ["fall_suspected"]
    details = [dict(event.detail) for results in found for event in results if isinstance(event, Event)]
    assert details == [details[0]] * 3


# -- bursts of loss ---------------------------------------------------------------------------------------------------


def lossy(channel: str, data: Floats, rate_hz: float, *, told: bool, seed: int = 3) -> Iterator[SampleBlock]:
    """Half-second blocks of which bursts of one to eight are lost, one block in five altogether."""
    rng, lost, burst = np.random.default_rng(seed), 0, 0
    for each in cut(channel, data, rate_hz):
        burst = burst - 1 if burst else int(rng.integers(1, 9)) if rng.random() < 0.05 else 0
        if burst:
            lost += len(each.data)
            continue
        at_s = each.start.since_s(START)
        yield block(channel, each.data.astype(np.float64), at_s=at_s, rate_hz=rate_hz, lost_before=lost if told else 0)
        lost = 0


@pytest.mark.parametrize("told", [True, False])
def test_bursts_of_loss_cost_seconds_and_quality_and_leave_no_wrong_rate(told: bool) -> None:
    wave = sleeper(900.0)
    fed = Fed(woven([*lossy("bed.wave", wave, 100.0, told=told)], cut("bed.load", np.full(9000, 45.0), 10.0)))
    whole = Fed(bed(wave))
    for quantity, true, off in (("heart_rate", 64.0, 4.0), ("respiration_rate", 15.0, 2.0)):
        found = fed.values(quantity)
        assert len(found) < 0.8 * len(whole.values(quantity))
        assert sum(abs(value - true) > off for value in found) <= 0.02 * 900
    assert {"gap", "filling"} & set(fed.withheld["respiration_rate"])
    assert set(fed.values("bed_occupied")) == {1.0}


def test_bursts_of_loss_leave_no_wrong_pulse() -> None:
    fed = Fed([*lossy("ppg", finger(600.0), 100.0, told=True)], position="finger")
    assert fed.values("pulse_rate")
    assert max(abs(value - 66.0) for value in fed.values("pulse_rate")) < 6.0
    assert "gap" in fed.withheld["pulse_rate"]


# -- numbers that are none --------------------------------------------------------------------------------------------

NONSENSE = (math.nan, math.inf, -math.inf, 3.4e38, -3.4e38, 1e-40, 1e30)


@pytest.mark.parametrize("channel", ["bed.wave", "bed.load", "ppg", "acc"])
@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_on_any_channel_yields_no_number_and_no_crash(channel: str, value: float) -> None:
    rate_hz = {"bed.load": 10.0, "acc": 52.0}.get(channel, 100.0)
    shape = (round(120 * rate_hz), 3) if channel == "acc" else round(120 * rate_hz)
    fed = Fed(cut(channel, np.full(shape, value), rate_hz), position="finger")
    assert fed.rates == []
    assert 1.0 not in fed.values("bed_occupied")
    assert [e for e in fed.results if isinstance(e, Event) and e.kind != "device_fault"] == []


@pytest.mark.parametrize("value", NONSENSE)
def test_one_spike_of_nonsense_is_survived_within_a_window(value: float) -> None:
    wave = sleeper(200.0)
    wave[6000] = value
    fed = Fed(bed(wave))
    for quantity, true in (("heart_rate", 64.0), ("respiration_rate", 15.0)):
        assert len(fed.values(quantity)) > 100
        assert fed.values(quantity) == pytest.approx([true] * len(fed.values(quantity)), abs=3.0)
    pulse = finger(60.0)
    pulse[3000] = value
    rates = Fed(cut("ppg", pulse, 100.0), position="finger").values("pulse_rate")
    assert len(rates) > 30
    assert rates == pytest.approx([66.0] * len(rates), abs=3.0)


def test_a_filter_that_rings_down_to_denormal_numbers_does_not_slow_the_worker() -> None:
    """On most CPUs a denormal number costs a hundredfold; an IIR filter fed with zeros decays into them."""
    noise, silence = bed(empty_bed(60.0)), bed(np.concatenate([empty_bed(5.0), np.zeros(120_000)]))
    chains = Chains()
    for each in silence[: 4 * 600]:
        chains.feed(each)

    def seconds(blocks: list[SampleBlock], chain: Chains) -> float:
        start = time.process_time()
        for each in blocks:
            chain.feed(each)
        return (time.process_time() - start) / len(blocks)

    assert seconds(silence[4 * 600 :], chains) < 3 * seconds(noise, Chains())


def test_hours_of_every_kind_of_trouble_take_no_memory() -> None:
    rng = np.random.default_rng(9)

    def trouble(seconds: int, from_s: float) -> list[SampleBlock]:
        wave, load = sleeper(seconds), np.full(10 * seconds, 45.0)
        for at in rng.integers(0, len(wave), 40):
            wave[at : at + 300] = rng.choice([*NONSENSE, 1.0, 0.0])
        for at in rng.integers(0, len(load), 20):
            load[at : at + 30] = rng.choice([*NONSENSE, 0.0, 500.0])
        acc, ppg = wrist(seconds), finger(seconds)
        acc[rng.integers(0, len(acc), 20)] = rng.choice(NONSENSE)
        ppg[rng.integers(0, len(ppg), 20)] = rng.choice(NONSENSE)
        channels = (("bed.wave", wave, 100.0), ("bed.load", load, 10.0), ("acc", acc, 52.0), ("ppg", ppg, 100.0))
        return woven(*(cut(channel, data, rate_hz, from_s=from_s) for channel, data, rate_hz in channels))

    chains = Chains()
    for each in trouble(400, 0.0):
        chains.feed(each)
    given = trouble(400, 400.0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for each in given:
        chains.feed(each)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 300_000


# -- a sensor that slipped --------------------------------------------------------------------------------------------


def test_a_belt_that_breathes_without_a_load_is_said_to_have_slipped() -> None:
    load = np.concatenate([np.full(1200, 45.0), np.full(1800, 0.4)])
    fed = Fed(bed(sleeper(300.0), load))
    assert fed.withheld["heart_rate"][-1] == Withheld.SLIPPED
    assert ("bed.load", "slipped", True) in fed.faults


def test_a_waveform_that_loses_its_energy_under_a_load_is_said_to_have_slipped() -> None:
    aside = 0.005 * sleeper(150.0, noise=0.0, seed=5) + empty_bed(150.0, noise=0.0004)
    fed = Fed(bed(np.concatenate([sleeper(180.0), aside])))
    assert fed.withheld["heart_rate"][-1] == Withheld.SLIPPED
    assert ("bed.load", "slipped", True) in fed.faults
    assert set(fed.values("bed_occupied")) == {1.0}
