"""Log lines: fields by one name each, and no vital sign above DEBUG."""

import io
import logging
from collections.abc import Iterator

import pytest

from gateway import logs


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(level: int, **values: str | float) -> str:
    stream = io.StringIO()
    logs.set_up("DEBUG", stream=stream)
    logging.getLogger("drivers.bed_belt").log(level, "lost %s", "belt-1", extra=logs.fields(**values))
    return stream.getvalue()


def test_a_line_carries_level_room_message_and_fields() -> None:
    line = written(logging.WARNING, device="belt-1", reason="timeout")
    assert line == "W drivers.bed_belt: lost belt-1 device=belt-1 reason=timeout\n"


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_no_vital_sign_is_written_above_debug(level: int) -> None:
    assert "71.5" not in written(level, device="belt-1", value=71.5)


def test_a_vital_sign_may_be_written_at_debug() -> None:
    assert "value=71.5" in written(logging.DEBUG, value=71.5)


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_the_journal_gets_structured_fields_and_no_vital_sign_above_debug() -> None:
    journal = Kept()
    logs.set_up("INFO", journal=journal)
    logging.getLogger("x").warning("w", extra=logs.fields(bed="b-1", value=71.5))
    assert journal.records[0].__dict__["CAREBED_BED"] == "b-1"
    assert "CAREBED_VALUE" not in journal.records[0].__dict__


def test_a_field_under_a_name_of_its_own_is_refused() -> None:
    with pytest.raises(KeyError):
        logs.fields(bett="b-1")


def test_an_absent_field_is_left_out() -> None:
    assert logs.fields(bed=None, device="d") == {"CAREBED_DEVICE": "d"}


def test_a_traceback_stays_below_the_line_with_the_fields() -> None:
    stream = io.StringIO()
    logs.set_up("INFO", stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("x").exception("failed", extra=logs.fields(part="store"))
    first, second, *_ = stream.getvalue().splitlines()
    assert first == "E x: failed part=store"
    assert second.startswith("Traceback")


def test_chatty_libraries_are_heard_from_warning_on_only() -> None:
    stream = io.StringIO()
    logs.set_up("DEBUG", stream=stream)
    logging.getLogger("uvicorn.error").info("Started server process")
    assert stream.getvalue() == ""
