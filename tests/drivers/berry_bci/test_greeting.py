"""A device that stops unless it is asked again (GitHub issue tobiasisenberg/OxiVis#2: in less than a minute)."""

import itertools

from drivers.base import Device
from drivers.berry_bci.driver import CONTEC_NOTIFY, CONTEC_WRITE, FAMILY_BLE
from drivers.berry_bci.frame import ContecParams, encode_contec
from drivers.berry_bci.peer import BleOximeterPeer
from gateway.core.clock import ScaledClock, SystemClock
from tests.drivers import ble_ward


async def test_a_cms50d_bt_is_asked_again_before_it_falls_silent() -> None:
    clock = ScaledClock(20.0, origin_real_ns=SystemClock().real_ns(), origin_utc_ns=0)
    sink = ble_ward.RecordingSink()
    device = Device("d-0E", "berry_bci_ble", "contec_cms50d_bt", "virtual", "b-1", "F1:00:00:00:00:0E")
    frames = itertools.repeat(encode_contec(ContecParams(6, 71, 98)))
    async with ble_ward.radio_space() as (space, port):
        uuids = ("0000ff00-0000-1000-8000-00805f9b34fb", CONTEC_WRITE, CONTEC_NOTIFY)
        peer = BleOximeterPeer(space, clock, device.address, frames, per_note=8, uuids=uuids, name="CMS50D-BT")
        await peer.start()
        async with (
            ble_ward.scanning_adapter(port, clock) as adapter,
            ble_ward.running(peer.run(pause_s=1.0), FAMILY_BLE.make([device], adapter, clock).run(sink)),
        ):
            started = clock.now()
            await sink.until(lambda: len(peer.written) == 3)
            took_s = clock.now().since_s(started)
    assert set(peer.written) == {bytes.fromhex("9B011C")}
    assert 40 <= took_s < 3 * 60, "a device that is not asked for a minute is silent"
