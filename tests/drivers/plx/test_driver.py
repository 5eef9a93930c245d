"""An oximeter on a real Bluetooth stack: streams, says when it is displaced, comes back after it was out of range."""

from drivers.base import Device
from drivers.ble_values import Special
from drivers.plx.driver import FAMILY
from drivers.plx.frame import encode_continuous
from drivers.plx.peer import oximeter
from gateway.core.errors import LinkError
from gateway.core.model import Status
from tests.drivers.ble_ward import RecordingSink, ended, radio_space, running, scanning_adapter
from tests.drivers.gatt_house import SyncedClock, paris

OXIMETER = Device("d-3", "plx", "plx_generic", "virtual", "b-1", "F1:00:00:00:00:3C")


async def test_values_stream_until_the_link_is_lost_and_none_is_told_while_the_probe_is_displaced() -> None:
    clock, sink = SyncedClock(), RecordingSink()
    answers = iter(
        [
            encode_continuous(97.5, 72),
            encode_continuous(96.5, 71, measurement=0x0040),
            encode_continuous(88, 40, sensor=0x2000),
            encode_continuous(Special.NAN, Special.NAN, measurement=0x0020),
            encode_continuous(95, 70),
        ]
    )
    last = encode_continuous(95, 70)
    async with radio_space() as (space, port):
        peer = oximeter(space, clock, OXIMETER.address, lambda: paris(clock), lambda: next(answers, last))
        await peer.start()
        async with scanning_adapter(port, clock) as adapter, running(peer.run()):
            driver = FAMILY.make([OXIMETER], adapter, clock)

            async def cut() -> None:
                await sink.until(lambda: len(sink.values("spo2")) >= 3)
                peer.peripheral.disappear()

            async with running(cut()):
                assert isinstance(await ended(driver, sink), LinkError)
            peer.peripheral.reappear()
            told = len(sink.values("spo2"))
            async with running(driver.run(sink)):
                await sink.until(lambda: len(sink.values("spo2")) > told)
    spo2 = [(m.value, m.status) for m in sink.measurements if m.quantity == "spo2"]
    assert spo2[:3] == [(97.5, Status.VALID), (96.5, Status.ONGOING), (95, Status.VALID)]
    assert sink.values("pulse_rate")[:3] == [72, 71, 70]
    assert sink.kinds().count("sensor_off") == 1
    assert sink.rejections == []
