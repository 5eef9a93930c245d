"""What was heard lately: bounded whatever is in the air, and who was heard twice outlasts who was heard once."""

from types import SimpleNamespace

import pytest

from drivers.base import Device
from drivers.ble_doubt import ENOUGH, Doubts
from drivers.ble_radio import Advert
from drivers.ble_seen import PROBATION, RSSI_KEPT, SEEN, TRAITS_KEPT, Sightings, kind_of
from drivers.profile_ble import full_uuid
from gateway.core.clock import ManualClock
from gateway.core.model import Event
from tests.drivers.ble_ward import SilentRadio, adapter_with, running

ME, OTHER = "F1:00:00:00:00:01", "C2:00:00:00:00:02"
CLOCK = ManualClock()


def advert(address: str = ME, rssi_dbm: int = -60, name: str | None = None, *services: str) -> Advert:
    return Advert(address, rssi_dbm, name, services, {}, {}, CLOCK.now())


def passing(number: int) -> str:
    return f"4{number >> 32 & 15:X}:" + ":".join(f"{number >> shift & 255:02X}" for shift in (32, 24, 16, 8, 0))


def test_an_advert_and_its_scan_response_are_one_device() -> None:
    seen = Sightings()
    seen.hear(advert(ME, -60, None, full_uuid("1810")))
    seen.hear(advert(ME, -62, "A&D_UA-651BLE_1"))
    (one,) = seen
    assert (one.name, one.services, one.adverts) == ("A&D_UA-651BLE_1", {full_uuid("1810")}, 2)


def test_the_signal_strength_is_the_median_of_the_newest_adverts() -> None:
    seen = Sightings()
    for rssi_dbm in (-100, *(-70, -50) * (RSSI_KEPT // 2), -51, -127):
        seen.hear(advert(ME, rssi_dbm))
    heard = seen.of(ME)
    assert heard is not None
    assert heard.rssi_dbm == -51


def test_an_hour_of_a_street_of_phones_keeps_no_more_than_the_limits_and_counts_the_rest() -> None:
    seen = Sightings()
    seen.register([ME])
    for number in range(360_000):  # 100 adverts/s, each from a new address
        if number % 1000 == 0:  # every 10 s
            seen.hear(advert(ME))
        if number % 200 == 0:  # every 2 s
            seen.hear(advert(OTHER))
        seen.hear(advert(passing(number)))
    assert len(seen) <= 1 + SEEN + PROBATION
    assert seen.forgotten == 360_000 - PROBATION
    found = {one.address: one.adverts for one in seen}
    assert (found[ME], found[OTHER]) == (360, 1800)


def test_a_registered_device_outlasts_any_number_of_others_heard_again() -> None:
    seen = Sightings()
    seen.register([ME.lower()])
    seen.hear(advert(ME))
    for number in range(2 * SEEN):
        seen.hear(advert(passing(number)))
        seen.hear(advert(passing(number)))
    assert seen.of(ME) is not None
    assert len(seen) == 1 + SEEN
    assert seen.forgotten == SEEN


def test_one_device_that_invents_services_is_bounded_too() -> None:
    seen = Sightings()
    for number in range(1000):
        data = {number: b"x"}
        seen.hear(Advert(ME, -60, "n" * 5000, (full_uuid(f"{number:04X}"),), {}, data, CLOCK.now()))
    (one,) = seen
    assert len(one.services) <= 2 * TRAITS_KEPT
    assert len(one.companies) == TRAITS_KEPT
    assert len(one.name or "") == 64


@pytest.mark.parametrize(
    ("details", "address", "kind"),
    [
        ({"props": {"AddressType": "public"}}, "00:11:22:33:44:55", "public"),
        ({"props": {"AddressType": "random"}}, "F1:00:00:00:00:01", "static"),
        ({"props": {"AddressType": "random"}}, "4A:00:00:00:00:01", "resolvable"),
        ({"props": {"AddressType": "random"}}, "3A:00:00:00:00:01", "private"),
        (SimpleNamespace(is_public=True), "00:11:22:33:44:55", "public"),
        (SimpleNamespace(is_public=False), "F1:00:00:00:00:01", "static"),
        (None, "F1:00:00:00:00:01", ""),
    ],
)
def test_an_address_that_will_change_is_no_identity(details: object, address: str, kind: str) -> None:
    assert kind_of(details, address) == kind
    seen = Sightings()
    seen.hear(advert(address), details)
    (one,) = seen
    assert one.identity == ("" if kind in ("resolvable", "private") else address)


async def test_the_adapter_keeps_what_it_hears() -> None:
    clock, radio = ManualClock(), SilentRadio()
    adapter = adapter_with(radio, clock)
    async with running(adapter.run()):
        await clock.advance(0.1)
        radio.advert(ME, name="Contour1", services=(full_uuid("1808"),), rssi_dbm=-55)
        heard = adapter.sightings.of(ME)
    assert heard is not None
    assert (heard.name, heard.rssi_dbm) == ("Contour1", -55)


def doubted(device: Device, adverts: list[Advert]) -> list[Event]:
    events: list[Event] = []
    seen = Sightings()
    doubts = Doubts({"radio": seen}, [device], CLOCK, events.append)
    for one in adverts:
        seen.hear(one)
        doubts.look()
    return events


SCALE = advert(ME, -60, "A&D_UC-352BLE_1", full_uuid("181D"))


def test_a_device_that_cannot_be_its_model_says_so_once_with_what_to_do() -> None:
    events = doubted(Device("cuff", "bls", "and_ua651ble", "radio", "b-1", ME), [SCALE] * 30)
    assert [event.kind for event in events] == ["model_doubted"]
    assert (events[0].bed, events[0].device) == ("b-1", "cuff")
    assert events[0].detail["seems"] == "and_uc352ble"
    assert "carebed provision import" in str(events[0].detail["hint"])


@pytest.mark.parametrize(
    ("device", "count"),
    [
        (Device("scale", "wss", "and_uc352ble", "radio", "b-1", ME), 30),
        (Device("scale", "wss", "wss_generic", "radio", "b-1", ME), 30),
        (Device("cuff", "bls", "and_ua651ble", "radio", "b-1", ME), ENOUGH - 1),
        (Device("cuff", "bls", "and_ua651ble", "radio", "b-1", OTHER), 30),
        (Device("cuff", "bls", "and_ua651ble", "elsewhere", "b-1", ME), 30),
    ],
)
def test_a_device_that_fits_or_was_hardly_heard_is_not_doubted(device: Device, count: int) -> None:
    assert doubted(device, [SCALE] * count) == []
