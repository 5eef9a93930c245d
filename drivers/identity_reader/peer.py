"""A virtual reader: somebody lays a card on it, or shows it a code, with faults on demand."""

from drivers.faulty_line import FaultyLine
from drivers.identity_reader import frame
from gateway.core.clock import Clock

REPEAT_S = 0.1  # between two frames while a card lies there
NUMBER = "62E3086CED"  # of the card in the data sheet
RESIDENT = "p-4T8W2K9M"


def shown_by(kind: str, number: str = NUMBER) -> bytes:
    """What a model of this kind sends for a card with this number (ten hexadecimal digits), or for our own label."""
    short = number[-8:]
    return {
        "em4100_frame": frame.encode_em4100(number),
        "card_bcc_frame": frame.encode_bcc(number),
        "card_uid_hex_line": short.encode("ascii") + b"\r\n",
        "card_uid_decimal_line": f"{int(short, 16):010d}\r\n".encode("ascii"),
        "scanned_code_line": frame.encode_label(RESIDENT) + b"\r",
    }[kind]


class ReaderPeer:
    """The device on `fd`."""

    def __init__(self, fd: int, clock: Clock, *, repeat_s: float = REPEAT_S, seed: int = 0, share: float = 0.0) -> None:
        self.line = FaultyLine(fd, clock, seed=seed, share=share)
        self._clock = clock
        self._repeat_s = repeat_s

    async def show(self, sent: bytes, *, times: int = 5) -> None:
        """A card lies there for so many frames. OSError once the pseudo-terminal is gone."""
        for _ in range(times):
            await self.line.write(sent)
            await self._clock.sleep(self._repeat_s)
