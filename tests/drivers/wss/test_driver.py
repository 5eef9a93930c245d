"""A scale on a real Bluetooth stack: weighings told once, an unsuccessful one refused, pounds turned into kilograms."""

from collections.abc import Callable
from datetime import datetime

from drivers.ble_values import date_time_bytes
from drivers.gatt_peer import GattPeer
from drivers.wss.driver import FAMILY
from drivers.wss.frame import encode
from drivers.wss.peer import scale
from tests.drivers.gatt_house import house

Ago = Callable[..., datetime]


async def test_weighings_are_told_once_and_an_unsuccessful_one_is_refused() -> None:
    sent: list[bytes] = []

    def prepare(peer: GattPeer, ago: Ago) -> None:
        sent.append(encode(None, ago(minutes=3)))
        sent.append(encode(70.5, ago(minutes=2), user=3))
        peer.records = [*sent, sent[1]]

    async with house(FAMILY, "wss_generic", scale, prepare) as home:
        await home.sink.until(lambda: len(home.sink.rejections) == 2)
        assert [(reason, raw) for _, reason, raw in home.sink.rejections] == [
            ("failed_measurement", sent[0]),
            ("repeat", sent[1]),
        ]
        assert home.sink.values("weight") == [70.5]
        (detail,) = home.detail("reading")
        assert detail["user_id"] == 3


async def test_pounds_and_inches_are_told_in_the_units_of_the_house() -> None:
    def prepare(peer: GattPeer, ago: Ago) -> None:
        fields = (15432).to_bytes(2, "little") + date_time_bytes(ago(minutes=2))
        peer.records = [b"\x0b" + fields + (245).to_bytes(2, "little") + (689).to_bytes(2, "little")]

    async with house(FAMILY, "wss_generic", scale, prepare) as home:
        await home.sink.until(lambda: bool(home.sink.values("height")))
        assert home.sink.values("weight") == [69.998]
        assert home.sink.values("height") == [175.0]
        assert home.sink.values("bmi") == [24.5]
        (detail,) = home.detail("reading")
        assert (detail["weight"], detail["weight_unit"]) == (154.32, "[lb_av]")
