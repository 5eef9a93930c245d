"""About a minute of fuzzing in every test run; longer: python -m tests.fuzz --minutes 60."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.catalogue import FAMILIES
from gateway.core.errors import ProtocolError
from tests.fuzz import properties
from tests.fuzz.corpus import any_bytes, cases
from tests.fuzz.targets import Stream, Whole, families, kinds, streams, wholes

WHOLE_EXAMPLES, STREAM_EXAMPLES = 300, 150  # a minute in all


def everything() -> tuple[Whole | Stream, ...]:
    return (*wholes(), *streams())


def name_of(target: Whole | Stream) -> str:
    return target.name


@pytest.mark.parametrize("target", wholes(), ids=name_of)
def test_no_message_makes_a_decoder_fail(target: Whole) -> None:
    @settings(max_examples=WHOLE_EXAMPLES, database=None)
    @given(data=any_bytes(target.frames))
    def run(data: bytes) -> None:
        properties.whole(target, data)

    run()


@pytest.mark.parametrize("target", streams(), ids=name_of)
def test_no_stream_makes_a_decoder_fail_forget_or_lose_its_step(target: Stream) -> None:
    @settings(max_examples=STREAM_EXAMPLES, database=None)
    @given(data=any_bytes(target.frames), cuts=st.lists(st.integers(1, 200), max_size=12))
    def run(data: bytes, cuts: list[int]) -> None:
        properties.stream(target, data, cuts)

    run()


def test_every_family_has_a_decoder_that_is_fuzzed() -> None:
    names = [target.name for target in everything()]
    packages = families()
    assert [package for package in packages if not any(package in name for name in names)] == []
    assert {family.removesuffix("_ble") for family in FAMILIES} <= set(packages)


def test_every_kind_of_vector_is_a_starting_point() -> None:
    """Of the vector files that some family decodes."""
    used = {frame for target in everything() for frame in target.frames}
    files = {case.file for case in cases() if case.kind in kinds()}
    unused = {case.kind for case in cases() if case.file in files and case.data and case.data not in used}
    assert files
    assert unused == set()


@pytest.mark.parametrize("error", [ValueError, IndexError, OverflowError])
def test_a_decoder_that_raises_anything_but_a_refusal_is_found(error: type[Exception]) -> None:
    def decode(data: bytes) -> object:
        if len(data) == 3:
            raise error("out of step")
        raise ProtocolError("length: not three", hint="send three")

    with pytest.raises(error):
        properties.whole(Whole("broken", decode, (b"\x01\x02\x03",)), b"\x01\x02\x03")


class Forgetful:
    """A decoder that takes frames of 0x01 and two bytes, and is wrong in the way asked for."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.kept = b""
        self.buffer = b""
        self.received_bytes = self.accepted_bytes = self.skipped_bytes = 0
        self.rejected: dict[str, int] = {}

    @property
    def pending_bytes(self) -> int:
        return len(self.buffer)

    def feed(self, data: bytes) -> tuple[list[bytes], None]:
        self.received_bytes += len(data)
        self.buffer += data
        if self.fault == "memory":
            self.kept += data * 10_000
        frames = []
        while len(self.buffer) >= 3:
            if self.buffer[0] == 1:
                frames.append(self.buffer[:3])
                self.buffer = self.buffer[3:]
                self.accepted_bytes += 3
            elif self.fault == "stuck":
                break
            else:
                self.buffer = self.buffer[1:]
                self.skipped_bytes += self.fault != "counters"
        if self.fault == "chunks":
            self.skipped_bytes += len(self.buffer)
            self.buffer = b""
        return frames, None


class Waiting(Forgetful):
    """A head that announces how much follows holds back true frames."""

    def feed(self, data: bytes) -> tuple[list[bytes], None]:
        if self.buffer[:1] == b"\x02" or data[:1] == b"\x02":
            self.received_bytes += len(data)
            self.buffer += data
            if len(self.buffer) >= 12:
                self.skipped_bytes += len(self.buffer)
                self.buffer = b""
            return [], None
        return super().feed(data)


def test_a_head_that_waits_longer_than_two_frames_is_found() -> None:
    good = b"\x01\x02\x03"
    with pytest.raises(AssertionError, match="not in step"):
        properties.resynchronised(_fed(Waiting(""), b"\x02"), good)


def _fed(decoder: Waiting, data: bytes) -> Waiting:
    decoder.feed(data)
    return decoder


@pytest.mark.parametrize("fault", ["memory", "stuck", "counters", "chunks"])
def test_each_promise_can_be_broken_and_is_then_found(fault: str) -> None:
    broken = Stream(fault, lambda: Forgetful(fault), (b"\x01\x02\x03",))
    with pytest.raises(AssertionError):
        properties.stream(broken, b"\x00\x07\x01\x02\x03\x01\x02\x03\x09", [1, 4])
    properties.stream(Stream("good", lambda: Forgetful(""), broken.frames), b"\x00\x07\x01\x02\x03\x09", [1, 4])
