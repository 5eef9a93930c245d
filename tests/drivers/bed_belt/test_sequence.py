"""What is lost is counted exactly, what is old is dropped, what restarts invents nothing."""

from hypothesis import given
from hypothesis import strategies as st

from drivers.bed_belt.sequence import RESET_RUN, SequenceTracker
from gateway.core.model import Stamp

START = Stamp("00000001", 10**12)
FRAME_S = 0.1


def tracker() -> SequenceTracker:
    return SequenceTracker(65536, 100.0)


def test_the_first_frame_has_nothing_before_it() -> None:
    assert tracker().lost_before(41_000, 10, START) == 0


@given(first=st.integers(0, 65535), skips=st.lists(st.integers(0, 300), min_size=1, max_size=40))
def test_samples_received_and_lost_always_add_up_to_those_sent(first: int, skips: list[int]) -> None:
    sequence = tracker()
    sequence.lost_before(first, 10, START)
    sent = 0
    received = lost = 0
    for skip in skips:
        sent += skip + 1
        before = sequence.lost_before((first + sent) % 65536, 10, START.plus_s(sent * FRAME_S))
        assert before is not None
        received += 10
        lost += before
    assert received + lost == 10 * sent


def test_duplicates_and_older_frames_are_dropped_and_lose_nothing() -> None:
    sequence = tracker()
    for number in range(100, 110):
        sequence.lost_before(number, 10, START.plus_s((number - 100) * FRAME_S))
    at = START.plus_s(0.9)
    assert sequence.lost_before(109, 10, at) is None
    assert sequence.lost_before(105, 10, at) is None
    assert sequence.lost_before(109, 10, at) is None
    assert sequence.lost_before(110, 10, START.plus_s(1.0)) == 0
    assert sequence.resets == 0


def test_a_reset_belt_is_followed_and_the_loss_is_what_time_has_room_for() -> None:
    sequence = tracker()
    sequence.lost_before(20_000, 10, START)
    assert sequence.lost_before(0, 10, START.plus_s(3.0)) == 290
    assert sequence.lost_before(1, 10, START.plus_s(3.1)) == 0
    assert sequence.resets == 1


def test_a_belt_reset_in_its_first_seconds_is_followed_once_it_counts_on() -> None:
    sequence = tracker()
    for number in range(11):
        sequence.lost_before(number, 10, START.plus_s(number * FRAME_S))
    results = [sequence.lost_before(n, 10, START.plus_s(1.1 + n * FRAME_S)) for n in range(RESET_RUN + 1)]
    assert results[: RESET_RUN - 1] == [None] * (RESET_RUN - 1)
    assert results[RESET_RUN - 1] == 10 * (RESET_RUN - 1)
    assert results[RESET_RUN] == 0


def test_a_jump_ahead_that_time_has_no_room_for_is_a_reset_not_an_hour_of_loss() -> None:
    sequence = tracker()
    sequence.lost_before(0, 10, START)
    assert sequence.lost_before(30_000, 10, START.plus_s(0.5)) == 40


def test_after_more_than_half_a_turn_of_the_counter_the_clock_tells_the_loss() -> None:
    sequence = tracker()
    sequence.lost_before(0, 10, START)
    assert sequence.lost_before(5, 10, START.plus_s(7200)) == 719_990
