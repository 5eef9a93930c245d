"""What the tests of GATT meters share: a meter in the air, its driver, and the house's wall clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from drivers.base import Device, Family
from drivers.ble_link import BleAdapter
from drivers.ble_virtual_ward import RadioSpace
from drivers.gatt_peer import GattPeer
from gateway.core.clock import Anchor, Clock, SystemClock
from tests.drivers.ble_ward import RecordingSink, radio_space, running, scanning_adapter

ZONE = "Europe/Paris"


class SyncedClock(SystemClock):
    """The box's clock as after a time sync, whatever the test machine's own state is."""

    def anchor(self) -> Anchor:
        anchor = super().anchor()
        return Anchor(anchor.boot_id, anchor.mono_ns, anchor.utc_ns, 1_000_000, "ntp")


def paris(clock: Clock) -> datetime:
    """The wall clock of the house, without the fraction of a second."""
    moment = datetime.fromtimestamp(clock.anchor().utc_ns / 1e9, tz=UTC)
    return moment.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None, microsecond=0)


@dataclass
class House:
    peer: GattPeer
    sink: RecordingSink
    clock: Clock
    device: Device

    def ago(self, **span: float) -> datetime:
        return paris(self.clock) - timedelta(**span)

    def detail(self, kind: str) -> list[dict[str, object]]:
        return [dict(event.detail) for event in self.sink.events if event.kind == kind]


@asynccontextmanager
async def house(
    family: Family[BleAdapter],
    model: str,
    make: Callable[[RadioSpace, Clock, str, Callable[[], datetime]], GattPeer],
    prepare: Callable[[GattPeer, Callable[..., datetime]], None],
) -> AsyncIterator[House]:
    """The family's driver against a peer that is switched on after `prepare` has filled it."""
    clock, sink = SyncedClock(), RecordingSink()
    device = Device("d-1", family.name, model, "virtual", "b-1", "F1:00:00:00:00:2B", {"time_zone": ZONE})
    async with radio_space() as (space, port):
        peer = make(space, clock, device.address, lambda: paris(clock))
        found = House(peer, sink, clock, device)
        prepare(peer, found.ago)
        await peer.start()
        async with scanning_adapter(port, clock) as adapter, running(peer.run()):
            driver = family.make([device], adapter, clock)
            async with running(driver.run(sink)):
                yield found
