"""Record Access Control Point (0x2A52): asking a meter for its stored records, without I/O.

Shared by every service that keeps records (glucose, pulse oximeter, continuous glucose). Records are never deleted.
Source: Glucose Profile 1.0.1, "Record Access Control Point"; vectors in tests/vectors/ble_gls.json.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from itertools import pairwise

from drivers.hrs.frame import Rejected

RACP = "00002a52-0000-1000-8000-00805f9b34fb"

SUCCESS, NO_RECORDS = 1, 6
RESULTS = {
    1: "success",
    2: "op_code_not_supported",
    3: "invalid_operator",
    4: "operator_not_supported",
    5: "invalid_operand",
    6: "no_records_found",
    7: "abort_unsuccessful",
    8: "procedure_not_completed",
    9: "operand_not_supported",
}
UNABLE = frozenset((2, 3, 4, 5, 9))  # the meter does not know this question: another one may do

LAST_SEQUENCE = 0xFFFF
MOST_RECORDS = LAST_SEQUENCE + 1

_SEQUENCE_FILTER = 0x01


class Op(IntEnum):
    """What is asked, and the two kinds of answers."""

    REPORT = 1
    ABORT = 3
    COUNT = 4
    COUNT_ANSWER = 5
    ANSWER = 6


class Operator(IntEnum):
    """Which records are meant."""

    NONE = 0
    ALL = 1
    FROM = 3  # sequence number not less than the operand
    FIRST = 5
    LAST = 6


@dataclass(frozen=True, slots=True)
class Request:
    """A question to the meter. sequence: the least one wanted, with Operator.FROM only."""

    op: Op
    operator: Operator
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of what was asked by `request_op`."""

    request_op: int
    code: int

    @property
    def result(self) -> str:
        return RESULTS.get(self.code, "reserved")


@dataclass(frozen=True, slots=True)
class RecordCount:
    """How many records the meter holds."""

    count: int


REPORT_ALL = Request(Op.REPORT, Operator.ALL)
ABORT = Request(Op.ABORT, Operator.NONE)


def report_from(sequence: int) -> Request:
    """All records whose sequence number is at least `sequence` (0 to 65535)."""
    return Request(Op.REPORT, Operator.FROM, sequence)


def encode_request(request: Request) -> bytes:
    """What is written to the control point."""
    operand = b"" if request.sequence is None else bytes([_SEQUENCE_FILTER]) + request.sequence.to_bytes(2, "little")
    return bytes([request.op, request.operator]) + operand


def decode_request(data: bytes) -> Request | Answer:
    """The meter's end: the question, or the refusal that the meter answers with."""
    if len(data) < 2:
        return Answer(data[0] if data else 0, 5)
    op, operator = data[0], data[1]
    if op not in (Op.REPORT, Op.ABORT, Op.COUNT):
        return Answer(op, 2)
    if op == Op.ABORT:
        return ABORT
    if operator not in (Operator.ALL, Operator.FROM, Operator.FIRST, Operator.LAST):
        return Answer(op, 4 if operator else 3)
    if operator != Operator.FROM:
        return Request(Op(op), Operator(operator)) if len(data) == 2 else Answer(op, 5)
    if len(data) != 5:
        return Answer(op, 5)
    if data[2] != _SEQUENCE_FILTER:
        return Answer(op, 9)
    return Request(Op(op), Operator.FROM, int.from_bytes(data[3:5], "little"))


def decode_answer(data: bytes) -> Answer | RecordCount | Rejected:
    """What the meter indicates. Never raises."""
    if len(data) < 4:
        return Rejected("truncated")
    if data[1] != Operator.NONE:
        return Rejected("operator_not_null")
    if data[0] == Op.ANSWER:
        return Answer(data[2], data[3]) if len(data) == 4 else Rejected("too_long")
    if data[0] == Op.COUNT_ANSWER:
        if len(data) not in (4, 6):
            return Rejected("count_length")
        return RecordCount(int.from_bytes(data[2:], "little"))
    return Rejected("no_answer_op")


def encode_answer(answer: Answer | RecordCount) -> bytes:
    """The meter's end."""
    if isinstance(answer, RecordCount):
        return bytes([Op.COUNT_ANSWER, 0]) + answer.count.to_bytes(2 if answer.count < 0x10000 else 4, "little")
    return bytes([Op.ANSWER, 0, answer.request_op, answer.code])


class Outcome(Enum):
    """How a collection ended."""

    COMPLETE = "complete"
    BUSY = "busy"  # the meter gave up half way: ask again later
    REFUSED = "refused"  # it refuses even to report all


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest record fetched so far. identity: what tells it from another record with the same number."""

    sequence: int
    identity: bytes


class Collection:
    """One visit to a meter: which question comes next, and up to where the records are safe with us.

    Asked are the records from the newest known one on. That one comes once more, and so proves that the meter still
    counts as it did: where it is missing or is another (a changed battery starts the numbers anew), all are asked for.
    Whoever takes the records drops those it has had.
    """

    def __init__(self, mark: Mark | None) -> None:
        self._known = mark
        self._request = REPORT_ALL if mark is None or mark.sequence >= LAST_SEQUENCE else report_from(mark.sequence)
        self._records: list[Mark] = []  # of the present question; bounded by MOST_RECORDS: what comes then is refused
        self._complete = False

    @property
    def request(self) -> Request:
        """The question to write now."""
        return self._request

    @property
    def mark(self) -> Mark | None:
        """Where the next visit may begin. Half way through, only records that came in rising order are safe."""
        if not self._records:
            return self._known
        if self._complete:
            return max(self._records, key=lambda record: record.sequence)
        numbers = [record.sequence for record in self._records]
        rising = len(numbers) > 1 and all(a < b for a, b in pairwise(numbers))
        proved = self._request == REPORT_ALL or self._records[0] == self._known
        return self._records[-1] if rising and proved else self._known

    def record(self, record: Mark) -> bool:
        """One record came; False when the meter has sent more of them than there are numbers."""
        if len(self._records) >= MOST_RECORDS:
            return False
        self._records.append(record)
        return True

    def answer(self, answer: Answer) -> Request | Outcome:
        """The meter has finished with the question: the next one, or how it ended."""
        if answer.code in UNABLE:
            return Outcome.REFUSED if self._request == REPORT_ALL else self._ask_all()
        if answer.code not in (SUCCESS, NO_RECORDS):
            return Outcome.BUSY
        if self._request != REPORT_ALL and self._known not in self._records:
            return self._ask_all()
        self._complete = True
        return Outcome.COMPLETE

    def _ask_all(self) -> Request:
        self._request, self._records = REPORT_ALL, []
        return REPORT_ALL
