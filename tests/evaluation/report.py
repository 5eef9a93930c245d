"""The page that goes with the figures: text, tables and plots, whole in one file."""

import html
import io
from collections.abc import Sequence

from matplotlib.figure import Figure as Drawing  # without pyplot: no window, no toolkit

from tests.benchmarks.figures import Figure

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}table{border-collapse:"
    "collapse}td,th{border:1px solid #bbb;padding:.2rem .6rem;text-align:right}td:first-child,th:first-child{text-align"
    ":left}.missed{color:#b00020;font-weight:bold}svg{max-width:100%;height:auto}"
)


class Report:
    """Grows while a question is evaluated. not_asked: what the directory holds nothing for, in words."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.not_asked: list[str] = []
        self._parts: list[str] = []

    def section(self, title: str, text: str = "") -> None:
        self._parts.append(f"<h2>{html.escape(title)}</h2>" + (f"<p>{html.escape(text)}</p>" if text else ""))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Floats are shown with four digits."""
        lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
        lines += ["".join(f"<td>{html.escape(_cell(cell))}</td>" for cell in row) for row in rows]
        self._parts.append("<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>")

    def drawing(self, drawing: Drawing) -> None:
        """A matplotlib figure, as SVG in the page."""
        with io.StringIO() as file:
            drawing.savefig(file, format="svg", bbox_inches="tight")
            svg = file.getvalue()
        self._parts.append(svg[svg.index("<svg") :])

    def html(self, figures: Sequence[Figure], machine: str) -> str:
        verdicts = {True: "met", False: '<span class="missed">MISSED</span>', None: ""}
        rows = "".join(
            f"<tr><td>{html.escape(f.name)}</td><td>{f.value:.4g} {html.escape(f.unit)}</td>"
            f"<td>{'' if f.bar is None else ('≤ ' if f.better == 'lower' else '≥ ') + format(f.bar, 'g')}</td>"
            f"<td>{verdicts[f.met]}</td></tr>"
            for f in figures
        )
        given = "".join(f"<p>Not asked: {html.escape(text)}</p>" for text in self.not_asked)
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>carebed: {html.escape(self.name)}</title>'
            f"<style>{STYLE}</style><h1>{html.escape(self.name)}</h1><p>{html.escape(machine)}</p>{given}"
            f"<table><tr><th>figure</th><th>value</th><th>bar</th><th></th></tr>{rows}</table>{''.join(self._parts)}</html>"
        )


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def calibration(qualities: Sequence[float], errors: Sequence[float], title: str, unit: str) -> Drawing:
    """Error of what is published with quality q or better, against q: it must fall as q rises."""
    drawing = Drawing(figsize=(7, 3.5))
    left = drawing.subplots()
    right = left.twinx()
    pairs = sorted(zip(qualities, errors, strict=True))
    steps = [0.05 * i for i in range(21)]
    kept = [[error for quality, error in pairs if quality >= step] for step in steps]
    there = [(step, rest) for step, rest in zip(steps, kept, strict=True) if len(rest) >= 20]
    left.plot([s for s, _ in there], [sum(r) / len(r) for _, r in there], "o-", label="mean error")
    right.plot([s for s, _ in there], [len(r) / max(1, len(pairs)) for _, r in there], "--", color="grey")
    left.set(xlabel="quality at least", ylabel=f"mean error, {unit}", title=title, xlim=(0, 1))
    left.set_ylim(bottom=0)
    right.set(ylabel="share of the estimates", ylim=(0, 1.05))
    return drawing
