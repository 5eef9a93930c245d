"""A peer that speaks just enough MQTT 5 to say what a real broker says only on its worst day."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 0x10, 0x30, 0x80, 0xC0
ACCEPT = bytes((0x20, 0x03, 0x00, 0x00, 0x00))


def refusal(code: int) -> bytes:
    """CONNACK with a reason code."""
    return bytes((0x20, 0x03, 0x00, code, 0x00))


def disconnect(code: int, server_reference: str = "") -> bytes:
    """DISCONNECT with a reason code and, when given, where to go."""
    reference = server_reference.encode()
    properties = b"\x1c" + len(reference).to_bytes(2, "big") + reference if reference else b""
    body = bytes((code, len(properties))) + properties
    return bytes((0xE0, len(body))) + body


class FakeBroker:
    """connack: the answer to CONNECT (any bytes). puback: reason code by topic, None for no PUBACK at all."""

    def __init__(self, *, connack: bytes = ACCEPT, puback: Callable[[str], int | None] = lambda _: 0) -> None:
        self.port = 0
        self.connack = connack
        self.connections = 0
        self.topics: list[str] = []
        self._puback = puback
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> "FakeBroker":
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def say(self, packet: bytes) -> None:
        """Send to the newest connection."""
        self._writers[-1].write(packet)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await _packet(reader)
                writer.write(self._answer(kind, body))
                await writer.drain()

    def _answer(self, kind: int, body: bytes) -> bytes:
        if kind & 0xF0 == CONNECT:
            return self.connack
        if kind & 0xF0 == SUBSCRIBE:
            return bytes((0x90, 0x05)) + body[:2] + bytes((0x00, 0x01, 0x01))
        if kind & 0xF0 == PINGREQ:
            return bytes((0xD0, 0x00))
        if kind & 0xF0 == PUBLISH:
            length = int.from_bytes(body[:2], "big")
            self.topics.append(body[2 : 2 + length].decode())
            code = self._puback(self.topics[-1])
            if kind & 0x06 and code is not None:
                return bytes((0x40, 0x04)) + body[2 + length : 4 + length] + bytes((code, 0x00))
        return b""


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    (kind,) = await reader.readexactly(1)
    length, shift = 0, 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return kind, await reader.readexactly(length)
