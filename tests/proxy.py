"""A TCP proxy between a client and a server that can be cut, refuse, swallow everything, or cut after so many bytes."""

import asyncio
from contextlib import suppress


class Proxy:
    """`await start()`, then clients connect to `port`. All modes may be changed at any time.

    black_hole: bytes are read and thrown away both ways, connections stay open. refuse: new connections are closed.
    cut_after: the bytes towards the server (client's side) after which every connection is cut, once.
    cut_back_after: the same for the bytes that come back.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.black_hole = False
        self.refuse = False
        self.cut_after: int | None = None
        self.cut_back_after: int | None = None
        self.connections = 0
        self.cuts = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def cut(self) -> None:
        """Reset every connection now."""
        self.cuts += 1
        for writer in list(self._writers):
            writer.transport.abort()

    async def stop(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        for source, sink, forward in ((reader, up_writer, True), (up_reader, writer, False)):
            task = asyncio.get_running_loop().create_task(self._copy(source, sink, forward))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, forward: bool) -> None:
        with suppress(ConnectionError):
            while data := await source.read(4096):
                if self.black_hole:
                    continue
                if self._over(forward, len(data)):
                    self.cut()
                    return
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
        self._writers.discard(sink)

    def _over(self, forward: bool, count: int) -> bool:
        """Count down, and cut once when the limit is reached."""
        if forward and self.cut_after is not None:
            self.cut_after -= count
            if self.cut_after <= 0:
                self.cut_after = None
                return True
        if not forward and self.cut_back_after is not None:
            self.cut_back_after -= count
            if self.cut_back_after <= 0:
                self.cut_back_after = None
                return True
        return False
