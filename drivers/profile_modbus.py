"""What a profile says of a Modbus slave: its timing, its requests, and what contacts stand for."""

from typing import Literal

from pydantic import Field, model_validator

from drivers.profile_parts import SIZES, Part, QuantityName, Scalar, Value, refuse_twins


class Modbus(Part):
    """Timing of one slave. timeout_ms: from the end of the request to the first byte of its answer.

    merge: neighbouring polls may become one read, with the registers between them; false for a slave that takes such a
    read amiss in a way that nobody sees (it answers nonsense, or restarts).
    """

    unit: int = Field(default=1, ge=1, le=247)
    timeout_ms: int = Field(default=200, ge=10, le=5000)
    turnaround_ms: float = Field(default=5, ge=0, le=1000)
    retries: int = Field(default=2, ge=0, le=2)
    backoff_s: tuple[float, ...] = Field(default=(1, 5, 30), min_length=1)
    merge: bool = True


class Role(Part):
    """What a contact stands for. A value change becomes a measurement of `quantity` (repeated every repeat_s as a sign
    of life), a change to true becomes `event`. invert: the contact is true while its input is open (normally closed:
    a broken wire counts as true). debounce: equal reads in a row that make a state."""

    quantity: QuantityName | None = None
    event: str | None = None
    detail: dict[str, Scalar] = Field(default_factory=dict)
    invert: bool = False
    debounce: int = Field(default=2, ge=1, le=20)
    repeat_s: float = Field(default=5.0, gt=0)


class PollField(Value):
    """One input (bit) or number (register), counted from the poll's address. A bit needs a role, or its own event."""

    bit: int | None = Field(default=None, ge=0, lt=2000)
    register_at: int | None = Field(default=None, ge=0, lt=125, alias="register")
    word_order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    role: str | None = None
    invert: bool | None = None
    debounce: int | None = Field(default=None, ge=1, le=20)
    event: str | None = None

    @model_validator(mode="after")
    def _bit_or_register(self) -> "PollField":
        if (self.bit is None) == (self.register_at is None):
            raise ValueError(f"{self.name} needs either bit or register")
        if self.bit is None and (self.role or self.event or self.invert is not None or self.debounce is not None):
            raise ValueError(f"{self.name}: role, event, invert and debounce belong to bits")
        return self


class Reading(Part):
    """A device that measures now and then: its values are a reading only when `counter` has changed.

    Values of `status`: idle (none yet since power-on), valid; any other is a failed measurement.
    """

    counter: str
    status: str
    valid: tuple[int, ...] = Field(min_length=1)
    idle: tuple[int, ...] = (0,)
    event: str


class Poll(Part):
    """One request asked again and again. count: inputs or registers; by default as many as the fields need."""

    function: Literal[1, 2, 3, 4]
    address: int = Field(ge=0, le=0xFFFF)
    address_base: Literal[0, 1] = 0
    count: int | None = Field(default=None, ge=1, le=2000)
    every_ms: int = Field(ge=20, le=3_600_000)
    field: tuple[PollField, ...] = Field(min_length=1)
    reading: Reading | None = None

    @property
    def bits(self) -> bool:
        return self.function in (1, 2)

    @property
    def needed(self) -> int:
        """Inputs or registers that the fields reach."""
        if self.bits:
            return 1 + max((f.bit for f in self.field if f.bit is not None), default=0)
        ends = [f.register_at + (SIZES[f.type] + 1) // 2 for f in self.field if f.register_at is not None]
        return max(ends, default=1)

    @property
    def size(self) -> int:
        return self.count or self.needed

    @model_validator(mode="after")
    def _one_request(self) -> "Poll":
        for entry in self.field:
            if (entry.bit is not None) != self.bits:
                raise ValueError(f"function {self.function} reads {'bits' if self.bits else 'registers'}: {entry.name}")
        if self.size < self.needed or self.size > (2000 if self.bits else 125):
            limit = 2000 if self.bits else 125
            raise ValueError(f"count {self.size}: the fields need {self.needed}, one request holds at most {limit}")
        names = {entry.name for entry in self.field}
        if self.reading and (missing := {self.reading.counter, self.reading.status} - names):
            raise ValueError(f"reading names no field of this poll: {', '.join(sorted(missing))}")
        refuse_twins(self.field)
        return self
