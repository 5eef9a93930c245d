"""Readings through the whole pipeline into the real store: what is kept, what is refused, and what a restart knows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from drivers.base import Device
from edge_rules.engine import BedScope, DeviceScope, Engine
from edge_rules.rulefile import load_defaults
from gateway.commands import Commands, Reason
from gateway.core.clock import ManualClock
from gateway.core.model import Event, Measurement, Mode, Status
from gateway.core.quantities import quantity
from gateway.desk import AlarmDesk, IdentityDesk
from gateway.pipeline import Pipeline
from gateway.readings import SETTING, Readings
from gateway.readmodel import Identity, ReadModel
from gateway.rooms import LocalSignals, StoredHistory
from gateway.store.database import Store
from gateway.worker_link import WorkerLink
from tests.gateway.house import Bed

ANNE = "b-00000001"


@dataclass(frozen=True)
class Resident(Bed):
    resident: str | None = None


BEDS = (Resident(ANNE, "101", resident="p-00000001"),)
DEVICES = (
    Device("kiosk", "modbus_rtu", "open_kiosk_1", "bus"),
    Device("cuff", "bls", "bls_generic", "radio", ANNE),
    Device("clip", "plx", "plx_generic", "radio", ANNE),
)


@dataclass
class Box:
    clock: ManualClock
    store: Store
    pipeline: Pipeline
    model: ReadModel
    engine: Engine
    identities: IdentityDesk

    def measure(self, device: str, name: str, value: float, **more: Any) -> None:
        bed = ANNE if device != "kiosk" else None
        unit = quantity(name).unit
        self.pipeline.measurement(Measurement(bed, device, name, value, unit, self.clock.now(), **more))

    def rejected(self, device: str) -> dict[str, int]:
        return next(dict(one.rejected) for one in self.model.devices() if one.id == device)

    async def observations(self) -> list[Measurement]:
        await self.store.flush()
        return await self.store.journal.observations(100)

    async def events(self, kind: str) -> list[Event]:
        await self.store.flush()
        return [event for event in await self.store.journal.events(100) if event.kind == kind]


@asynccontextmanager
async def box_in(directory: Path, clock: ManualClock) -> AsyncIterator[Box]:
    store = await Store.open(directory, clock)
    try:
        told = {device.id: await store.journal.setting(SETTING + device.id) for device in DEVICES}
        known = {device: digests for device, digests in told.items() if digests}
        model = ReadModel(clock, Identity("gw-1", "s-1", "0", Mode.REAL), StoredHistory(store))
        model.set_inventory(BEDS, DEVICES, 1)
        scopes = [BedScope(ANNE)], [DeviceScope(device.id, device.bed) for device in DEVICES]
        worker = WorkerLink(
            clock, cache_dir=directory, on_result=lambda _: None, on_gap=lambda _: None, on_state=lambda _: None
        )
        engine = Engine(load_defaults(), *scopes, Mode.REAL)
        readings = Readings(["kiosk"], DEVICES, BEDS, known)
        pipeline = Pipeline(
            clock, ZoneInfo("Europe/Paris"), Mode.REAL, devices=DEVICES, engine=engine, store=store,
            worker=worker, watcher=model, outputs=LocalSignals(model), readings=readings,
        )  # fmt: skip
        yield Box(clock, store, pipeline, model, engine, IdentityDesk(pipeline, readings))
        pipeline.close()
    finally:
        await store.close()


async def test_a_kiosk_reading_is_a_row_without_a_bed_and_a_second_row_when_the_card_has_come(tmp_path: Path) -> None:
    async with box_in(tmp_path, ManualClock()) as box:
        box.measure("kiosk", "systolic", 128.0)
        (first,) = await box.observations()
        assert (first.bed, first.assigned) == (None, "unassigned")
        box.clock.shift(30)
        detail = {"resident": "p-00000001", "by": "card"}
        box.pipeline.event(Event("identity_presented", box.clock.now(), device="kiosk", detail=detail))
        for _ in range(3):
            box.clock.shift(60)
            box.pipeline.tick()
        rows = await box.observations()
        assert rows == [first, replace(first, bed=ANNE, assigned="card")]
        assert (await box.events("identity_presented"))[0].detail == detail


async def test_a_card_over_the_interface_says_whose_and_a_strangers_leaves_no_trace(tmp_path: Path) -> None:
    async with box_in(tmp_path, ManualClock()) as box:
        commands = Commands(AlarmDesk(box.engine, box.pipeline, box.store), identities=box.identities)
        stranger = commands.present("kiosk", "card", resident="p-99999999")
        nowhere = commands.present("cuff", "card", resident="p-00000001")
        assert [refused and refused.reason for refused in (stranger, nowhere)] == [
            Reason.PERSON_UNKNOWN, Reason.STATION_UNKNOWN,
        ]  # fmt: skip
        assert await box.events("identity_presented") == []
        assert commands.present("kiosk", "qr", resident="p-00000001") is None
        box.clock.shift(60)
        box.measure("kiosk", "systolic", 128.0)
        (row,) = await box.observations()
        assert (row.bed, row.assigned) == (ANNE, "qr")


async def test_a_record_sent_again_is_kept_once_and_counted_as_a_repeat(tmp_path: Path) -> None:
    async with box_in(tmp_path, ManualClock()) as box:
        for _ in range(2):
            box.measure("cuff", "systolic", 128.0, record="07:30 128 79")
            box.measure("cuff", "diastolic", 79.0, record="07:30 128 79")
            box.clock.shift(600)
        assert [row.quantity for row in await box.observations()] == ["systolic", "diastolic"]
        assert box.rejected("cuff") == {"repeat": 1}


async def test_a_record_sent_again_after_a_restart_is_a_repeat(tmp_path: Path) -> None:
    clock = ManualClock()
    async with box_in(tmp_path, clock) as box:
        box.measure("cuff", "systolic", 128.0, record="07:30 128")
    clock.shift(3600)
    async with box_in(tmp_path, clock) as box:
        box.measure("cuff", "systolic", 128.0, record="07:30 128")
        box.measure("cuff", "systolic", 131.0, record="08:30 131")
        assert [row.value for row in await box.observations()] == [128.0, 131.0]
        assert box.rejected("cuff") == {"repeat": 1}


async def test_beyond_the_range_is_a_row_with_the_limit_and_a_clinical_event(tmp_path: Path) -> None:
    async with box_in(tmp_path, ManualClock()) as box:
        box.measure("cuff", "glucose", 33.3, status=Status.OVER)
        (row,) = await box.observations()
        assert (row.value, row.status, row.bed) == (33.3, Status.OVER, ANNE)
        (event,) = await box.events("reading_out_of_range")
        assert (event.bed, event.detail["direction"], event.detail["limit"]) == (ANNE, "over", 33.3)
        assert box.rejected("cuff") == {}


async def test_a_stream_of_saturations_lives_in_minutes_and_its_limit_is_no_value(tmp_path: Path) -> None:
    async with box_in(tmp_path, ManualClock()) as box:
        for second in range(120):
            over = second == 30
            status = Status.OVER if over else Status.VALID
            box.measure("clip", "spo2", 100.0 if over else 96.0, window_s=1.0, status=status)
            box.clock.shift(1)
            box.pipeline.tick()
        box.pipeline.close()
        assert await box.observations() == []
        await box.store.flush()
        minutes = await box.store.journal.minutes(ANNE, "spo2", None, None, 10)
        assert sum(minute.n for minute in minutes) == 119
        assert {minute.max for minute in minutes} == {96.0}
        assert len(await box.events("reading_out_of_range")) == 1


async def test_a_failed_measurement_is_counted_and_never_kept(tmp_path: Path) -> None:
    async with box_in(tmp_path, ManualClock()) as box:
        box.measure("cuff", "systolic", 128.0, status=Status.INVALID)
        box.measure("cuff", "systolic", 700.0, status=Status.QUESTIONABLE)
        assert await box.observations() == []
        assert box.rejected("cuff") == {"failed systolic": 1, "implausible systolic": 1}
