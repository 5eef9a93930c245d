"""Rows that could not be kept, counted until there is room to say so: a loss is never silent."""

from collections.abc import Iterator
from dataclasses import replace

from gateway.core.model import Gap

Key = tuple[str, str, str | None, str | None]
MAX_ENTRIES = 1000  # streams × beds × devices × reasons stays far below; beyond it, entries lose bed and device


class Losses:
    """One Gap for each what, reason, bed and device, from the first loss on."""

    def __init__(self) -> None:
        self._gaps: dict[Key, Gap] = {}

    def __len__(self) -> int:
        return len(self._gaps)

    def add(self, gap: Gap) -> None:
        """Count one more loss; the stamp of the earliest stays."""
        key: Key = (gap.what, gap.reason, gap.bed, gap.device)
        if key not in self._gaps and len(self._gaps) >= MAX_ENTRIES:
            gap = replace(gap, bed=None, device=None)
            key = (gap.what, gap.reason, None, None)
        known = self._gaps.get(key)
        self._gaps[key] = replace(known, lost=known.lost + gap.lost) if known else gap

    def take(self) -> Iterator[Gap]:
        """Every gap, once; what cannot be written must be added again."""
        gaps, self._gaps = self._gaps, {}
        yield from gaps.values()
