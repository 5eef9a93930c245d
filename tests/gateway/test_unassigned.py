"""What nobody claimed: listed for three days, given away once, by a named person, with the time it was measured."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from drivers.base import Device
from drivers.identity_reader.driver import FAMILY, IdentityReader
from drivers.identity_reader.frame import Piece, encode_label
from drivers.serial_link import SerialPort
from gateway.commands import Commands, Reason
from gateway.core.clock import ManualClock
from gateway.core.model import Alarm, Measurement, Stamp
from gateway.desk import AlarmDesk, ReadingDesk
from gateway.readings import UNASSIGNED, Readings
from gateway.unassigned import KEPT_S, MAX_OPEN, Unassigned, reading_id
from tests.drivers.recording_sink import RecordingSink
from tests.gateway.test_pipeline import ANNE, Box, box_in
from tests.gateway.test_readings import BEDS, BERT, DEVICES, Bed, at, house, measured, shown

NOON_NS = 1_800_000_000 * 10**9


def book(utc: int | None = None) -> Unassigned:
    return Unassigned(lambda _: utc)


def nobodys(seconds: float = 0.0, name: str = "systolic") -> Measurement:
    return replace(measured(name, seconds=seconds), assigned=UNASSIGNED)


def test_what_was_measured_together_is_one_reading_and_the_newest_stands_first() -> None:
    readings = house()
    for seconds in (0, 60):
        for name in ("systolic", "pulse_rate"):
            readings.claimed(measured(name, 70.0, seconds))
    newest, older = readings.unassigned(at(90))
    assert [value.quantity for value in newest.values] == ["systolic", "pulse_rate"]
    assert (newest.age_s, older.age_s) == (30.0, 90.0)
    assert newest.id != older.id


def test_a_reading_leaves_the_list_when_a_card_says_whose_it_is_and_after_three_days() -> None:
    readings = house()
    readings.claimed(measured(seconds=0))
    readings.happened(shown(5, bed=ANNE))
    readings.settle(at(200))
    assert readings.unassigned(at(200)) == ()
    readings.claimed(measured(seconds=1000))
    assert len(readings.unassigned(at(1000 + KEPT_S))) == 1
    assert readings.unassigned(at(1001 + KEPT_S)) == ()
    assert readings.assign(reading_id(measured(seconds=1000)), ANNE, "N-12", at(1001 + KEPT_S)) == ()


def test_a_reading_of_an_earlier_boot_expires_by_the_wall_clock_and_stays_where_there_is_none() -> None:
    old = replace(nobodys(), at=Stamp("00000000", 5))
    for now_ns, listed in ((NOON_NS, 1), (NOON_NS + round((KEPT_S + 1) * 1e9), 0)):
        timed = Unassigned(lambda one, now_ns=now_ns: NOON_NS if one.boot_id == "00000000" else now_ns)  # type: ignore[misc]
        timed.keep(old)
        assert len(timed.listed(at(0))) == listed
    untimed = book()
    untimed.keep(old)
    assert untimed.listed(at(0))[0].age_s is None


def test_the_list_is_bounded_and_the_oldest_leaves_first() -> None:
    full = book()
    for second in range(MAX_OPEN + 1):
        full.keep(nobodys(second))
    listed = full.listed(at(0))
    assert len(listed) == MAX_OPEN
    assert listed[-1].id == reading_id(nobodys(1))


def test_after_a_restart_the_books_say_what_is_still_nobodys() -> None:
    first, second = nobodys(0), nobodys(60)
    again = house()
    again.restore([first, measured(device="cuff", bed=BERT), second, replace(first, bed=ANNE, assigned="card")])
    assert [one.id for one in again.unassigned(at(90))] == [reading_id(second)]


def test_a_person_before_the_two_minutes_are_over_is_believed_and_no_card_takes_it_again() -> None:
    readings = house()
    one = readings.claimed(measured())
    (given,) = readings.assign(reading_id(one), ANNE, "N-12", at(10))
    assert given == replace(one, bed=ANNE, assigned="hand:N-12")
    readings.happened(shown(20, bed=BERT))
    assert readings.settle(at(500)) == []
    assert readings.assign(reading_id(one), BERT, "N-13", at(20)) == ()


@pytest.mark.parametrize(
    ("bed", "resident", "found"),
    [(ANNE, "", ANNE), ("", "p-00000001", ANNE), (ANNE, "p-00000002", None), ("b-9", "", None), ("", "", None)],
)
def test_a_bed_and_a_resident_must_be_of_this_house_and_agree(bed: str, resident: str, found: str | None) -> None:
    assert house().bed_of(bed, resident) == found


def test_a_reader_that_stands_at_two_kiosks_speaks_for_both_and_for_no_other() -> None:
    reader = Device("reader", "identity_reader", "rdm6300", "port", settings={"identifies": "kiosk, kiosk-2, kiosk-9"})
    readings = Readings(["kiosk", "kiosk-2", "kiosk-3"], [*DEVICES[:2], reader], BEDS)
    readings.happened(shown(-5, resident="p-00000001"))
    beds = [readings.claimed(measured(device=name)).bed for name in ("kiosk", "kiosk-2", "kiosk-3")]
    assert beds == [ANNE, ANNE, None]
    assert readings.strangers() == [("reader", "kiosk-9")]


def test_a_label_held_before_a_real_scanner_gives_the_kiosks_reading_to_its_resident() -> None:
    clock, sink = ManualClock(), RecordingSink()
    scanner = Device("scan-1", "identity_reader", "code_scanner", "port", settings={"identifies": "kiosk"})
    driver = FAMILY.make([scanner], SerialPort("none", clock), clock)
    assert isinstance(driver, IdentityReader)
    resident = "p-4T8W2K9M"
    driver.take(Piece(encode_label(resident)), at(-20), sink)
    readings = Readings(["kiosk"], [*DEVICES[:1], scanner], [Bed(ANNE, resident), *BEDS[1:]])
    for event in sink.events:
        assert readings.doubt(event) == ""
        readings.happened(event)
    given = readings.claimed(measured())
    assert (given.bed, given.assigned) == (ANNE, "qr")


# -- through the books ------------------------------------------------------------------------------------------------


def commands_of(box: Box) -> Commands:
    desk = ReadingDesk(box.pipeline, box.identities.readings, box.store)
    return Commands(AlarmDesk(box.engine, box.pipeline, box.store), readings=desk)


async def test_an_assigned_reading_is_a_row_of_its_own_time_with_the_name_and_an_order_committed_before(
    tmp_path: Path,
) -> None:
    async with box_in(tmp_path, ManualClock()) as box:
        box.measure("kiosk", "systolic", 128.0)
        (first,) = await box.observations()
        box.clock.shift(3 * 3600)
        assert await commands_of(box).assign(reading_id(first), " N-12 ", "page", bed=ANNE) is None
        assert await box.observations() == [first, replace(first, bed=ANNE, assigned="hand:N-12")]
        (event,) = await box.events("reading_assigned")
        assert (event.bed, event.device, event.detail["by"], event.detail["via"]) == (ANNE, "kiosk", "N-12", "page")
        sql = "SELECT verb, payload FROM command"
        ((verb, payload),) = await box.store.read("alarms", lambda db: db.execute(sql).fetchall())
        assert verb == "assign"
        assert msgspec.json.decode(payload[1:] if payload[:1] == b"\x01" else payload)[1:] == [ANNE, "N-12", "page"]


async def test_what_cannot_be_assigned_changes_nothing_and_says_why(tmp_path: Path) -> None:
    async with box_in(tmp_path, ManualClock()) as box:
        box.measure("kiosk", "systolic", 128.0)
        (first,) = await box.observations()
        asked, reading = commands_of(box), reading_id(first)
        refusals = [
            await asked.assign(reading, "", "page", bed=ANNE),
            await asked.assign(reading, "N-12", "page", bed="b-99999999"),
            await asked.assign("kiosk.0.0", "N-12", "page", bed=ANNE),
            await Commands(asked.desk).assign(reading, "N-12", "page", bed=ANNE),
        ]
        assert [one.reason if one else None for one in refusals] == [
            Reason.NAME_MISSING, Reason.BED_UNKNOWN, Reason.READING_UNKNOWN, Reason.READING_UNKNOWN,
        ]  # fmt: skip
        assert await box.observations() == [first]
        assert await box.events("reading_assigned") == []


@pytest.mark.parametrize(("hours", "called"), [(0.1, True), (0.5, False)])
async def test_rules_look_at_a_fresh_reading_and_nobody_is_called_for_an_old_one(
    tmp_path: Path, hours: float, called: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with box_in(tmp_path, ManualClock()) as box:
        box.measure("kiosk", "systolic", 128.0)
        (first,) = await box.observations()
        seen: list[Measurement] = []

        def look(one: Measurement, _now: object) -> list[Alarm]:
            seen.append(one)
            return []

        monkeypatch.setattr(box.engine, "measurement", look)
        box.clock.shift(hours * 3600)
        assert await commands_of(box).assign(reading_id(first), "N-12", "page", bed=ANNE) is None
        assert bool(seen) is called
        assert len(await box.observations()) == 2
