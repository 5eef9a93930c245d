"""Stamps of any boot in UTC and back, through the anchors that were kept: rows are re-timed, never re-numbered.

Within a boot the nearest anchor decides; one that was taken without any time source counts only while its boot has no
better one.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.clock import Anchor
from gateway.core.model import Stamp

FOREVER_NS = 2**62  # farther than any clock here will count


@dataclass(frozen=True, slots=True)
class Window:
    """Stamps of one boot with lo_ns <= mono_ns < hi_ns."""

    boot_id: str
    lo_ns: int
    hi_ns: int


class Timeline:
    """All anchors, by boot, in order."""

    def __init__(self, anchors: Iterable[Anchor] = ()) -> None:
        self._sourced: dict[str, list[Anchor]] = {}
        self._unsourced: dict[str, list[Anchor]] = {}
        for anchor in anchors:
            self.add(anchor)

    def add(self, anchor: Anchor) -> None:
        """Learn one more pair of boot time and UTC."""
        boots = self._unsourced if anchor.source == "none" else self._sourced
        insort(boots.setdefault(anchor.boot_id, []), anchor, key=lambda known: known.mono_ns)

    def anchor_of(self, at: Stamp) -> Anchor | None:
        """The anchor that times this stamp; None for a boot that left none."""
        anchors = self._anchors(at.boot_id)
        if not anchors:
            return None
        after = bisect_left(anchors, at.mono_ns, key=lambda anchor: anchor.mono_ns)
        near = anchors[max(0, after - 1) : after + 1]
        return min(near, key=lambda anchor: abs(anchor.mono_ns - at.mono_ns))

    def utc_ns(self, at: Stamp) -> int | None:
        """UTC in ns since 1970, None for an unknown boot."""
        anchor = self.anchor_of(at)
        return anchor.utc_ns_of(at) if anchor else None

    def windows(self, from_ns: int | None, to_ns: int | None) -> list[Window]:
        """The stamps whose UTC is in [from_ns, to_ns), as windows of each boot; None is an open end."""
        low, high = (-FOREVER_NS if from_ns is None else from_ns), (FOREVER_NS if to_ns is None else to_ns)
        boots = self._sourced.keys() | self._unsourced.keys()
        return [window for boot_id in sorted(boots) for window in self._windows_of(boot_id, low, high)]

    def _anchors(self, boot_id: str) -> list[Anchor]:
        return self._sourced.get(boot_id) or self._unsourced.get(boot_id) or []

    def _windows_of(self, boot_id: str, from_ns: int, to_ns: int) -> list[Window]:
        """Each anchor rules the stamps nearer to it than to its neighbours; windows that touch become one."""
        anchors = self._anchors(boot_id)
        found: list[Window] = []
        for index, anchor in enumerate(anchors):
            first = -FOREVER_NS if index == 0 else _border(anchors[index - 1], anchor)
            last = FOREVER_NS if index == len(anchors) - 1 else _border(anchor, anchors[index + 1])
            offset_ns = anchor.utc_ns - anchor.mono_ns
            lo_ns, hi_ns = max(first, from_ns - offset_ns), min(last, to_ns - offset_ns)
            if lo_ns >= hi_ns:
                continue
            if found and found[-1].hi_ns == lo_ns:
                lo_ns = found.pop().lo_ns
            found.append(Window(boot_id, lo_ns, hi_ns))
        return found


def _border(earlier: Anchor, later: Anchor) -> int:
    """First mono_ns that belongs to `later`: a stamp in the middle belongs to the earlier one (as `anchor_of` does)."""
    return (earlier.mono_ns + later.mono_ns) // 2 + 1
