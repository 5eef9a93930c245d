"""Whatever comes in, in whatever order: what must never happen does not."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.model import Alarm, Condition
from tests.edge_rules.night import BED, BELT, BUTTON, MAT, Night, rule_text, rules_of

# The shapes of the built-in rules with durations of seconds, so that a short random night passes through every state.
SHORT = rules_of(
    rule_text("call", when=None, event='"sos_pressed"', each="true", latch="true", scope='"device"', rearm='"3s"')
    + rule_text("tumble", when=None, event='"fall_suspected"', latch="true", rearm='"5s"', explains='["exit"]')
    + rule_text(
        "exit", when='"!in_bed"', for_='"20s"', clear='"in_bed"', clear_for='"5s"', latch="true",
        schedule='"23:01-06:00 local"',
    )
    + rule_text(
        "high", input='{ hr = "heart_rate|median 3s" }', when='"hr > 120 && in_bed"', for_='"10s"',
        clear='"hr < 115"', clear_for='"5s"', rearm='"15s"', explains='["raised"]',
        quality='{ hr = 0.5, fresh = "3s", max_gap = "6s", unknown_after = "30s" }',
        escalate='{ second = "20s", third = "40s" }',
    )
    + rule_text("raised", when='"heart_rate > 105"', for_='"12 of 15 s"', clear='"heart_rate < 100"')
    + rule_text("gone", kind='"technical"', scope='"device"', when='"!online"', for_='"10s"')
    + rule_text("missing", kind='"technical"', scope='"input"', when='"input_missing"', priority='"low"')
    + rule_text("down", kind='"technical"', scope='"upstream"', when='"!uplink"', for_='"10s"')
)  # fmt: skip

Step = tuple[str, float, float]  # what, a number, another

STEPS = st.one_of(
    st.tuples(st.just("go"), st.integers(1, 25).map(float), st.sampled_from([60.0, 108.0, 130.0])),
    st.tuples(st.just("idle"), st.integers(1, 40).map(float), st.just(0.0)),
    st.tuples(st.just("leap"), st.floats(0.1, 90), st.just(0.0)),
    st.tuples(st.just("rate"), st.floats(30, 200), st.floats(0, 1)),
    st.tuples(st.just("late"), st.floats(30, 200), st.floats(0, 30)),
    st.tuples(st.just("belt"), st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    st.tuples(st.just("mat"), st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    st.tuples(st.just("event"), st.integers(0, 7).map(float), st.just(0.0)),
    st.tuples(st.sampled_from(["ack", "close", "received", "published", "pause"]), st.integers(0, 5).map(float),
              st.just(0.0)),
)  # fmt: skip
NIGHTS = st.lists(STEPS, min_size=1, max_size=40)
EVENTS = [
    "sos_pressed", "fall_suspected", "link_lost", "link_up", "uplink_lost", "uplink_back", "bed_exited", "bed_entered",
]  # fmt: skip


def play(ward: Night, step: Step) -> list[Alarm]:
    """One step of a random night; the alarms that changed."""
    kind, number, other = step
    match kind:
        case "go":
            return ward.go(number, bed_occupied=1, heart_rate=other)
        case "idle":
            return ward.go(number)
        case "leap":
            return ward.leap(number)
        case "rate":
            return ward.measure("heart_rate", number, quality=other)
        case "late":
            return ward.measure("heart_rate", number, ago_s=other)
        case "belt":
            return ward.measure("bed_occupied", number, quality=other)
        case "mat":
            return ward.measure("bed_occupied", number, device=MAT, origin="device", quality=other)
        case "event":
            name = EVENTS[int(number)]
            device = BUTTON if name == "sos_pressed" else BELT
            return ward.event(name, device=None if "uplink" in name else device, upstream="district")
    return answer(ward, kind, int(number))


def answer(ward: Night, kind: str, which: int) -> list[Alarm]:
    """A person or a platform answers one of the open alarms."""
    alarms = ward.open()
    if not alarms:
        return []
    alarm, engine, now = alarms[which % len(alarms)], ward.engine, ward.now()
    match kind:
        case "ack":
            return ward.keep(engine.acknowledge(alarm.id, "p-1", "", "page", now))
        case "close":
            return ward.keep(engine.close(alarm.id, "seen", "p-1", now))
        case "received":
            return ward.keep(engine.received(alarm.id, "district", now))
        case "published":
            return ward.keep(engine.published(alarm.id, now, watched=which % 2 == 0))
    return ward.keep(engine.pause(BED, "high", 30, now))


def night() -> Night:
    return Night(SHORT, upstreams=("district",))


def active(ward: Night) -> Counter[tuple[str, str | None, str | None, str]]:
    """Active alarms by rule and scope, without the presses, each of which is its own."""
    return Counter(
        (alarm.rule, alarm.bed, alarm.device if alarm.rule == "gone" else None, str(alarm.evidence.get("input", "")))
        for alarm in ward.open()
        if alarm.condition is Condition.ACTIVE and alarm.rule != "call"
    )


@settings(max_examples=150, deadline=None)
@given(NIGHTS)
def test_there_are_never_two_active_alarms_of_one_rule_and_scope(steps: list[Step]) -> None:
    ward = night()
    for step in steps:
        play(ward, step)
        assert all(count == 1 for count in active(ward).values())


@settings(max_examples=150, deadline=None)
@given(NIGHTS)
def test_revisions_of_an_alarm_rise_one_by_one_and_an_id_is_raised_once(steps: list[Step]) -> None:
    ward = night()
    seen: dict[str, int] = {}
    for step in steps:
        for alarm in play(ward, step):
            before = seen.get(alarm.id)
            assert alarm.rev == 1 if before is None else alarm.rev - before in (0, 1)
            seen[alarm.id] = alarm.rev


@settings(max_examples=150, deadline=None)
@given(NIGHTS, st.integers(1, 400))
def test_silence_of_every_sensor_neither_raises_nor_clears_anything_about_a_person(
    steps: list[Step], silent_s: int
) -> None:
    ward = night()
    for step in steps:
        play(ward, step)
    ward.leap(91)  # every reading is stale from here on
    before = {alarm.id: alarm.condition for alarm in ward.open() if alarm.kind != "technical"}
    ward.go(silent_s)
    assert {alarm.id: alarm.condition for alarm in ward.open() if alarm.kind != "technical"} == before


@settings(max_examples=150, deadline=None)
@given(NIGHTS, NIGHTS)
def test_a_restart_at_any_moment_changes_nothing_of_what_follows(before: list[Step], after: list[Step]) -> None:
    straight, killed = night(), night()
    for step in before:
        play(straight, step)
        play(killed, step)
    killed.kill()
    for step in after:
        assert play(killed, step) == play(straight, step)
    assert killed.engine.open_alarms() == straight.engine.open_alarms()
    assert killed.engine.signals(killed.now()) == straight.engine.signals(straight.now())


@settings(max_examples=100, deadline=None)
@given(NIGHTS)
def test_every_open_latched_alarm_waits_for_a_person_and_nothing_else_ends_it(steps: list[Step]) -> None:
    ward = night()
    latched: set[str] = set()
    for step in steps:
        for alarm in play(ward, step):
            if alarm.latch and not alarm.hidden_by:
                latched.add(alarm.id)
            if alarm.closed is not None:
                assert step[0] == "close"
                latched.discard(alarm.id)
        assert latched <= {alarm.id for alarm in ward.open()} | {alarm.id for alarm in ward.log if alarm.closed}
