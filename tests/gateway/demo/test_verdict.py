"""Promises of the judge: it says no as soon as anything that was expected did not come true."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from gateway.core.clock import ManualClock
from gateway.demo.site import GATEWAY, TENANT
from gateway.demo.story import BEDS, KIOSK, Expectation, Step, Story
from gateway.demo.verdict import Witness, doubled, judge
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.envelope import Ack, AlarmState, Event, GapNote, Observation
from gateway.upstream.platform import Platform

STORY = Story(
    "test", 10.0, "23:30",
    (Step(1, "press_button", BEDS[0]), Step(2, "kiosk_reading", None, {"systolic": KIOSK["systolic"]})),
    (Expectation("sos", BEDS[0], "press_button", 5.0),), 10.0,
)  # fmt: skip
PRESSED_NS = 10**9
ALARM = AlarmState(
    seq=1, boot="00000001", m=1, t=1, tu=0, sync="ntp", id="a-1", rev=1, bed=BEDS[0], rule="sos@1", kind="other",
    prio="high", cond="active", signal={}, delay_s=0.0, val={}, q=1.0, esc=0, mode="demo",
    trace={"receipt": PRESSED_NS + 10**8, "raised": PRESSED_NS + 101_000_000},
)  # fmt: skip
CLOSED = changed(ALARM, seq=2, rev=2, cond="inactive", outcome="helped", ack=Ack(by="carer-07", t=2))
READING = Observation(
    seq=1, boot="00000001", m=1, t=1, tu=0, sync="ntp", dev="kiosk", what="systolic", val=KIOSK["systolic"],
    unit="mm[Hg]", q=1.0, alg="device", st="valid", mode="demo",
)  # fmt: skip


def saw(*events: tuple[str, Event]) -> Platform:
    platform = Platform(ManualClock(), Endpoint("127.0.0.1", 1), TENANT)
    for stream, event in events:
        platform.seen.take(GATEWAY, stream, event, PRESSED_NS + 2 * 10**8, "live")
    return platform


def witness(**changes: Any) -> Witness:
    done: dict[tuple[str, str | None], int] = {("press_button", BEDS[0]): PRESSED_NS}
    good = Witness(done=done, heads={"alarm": 2, "obs": 1}, pulled_verified=True)
    return replace(good, **changes)


ALL = (("alarm", ALARM), ("alarm", CLOSED), ("obs", READING))


def test_when_everything_came_true_it_says_so_with_real_latencies() -> None:
    verdict = judge(STORY, saw(*ALL), GATEWAY, witness())
    assert verdict["ok"], verdict
    (alarm,) = verdict["alarms"]
    assert alarm["byte_to_local_ms"] == 1.0
    assert alarm["byte_to_platform_ms"] == 100.0
    assert alarm["raised_after_s"] == pytest.approx(1.01)
    assert verdict["streams"]["alarm"] | {"lost": 0, "duplicated": 0} == verdict["streams"]["alarm"]


@pytest.mark.parametrize(
    ("why", "events", "changes"),
    [
        ("the alarm never came", (("obs", READING),), {"heads": {"obs": 1}}),
        ("nobody closed it", (("alarm", ALARM), ("obs", READING)), {"heads": {"alarm": 1, "obs": 1}}),
        ("the reading is missing", (("alarm", ALARM), ("alarm", CLOSED)), {"heads": {"alarm": 2}}),
        ("a row is missing", ALL, {"heads": {"alarm": 3, "obs": 1}}),
        ("the pull did not verify", ALL, {"pulled_verified": False}),
        ("an alarm nobody expected", (*ALL, ("alarm", changed(ALARM, seq=3, id="a-2", rule="fall@1"))), {}),
        ("the same said under two numbers", (*ALL, ("obs", changed(READING, seq=2))), {}),
        ("raised in the cut, but not shown locally", ALL, {"cut_real_ns": 1, "restored_real_ns": 2 * PRESSED_NS}),
        ("the reading was changed on its way", (*ALL[:2], ("obs", changed(READING, val=1.0))), {}),
    ],
)
def test_one_thing_amiss_and_it_says_no(
    why: str, events: tuple[tuple[str, Event], ...], changes: dict[str, Any]
) -> None:
    assert judge(STORY, saw(*events), GATEWAY, witness(**changes))["ok"] is False, why


def test_an_alarm_later_than_promised_is_no_success() -> None:
    late = changed(ALARM, trace={"receipt": PRESSED_NS, "raised": PRESSED_NS + 10**9})
    assert judge(STORY, saw(("alarm", late), *ALL[1:]), GATEWAY, witness())["ok"] is False


def test_a_hole_that_the_gateway_explains_is_no_loss() -> None:
    stamp = {"seq": 1, "boot": "00000001", "m": 1, "t": 1, "tu": 0, "sync": "ntp"}
    note = GapNote(**stamp, what="alarm", reason="numbers_unused:3-3", lost=1)  # type: ignore[arg-type]
    verdict = judge(STORY, saw(*ALL, ("tech", note)), GATEWAY, witness(heads={"alarm": 3, "obs": 1, "tech": 1}))
    assert verdict["ok"], verdict["streams"]
    assert verdict["streams"]["alarm"]["explained_gaps"] == 1


def test_people_in_recordings_may_have_rates_of_their_own() -> None:
    theirs = changed(ALARM, seq=3, id="a-2", rule="respiration_rate_low@1", kind="physiological")
    events = (*ALL, ("alarm", theirs))
    heads = {"alarm": 3, "obs": 1}
    assert judge(STORY, saw(*events), GATEWAY, witness(heads=heads))["ok"] is False
    told = judge(STORY, saw(*events), GATEWAY, witness(heads=heads, recordings=["F01"]))
    assert told["ok"]
    assert [alarm["rule"] for alarm in told["alarms_from_recordings"]] == ["respiration_rate_low@1"]


def test_a_repeat_under_its_own_number_is_no_double() -> None:
    platform = saw(("obs", READING), ("obs", changed(READING, hist=True)))
    assert doubled(platform.seen.records) == 0
    assert doubled(saw(("obs", READING), ("obs", changed(READING, seq=2))).seen.records) == 1
