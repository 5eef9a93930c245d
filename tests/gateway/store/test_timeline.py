"""Stamps of any boot become UTC, through the right anchor, and back."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.clock import Anchor
from gateway.core.model import Stamp
from gateway.store.timeline import Timeline

S = 10**9


def anchor(boot: str, mono_s: int, utc_s: int, source: str = "ntp") -> Anchor:
    return Anchor(boot, mono_s * S, utc_s * S, S, source)


def test_a_stamp_before_the_first_sync_is_timed_by_the_first_sync() -> None:
    line = Timeline([anchor("a", 0, 0, "none"), anchor("a", 100, 5100)])
    assert line.utc_ns(Stamp("a", 10 * S)) == 5010 * S


def test_a_boot_without_any_sync_is_timed_by_what_it_believed() -> None:
    line = Timeline([anchor("a", 0, 77, "none"), anchor("b", 0, 5000)])
    found = line.anchor_of(Stamp("a", S))
    assert found is not None
    assert found.source == "none"
    assert line.utc_ns(Stamp("a", S)) == 78 * S


def test_the_nearest_anchor_wins_around_a_clock_step() -> None:
    line = Timeline([anchor("a", 0, 1000), anchor("a", 100, 9100)])
    assert line.utc_ns(Stamp("a", 49 * S)) == 1049 * S
    assert line.utc_ns(Stamp("a", 51 * S)) == 9051 * S


def test_an_unknown_boot_has_no_utc() -> None:
    assert Timeline([anchor("a", 0, 0)]).utc_ns(Stamp("b", 0)) is None


anchors = st.lists(
    st.builds(
        anchor, st.sampled_from("ab"), st.integers(0, 500), st.integers(0, 3000), st.sampled_from(("ntp", "none"))
    ),
    max_size=8,
)


@given(anchors, st.integers(0, 3500), st.integers(0, 3500), st.sampled_from("abc"), st.integers(-100, 600))
def test_windows_hold_exactly_the_stamps_whose_utc_is_in_range(
    known: list[Anchor], from_s: int, to_s: int, boot: str, mono_s: int
) -> None:
    line = Timeline(known)
    at = Stamp(boot, mono_s * S)
    utc_ns = line.utc_ns(at)
    windows = line.windows(from_s * S, to_s * S)
    inside = any(one.boot_id == boot and one.lo_ns <= at.mono_ns < one.hi_ns for one in windows)
    assert inside == (utc_ns is not None and from_s * S <= utc_ns < to_s * S)
