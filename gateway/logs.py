"""Where log lines go and which structured fields they may carry.

Lost once, back once: a first failure is a WARNING, its repeats are DEBUG. No vital sign and no identity of a person
above DEBUG: what a caller passes as `value` is taken out of every line above it.
"""

import logging
import sys
from typing import TextIO

FIELDS = {  # keyword to journal field; the journal wants capitals
    "bed": "CAREBED_BED",
    "device": "CAREBED_DEVICE",
    "link": "CAREBED_LINK",
    "upstream": "CAREBED_UPSTREAM",
    "alarm": "CAREBED_ALARM",
    "rule": "CAREBED_RULE",
    "part": "CAREBED_PART",
    "reason": "CAREBED_REASON",
    "count": "CAREBED_COUNT",
    "value": "CAREBED_VALUE",
}
VITAL = FIELDS["value"]
CHATTY = ("uvicorn", "uvicorn.error", "asyncio", "bleak")  # others' libraries: from WARNING on


def fields(**values: str | int | float | None) -> dict[str, str | int | float]:
    """For `extra=`: log.warning("lost %s", name, extra=logs.fields(device=name, reason="timeout")).

    KeyError for a field that is not in FIELDS, so that the same thing is found under one name.
    """
    return {FIELDS[name]: value for name, value in values.items() if value is not None}


class NoVitalSigns(logging.Filter):
    """Takes measured values out of every record above DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG:
            record.__dict__.pop(VITAL, None)
        return True


class PlainFormatter(logging.Formatter):
    """One line each, fields at the end as bed=b-1 device=belt-1; no time: the terminal or the manager has it."""

    def __init__(self) -> None:
        super().__init__("%(levelname).1s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        found = [f"{name}={getattr(record, field)}" for name, field in FIELDS.items() if hasattr(record, field)]
        first, newline, rest = text.partition("\n")  # a traceback stays below the fields
        return " ".join([first, *found]) + newline + rest


def set_up(level: str = "INFO", *, journal: logging.Handler | None = None, stream: TextIO | None = None) -> None:
    """Send everything to `journal` (see `notify.journal_handler`) or, without one, as plain lines to stderr.

    ValueError for an unknown level.
    """
    handler = journal
    if handler is None:
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(PlainFormatter())
    handler.addFilter(NoVitalSigns())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
