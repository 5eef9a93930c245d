"""python -m tests.evaluation NAME DIR --json FILE --report FILE.html: prints a table and exits 0 when it ran."""

import argparse
import importlib
from pathlib import Path

from tests.benchmarks.figures import machine, write
from tests.evaluation.report import Report

QUESTIONS = ("pulse", "respiration", "bed", "night")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evaluation", description=__doc__)
    parser.add_argument("name", choices=QUESTIONS, help="the question")
    parser.add_argument("directory", type=Path, metavar="DIR", help="recordings, one folder a set")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write a page with tables and plots")
    options = parser.parse_args()
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is no directory; expected one with folders such as bidmc or bed_nights")
    report = Report(options.name)
    figures = importlib.import_module(f"tests.evaluation.{options.name}").evaluate(options.directory, report)
    for text in report.not_asked:
        print(f"not asked: {text}")
    if not figures:
        parser.error(f"{options.directory} holds none of the recordings that {options.name} asks for")
    write(options.name, figures, options.json)
    if options.report is not None:
        options.report.write_text(report.html(figures, machine()), encoding="utf-8")
        print(f"\nreport: {options.report}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
