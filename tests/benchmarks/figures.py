"""A figure with its bar, and the report that every benchmark and evaluation writes."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. bar: from the issue, None where the issue states none. better: which way is good. note: what
    stands beside it in the table, as who wins a comparison."""

    name: str
    value: float
    unit: str
    bar: float | None
    better: Literal["lower", "higher"]
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None where there is no bar."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.better == "lower" else self.value >= self.bar


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def machine() -> str:
    """The machine in one line: figures without it mean little."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}, Python {platform.python_version()}"


def report(name: str, figures: Sequence[Figure]) -> dict[str, object]:
    """The document written with --json."""
    return {"name": name, "machine": machine(), "figures": [document(f) for f in figures]}


def document(figure: Figure) -> dict[str, object]:
    """A figure's keys and values; the note only where there is one."""
    values = {**asdict(figure), "met": figure.met}
    if not figure.note:
        del values["note"]
    return values


def table(figures: Sequence[Figure]) -> str:
    """The same for people."""
    width = max(len(figure.name) for figure in figures)
    lines = []
    for figure in figures:
        verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
        bar = "" if figure.bar is None else f"{'≤' if figure.better == 'lower' else '≥'} {figure.bar:g}"
        beside = f"{bar:<10} {verdict:<6} {figure.note}"
        lines.append(f"{figure.name:<{width}}  {figure.value:>12.4g} {figure.unit:<10} {beside}".rstrip())
    return "\n".join(lines)


def write(name: str, figures: Sequence[Figure], path: Path | None) -> None:
    """Print the table and write the JSON document."""
    print(f"{name} on {machine()}\n\n{table(figures)}")
    if path is not None:
        path.write_text(json.dumps(report(name, figures), indent=1) + "\n", encoding="utf-8")
