"""What a virtual device hears on its end of a wire, until its port is gone."""

import asyncio
import errno
import os
from collections.abc import Callable

READ_BYTES = 4096


async def hear(fd: int, take: Callable[[bytes], None]) -> None:
    """Hand to `take` what arrives on `fd`, until cancelled. OSError once the port is gone: a pulled adapter is told as
    readable with nothing to read, for ever."""
    loop = asyncio.get_running_loop()
    broken: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        try:
            arrived = os.read(fd, READ_BYTES)
            if not arrived:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        except BlockingIOError:
            return
        except OSError as error:
            loop.remove_reader(fd)
            broken.set_exception(error)
            return
        take(arrived)

    loop.add_reader(fd, readable)
    try:
        await broken
    finally:
        loop.remove_reader(fd)
