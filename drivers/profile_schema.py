"""What a device profile may say: the schema of a model's TOML file, refused as a whole when a key is unknown.

Each transport has its own part: `serial` a [framer], its [[message]]s and a [stream]; `modbus-rtu` a [modbus] section
and [[poll]]s. Fields of all of them share `Value`: what a raw number means.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.core.quantities import QUANTITIES

Type = Literal["u8", "s8", "u16", "s16", "u32", "s32", "f32"]
SIZES: dict[str, int] = {"u8": 1, "s8": 1, "u16": 2, "s16": 2, "u32": 4, "s32": 4, "f32": 4}
Order = Literal["little", "big"]
Scalar = bool | int | float | str


def _hex(text: str) -> str:
    try:
        if not bytes.fromhex(text):
            raise ValueError
    except ValueError:
        raise ValueError(f"{text!r} is not hexadecimal: two digits for each byte, as in 'B542'") from None
    return text


def _known_quantity(name: str) -> str:
    if name not in QUANTITIES:
        raise ValueError(f"unknown quantity {name!r}; known: {', '.join(sorted(QUANTITIES))}")
    return name


Hex = Annotated[str, AfterValidator(_hex)]
QuantityName = Annotated[str, AfterValidator(_known_quantity)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SerialFormat(Part):
    baud: int = Field(ge=300, le=3_000_000)
    format: Literal["8N1", "8N2", "8E1", "8O1"] = "8N1"


class DeviceSection(Part):
    """class_name: what a person calls such a device. sources: documents and captures the profile was made from."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    class_name: str = Field(alias="class")
    transport: Literal["serial", "modbus-rtu"]
    serial: SerialFormat | None = None
    sources: tuple[str, ...] = ()


class Value(Part):
    """What a raw number means: raw * scale + offset, rounded to the digits of the scale.

    null: raw numbers that mean "not measured". min, max: bounds after scaling; a value outside is refused, not clamped.
    must_equal: the only raw number accepted (a version, a constant).
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    type: Type = "u16"
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    unit: str = "1"
    null: tuple[int, ...] = ()
    min: float | None = None
    max: float | None = None
    must_equal: int | None = None
    quantity: QuantityName | None = None
    note: str = ""

    @model_validator(mode="after")
    def _unit_of_quantity(self) -> "Value":
        if self.quantity is not None and self.unit != (unit := QUANTITIES[self.quantity].unit):
            raise ValueError(f"{self.quantity} is kept in {unit!r}, this field is in {self.unit!r}")
        return self


def _refuse_twins(fields: Iterable[Value]) -> None:
    seen: set[str] = set()
    for entry in fields:
        if entry.name in seen:
            raise ValueError(f"two fields are called {entry.name}")
        seen.add(entry.name)


class MessageField(Value):
    """A field of a frame, in order. repeat: this type until the end of the data; only the last field may."""

    byte_order: Order | None = None
    repeat: Literal["to_end"] | None = None


class Length(Part):
    """Where a frame says how long it is. counts: its data alone, or the whole frame from head to tail."""

    at: int = Field(ge=0)
    type: Literal["u8", "u16"] = "u8"
    byte_order: Order = "little"
    counts: Literal["data", "frame"] = "data"


class Checksum(Part):
    """Over the bytes from `from` to the end of the data; stands right after the data."""

    kind: Literal["sum8", "xor8", "crc16_modbus", "crc16_ccitt_false"]
    start: int = Field(default=0, ge=0, alias="from")
    byte_order: Order = "little"


class Framer(Part):
    """How frames are cut out of a byte stream: head, length, data, checksum, tail."""

    head: Hex
    length: Length
    data_at: int = Field(ge=1)
    min_data: int = Field(default=0, ge=0)
    max_data: int = Field(ge=1, le=4096)
    checksum: Checksum
    tail: Hex | None = None
    byte_order: Order = "little"

    @model_validator(mode="after")
    def _fits_together(self) -> "Framer":
        head, length_end = len(bytes.fromhex(self.head)), self.length.at + SIZES[self.length.type]
        if self.length.at < head or length_end > self.data_at:
            raise ValueError(f"length must stand between the head ({head} bytes) and data_at ({self.data_at})")
        if self.min_data > self.max_data:
            raise ValueError(f"min_data {self.min_data} exceeds max_data {self.max_data}")
        return self


class Message(Part):
    field: tuple[MessageField, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _only_the_last_repeats(self) -> "Message":
        for entry in self.field[:-1]:
            if entry.repeat:
                raise ValueError(f"{entry.name} repeats to the end but is not the last field")
        _refuse_twins(self.field)
        return self


class Stream(Part):
    """Which fields of a frame are the sampled signal, and how to tell losses and bad samples.

    faults: name of a trouble to its bits in `status`. bad_samples: bits that make all samples of the frame worthless.
    saturated: bits that say that samples at the type's limits are not real. silence_s: without a valid frame for so
    long, the link counts as lost. frames_per_block: frames gathered before they are handed on.
    """

    rate_hz: float = Field(gt=0, le=10_000)
    samples: str
    sequence: str
    load: str | None = None
    status: str | None = None
    faults: dict[str, int] = Field(default_factory=dict)
    bad_samples: int = 0
    saturated: int = 0
    silence_s: float = Field(default=5.0, gt=0)
    frames_per_block: int = Field(default=5, ge=1, le=100)


class Modbus(Part):
    """Timing of one slave. timeout_ms: from the end of the request to the first byte of its answer."""

    unit: int = Field(default=1, ge=1, le=247)
    timeout_ms: int = Field(default=200, ge=10, le=5000)
    turnaround_ms: float = Field(default=5, ge=0, le=1000)
    retries: int = Field(default=2, ge=0, le=2)
    backoff_s: tuple[float, ...] = Field(default=(1, 5, 30), min_length=1)


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
        _refuse_twins(self.field)
        return self


class Vector(Part):
    """A captured or documented frame, whole as on the wire, and what it must decode to.

    poll: which request (index) a Modbus answer answers. expect: name to value, null where not measured; fields not
    named are not compared. reject: the reason for which the bytes must be refused instead.
    """

    hex: Hex
    expect: dict[str, Any] = Field(default_factory=dict)
    reject: str | None = None
    poll: int = Field(default=0, ge=0)
    source: str = ""

    @model_validator(mode="after")
    def _one_outcome(self) -> "Vector":
        if bool(self.expect) == (self.reject is not None):
            raise ValueError("say either expect or reject")
        return self


class Profile(Part):
    """One model of device, whole."""

    schema_version: Literal[1] = Field(alias="schema")
    device: DeviceSection
    framer: Framer | None = None
    message: tuple[Message, ...] = ()
    stream: Stream | None = None
    modbus: Modbus | None = None
    poll: tuple[Poll, ...] = ()
    role: dict[str, Role] = Field(default_factory=dict)
    tests: tuple[Vector, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _parts_of_its_transport(self) -> "Profile":
        if self.device.transport == "modbus-rtu":
            self._check_modbus()
        elif self.device.transport == "serial":
            self._check_serial()
        return self

    def _check_modbus(self) -> None:
        if not self.poll or self.framer or self.message or self.stream:
            raise ValueError("transport modbus-rtu takes [modbus], [[poll]] and [role], at least one [[poll]]")
        fields = [entry for poll in self.poll for entry in poll.field]
        _refuse_twins(fields)
        for entry in fields:
            if entry.role is not None and entry.role not in self.role:
                raise ValueError(f"{entry.name}: unknown role {entry.role!r}; known: {', '.join(sorted(self.role))}")
        for vector in self.tests:
            if vector.poll >= len(self.poll):
                raise ValueError(f"a test answers poll {vector.poll}, there are {len(self.poll)}")

    def _check_serial(self) -> None:
        if self.framer is None or len(self.message) != 1 or self.poll or self.modbus or self.role:
            raise ValueError("transport serial takes one [framer], one [[message]] and a [stream]")
        if self.stream is not None:
            wanted = (self.stream.samples, self.stream.sequence, self.stream.load, self.stream.status)
            names = {entry.name for entry in self.message[0].field}
            if missing := {name for name in wanted if name is not None} - names:
                raise ValueError(f"stream names no field of the message: {', '.join(sorted(missing))}")

