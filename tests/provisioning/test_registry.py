"""The registry: a ward file goes in whole or not at all, and every fault has its line."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.base import Device
from gateway.core.clock import ManualClock
from gateway.core.errors import ConfigError, Fault
from gateway.store.database import Store
from provisioning.registry import Bed, Registry, Room

WARD = """
[site]
id = "s-7Q4MZ2K9"

[[room]]
id = "room-1"
name = "101 garden side"

[[bed]]
id = "b-1A2B3C4D"
room = "room-1"
profile = "fall_risk"
resident = "p-0H4RT5YZ"

[[bed]]
id = "b-5E6F7G8H"
room = "room-1"
occupants = 2

[[device]]
id = "belt-0A3F"
family = "bed_belt"
model = "open_belt_1"
bed = "b-1A2B3C4D"
link = "belt-1"

[[device]]
id = "button-1"
family = "bthome"
model = "shelly_blu_button1"
bed = "b-5E6F7G8H"
link = "onboard"
address = "f4:12:ab:00:11:22"
[device.settings]
purpose = "sos"

[[device]]
id = "climate-1"
family = "modbus_rtu"
model = "xy_md02"
link = "bus-1"
address = "3"
"""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "state", ManualClock())
    yield opened
    await opened.close()


def ward(tmp_path: Path, text: str = WARD) -> Path:
    path = tmp_path / "ward.toml"
    path.write_text(text, encoding="utf-8")
    return path


async def faults_of(store: Store, path: Path) -> list[Fault]:
    with pytest.raises(ConfigError) as refused:
        await Registry(store).import_file(path)
    return list(refused.value.faults)


async def test_a_ward_file_fills_rooms_beds_and_devices(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    result = await registry.import_file(ward(tmp_path))
    assert result.added == (
        "site s-7Q4MZ2K9", "room room-1", "resident p-0H4RT5YZ", "bed b-1A2B3C4D", "bed b-5E6F7G8H",
        "device belt-0A3F", "device button-1", "device climate-1",
    )  # fmt: skip
    assert await registry.rooms() == (Room("room-1", "101 garden side"),)
    assert await registry.beds() == (
        Bed("b-1A2B3C4D", "room-1", 1, "fall_risk", "p-0H4RT5YZ"),
        Bed("b-5E6F7G8H", "room-1", 2),
    )
    assert await registry.devices() == (
        Device("belt-0A3F", "bed_belt", "open_belt_1", "belt-1", "b-1A2B3C4D"),
        Device(
            "button-1", "bthome", "shelly_blu_button1", "onboard", "b-5E6F7G8H", "F4:12:AB:00:11:22", {"purpose": "sos"}
        ),
        Device("climate-1", "modbus_rtu", "xy_md02", "bus-1", None, "3"),
    )


async def test_importing_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    await registry.import_file(ward(tmp_path))
    before = await registry.beds(), await registry.devices()
    again = await registry.import_file(ward(tmp_path))
    assert (again.added, again.changed, again.unchanged) == ((), (), 8)
    assert (await registry.beds(), await registry.devices()) == before


async def test_the_registry_is_there_after_a_restart(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state", ManualClock())
    await Registry(store).import_file(ward(tmp_path))
    beds = await Registry(store).beds()
    await store.close()
    store = await Store.open(tmp_path / "state", ManualClock(boot_id="00000002"))
    assert await Registry(store).beds() == beds
    await store.close()


async def test_dry_run_says_what_would_change_and_changes_nothing(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    would = await registry.import_file(ward(tmp_path), dry_run=True)
    assert would.dry_run
    assert len(would.added) == 8
    assert await registry.beds() == ()


async def test_what_the_file_does_not_name_stays(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    await registry.import_file(ward(tmp_path))
    one = '[[room]]\nid = "room-1"\nname = "101"\n'
    result = await registry.import_file(ward(tmp_path, one))
    assert result.changed == ("room room-1",)
    assert len(await registry.beds()) == 2
    assert len(await registry.devices()) == 3


async def test_two_residents_can_swap_beds_in_one_file(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    first = '[[room]]\nid = "r"\nname = "r"\n' + "".join(
        f'[[bed]]\nid = "{bed}"\nroom = "r"\nresident = "{person}"\n'
        for bed, person in (("b-00000001", "p-0000000A"), ("b-00000002", "p-0000000B"))
    )
    await registry.import_file(ward(tmp_path, first))
    swapped = first.replace("0A", "0X").replace("0B", "0A").replace("0X", "0B")
    await registry.import_file(ward(tmp_path, swapped))
    assert [bed.resident for bed in await registry.beds()] == ["p-0000000B", "p-0000000A"]


async def test_every_fault_is_told_at_once_with_its_line(store: Store, tmp_path: Path) -> None:
    text = """[[room]]
id = "room-1"
nmae = "x"

[[bed]]
id = "b-ILOU0000"
room = "room-1"
occupants = 9

[[device]]
id = "belt-1"
family = "bed_belt"
model = "open_belt_1"
link = "belt-1"
bed = 7
"""
    faults = await faults_of(store, ward(tmp_path, text))
    assert [(fault.line, fault.key) for fault in faults] == [
        (1, "room[1].name"), (3, "room[1].nmae"), (6, "bed[1].id"), (8, "bed[1].occupants"), (15, "device[1].bed"),
    ]  # fmt: skip
    assert all(fault.hint for fault in faults)


async def test_a_name_of_a_resident_is_refused_with_the_reason(store: Store, tmp_path: Path) -> None:
    text = WARD.replace('resident = "p-0H4RT5YZ"', 'resident = "p-0H4RT5YZ"\nname = "Mrs. Example"')
    (fault,) = await faults_of(store, ward(tmp_path, text))
    assert "never a name" in fault.message
    assert "Example" not in str(fault)


async def test_a_name_in_place_of_the_pseudonym_is_refused(store: Store, tmp_path: Path) -> None:
    (fault,) = await faults_of(store, ward(tmp_path, WARD.replace("p-0H4RT5YZ", "Mrs. Example")))
    assert fault.key == "bed[1].resident"
    assert "Example" not in str(fault)
    assert "never a name" in fault.hint


async def test_references_and_doubles_between_entries_are_found(store: Store, tmp_path: Path) -> None:
    text = WARD.replace('room = "room-1"\noccupants', 'room = "room-9"\noccupants')
    faults = await faults_of(store, ward(tmp_path, text.replace('"button-1"', '"belt-0A3F"')))
    assert [fault.key for fault in faults] == ["device[2].id"]
    assert "line 20" in faults[0].message
    faults = await faults_of(store, ward(tmp_path, text))
    assert [fault.key for fault in faults] == ["bed[2].room"]


@pytest.mark.parametrize(
    ("family", "model", "address", "key"),
    [
        ("bed_belt", "open_belt_1", "1", "address"),
        ("modbus_rtu", "xy_md02", "248", "address"),
        ("modbus_rtu", "xy_md02", "0", "address"),
        ("hrs", "hrs_generic", "12", "address"),
        ("hrs", "open_belt_1", "F4:12:AB:00:11:22", "model"),
        ("sleep_mat", "x", "", "family"),
    ],
)
async def test_what_a_family_does_not_accept_is_refused(
    store: Store, tmp_path: Path, family: str, model: str, address: str, key: str
) -> None:
    text = f'[[device]]\nid = "d"\nfamily = "{family}"\nmodel = "{model}"\nlink = "l"\naddress = "{address}"\n'
    (fault,) = await faults_of(store, ward(tmp_path, text))
    assert fault.key == f"device[1].{key}"
    assert fault.line == {"family": 3, "model": 4, "address": 6}[key]


async def test_an_address_that_another_device_has_is_refused_across_files(store: Store, tmp_path: Path) -> None:
    await Registry(store).import_file(ward(tmp_path))
    text = '[[device]]\nid = "other"\nfamily = "modbus_rtu"\nmodel = "xy_md02"\nlink = "bus-1"\naddress = "3"\n'
    (fault,) = await faults_of(store, ward(tmp_path, text))
    assert "climate-1" in fault.message


async def test_a_file_of_another_site_is_refused(store: Store, tmp_path: Path) -> None:
    await Registry(store).import_file(ward(tmp_path))
    (fault,) = await faults_of(store, ward(tmp_path, '[site]\nid = "s-OTHER"\n'))
    assert (fault.line, fault.key) == (2, "site.id")


async def test_a_file_that_is_not_there_says_so(store: Store, tmp_path: Path) -> None:
    (fault,) = await faults_of(store, tmp_path / "none.toml")
    assert "cannot be read" in fault.message


async def test_a_fault_leaves_everything_as_it_was(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    await registry.import_file(ward(tmp_path))
    before = await registry.beds(), await registry.devices(), await registry.rooms()
    text = WARD.replace("101 garden side", "changed").replace('bed = "b-5E6F7G8H"', 'bed = "b-00000000"')
    await faults_of(store, ward(tmp_path, text))
    assert (await registry.beds(), await registry.devices(), await registry.rooms()) == before


async def test_a_reader_stands_at_kiosks_that_are_registered(store: Store, tmp_path: Path) -> None:
    reader = '[[device]]\nid = "reader-1"\nfamily = "identity_reader"\nmodel = "rdm6300"\nlink = "usb-1"\n'
    text = f'{WARD}{reader}[device.settings]\nidentifies = "climate-1, kiosk-9"\n'
    (fault,) = await faults_of(store, ward(tmp_path, text))
    assert (fault.key, "kiosk-9" in fault.message) == ("device[4].settings", True)
    result = await Registry(store).import_file(ward(tmp_path, text.replace(", kiosk-9", "")))
    assert "device reader-1" in result.added
