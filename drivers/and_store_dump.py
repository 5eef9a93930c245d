"""A&D's UA, UT and UC series: what their GATT services ask of a gateway besides the standard's own steps.

Source: flow of obniz UA651BLE and UT201BLE, GATT dump in ThingML-BLE. `02 00 E1` asks for all stored records.
"""

from drivers.ble_gatt import Gatt

CUSTOM = "233bf001-5a34-1b6d-975c-000d5690abe4"
SEND_ALL = bytes.fromhex("0200e1")


async def ask_for_all(gatt: Gatt) -> None:
    """Before the time is written; an older firmware without the characteristic sends everything by itself."""
    if gatt.has(CUSTOM):
        await gatt.write(CUSTOM, SEND_ALL)


HOOKS = {"and_store_dump": ask_for_all}
