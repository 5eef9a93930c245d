"""Which parts of a profile belong together: every one that is missing or out of place, told at once with its line.

The values are looked at as they stand in the file, so that a wrong number elsewhere hides no section out of place.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from drivers.profile_decoders import decoders, families
from gateway.toml_lines import KeyPath

Misfit = tuple[KeyPath, str]
Table = Mapping[str, Any]

PARTS = ("framer", "line", "message", "stream", "source", "dedupe", "publish_if", "modbus", "poll", "role")
ALLOWED = {
    "serial": ("framer", "line", "message", "stream"),
    "modbus-rtu": ("modbus", "poll", "role"),
    "ble-gatt": ("source", "dedupe", "publish_if"),
    "ble-adv": ("source", "dedupe", "publish_if"),
}
BLE = ("ble-gatt", "ble-adv")
OF_BLE = ("match", "bond", "time_write", "subscribe_after")  # keys of [device]
OF_CODEC, NOT_OF_CODEC = ("kind", "context"), ("poll", "source_at")  # keys of [[tests]]


def misfits(values: Table) -> Iterator[Misfit]:
    """Place and message of each. Says nothing of parts that are no tables, or of a transport that there is not."""
    device = _table(values.get("device"))
    transport = device.get("transport")
    if not isinstance(transport, str) or transport not in ALLOWED:
        return
    codec = values.get("codec")
    tests = [test for test in _list(values.get("tests")) if isinstance(test, Mapping)]
    yield from _sections(values, transport, coded=codec is not None)
    yield from _device(device, transport)
    if codec is None:
        yield from _layout(values, transport)
        yield from _keys(tests, OF_CODEC, "belongs to a model with a [codec]")
    else:
        yield from _codec(_table(codec), transport, tests)
        yield from _keys(tests, NOT_OF_CODEC, "belongs to no model with a [codec]: there is one kind of frame a test")
        if transport == "serial" and not device.get("serial"):
            yield ("device", "serial"), "a [codec] on a serial port needs device.serial: { baud, format }"


def _sections(values: Table, transport: str, *, coded: bool) -> Iterator[Misfit]:
    allowed = () if coded else ALLOWED[transport]
    whose = "a model with a [codec]" if coded else f"transport {transport}"
    for name in PARTS:
        if values.get(name) and name not in allowed:
            yield (name,), f"{whose} takes no [{name}]"


def _device(device: Table, transport: str) -> Iterator[Misfit]:
    for name in OF_BLE:
        if name in device and transport not in BLE:
            yield ("device", name), f"transport {transport} takes no device.{name}"
    if "serial" in device and transport in BLE:
        yield ("device", "serial"), f"transport {transport} takes no device.serial"
    if transport in BLE and not device.get("match"):
        yield ("device", "match"), f"transport {transport} takes device.match"


def _layout(values: Table, transport: str) -> Iterator[Misfit]:
    if transport in BLE and not values.get("source"):
        yield ("source",), f"transport {transport} takes at least one [[source]], or a [codec]"
    elif transport == "modbus-rtu" and not values.get("poll"):
        yield ("poll",), "transport modbus-rtu takes [modbus], [[poll]] and [role], at least one [[poll]]"
    elif transport == "serial":
        framer, line, message = (bool(values.get(name)) for name in ("framer", "line", "message"))
        if framer == line or framer != message:
            wanted = "transport serial takes one [framer] and its [[message]]s, or one [line], or a [codec]"
            yield ("framer" if framer else "line" if line else "message",), wanted


def _codec(codec: Table, transport: str, tests: Sequence[Table]) -> Iterator[Misfit]:
    if transport == "modbus-rtu":
        yield ("codec",), "transport modbus-rtu takes no [codec]: its registers are data"
    for name in ("notify", "write"):
        if name in codec and transport != "ble-gatt":
            yield ("codec", name), f"transport {transport} has no characteristics"
    if "greeting" in codec and (transport == "ble-adv" or (transport == "ble-gatt" and "write" not in codec)):
        yield ("codec", "greeting"), "there is no characteristic to write it to: codec.write"
    if "greeting_every_s" in codec and (transport != "ble-gatt" or "greeting" not in codec):
        yield ("codec", "greeting_every_s"), "belongs to a ble-gatt device with a codec.greeting"
    family, kinds = codec.get("family"), [kind for kind in _list(codec.get("kinds")) if isinstance(kind, str)]
    if not isinstance(family, str):
        return
    known = decoders(family)
    if not known:
        yield ("codec", "family"), f"{family!r} has no decoders in code; known: {', '.join(families())}"
    elif unknown := [kind for kind in kinds if kind not in known]:
        yield ("codec", "kinds"), f"{family} decodes no {', '.join(unknown)}; known: {', '.join(sorted(known))}"
    for index, test in enumerate(tests):
        if "kind" in test and test["kind"] not in kinds:
            yield ("tests", index, "kind"), f"{test['kind']!r} is none of codec.kinds: {', '.join(kinds)}"


def _keys(tests: Sequence[Table], names: Sequence[str], why: str) -> Iterator[Misfit]:
    for index, test in enumerate(tests):
        for name in names:
            if name in test:
                yield ("tests", index, name), f"{name} {why}"


def _table(value: Any) -> Table:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
