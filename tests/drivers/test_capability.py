"""What a device can see is said by its family and profile, for the bed that its wires belong to."""

import pytest

from drivers.base import Device, Setting
from drivers.capability import Sight, can_be_missed, is_shared, profile_of, sights

BED, OTHER = "b-00000001", "b-00000002"


def seen(device: Device) -> dict[tuple[str | None, str], Sight]:
    return {(sight.bed, sight.quantity): sight for sight in sights(device)}


def test_a_belt_delivers_what_is_derived_from_its_signal_without_a_declared_range() -> None:
    found = seen(Device("belt-1", "bed_belt", "open_belt_1", "port", BED))
    assert {"heart_rate", "respiration_rate", "bed_occupied"} <= {quantity for _, quantity in found}
    assert found[BED, "heart_rate"].range is None


def test_a_radar_declares_the_heart_rates_it_reports_and_how_late_it_tells_a_bed_exit() -> None:
    found = seen(Device("radar-1", "r60abd1", "r60abd1", "port", BED))
    assert found[BED, "heart_rate"].range == (60, 120)
    assert found[BED, "heart_rate"].blind
    assert found[BED, "bed_occupied"].latency_s == 30


def test_a_contact_module_delivers_each_mat_to_the_bed_it_is_wired_to_and_a_cord_delivers_nothing() -> None:
    wires = {"di1": "mat", "di1_bed": BED, "di2": "pull_cord", "di2_bed": OTHER, "di3": "mat", "di3_bed": OTHER}
    found = seen(Device("contacts-1", "modbus_rtu", "waveshare_io8", "bus", None, "1", wires))
    assert set(found) == {(BED, "bed_occupied"), (OTHER, "bed_occupied")}


def test_an_input_that_is_not_used_delivers_nothing() -> None:
    device = Device("contacts-1", "modbus_rtu", "waveshare_io8", "bus", BED, "1", {"di1": "unused"})
    assert sights(device) == ()


def test_a_kiosk_delivers_what_its_registers_hold() -> None:
    found = seen(Device("kiosk", "modbus_rtu", "open_kiosk_1", "bus", None, "3"))
    assert {quantity for _, quantity in found} == {"systolic", "diastolic", "pulse_rate"}


def test_a_device_of_an_unknown_family_or_model_is_expected_to_deliver_nothing() -> None:
    assert sights(Device("x", "no_such_family", "no_such_model", "port", BED)) == ()
    assert profile_of("../bed_belt", "open_belt_1") is None
    assert profile_of("bed_belt", "../bed_belt/open_belt_1") is None


def test_a_kiosk_is_shared_unless_it_has_a_bed_or_its_settings_say_no() -> None:
    kiosk = Device("kiosk", "modbus_rtu", "open_kiosk_1", "bus", None, "3")
    assert is_shared(kiosk)
    assert not is_shared(Device("kiosk", "modbus_rtu", "open_kiosk_1", "bus", BED, "3"))
    assert not is_shared(Device("kiosk", "modbus_rtu", "open_kiosk_1", "bus", None, "3", {"shared": False}))


def test_any_device_without_a_bed_is_shared_when_its_settings_say_so() -> None:
    assert is_shared(Device("cuff", "bls", "bls_generic", "radio", None, "", {"shared": True}))
    assert not is_shared(Device("cuff", "bls", "bls_generic", "radio", BED, "", {"shared": True}))
    assert not is_shared(Device("room-1", "modbus_rtu", "xy_md02", "bus", None, "2"))


@pytest.mark.parametrize(
    ("family", "model", "settings", "missed"),
    [
        ("bed_belt", "open_belt_1", {}, True),
        ("modbus_rtu", "waveshare_io8", {}, True),
        ("hrs", "hrs_generic", {}, True),
        ("r60abd1", "r60abd1", {}, True),
        ("bthome", "shelly_blu_button1", {}, False),
        ("bthome", "shelly_blu_button1", {"beacon": True}, True),
        ("beacon", "ibeacon", {}, True),
        ("beacon", "ibeacon", {"beacon": False}, False),
        ("mi_scale", "mi_scale_2", {}, False),
        ("bls", "bls_generic", {}, False),
        ("gls", "gls_generic", {}, False),
        ("taidoc_ble", "td3261", {}, False),
    ],
)
def test_only_what_is_not_silent_by_nature_can_be_missed(
    family: str, model: str, settings: dict[str, Setting], missed: bool
) -> None:
    assert can_be_missed(Device("x", family, model, "link", BED, "", settings)) is missed
