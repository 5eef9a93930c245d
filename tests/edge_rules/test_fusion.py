"""Facts from several devices: agreed, in conflict, settled, stale."""

from edge_rules.fusion import Facts
from edge_rules.moment import DeviceScope
from gateway.core.model import Event, Measurement, Stamp

S = 10**9


def occupied(facts: Facts, second: float, value: float, *, mat: bool = False, quality: float = 0.9) -> None:
    at = Stamp("00000001", round(second * S))
    device, origin = ("mat", "device") if mat else ("belt", "occupancy/1")
    facts.saw_measurement(
        Measurement("b-1", device, "bed_occupied", value, "1", at, quality=quality, origin=origin), at.mono_ns
    )


def event(facts: Facts, second: float, kind: str, device: str | None = None, **detail: str) -> None:
    at = Stamp("00000001", round(second * S))
    facts.saw_event(Event(kind, at, "b-1", device, detail), at.mono_ns)


def facts() -> Facts:
    return Facts((DeviceScope("belt", "b-1"), DeviceScope("button", "b-1", supervised=False)), ("district",))


def state(known: Facts, second: float) -> tuple[bool | None, str]:
    return known.in_bed("b-1", round(second * S)), known.why_in_bed("b-1", round(second * S))


def test_a_bed_is_unknown_before_anything_was_said_and_after_it_went_stale() -> None:
    known = facts()
    assert state(known, 0) == (None, "never")
    occupied(known, 0, 1)
    assert state(known, 60) == (True, "agreed")
    assert state(known, 61) == (None, "stale")


def test_a_mat_that_turns_seconds_before_the_belt_is_not_believed_against_it_at_once() -> None:
    known = facts()
    for second in range(10):
        occupied(known, second, 1)
        occupied(known, second, 1, mat=True)
    occupied(known, 10, 0, mat=True)
    assert state(known, 10) == (None, "conflict")
    occupied(known, 12, 0)
    assert state(known, 12) == (False, "agreed")


def test_where_they_go_on_disagreeing_the_belt_knows_better() -> None:
    known = facts()
    for second in range(60):
        occupied(known, second, 1)
        occupied(known, second, 0, mat=True)
    assert state(known, 59) == (True, "settled")


def test_a_lost_device_says_nothing_any_more() -> None:
    known = facts()
    occupied(known, 0, 1)
    occupied(known, 0, 0, mat=True)
    event(known, 1, "link_lost", "belt")
    assert state(known, 1) == (False, "agreed")
    assert known.is_online("belt") is False
    event(known, 2, "link_lost", "mat")
    assert state(known, 2) == (None, "never")


def test_a_bed_reading_of_low_quality_is_not_taken() -> None:
    known = facts()
    occupied(known, 0, 1, quality=0.4)
    assert state(known, 0) == (None, "never")


def test_late_words_of_the_worker_do_not_bring_a_lost_device_back() -> None:
    known = facts()
    event(known, 0, "link_up", "belt")
    event(known, 1, "link_lost", "belt")
    event(known, 2, "bed_exited", "belt")
    event(known, 3, "device_fault", "belt")
    assert known.is_online("belt") is False
    event(known, 4, "link_up", "belt")
    assert known.is_online("belt") is True


def test_a_supervised_device_never_heard_counts_as_lost_after_five_minutes_and_a_silent_button_does_not() -> None:
    known = facts()
    known.refresh(0)
    known.refresh(299 * S)
    assert known.is_online("belt") is None
    known.refresh(300 * S)
    assert known.is_online("belt") is False
    assert known.is_online("button") is None


def test_the_site_is_silent_only_while_every_uplink_is() -> None:
    known = Facts((), ("a", "b"))
    assert known.silent_s(100 * S) == 0.0
    known.refresh(0)
    event(known, 10, "uplink_back", upstream="a")
    assert known.silent_s(100 * S) == 0.0
    event(known, 40, "uplink_lost", upstream="a")
    assert known.silent_s(100 * S) == 60.0
    assert known.uplink("*") is False


def test_a_new_process_begins_with_what_it_knows_itself() -> None:
    known = facts()
    event(known, 0, "link_up", "belt")
    event(known, 0, "uplink_back", upstream="district")
    event(known, 0, "box_trouble", part="disk", reason="full")
    assert not known.box_ok("*")
    event(known, 1, "box_started")
    assert known.box_ok("disk")
    assert known.uplink("district") is False
    assert known.is_online("belt") is None
