"""The serial port over real pseudo-terminals: stamps, bounds, and errors that say what to do."""

import array
import asyncio
import fcntl
import logging
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import serial.serialposix as posix

from drivers.faulty_line import VirtualPort
from drivers.serial_link import READ_BYTES, Format, SerialPort
from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import LinkError
from tests.drivers.recording_sink import until


@pytest.fixture
def wire() -> Iterator[VirtualPort]:
    wire = VirtualPort()
    yield wire
    wire.unplug()


async def test_bytes_arrive_with_the_stamp_of_their_receipt(wire: VirtualPort) -> None:
    clock = ManualClock()
    port = SerialPort(wire.path, clock)
    port.open()
    os.write(wire.fd, b"first")
    await until(lambda: port.received_bytes == 5)
    received = clock.now()
    clock.shift(7.0)
    os.write(wire.fd, b"second")
    await until(lambda: port.received_bytes == 11)
    assert await port.read() == (b"first", received)
    assert await port.read() == (b"second", received.plus_s(7.0))
    port.close()


async def test_a_read_that_waits_gets_bytes_that_come_later(wire: VirtualPort) -> None:
    port = SerialPort(wire.path, SystemClock())
    port.open()
    reading = asyncio.create_task(port.read())
    await asyncio.sleep(0)
    os.write(wire.fd, b"x")
    async with asyncio.timeout(5):
        assert (await reading)[0] == b"x"
    port.close()


async def test_a_bounded_wait_ends_by_the_clock_and_not_before(wire: VirtualPort) -> None:
    clock = ManualClock()
    port = SerialPort(wire.path, clock)
    port.open()
    waiting = asyncio.create_task(port.read_within(0.2))
    await clock.advance(0.19)
    assert not waiting.done()
    await clock.advance(0.02)
    assert await waiting is None
    port.close()


async def test_a_reader_that_is_cancelled_leaves_the_port_usable(wire: VirtualPort) -> None:
    port = SerialPort(wire.path, SystemClock())
    port.open()
    reading = asyncio.create_task(port.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    os.write(wire.fd, b"y")
    async with asyncio.timeout(5):
        assert (await port.read())[0] == b"y"
    port.close()


async def test_written_bytes_reach_the_device(wire: VirtualPort) -> None:
    port = SerialPort(wire.path, SystemClock(), baud=115200, format="8E1")
    port.open()
    await port.write(b"\x01\x02\x00")
    assert os.read(wire.fd, 10) == b"\x01\x02\x00"
    port.close()


@pytest.mark.parametrize("format", get_args(Format))
async def test_every_format_opens_the_port(wire: VirtualPort, format: Format) -> None:
    port = SerialPort(wire.path, SystemClock(), format=format)
    port.open()
    assert port.character_s == pytest.approx((1 + 8 + (format[1] != "N") + int(format[2])) / port.baud)
    port.close()


async def test_a_large_write_waits_for_room_without_blocking_the_loop(wire: VirtualPort) -> None:
    port = SerialPort(wire.path, SystemClock())
    port.open()
    data = bytes(range(256)) * 400
    writing = asyncio.create_task(port.write(data))
    got = b""
    async with asyncio.timeout(10):
        while len(got) < len(data):
            await asyncio.sleep(0)
            try:
                got += os.read(wire.fd, 65536)
            except BlockingIOError:
                continue
        await writing
    assert got == data
    port.close()


async def test_a_port_that_takes_nothing_is_an_error_and_no_hang(wire: VirtualPort) -> None:
    clock = ManualClock()
    port = SerialPort(wire.path, clock)
    port.open()
    writing = asyncio.create_task(port.write(bytes(200_000)))
    await clock.advance(5)
    with pytest.raises(LinkError, match="took no byte"):
        await writing
    port.close()


async def test_when_nobody_reads_the_oldest_bytes_go_and_are_counted(wire: VirtualPort) -> None:
    port = SerialPort(wire.path, SystemClock(), buffer_bytes=READ_BYTES)
    port.open()
    for number in range(4):
        os.write(wire.fd, bytes([number]) * 2000)
        await until(lambda number=number: port.received_bytes == 2000 * (number + 1))  # type: ignore[misc]
    kept = b""
    while (chunk := await port.read_within(0.01)) is not None:
        kept += chunk[0]
    assert len(kept) + port.dropped_bytes == 8000
    assert len(kept) <= READ_BYTES
    assert kept.endswith(bytes([3]) * 2000)
    port.close()


async def test_unplugging_in_mid_frame_gives_what_came_and_then_says_so(wire: VirtualPort) -> None:
    port = SerialPort(wire.path, SystemClock())
    port.open()
    os.write(wire.fd, b"half a fr")
    await until(lambda: port.received_bytes == 9)
    wire.unplug()
    assert (await port.read())[0] == b"half a fr"
    with pytest.raises(LinkError, match="unplugged") as caught:
        async with asyncio.timeout(5):
            await port.read()
    assert "plug" in caught.value.hint
    port.close()
    port.close()


async def test_unplugging_wakes_a_reader_that_waits(wire: VirtualPort) -> None:
    port = SerialPort(wire.path, SystemClock())
    port.open()
    reading = asyncio.create_task(port.read())
    await asyncio.sleep(0)
    wire.unplug()
    with pytest.raises(LinkError, match="unplugged"):
        async with asyncio.timeout(5):
            await reading
    port.close()


async def test_a_missing_port_says_where_to_look(tmp_path: Path) -> None:
    port = SerialPort(str(tmp_path / "nothing"), SystemClock(), name="belt-1")
    with pytest.raises(LinkError, match=r"cannot open belt-1 .*no such port") as caught:
        port.open()
    assert "/dev/serial/by-id" in caught.value.hint


async def test_a_file_that_is_no_port_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("no port")
    with pytest.raises(LinkError, match="not a serial port"):
        SerialPort(str(path), SystemClock()).open()
    with pytest.raises(LinkError, match="not a serial port"):
        SerialPort(str(tmp_path), SystemClock()).open()


async def test_a_second_owner_is_refused(wire: VirtualPort) -> None:
    first = SerialPort(wire.path, SystemClock())
    first.open()
    with pytest.raises(LinkError, match="in use") as caught:
        SerialPort(wire.path, SystemClock()).open()
    assert "ModemManager" in caught.value.hint
    with pytest.raises(LinkError, match="already open"):
        first.open()
    first.close()
    first.open()
    first.close()


async def test_a_forbidden_port_names_the_group(wire: VirtualPort) -> None:
    if os.geteuid() == 0:
        os.chmod(wire.path, 0o600)
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    else:
        os.chmod(wire.path, 0)
    try:
        with pytest.raises(LinkError, match="permission denied") as caught:
            SerialPort(wire.path, SystemClock()).open()
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
    assert "dialout" in caught.value.hint


async def test_a_closed_port_refuses_to_read_and_write(wire: VirtualPort) -> None:
    port = SerialPort(wire.path, SystemClock())
    with pytest.raises(LinkError, match="closed"):
        await port.read()
    with pytest.raises(LinkError, match="closed"):
        await port.write(b"x")


async def test_an_adapter_plugged_in_again_is_found_by_its_steady_name(tmp_path: Path) -> None:
    steady = tmp_path / "usb-FTDI_FT232R_A50285BI-if00-port0"
    first = VirtualPort()
    steady.symlink_to(first.path)
    port = SerialPort(str(steady), SystemClock(), name="belt-1")
    port.open()
    os.write(first.fd, b"before")
    async with asyncio.timeout(5):
        assert (await port.read())[0] == b"before"
        first.unplug()
        steady.unlink()
        with pytest.raises(LinkError, match="unplugged"):
            await port.read()
    port.close()
    with pytest.raises(LinkError, match="no such port") as caught:
        port.open()
    assert "plug the adapter in" in caught.value.hint
    other = VirtualPort()  # takes the freed number, or another one: the name says which adapter it is
    second = VirtualPort()
    steady.symlink_to(second.path)
    port.open()
    os.write(other.fd, b"somebody else")
    os.write(second.fd, b"after")
    async with asyncio.timeout(5):
        assert (await port.read())[0] == b"after"
    port.close()
    for wire in (other, second):
        wire.unplug()


async def test_what_came_before_the_plug_was_pulled_is_not_read_as_if_it_came_after(tmp_path: Path) -> None:
    steady = tmp_path / "by-id"
    first, second = VirtualPort(), VirtualPort()
    steady.symlink_to(first.path)
    port = SerialPort(str(steady), SystemClock())
    port.open()
    os.write(first.fd, b"half a fra")
    await until(lambda: port.received_bytes == 10)
    first.unplug()
    port.close()
    steady.unlink()
    steady.symlink_to(second.path)
    port.open()
    os.write(second.fd, b"whole")
    async with asyncio.timeout(5):
        assert (await port.read())[0] == b"whole"
    port.close()
    second.unplug()


async def test_a_port_without_kernel_rs485_is_used_as_it_is_and_says_so_once(
    wire: VirtualPort, caplog: pytest.LogCaptureFixture
) -> None:
    port = SerialPort(wire.path, SystemClock(), rs485=True)
    for _ in range(2):
        port.open()
        assert not port.rs485_kernel
        os.write(wire.fd, b"x")
        async with asyncio.timeout(5):
            assert (await port.read())[0] == b"x"
        port.close()
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert "remove rs485 = true" in told[0].getMessage()


async def test_the_kernel_is_asked_to_switch_by_rts_without_any_delay(
    wire: VirtualPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No port of this machine has the mode: the ioctl alone is answered here (linux/serial.h, serial_rs485)."""
    asked: list[list[int]] = []
    real = fcntl.ioctl

    def ioctl(fd: int, request: int, argument: Any = 0, *rest: bool) -> Any:
        if request == posix.TIOCGRS485:
            return 0
        if request == posix.TIOCSRS485:
            assert isinstance(argument, array.array)
            asked.append(list(argument))
            return 0
        return real(fd, request, argument, *rest)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    port = SerialPort(wire.path, SystemClock(), rs485=True)
    port.open()
    assert port.rs485_kernel
    enabled, rts_on_send, rts_after_send = 1, 2, 4
    flags, delay_before_ms, delay_after_ms = asked[-1][:3]
    assert flags & (enabled | rts_on_send | rts_after_send) == enabled | rts_on_send
    assert (delay_before_ms, delay_after_ms) == (0, 0)
    port.close()
    plain = SerialPort(wire.path, SystemClock())
    asked.clear()
    plain.open()
    assert asked == []  # whoever does not ask for it gets no RTS of the kernel's
    plain.close()
