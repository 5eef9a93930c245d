"""The Battery Service (0x180F) of a connected device: one reading, told or rejected."""

from drivers.base import Device, Sink
from drivers.ble_gatt import Gatt
from drivers.hrs.frame import BATTERY_LEVEL, Rejected, battery_percent
from drivers.spot_reading import tell
from gateway.core.clock import Clock


async def read_battery(gatt: Gatt, device: Device, clock: Clock, sink: Sink) -> None:
    """Nothing where the device has no such service. LinkError when the link breaks."""
    if not gatt.has(BATTERY_LEVEL):
        return
    data = await gatt.read(BATTERY_LEVEL)
    percent = battery_percent(data)
    if isinstance(percent, Rejected):
        sink.rejected(device.id, percent.reason, data)
    else:
        tell(sink, device, clock.now(), data, {"battery": percent})
