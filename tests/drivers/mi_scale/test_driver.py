"""A Mi scale in the air: one telling for each weighing, at its final value, with the impedance when it comes."""

from datetime import datetime

from drivers.base import Device
from drivers.ble_link import Advert
from drivers.mi_scale.driver import FAMILY
from drivers.mi_scale.frame import encode_composition, encode_weight
from drivers.mi_scale.peer import MiScale
from drivers.profile_ble import full_uuid
from gateway.core.clock import ManualClock
from tests.drivers.ble_ward import (
    RecordingSink,
    adapter_without_radio,
    radio_space,
    running,
    scanning_adapter,
)
from tests.drivers.gatt_house import SyncedClock, paris

ADDRESS = "F1:00:00:00:00:4D"
NOON = datetime(2026, 11, 24, 20, 0)  # noqa: DTZ001 - a scale knows no zone


def scale(model: str) -> Device:
    return Device("d-4", "mi_scale", model, "virtual", None, ADDRESS, {"time_zone": "UTC"})


class Hearing:
    """A driver handed its adverts under a manual clock."""

    def __init__(self, model: str) -> None:
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.service = {"mi_scale_1": "181D", "mi_scale_2": "181B"}[model]
        self.driver = FAMILY.make([scale(model)], adapter_without_radio(self.clock), self.clock)

    def hear(self, data: bytes) -> None:
        self.clock.shift(0.1)
        services = {full_uuid(self.service): data}
        heard = getattr(self.driver, "heard")  # noqa: B009 - the family promises a Driver, this test wants its ear
        heard(Advert(ADDRESS, -60, None, (), services, {}, self.clock.now()), self.sink)


def test_a_weighing_is_told_once_and_only_when_it_has_settled() -> None:
    ear = Hearing("mi_scale_1")
    for kilograms, control in ((70.0, 0x02), (72.3, 0x02), (72.45, 0x22), (72.45, 0x22), (72.45, 0xA2)):
        ear.hear(encode_weight(kilograms, NOON, control=control))
    assert ear.sink.values("weight") == [72.45]
    assert ear.sink.rejections == []
    assert ear.sink.kinds() == ["reading"]


def test_the_body_scale_waits_for_the_impedance_or_for_the_person_to_step_off() -> None:
    ear = Hearing("mi_scale_2")
    ear.hear(encode_composition(72.45, 0, NOON, control=0x20))
    assert ear.sink.values("weight") == []
    ear.hear(encode_composition(72.45, 503, NOON, control=0x22))
    ear.hear(encode_composition(72.45, 503, NOON, control=0xA2))
    in_socks = NOON.replace(minute=5)
    ear.hear(encode_composition(64.0, 0, in_socks, control=0x20))
    ear.hear(encode_composition(64.0, 0, in_socks, control=0xA0))
    assert ear.sink.values("weight") == [72.45, 64.0]
    first, second = (dict(event.detail) for event in ear.sink.events if event.kind == "reading")
    assert first["impedance"] == 503
    assert "impedance" not in second


def test_a_scale_that_lives_in_another_year_is_stamped_by_the_house() -> None:
    ear = Hearing("mi_scale_1")
    ear.hear(encode_weight(72.45, NOON.replace(year=2000)))
    (weight,) = ear.sink.measurements
    assert weight.at == ear.clock.now()
    assert ear.sink.kinds() == ["device_clock_unset", "reading"]


def test_a_suitcase_and_half_an_advert_are_refused_once_with_their_bytes() -> None:
    ear = Hearing("mi_scale_1")
    suitcase = encode_weight(11.0, NOON)
    for data in (suitcase, suitcase, suitcase[:5], suitcase[:5]):
        ear.hear(data)
    assert ear.sink.rejections == [("d-4", "implausible_weight", suitcase), ("d-4", "truncated", suitcase[:5])]
    assert ear.sink.values("weight") == []


async def test_a_weighing_is_heard_in_the_air() -> None:
    clock, sink = SyncedClock(), RecordingSink()
    async with radio_space() as (space, port), scanning_adapter(port, clock) as adapter:
        driver = FAMILY.make([scale("mi_scale_1")], adapter, clock)
        peer = MiScale(space, ADDRESS, "181D")

        advert = encode_weight(81.2, paris(clock))

        async def weigh() -> None:
            while True:
                peer.broadcast(advert)
                await clock.sleep(0.1)

        async with running(driver.run(sink), weigh()):
            await sink.until(lambda: sink.heard_from.count("d-4") >= 5)
    assert sink.values("weight") == [81.2]
