"""Presence by the median of strength: one weak or strong advert moves nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.beacon.battery import coin_cell_percent
from drivers.beacon.presence import MOST, Bounds, Change, Presence, Zones
from gateway.core.model import Stamp

START = Stamp("00000001", 10**12)


class Walk:
    """One beacon heard once a second."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.presence = Presence(bounds or Bounds())
        self.at = START
        self.changes: list[Change] = []

    def hear(self, rssi_dbm: int, seconds: int, every_s: float = 1.0) -> None:
        for _ in range(round(seconds / every_s)):
            self.at = self.at.plus_s(every_s)
            self._note(self.presence.hear(rssi_dbm, self.at))

    def silent(self, seconds: int) -> None:
        for _ in range(seconds):
            self.at = self.at.plus_s(1.0)
            self._note(self.presence.tick(self.at))

    def inside(self) -> bool:
        return self.presence.inside

    def _note(self, change: Change | None) -> None:
        if change is not None:
            self.changes.append(change)


def test_who_is_near_for_ten_seconds_has_entered_and_not_before() -> None:
    walk = Walk()
    walk.hear(-60, 11)
    assert walk.changes == []
    walk.hear(-60, 3)
    (change,) = walk.changes
    assert (change.inside, change.reason) == (True, "near")


def test_who_passes_by_for_seconds_does_not_enter() -> None:
    walk = Walk()
    walk.hear(-60, 6)
    walk.hear(-90, 30)
    walk.hear(-60, 6)
    walk.hear(-90, 30)
    assert walk.changes == []


def test_between_the_bounds_nothing_changes_in_either_direction() -> None:
    walk = Walk()
    walk.hear(-80, 120)
    assert not walk.inside()
    walk.hear(-60, 30)
    walk.hear(-80, 120)
    assert walk.inside()
    assert len(walk.changes) == 1


def test_single_outliers_move_nobody() -> None:
    walk = Walk()
    walk.hear(-60, 30)
    for _ in range(20):
        walk.hear(-99, 1)
        walk.hear(-60, 4)
    assert len(walk.changes) == 1


def test_who_goes_away_leaves_by_weakness_within_the_window() -> None:
    walk = Walk()
    walk.hear(-60, 30)
    left_from = walk.at
    walk.hear(-95, 15)
    change = walk.changes[-1]
    assert (change.inside, change.reason) == (False, "far")
    assert change.at.since_s(left_from) <= 10


def test_a_rare_beacon_needs_three_weak_adverts_to_leave() -> None:
    walk = Walk()
    walk.hear(-60, 120, every_s=15.0)
    walk.hear(-95, 15, every_s=15.0)
    assert walk.inside()
    walk.hear(-95, 15, every_s=15.0)
    assert not walk.inside()


def test_silence_for_a_minute_is_leaving_said_once_and_entering_begins_anew() -> None:
    walk = Walk()
    walk.hear(-60, 30)
    walk.silent(59)
    assert walk.inside()
    walk.silent(200)
    assert [(change.inside, change.reason) for change in walk.changes] == [(True, "near"), (False, "silent")]
    walk.hear(-60, 5)
    assert not walk.inside()
    walk.hear(-60, 15)
    assert walk.inside()


@given(st.lists(st.tuples(st.integers(-127, 20), st.floats(0.01, 200)), max_size=300))
def test_changes_alternate_and_memory_is_bounded_whatever_is_heard(adverts: list[tuple[int, float]]) -> None:
    presence, at, inside = Presence(Bounds()), START, False
    for rssi_dbm, pause_s in adverts:
        at = at.plus_s(pause_s)
        for change in (presence.tick(at), presence.hear(rssi_dbm, at)):
            if change is not None:
                assert change.inside is not inside
                inside = change.inside
    assert presence.inside is inside
    assert len(presence._heard) <= MOST


def test_of_two_zones_the_last_one_entered_is_known() -> None:
    zones, at, said = Zones(Bounds()), START, []
    for zone in ("room", "garden"):
        for _ in range(20):
            at = at.plus_s(1.0)
            if change := zones.hear(zone, -60, at):
                said.append((zone, change.inside, zones.moved(zone, change)))
    for name, change in zones.tick(at.plus_s(61.0)):
        said.append((name, change.inside, zones.moved(name, change)))
    entered = [("room", True, ""), ("garden", True, "room")]
    assert said == [*entered, ("room", False, "garden"), ("garden", False, "garden")]


@pytest.mark.parametrize(
    ("voltage_v", "percent"),
    [(3.3, 100), (3.0, 100), (2.9, 42), (2.44, 6), (2.1, 0), (1.8, 0), (0.0, None), (5.0, None)],
)
def test_a_coin_cell_is_as_full_as_its_curve_says(voltage_v: float, percent: float | None) -> None:
    assert coin_cell_percent(voltage_v) == percent
