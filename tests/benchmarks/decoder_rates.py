"""How many frames a second each decoder takes from a line, on one core, whole frames of the vectors one behind another.

CPU time counts, not the wall clock: what else the machine does is none of a decoder's business.
"""

import time
from collections.abc import Callable

import numpy as np

from drivers.byte_stream import ByteStream
from drivers.modbus_rtu.frame import answer, search
from drivers.modbus_rtu.registers import decode as decode_registers
from drivers.modbus_rtu.registers import request_of
from drivers.polar_pmd import frame as pmd
from drivers.polar_pmd.peer import FRAME_SAMPLES, RANGE_MG
from tests.benchmarks.figures import Figure
from tests.fuzz.corpus import profiles
from tests.fuzz.properties import is_good
from tests.fuzz.targets import Stream, streams

CODE_BAR, PROFILE_BAR, PMD_BAR = 50_000.0, 20_000.0, 15_000.0
CHUNK_BYTES = 256  # what a serial port gives at once
FRAMES, TRIES, LEAST_S = 2_000, 3, 0.2


def measure() -> list[Figure]:
    """Every stream decoder, every Modbus map, PMD acceleration."""
    found = [figure for target in streams() if (figure := _stream(target)) is not None]
    return [*found, *_modbus(), _pmd()]


def _stream(target: Stream) -> Figure | None:
    """None for a decoder without one good frame among its vectors."""
    good = [frame for frame in target.frames if is_good(target, frame)]
    if not good:
        return None
    frames = (good * (1 + FRAMES // len(good)))[:FRAMES]
    line = b"".join(frames)
    chunks = [line[at : at + CHUNK_BYTES] for at in range(0, len(line), CHUNK_BYTES)]

    def run() -> None:
        decoder = target.make()
        for chunk in chunks:
            decoder.feed(chunk)

    code = isinstance(target.make(), ByteStream)
    bar = CODE_BAR if code else PROFILE_BAR
    return _figure(f"decoder {target.name} ({'code' if code else 'profile'})", run, len(frames) * target.parts, bar)


def _modbus() -> list[Figure]:
    """From the bytes of an answer to values by name, for each poll of each map."""
    found = []
    for _, profile in profiles():
        for number, poll in enumerate(profile.poll):
            request = request_of(poll, 1)
            reply = answer(request, bytes(request.data_bytes))

            def run(request=request, reply=reply, poll=poll) -> None:  # type: ignore[no-untyped-def]
                for _ in range(FRAMES):
                    answered, _ = search(request, reply)
                    assert answered is not None
                    decode_registers(poll, answered.data)

            found.append(_figure(f"decoder modbus {profile.device.id}/{number} (profile)", run, FRAMES, PROFILE_BAR))
    return found


def _pmd() -> Figure:
    """Compressed acceleration as a Verity sends it: 36 samples of three axes a frame."""
    moves = np.cumsum(np.random.default_rng(0).integers(-60, 60, (FRAME_SAMPLES, 3)), axis=0)
    data_mg = np.clip(moves, -RANGE_MG, RANGE_MG).astype(np.int16)
    data = pmd.encode_acceleration(1, data_mg)
    assert isinstance(pmd.decode_data(data), pmd.Acceleration)

    def run() -> None:
        for _ in range(FRAMES):
            pmd.decode_data(data)

    return _figure("decoder polar_pmd, 36 compressed samples", run, FRAMES, PMD_BAR)


def _figure(name: str, run: Callable[[], None], frames: int, bar: float) -> Figure:
    """The best of a few tries, each long enough for the clock."""
    return Figure(name, max(_rate(run, frames) for _ in range(TRIES)), "frames/s", bar, "higher")


def _rate(run: Callable[[], None], frames: int) -> float:
    began, turns = time.process_time(), 0
    while (spent_s := time.process_time() - began) < LEAST_S:
        run()
        turns += 1
    return turns * frames / spent_s
