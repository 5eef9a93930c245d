"""The module's end of the wire: a person measures at the kiosk, the module says "done" and answers what it is asked."""

from collections.abc import Sequence

from drivers.answer_peer import AnswerPeer
from drivers.suntech.frame import GET_CUFF, GET_RESULT, HOST, Cuff, Reply, Result, encode, encode_command
from gateway.core.clock import Clock


class SuntechPeer(AnswerPeer):
    """A virtual module. result: of the last measurement. busy: so many requests are answered with "busy" first."""

    def __init__(self, fd: int, clock: Clock, *, seed: int = 0, share: float = 0.0) -> None:
        super().__init__(fd, clock, seed=seed, share=share)
        self.result = Result(0, 0, 0, 0, 0, 0, 0)
        self.busy = 0
        self._buffer = b""

    async def measured(self, result: Result) -> None:
        """A measurement that a person started is done."""
        self.result = result
        await self.line.write(encode(Reply("done")))

    def requests(self, data: bytes) -> Sequence[bytes]:
        known = (encode_command(GET_RESULT), encode_command(GET_CUFF))
        self._buffer += data
        found = []
        while (at := self._buffer.find(HOST)) >= 0 and len(self._buffer) - at >= len(known[0]):
            frame = self._buffer[at : at + len(known[0])]
            self._buffer = self._buffer[at + (len(frame) if frame in known else 1) :]
            if frame in known:
                found.append(frame)
        self._buffer = self._buffer[-8:]
        return found

    def answers(self, request: bytes) -> Sequence[bytes]:
        if self.busy:
            self.busy -= 1
            return (encode(Reply("busy")),)
        return (encode(self.result if request == encode_command(GET_RESULT) else Cuff(0)),)
