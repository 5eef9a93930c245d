"""What a bad cable does to bytes: the peers' side of a pseudo-terminal, with faults on demand.

For virtual devices and tests only. The gateway opens `VirtualPort.path` as it would a real port.
"""

import contextlib
import os
import pty
import tty
from collections import deque
from enum import StrEnum
from random import Random

from gateway.core.clock import Clock


class LineFault(StrEnum):
    LOST_BYTES = "lost_bytes"
    GARBAGE = "garbage"  # bytes of another device, or noise, before the frame
    WRONG_CHECKSUM = "wrong_checksum"
    HALF_FRAME = "half_frame"
    BYTE_BY_BYTE = "byte_by_byte"  # harmless: a slow adapter
    SILENCE = "silence"  # nothing of this frame is sent


class VirtualPort:
    """A pseudo-terminal pair. fd: the device's end, non-blocking; path: the gateway's end.

    The gateway's end is held open here too, so that the gateway may come and go; unplug() closes both, which a reader
    sees as an unplugged adapter.
    """

    def __init__(self) -> None:
        self.fd, self._held = pty.openpty()
        tty.setraw(self._held)
        os.set_blocking(self.fd, False)
        self.path = os.ttyname(self._held)

    def unplug(self) -> None:
        """Pull the plug; safe to call twice."""
        for fd in (self._held, self.fd):
            with contextlib.suppress(OSError):  # already pulled
                os.close(fd)
        self.fd = self._held = -1


class FaultyLine:
    """Writes to a descriptor as a line with faults does.

    share: part of all writes that is disturbed by a random fault, drawn from `seed`. next_faults: faults for the next
    writes, one each, before any random one. What the kernel does not take at once is lost, as on a wire that nobody
    listens to.
    """

    def __init__(self, fd: int, clock: Clock, *, seed: int = 0, share: float = 0.0) -> None:
        self._fd = fd
        self._clock = clock
        self._random = Random(seed)  # noqa: S311 -- noise that can be repeated, no secret
        self.share = share
        self.next_faults: deque[LineFault] = deque()
        self.silent = False
        self.written = 0
        self.sent_bytes = 0
        self.disturbed: dict[LineFault, int] = {}

    async def write(self, frame: bytes) -> LineFault | None:
        """Send one frame; the fault that hit it, if any."""
        self.written += 1
        fault = self._draw()
        if fault is not None:
            self.disturbed[fault] = self.disturbed.get(fault, 0) + 1
        if fault is LineFault.BYTE_BY_BYTE:
            for byte in frame:
                self._send(bytes((byte,)))
                await self._clock.sleep(0)
        else:
            self._send(self._disturb(frame, fault))
        return fault

    def _draw(self) -> LineFault | None:
        if self.silent:
            return LineFault.SILENCE
        if self.next_faults:
            return self.next_faults.popleft()
        if self._random.random() < self.share:
            return self._random.choice(list(LineFault))
        return None

    def _disturb(self, frame: bytes, fault: LineFault | None) -> bytes:
        at = self._random.randrange(len(frame))
        match fault:
            case LineFault.SILENCE:
                return b""
            case LineFault.HALF_FRAME:
                return frame[: max(1, len(frame) // 2)]
            case LineFault.LOST_BYTES:
                return frame[:at] + frame[at + 1 + self._random.randrange(3) :]
            case LineFault.WRONG_CHECKSUM:
                return frame[:-1] + bytes((frame[-1] ^ (1 + self._random.randrange(255)),))
            case LineFault.GARBAGE:
                return self._random.randbytes(1 + self._random.randrange(40)) + frame
            case _:
                return frame

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody reads and the kernel's buffer is full: lost
            if data and self._fd >= 0:
                self.sent_bytes += os.write(self._fd, data)
