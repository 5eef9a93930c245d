"""One owner of one serial port: bytes stamped where they arrive, a bounded buffer, errors that say what to do.

pyserial finds, locks and sets the port up; its descriptor then hangs in the event loop, so that nothing here blocks and
a pseudo-terminal is the same code path as a wire.
"""

import asyncio
import contextlib
import errno
import logging
import os
import termios
from collections import deque
from typing import Literal

import serial
import serial.rs485

from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Stamp

log = logging.getLogger(__name__)

Format = Literal["8N1", "8N2", "8E1", "8O1"]  # data bits, parity, stop bits; no device of a ward speaks 7 bits
PARITY = {"N": serial.PARITY_NONE, "E": serial.PARITY_EVEN, "O": serial.PARITY_ODD}
BITS_PER_CHARACTER = {"8N1": 10, "8N2": 11, "8E1": 11, "8O1": 11}  # with start, parity and stop bits

READ_BYTES = 4096  # one read of the kernel's tty buffer
BUFFER_BYTES = 65_536  # 5.7 s of a 115200 baud line: far more than a healthy loop ever lags
WRITE_TIMEOUT_S = 2.0  # no flow control is used, so a port that takes nothing for this long is not there

UNPLUGGED = "check the plug and the adapter's lamp; the port is tried again by itself"

NO_RS485 = "an adapter that switches direction by itself needs none: remove rs485 = true"


def wire_seconds(clock: Clock, seconds: float) -> float:
    """What to sleep on `clock` for `seconds` of real time: a demonstration's clock does not make a wire faster."""
    return seconds * clock.speed


class SerialPort:
    """A serial port with one reader and one writer.

    path: "/dev/serial/by-id/...", or a pseudo-terminal. Closed until open(); may be opened again after an error.
    Received chunks wait, each with its own stamp, until read; beyond buffer_bytes the oldest are dropped and counted
    in dropped_bytes, because a late byte is worth less than the present one.

    rs485: let the kernel switch the direction by RTS (TIOCSRS485), as soon as the last bit has left. rs485_kernel then
    says whether it does; a port that does not offer it is used as it is, for most adapters switch by themselves.
    """

    def __init__(
        self,
        path: str,
        clock: Clock,
        *,
        name: str = "",
        baud: int = 9600,
        format: Format = "8N1",
        rs485: bool = False,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self.path = path
        self.name = name or path
        self.baud = baud
        self.format: Format = format
        self.rs485 = rs485
        self.rs485_kernel = False
        self._told_no_rs485 = False
        self.dropped_bytes = 0
        self.received_bytes = 0
        self.written_bytes = 0
        self._clock = clock
        self._buffer_bytes = buffer_bytes
        self._serial: serial.Serial | None = None
        self._chunks: deque[tuple[bytes, Stamp]] = deque()
        self._waiting_bytes = 0
        self._fault: LinkError | None = None
        self._arrival: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._serial is not None

    @property
    def character_s(self) -> float:
        """How long one character takes on the wire."""
        return BITS_PER_CHARACTER[self.format] / self.baud

    def open(self) -> None:
        """Lock, set up and listen. LinkError with a hint when the port is missing, forbidden, busy or no serial port.

        Needs a running loop; takes about a millisecond (the device is opened with O_NONBLOCK).
        """
        if self._serial is not None:
            raise LinkError(f"{self.name} is already open", hint="one owner per port: look for a second device on it")
        try:
            port = serial.Serial(
                self.path, self.baud, parity=PARITY[self.format[1]], stopbits=int(self.format[2]), timeout=0,
                write_timeout=0, exclusive=True,
            )  # fmt: skip
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            raise self._cannot_open(error) from error
        self._serial = port
        self._fault = None
        self.discard()
        if self.rs485:
            self._switch_by_kernel(port)
        asyncio.get_running_loop().add_reader(port.fileno(), self._readable)

    def close(self) -> None:
        """Stop listening and let the port go; safe to call twice. Unsent bytes are dropped: nothing here waits."""
        port, self._serial = self._serial, None
        if port is None:
            return
        self._unhook(port)
        with contextlib.suppress(OSError, termios.error):  # already unplugged: nothing is left to flush
            port.reset_output_buffer()
        port.close()
        self._wake()

    def _switch_by_kernel(self, port: serial.Serial) -> None:
        try:
            port.rs485_mode = serial.rs485.RS485Settings(delay_before_tx=0.0, delay_before_rx=0.0)
            self.rs485_kernel = True
        except ValueError as error:  # pyserial's word for a refused ioctl
            self.rs485_kernel = False
            port.rs485_mode = None
            level = logging.DEBUG if self._told_no_rs485 else logging.WARNING
            self._told_no_rs485 = True
            log.log(level, "%s (%s) has no RS-485 mode in the kernel: %s; %s", self.name, self.path, error, NO_RS485)

    async def read(self) -> tuple[bytes, Stamp]:
        """The next chunk and the moment it arrived. LinkError once the port is gone and all it gave has been read."""
        while True:
            if (chunk := self._take()) is not None:
                return chunk
            await asyncio.shield(self._expect())  # a reader that gives up must not cancel the port's own future

    async def read_within(self, seconds: float) -> tuple[bytes, Stamp] | None:
        """As read(), or None when `seconds` of the clock have gone by without a byte."""
        if (chunk := self._take()) is not None:
            return chunk
        if seconds > 0:
            await self._race(self._expect(), seconds)
        return self._take()

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the kernel without blocking the loop. LinkError when the port is gone or takes nothing."""
        rest = memoryview(data)
        while rest:
            port = self._opened()
            try:
                taken = os.write(port.fileno(), rest)
                self.written_bytes += taken
                rest = rest[taken:]
            except BlockingIOError:
                await self._await_room(port.fileno(), unsent=len(rest))
            except OSError as error:
                raise self._gone(error) from error

    def discard(self) -> int:
        """Throw away what has been received and not yet read; how many bytes that was."""
        count = self._waiting_bytes
        self._chunks.clear()
        self._waiting_bytes = 0
        return count

    def _readable(self) -> None:
        port = self._serial
        if port is None:
            return
        try:
            data = os.read(port.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._break(port, self._gone(error))
            return
        if not data:  # end of file: the other end of a pseudo-terminal, or an adapter that hung up
            self._break(port, LinkError(f"{self.name} ({self.path}) was unplugged: end of file", hint=UNPLUGGED))
            return
        self._keep(data)

    def _keep(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self._chunks.append((data, self._clock.now()))
        self._waiting_bytes += len(data)
        while self._waiting_bytes > self._buffer_bytes and len(self._chunks) > 1:  # full: the oldest go, counted
            oldest, _ = self._chunks.popleft()
            self._waiting_bytes -= len(oldest)
            self.dropped_bytes += len(oldest)
        self._wake()

    def _take(self) -> tuple[bytes, Stamp] | None:
        if self._chunks:
            data, at = self._chunks.popleft()
            self._waiting_bytes -= len(data)
            return data, at
        self._opened()
        return None

    def _opened(self) -> serial.Serial:
        if self._fault is not None:
            raise self._fault
        if self._serial is None:
            raise LinkError(f"{self.name} is closed", hint="open the port first; its driver does so when it starts")
        return self._serial

    def _break(self, port: serial.Serial, fault: LinkError) -> None:
        self._fault = fault
        self._unhook(port)
        self._wake()

    def _unhook(self, port: serial.Serial) -> None:
        asyncio.get_running_loop().remove_reader(port.fileno())

    def _expect(self) -> asyncio.Future[None]:
        """Resolves at the next arrival or fault. Made at once: a byte that comes before the next await still counts."""
        if self._arrival is None:
            self._arrival = asyncio.get_running_loop().create_future()
        return self._arrival

    def _wake(self) -> None:
        if self._arrival is not None:
            _resolve(self._arrival)
        self._arrival = None

    async def _race(self, future: asyncio.Future[None], seconds: float) -> bool:
        """True when `future` was done before `seconds` of the clock were over."""
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((future, timer), return_when=asyncio.FIRST_COMPLETED)
            return future.done()
        finally:
            timer.cancel()

    async def _await_room(self, fd: int, *, unsent: int) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(fd, _resolve, ready)
        try:
            in_time = await self._race(ready, wire_seconds(self._clock, WRITE_TIMEOUT_S))
        finally:
            loop.remove_writer(fd)
        if not in_time:
            message = f"{self.name} took no byte for {WRITE_TIMEOUT_S:g} s ({unsent} bytes unsent)"
            raise LinkError(message, hint=UNPLUGGED)

    def _gone(self, error: OSError) -> LinkError:
        return LinkError(f"{self.name} ({self.path}) was unplugged: {os.strerror(error.errno or 0)}", hint=UNPLUGGED)

    def _cannot_open(self, error: BaseException) -> LinkError:
        code = _code(error) or _code(error.__context__)  # pyserial drops the number of a failed tcgetattr
        what, hint = OPEN_FAILURES.get(code, (str(error), "check path, baud and format of this port in carebed.toml"))
        return LinkError(f"cannot open {self.name} ({self.path}): {what}", hint=hint)


def _code(error: BaseException | None) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    return int(error.args[0]) if isinstance(error, termios.error) else None


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


_BUSY = ("the port is in use", "another program holds it: stop it (a second carebed, ModemManager, a terminal program)")
OPEN_FAILURES: dict[int | None, tuple[str, str]] = {
    errno.ENOENT: ("no such port", "plug the adapter in; ls -l /dev/serial/by-id shows what the box sees"),
    errno.ENODEV: ("no device behind this port", "plug the adapter in again"),
    errno.ENXIO: ("no device behind this port", "plug the adapter in again"),
    errno.EACCES: ("permission denied", "add the service's user to the group dialout, then start it again"),
    errno.EPERM: ("permission denied", "add the service's user to the group dialout, then start it again"),
    errno.EBUSY: _BUSY,
    errno.EAGAIN: _BUSY,  # the exclusive lock is held
    errno.EISDIR: ("this is not a serial port", "give the path of a serial port, as ls -l /dev/serial/by-id shows it"),
    errno.ENOTTY: ("this is not a serial port", "give the path of a serial port, as ls -l /dev/serial/by-id shows it"),
}

