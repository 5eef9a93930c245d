"""The box as BlueZ sees it: who may bond, the time it offers, and what happens when bluetoothd or its sockets fail."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.service import ServiceInterface
from dbus_fast.unpack import unpack_variants

from drivers import ble_time
from drivers.ble_link import BleAdapter, backend_bluez
from drivers.bluez_agent import Agent
from drivers.bluez_bus import open_bus
from drivers.bluez_host import BluezHost
from drivers.bluez_sockets import dbus_sockets
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import LinkError, PairingError
from gateway.core.model import Event
from tests.drivers.ble_ward import WAIT_S, running
from tests.drivers.fake_bluez import FakeBluez, advertising, fake_bluez

ENROLLED, STRANGER, MOMENT = "F1:00:00:00:00:01", "F1:00:00:00:00:66", "4A:00:00:00:00:01"
PULSE = "00002a37-0000-1000-8000-00805f9b34fb"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class Nurse:
    """A person before the installer's page."""

    digits: int | None = 123_456
    agrees: bool = True
    shown: list[tuple[str, int]] = field(default_factory=list)

    async def passkey(self, address: str) -> int | None:
        return self.digits

    async def confirm(self, address: str, passkey: int) -> bool:
        return self.agrees

    def show(self, address: str, passkey: int) -> None:
        self.shown.append((address, passkey))


@dataclass
class House:
    """A fake bluetoothd and the box's host beside it."""

    bluez: FakeBluez
    host: BluezHost
    events: list[Event]

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not true():
                await asyncio.sleep(0.005)

    async def ask(self, member: str, signature: str, *body: object) -> str | list[object]:
        """What the agent answered: the reply's body, or the name of its error."""
        reply = await self.bluez.ask_agent(member, signature, list(body))
        return reply.error_name or "" if reply.message_type is MessageType.ERROR else list(reply.body)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
async def bluez(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeBluez]:
    async with fake_bluez(tmp_path, monkeypatch) as fake:
        yield fake


@asynccontextmanager
async def house(bluez: FakeBluez, person: Nurse | None = None) -> AsyncIterator[House]:
    events: list[Event] = []
    host = BluezHost(
        SystemClock(), ["hci0"], allowed=lambda address: address == ENROLLED, on_event=events.append,
        now=lambda: NOON, person=person,
    )  # fmt: skip
    async with running(host.run()):
        built = House(bluez, host, events)
        await built.until(lambda: bool(bluez.applications))
        yield built


@asynccontextmanager
async def known(bluez: FakeBluez, address: str, identity: str = "") -> AsyncIterator[str]:
    """The object path of a device that BlueZ has heard."""
    device = bluez.add_device(address, PULSE, identity=identity)
    bluez._remember(device)
    yield device.path


async def test_the_agent_is_registered_with_what_the_box_can_show_and_ask(bluez: FakeBluez) -> None:
    async with house(bluez):
        assert bluez.agent is not None
        assert bluez.agent[2] == "NoInputNoOutput"
    bluez.applications.clear()
    async with house(bluez, Nurse()):
        capability = bluez.agent[2]
    assert capability == "KeyboardDisplay"


async def test_an_enrolled_device_bonds_and_is_told(bluez: FakeBluez) -> None:
    device = bluez.add_device(ENROLLED, PULSE)
    async with AsyncExitStack() as stack:
        built = await stack.enter_async_context(house(bluez))
        adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"))
        await stack.enter_async_context(running(adapter.run()))
        await stack.enter_async_context(advertising(bluez, device))
        async with asyncio.timeout(WAIT_S), adapter.connect(ENROLLED) as gatt:
            await gatt.pair()
        await built.until(lambda: built.kinds() == ["device_bonded"])
    assert device.bonded
    assert built.events[0].detail == {"address": ENROLLED}


async def test_a_stranger_is_refused_told_and_its_pairing_is_a_pairing_error(bluez: FakeBluez) -> None:
    device = bluez.add_device(STRANGER, PULSE)
    async with AsyncExitStack() as stack:
        built = await stack.enter_async_context(house(bluez))
        adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"))
        await stack.enter_async_context(running(adapter.run()))
        await stack.enter_async_context(advertising(bluez, device))
        async with asyncio.timeout(WAIT_S), adapter.connect(STRANGER) as gatt:
            with pytest.raises(PairingError):
                await gatt.pair()
    assert not device.bonded
    assert built.kinds() == ["pairing_refused"]
    assert built.events[0].detail["address"] == STRANGER


@pytest.mark.parametrize(
    ("member", "signature", "more"),
    [
        ("RequestAuthorization", "o", ()),
        ("RequestConfirmation", "ou", (123_456,)),
        ("RequestPasskey", "o", ()),
        ("DisplayPasskey", "ouq", (123_456, 0)),
        ("AuthorizeService", "os", (PULSE,)),
        ("RequestPinCode", "o", ()),
        ("DisplayPinCode", "os", ("0000",)),
    ],
)
async def test_whatever_a_stranger_asks_is_rejected(
    bluez: FakeBluez, member: str, signature: str, more: tuple[object, ...]
) -> None:
    nurse = Nurse()
    async with house(bluez, nurse) as built, known(bluez, STRANGER) as path:
        assert await built.ask(member, signature, path, *more) == "org.bluez.Error.Rejected"
        assert built.kinds() == ["pairing_refused"]
    assert nurse.shown == []


async def test_an_object_that_bluez_does_not_know_is_rejected(bluez: FakeBluez) -> None:
    async with house(bluez) as built:
        asked = await built.ask("RequestAuthorization", "o", "/org/bluez/hci0/dev_00_00_00_00_00_00")
        assert asked == "org.bluez.Error.Rejected"


async def test_a_person_reads_types_and_confirms_the_passkey(bluez: FakeBluez) -> None:
    nurse = Nurse()
    async with house(bluez, nurse) as built, known(bluez, ENROLLED) as path:
        assert await built.ask("RequestPasskey", "o", path) == [123_456]
        assert await built.ask("DisplayPasskey", "ouq", path, 654_321, 0) == []
        assert nurse.shown == [(ENROLLED, 654_321)]
        assert await built.ask("RequestConfirmation", "ou", path, 111_111) == []
        nurse.agrees = False
        assert await built.ask("RequestConfirmation", "ou", path, 111_111) == "org.bluez.Error.Rejected"


@pytest.mark.parametrize("digits", [None, -1, 1_000_000])
async def test_no_passkey_or_an_impossible_one_is_rejected(bluez: FakeBluez, digits: int | None) -> None:
    async with house(bluez, Nurse(digits)) as built, known(bluez, ENROLLED) as path:
        assert await built.ask("RequestPasskey", "o", path) == "org.bluez.Error.Rejected"


async def test_without_a_person_no_passkey_is_given(bluez: FakeBluez) -> None:
    async with house(bluez) as built, known(bluez, ENROLLED) as path:
        assert await built.ask("RequestPasskey", "o", path) == "org.bluez.Error.Rejected"


async def test_a_device_that_gives_up_takes_its_question_back(bluez: FakeBluez) -> None:
    asked = asyncio.Event()

    class Away(Nurse):
        async def passkey(self, address: str) -> int | None:
            asked.set()
            await asyncio.Event().wait()
            return None

    async with house(bluez, Away()) as built, known(bluez, ENROLLED) as path:
        question = asyncio.create_task(built.ask("RequestPasskey", "o", path))
        await asyncio.wait_for(asked.wait(), WAIT_S)
        await built.ask("Cancel", "")
        assert await asyncio.wait_for(question, WAIT_S) == "org.bluez.Error.Rejected"


async def test_a_person_who_does_not_answer_is_not_waited_for_longer_than_bluez_waits() -> None:
    clock = ManualClock()

    class Asleep(Nurse):
        async def passkey(self, address: str) -> int | None:
            await asyncio.Event().wait()
            return None

    nurse = Asleep()
    agent = Agent(clock, lambda _: True, lambda _: None, person=nurse)
    answer = asyncio.create_task(agent._ask(ENROLLED, lambda person: person.passkey(ENROLLED)))
    await clock.advance(54.0)
    assert not answer.done()
    await clock.advance(2.0)
    assert await answer is None


async def test_a_bond_of_a_stranger_made_behind_the_agents_back_is_removed(bluez: FakeBluez) -> None:
    async with house(bluez) as built, known(bluez, STRANGER) as path:
        device = bluez.devices[path]
        assert device.object is not None
        device.object.bond()
        await built.until(lambda: built.kinds() == ["pairing_refused"])
        assert device.removals == 1


async def test_an_enrolled_identity_behind_a_changing_address_keeps_its_bond(bluez: FakeBluez) -> None:
    async with house(bluez) as built, known(bluez, MOMENT, identity=ENROLLED) as path:
        device = bluez.devices[path]
        assert device.object is not None
        device.object.bond()
        await built.until(lambda: built.kinds() == ["device_bonded"])
        assert device.bonded
        assert built.events[0].detail == {"address": ENROLLED}


async def test_while_a_person_pairs_a_new_device_its_address_of_the_moment_is_allowed_and_no_other(
    bluez: FakeBluez,
) -> None:
    identity = "C0:FF:EE:00:00:01"
    async with house(bluez) as built, known(bluez, MOMENT, identity=identity) as path, known(bluez, STRANGER) as other:
        async with built.host.agent.expect(MOMENT):
            assert await built.ask("RequestAuthorization", "o", path) == []
            assert await built.ask("RequestAuthorization", "o", other) == "org.bluez.Error.Rejected"
            for one in (path, other):
                device = bluez.devices[one].object
                assert device is not None
                device.bond()
            await built.until(lambda: len(built.events) == 3)
        assert await built.ask("RequestAuthorization", "o", path) == "org.bluez.Error.Rejected"
    assert built.kinds()[:3] == ["pairing_refused", "device_bonded", "pairing_refused"]
    assert built.events[1].detail == {"address": identity}
    assert (bluez.devices[path].bonded, bluez.devices[other].bonded) == (True, False)


async def test_a_meter_reads_the_time_from_the_box(bluez: FakeBluez) -> None:
    async with house(bluez):
        ((sender, root),) = bluez.applications
        reply = await bluez.call(sender, root, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        objects = unpack_variants(reply.body[0])
        uuids = {one["UUID"]: path for path, found in objects.items() for one in found.values() if "UUID" in one}
        assert set(uuids) == {ble_time.SERVICE, ble_time.CURRENT_TIME, ble_time.LOCAL_TIME_INFORMATION}
        assert all(path.startswith(root) for path in objects)
        for uuid, value in (
            (ble_time.CURRENT_TIME, ble_time.current_time(NOON)),
            (ble_time.LOCAL_TIME_INFORMATION, b"\x00\x00"),
        ):
            read = await bluez.call(
                sender, uuids[uuid], "org.bluez.GattCharacteristic1", "ReadValue", "a{sv}", [{"mtu": Variant("q", 23)}]
            )
            assert bytes(read.body[0]) == value


async def test_while_the_box_does_not_know_the_time_no_meter_gets_one(bluez: FakeBluez) -> None:
    host = BluezHost(SystemClock(), ["hci0"], allowed=lambda _: True, on_event=lambda _: None, now=lambda: None)
    async with running(host.run()), asyncio.timeout(WAIT_S):
        await bluez.registered.wait()
        ((sender, root),) = bluez.applications
        for path in (f"{root}/service0/char0", f"{root}/service0/char1"):
            reply = await bluez.call(sender, path, "org.bluez.GattCharacteristic1", "ReadValue", "a{sv}", [{}])
            assert reply.error_name == "org.bluez.Error.Failed"


async def test_a_subscribed_meter_is_told_that_the_clock_has_jumped(bluez: FakeBluez) -> None:
    async with house(bluez) as built:
        ((sender, root),) = bluez.applications
        path = f"{root}/service0/char0"
        heard: list[bytes] = []
        async with open_bus() as bus:
            bus.bus.add_message_handler(
                lambda message: heard.append(bytes(message.body[1]["Value"].value))
                if message.member == "PropertiesChanged" and message.path == path
                else None
            )
            await bus.bus.call(_match(path))
            assert built.host.time is not None
            built.host.time.adjusted(ble_time.Reason.MANUAL)  # nobody has subscribed yet
            await bluez.call(sender, path, "org.bluez.GattCharacteristic1", "StartNotify")
            built.host.time.adjusted(ble_time.Reason.REFERENCE)
            await built.until(lambda: bool(heard))
    assert heard == [ble_time.current_time(NOON, ble_time.Reason.REFERENCE)]


def _match(path: str) -> Message:
    rule = f"type='signal',path='{path}'"
    return Message(
        destination="org.freedesktop.DBus", path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
        member="AddMatch", signature="s", body=[rule],
    )  # fmt: skip


async def test_a_restarted_bluetoothd_ends_the_host_and_the_next_run_registers_anew(bluez: FakeBluez) -> None:
    events: list[Event] = []
    host = BluezHost(SystemClock(), ["hci0"], allowed=lambda _: True, on_event=events.append, now=lambda: NOON)
    async with asyncio.timeout(WAIT_S):
        for _ in range(2):
            run = asyncio.create_task(host.run())
            await bluez.registered.wait()
            await bluez.stop()
            with pytest.raises(LinkError, match="left the bus"):
                await run
            await bluez.start()
        assert host.time is not None
        assert host.time._time._notifying is False
        assert not ServiceInterface._get_buses(host.time._time)  # a dead bus would be written to with the next change


async def test_without_bluetoothd_the_host_says_what_to_do(bluez: FakeBluez) -> None:
    await bluez.stop()
    host = BluezHost(SystemClock(), ["hci0"], allowed=lambda _: True, on_event=lambda _: None)
    with pytest.raises(LinkError) as caught:
        await host.run()
    assert "systemctl status bluetooth" in caught.value.hint


async def test_without_a_bus_the_host_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")
    host = BluezHost(SystemClock(), ["hci0"], allowed=lambda _: True, on_event=lambda _: None)
    with pytest.raises(LinkError) as caught:
        await host.run()
    assert "systemctl start dbus bluetooth" in caught.value.hint


async def test_own_connections_to_the_bus_are_counted_and_no_other_sockets(bluez: FakeBluez) -> None:
    before = dbus_sockets()
    descriptors = len(os.listdir("/proc/self/fd"))
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(open_bus())
        assert dbus_sockets() == before + 3
    server.close()
    await server.wait_closed()
    assert dbus_sockets() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors  # the counter itself leaks nothing


async def test_a_connection_and_its_end_leave_no_socket_behind(bluez: FakeBluez) -> None:
    device = bluez.add_device(ENROLLED, PULSE)
    adapter = BleAdapter("onboard", SystemClock(), backend_bluez("hci0"))
    async with running(adapter.run()), advertising(bluez, device), asyncio.timeout(WAIT_S):
        async with adapter.connect(ENROLLED):
            pass
        before = dbus_sockets()
        for _ in range(10):
            async with adapter.connect(ENROLLED):
                pass
        assert dbus_sockets() == before


async def test_leaked_connections_ask_once_for_a_clean_restart(bluez: FakeBluez) -> None:
    events, asked = list[Event](), list[str]()
    clock = SystemClock()

    async def restart() -> None:
        asked.append("restart")

    host = BluezHost(
        clock, ["hci0"], allowed=lambda _: True, on_event=events.append, restart_box=restart, socket_limit=200,
        count_sockets=lambda: 201,
    )  # fmt: skip
    async with running(host.run()), asyncio.timeout(WAIT_S):
        while not asked:
            await asyncio.sleep(0.005)
        await host._check_sockets()
    assert len(asked) == 1
    assert [event.kind for event in events] == ["box_trouble"]
    assert "201 D-Bus connections" in str(events[0].detail["reason"])


async def test_connections_up_to_the_limit_are_no_trouble(bluez: FakeBluez) -> None:
    events: list[Event] = []
    host = BluezHost(
        SystemClock(), ["hci0"], allowed=lambda _: True, on_event=events.append, socket_limit=200,
        count_sockets=lambda: 200,
    )  # fmt: skip
    await host._check_sockets()
    assert (events, host.sockets) == ([], 200)
