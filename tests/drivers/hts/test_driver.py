"""A thermometer on a real Bluetooth stack: in the unit of the house, beyond its range, implausible values refused."""

from collections.abc import Callable
from datetime import datetime

from drivers.ble_values import Special, date_time_bytes, float32_word
from drivers.gatt_peer import GattPeer
from drivers.hts.driver import FAMILY
from drivers.hts.frame import encode
from drivers.hts.peer import thermometer
from gateway.core.model import Status
from tests.drivers.gatt_house import house

Ago = Callable[..., datetime]


async def test_fahrenheit_is_told_in_degrees_celsius_and_the_original_kept() -> None:
    def prepare(peer: GattPeer, ago: Ago) -> None:
        word = float32_word(98.6, -1).to_bytes(4, "little")
        peer.records = [b"\x07" + word + date_time_bytes(ago(minutes=1)) + b"\x01"]

    async with house(FAMILY, "hts_generic", thermometer, prepare) as home:
        await home.sink.until(lambda: bool(home.sink.values("body_temperature")))
        assert home.sink.values("body_temperature") == [37.0]
        (detail,) = home.detail("reading")
        assert (detail["temperature"], detail["temperature_unit"], detail["site"]) == (98.6, "[degF]", "armpit")
        assert home.peer.seen.steps == ["time", "subscribe"]


async def test_beyond_the_range_is_a_reading_with_its_limit_and_not_a_failure() -> None:
    def prepare(peer: GattPeer, ago: Ago) -> None:
        peer.records = [encode(Special.PINF, ago(minutes=1)), encode(Special.NINF, ago(minutes=2))]

    async with house(FAMILY, "hts_generic", thermometer, prepare) as home:
        await home.sink.until(lambda: len(home.sink.values("body_temperature")) == 2)
        told = [(m.value, m.status) for m in home.sink.measurements if m.quantity == "body_temperature"]
        assert told == [(43, Status.OVER), (30, Status.UNDER)]
        assert home.sink.rejections == []


async def test_what_nobody_can_have_and_what_is_no_frame_is_refused_with_its_bytes() -> None:
    def prepare(peer: GattPeer, ago: Ago) -> None:
        peer.records = [encode(61.0, ago(minutes=1)), b"\x00\x01", encode(36.6, ago(minutes=1))]

    async with house(FAMILY, "hts_generic", thermometer, prepare) as home:
        await home.sink.until(lambda: bool(home.sink.values("body_temperature")))
        assert [reason for _, reason, _ in home.sink.rejections] == ["implausible_body_temperature", "truncated"]
        assert home.sink.values("body_temperature") == [36.6]
