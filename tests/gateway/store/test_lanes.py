"""The arithmetic of marks and ranges, against plain sets of numbers."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.lanes import Lane, Range, runs, subtract

numbers = st.integers(1, 40)
step = st.one_of(
    st.tuples(st.just("rows"), st.integers(1, 6)),
    st.tuples(st.just("live"), st.integers(1, 6)),
    st.tuples(st.just("link_up"), st.just(0)),
    st.tuples(st.just("backlog"), st.integers(0, 9)),
    st.tuples(st.just("late"), numbers),
)


@given(st.lists(step, max_size=40), st.sets(numbers))
def test_every_number_is_acknowledged_or_missed_or_after_the_mark(
    steps: list[tuple[str, int]], unused: set[int]
) -> None:
    """The model holds delivered numbers as a set; the lane must agree after every step."""
    lane, head, delivered = Lane(0), 0, set(unused)
    holes = list(runs(sorted(unused)))
    for what, count in steps:
        if what == "rows":
            head += count
        elif what == "live" and lane.mark < head:
            acked = min(head, lane.mark + count)
            delivered |= set(range(lane.mark + 1, acked + 1))
            lane.live_acked(acked)
        elif what == "link_up":
            lane.link_up(head, holes)
        elif what == "backlog":
            missed = [seq for lo, hi in lane.missed(10, 0) for seq in range(lo, hi + 1)]
            chosen = missed[::2] if count % 2 else missed[:count]
            lane.acked(chosen)
            delivered |= set(chosen)
        elif what == "late" and count <= lane.mark and count not in unused:
            lane.came_late(count)
            delivered.discard(count)
        waiting = {seq for lo, hi in lane.ranges for seq in range(lo, hi + 1)}
        assert waiting == set(range(1, lane.mark + 1)) - delivered
        assert lane.waiting == len(waiting)
        assert all(lane.still_missed(seq) == (seq in waiting) for seq in range(1, 60))
        assert lane.ranges == sorted(lane.ranges)


@given(st.lists(st.tuples(numbers, st.integers(0, 5)), max_size=6), st.tuples(numbers, st.integers(0, 9)))
def test_subtract_is_the_difference_of_sets(parts: list[tuple[int, int]], cut: tuple[int, int]) -> None:
    kept = {seq for lo, width in parts for seq in range(lo, lo + width + 1)}
    ranges: list[Range] = list(runs(sorted(kept)))
    low, high = cut[0], cut[0] + cut[1]
    rest = {seq for lo, hi in subtract(ranges, (low, high)) for seq in range(lo, hi + 1)}
    assert rest == kept - set(range(low, high + 1))


@given(st.sets(numbers), st.integers(1, 12), st.integers(0, 40))
def test_missed_gives_the_oldest_after_a_number_and_no_more_than_asked(kept: set[int], limit: int, after: int) -> None:
    lane = Lane(50, runs(sorted(kept)))
    found = [seq for lo, hi in lane.missed(limit, after) for seq in range(lo, hi + 1)]
    assert found == [seq for seq in sorted(kept) if seq > after][:limit]


def test_only_what_changed_is_written() -> None:
    lane = Lane(30, [(1, 10), (20, 30)])
    assert not lane.dirty
    lane.acked((5,))
    gone, added = lane.changes()
    assert (set(gone), set(added)) == ({(1, 10)}, {(1, 4), (6, 10)})
    lane.saved(lane.state)
    assert not lane.dirty
