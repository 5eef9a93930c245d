"""Falls: suspected after the stated time, not for walking; a gap lowers the confidence and silences nothing."""

import numpy as np
import pytest

from gateway.core.model import Event, SampleBlock
from gateway.dsp.chain import Chains, Result
from gateway.dsp.fall import CONFIRMATION_S
from gateway.dsp.kernels.compiler import Floats
from tests.gateway.dsp.synthetic import START, block, falling_wrist, wrist

FALL_S = 6.0


def blocks(acc: Floats, rate_hz: float = 52.0, length: int = 26) -> list[SampleBlock]:
    return [
        block("acc", acc[i : i + length], at_s=i / rate_hz, rate_hz=rate_hz, device="band-1")
        for i in range(0, len(acc), length)
    ]


def heard(given: list[SampleBlock], **settings: str | float) -> list[Result]:
    chains = Chains()
    chains.describe("band-1", {"position": "wrist", "range_g": 8.0} | settings, {})
    return [result for each in given for result in chains.feed(each)]


def suspicion(results: list[Result]) -> Event:
    (event,) = results
    assert isinstance(event, Event)
    assert event.kind == "fall_suspected"
    return event


@pytest.mark.parametrize("rate_hz", [25.0, 50.0, 52.0, 100.0, 104.0])
def test_a_fall_is_suspected_when_the_stated_time_after_the_impact_is_over(rate_hz: float) -> None:
    event = suspicion(heard(blocks(falling_wrist(FALL_S, 20.0, rate_hz), rate_hz)))
    assert FALL_S + CONFIRMATION_S <= event.at.since_s(START) <= FALL_S + CONFIRMATION_S + 0.2
    assert CONFIRMATION_S <= 15.0
    assert event.detail["confirmation_s"] == CONFIRMATION_S
    assert event.detail["peak_g"] == 5.0
    assert float(event.detail["confidence"]) > 0.7
    assert (event.bed, event.device) == ("b-1", "band-1")


def test_the_event_comes_with_the_block_that_ends_the_confirmation_or_the_next_fifth_of_a_second() -> None:
    chains = Chains()
    for each in blocks(falling_wrist(FALL_S, 20.0), length=1):
        if chains.feed(each):
            assert each.start.since_s(START) <= FALL_S + CONFIRMATION_S + 0.3
            return
    pytest.fail("no fall was suspected")


def test_any_chunking_gives_the_same_event() -> None:
    acc = falling_wrist(FALL_S, 20.0)
    whole = heard(blocks(acc, length=len(acc)))
    for length in (1, 7, 52, 100):
        assert heard(blocks(acc, length=length)) == whole


def test_a_clap_after_which_the_arm_moves_on_is_no_fall() -> None:
    acc = wrist(20.0)
    acc[300:303, 0] = 6.0
    acc[:, 1] += 0.5 * np.sin(2 * np.pi * 1.5 * np.arange(len(acc)) / 52.0)
    assert heard(blocks(acc)) == []


def test_a_knock_after_which_the_arm_rests_as_before_is_no_fall() -> None:
    acc = wrist(20.0)
    acc[300:303, 0] = 6.0
    assert heard(blocks(acc)) == []


def test_a_second_impact_starts_the_confirmation_again_and_keeps_the_higher_peak() -> None:
    acc = falling_wrist(FALL_S, 22.0, peak_g=6.0)
    acc[round((FALL_S + 1.0) * 52) : round((FALL_S + 1.0) * 52) + 3, 1] = 4.0
    event = suspicion(heard(blocks(acc)))
    assert event.at.since_s(START) == pytest.approx(FALL_S + 1.0 + CONFIRMATION_S, abs=0.3)
    assert event.detail["peak_g"] == 6.0


@pytest.mark.parametrize("lost_s", [0.5, 2.0, 5.0])
def test_a_gap_during_a_candidate_lowers_the_confidence_but_does_not_erase_it(lost_s: float) -> None:
    acc = falling_wrist(FALL_S, 20.0)
    whole = suspicion(heard(blocks(acc)))
    first, lost = 52 * 7, round(lost_s * 52)
    rest = block("acc", acc[first + lost :], at_s=7 + lost_s, rate_hz=52.0, lost_before=lost, device="band-1")
    event = suspicion(heard([*blocks(acc[:first]), rest]))
    assert event.at.since_s(START) == pytest.approx(FALL_S + CONFIRMATION_S, abs=0.3)
    assert 0.0 < float(event.detail["confidence"]) < float(whole.detail["confidence"])
    assert float(event.detail["real"]) == pytest.approx(1.0 - lost_s / CONFIRMATION_S, abs=0.05)


def test_a_band_that_falls_silent_with_the_impact_is_suspected_when_it_speaks_again() -> None:
    acc = falling_wrist(FALL_S, 7.0)
    later = block("acc", wrist(2.0), at_s=60.0, rate_hz=52.0, device="band-1")
    event = suspicion(heard([*blocks(acc[: 52 * 7]), later]))
    assert float(event.detail["confidence"]) < 0.3
    assert float(event.detail["real"]) < 0.2


def test_a_long_gap_without_an_impact_is_no_fall() -> None:
    later = block("acc", wrist(20.0), at_s=60.0, rate_hz=52.0, device="band-1")
    assert heard([*blocks(wrist(7.0)), later]) == []


@pytest.mark.parametrize(
    ("rate_hz", "settings", "reason"),
    [(52.0, {"range_g": 2.0}, "fall_range_too_small"), (12.5, {"range_g": 8.0}, "fall_rate_too_low")],
)
def test_a_band_that_cannot_tell_a_fall_says_so_once(
    rate_hz: float, settings: dict[str, str | float], reason: str
) -> None:
    (event,) = heard(blocks(falling_wrist(FALL_S, 20.0, rate_hz), rate_hz), **settings)
    assert isinstance(event, Event)
    assert event.kind == "device_fault"
    assert event.detail["reason"] == reason
    assert event.detail["active"] is True, "it lasts: a technician must see it tomorrow, too"


def test_a_waist_falls_more_softly_than_a_wrist() -> None:
    acc = falling_wrist(FALL_S, 20.0, peak_g=2.4)
    assert heard(blocks(acc), position="wrist") == []
    assert suspicion(heard(blocks(acc), position="waist")).detail["peak_g"] == 2.4


def test_a_peak_at_the_end_of_the_range_is_marked_as_clipped() -> None:
    acc = np.clip(falling_wrist(FALL_S, 20.0, peak_g=7.0), -4.0, 4.0)
    assert suspicion(heard(blocks(acc), range_g=4.0)).detail["clipped"] is True
    assert suspicion(heard(blocks(acc), range_g=8.0)).detail["clipped"] is False


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_fall(value: float) -> None:
    acc = wrist(30.0)
    acc[200:900] = value
    assert heard(blocks(acc)) == []
