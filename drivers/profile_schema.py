"""What a device profile may say: the schema of a model's TOML file, refused as a whole when a key is unknown.

Each transport has its own part: `serial` a [framer] (or a [line]), its [[message]]s and perhaps a [stream];
`modbus-rtu` a [modbus] section and [[poll]]s; `ble-gatt` and `ble-adv` their [[source]]s. A model whose layout is code
has a [codec] instead of all these.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from drivers import units
from drivers.profile_ble import Match, Source
from drivers.profile_codec import Codec
from drivers.profile_modbus import Modbus, Poll, PollField, Reading, Role
from drivers.profile_parts import (
    SIZES,
    ConditionText,
    Hex,
    MessageField,
    Name,
    Order,
    Part,
    QuantityName,
    Scalar,
    Value,
    refuse_loose_ends,
    refuse_twins,
)
from gateway.core.quantities import QUANTITIES

__all__ = [
    "SIZES", "Capability", "Checksum", "Codec", "Dedupe", "DeviceSection", "Framer", "Line", "LineField", "Match",
    "Message", "MessageField", "Modbus", "Order", "Part", "Poll", "PollField", "Profile", "Reading", "Role", "Source",
    "Stream", "Value", "Vector",
]  # fmt: skip


class SerialFormat(Part):
    baud: int = Field(ge=300, le=3_000_000)
    format: Literal["8N1", "8N2", "8E1", "8O1"] = "8N1"


class Capability(Part):
    """What the device can tell of a quantity, and what not.

    range: outside of it the device is blind. latency_s: so late it tells a change. blind: in words, what it misses.
    """

    range: tuple[float, float] | None = None
    latency_s: float = Field(default=0.0, ge=0)
    blind: str = ""


class DeviceSection(Part):
    """class_name: what a person calls such a device. sources: documents and captures the profile was made from.

    like: another model of the family whose layout this one has. hook: the family's code for what is no data.
    match, bond, time_write (characteristics), subscribe_after: how a BLE device is found and met.
    capability: by quantity.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    class_name: str = Field(alias="class")
    transport: Literal["serial", "modbus-rtu", "ble-gatt", "ble-adv"]
    serial: SerialFormat | None = None
    sources: tuple[str, ...] = ()
    like: str | None = None
    hook: Name | None = None
    match: Match | None = None
    bond: Literal["none", "required", "passkey"] = "none"
    time_write: tuple[str, ...] = ()
    subscribe_after: Literal["time_write", "connect"] = "time_write"
    capability: dict[QuantityName, Capability] = Field(default_factory=dict)
    products: tuple[str, ...] = ()


class Dedupe(Part):
    """Two readings whose fields named in `key` are equal are one."""

    key: tuple[Name, ...] = Field(min_length=1)


class Length(Part):
    """Where a frame says how long it is. counts: its data alone, or the whole frame from head to tail."""

    at: int = Field(ge=0)
    type: Literal["u8", "u16"] = "u8"
    byte_order: Order = "little"
    counts: Literal["data", "frame"] = "data"


ChecksumKind = Literal["sum8", "sum8neg", "xor8", "notxor8", "crc16_modbus", "crc16_ccitt_false"]


class Checksum(Part):
    """Over the bytes from `from` to the end of the data; stands right after the data."""

    kind: ChecksumKind
    start: int = Field(default=0, ge=0, alias="from")
    byte_order: Order = "little"


class HeadChecksum(Part):
    """One byte at `at`, over all bytes before it."""

    kind: Literal["sum8", "sum8neg", "xor8", "notxor8"]
    at: int = Field(ge=1)


class Framer(Part):
    """How frames are cut out of a byte stream: head, length, data, checksum, tail.

    key_at: where the bytes stand that say which message it is. ack_mask: bits of the last key byte that only say that
    it is the answer to a question.
    """

    head: Hex
    length: Length
    data_at: int = Field(ge=1)
    min_data: int = Field(default=0, ge=0)
    max_data: int = Field(ge=1, le=4096)
    checksum: Checksum
    head_checksum: HeadChecksum | None = None
    tail: Hex | None = None
    byte_order: Order = "little"
    key_at: tuple[Annotated[int, Field(ge=0, le=64)], ...] = ()
    ack_mask: int = Field(default=0, ge=0, le=255)

    @model_validator(mode="after")
    def _fits_together(self) -> "Framer":
        head, length_end = len(bytes.fromhex(self.head)), self.length.at + SIZES[self.length.type]
        if self.length.at < head or length_end > self.data_at:
            raise ValueError(f"length must stand between the head ({head} bytes) and data_at ({self.data_at})")
        if self.min_data > self.max_data:
            raise ValueError(f"min_data {self.min_data} exceeds max_data {self.max_data}")
        if self.head_checksum and not length_end <= self.head_checksum.at < self.data_at:
            raise ValueError("head_checksum must stand between the length and data_at")
        return self


class Message(Part):
    """One kind of frame. key: by it the frame is known, or several. name: true where such a message came.

    event: told each time with the message's values.
    """

    key: Hex | tuple[Hex, ...] = ()
    name: Name | None = None
    event: Name | None = None
    field: tuple[MessageField, ...] = ()

    @property
    def keys(self) -> tuple[bytes, ...]:
        return tuple(bytes.fromhex(key) for key in ((self.key,) if isinstance(self.key, str) else self.key))

    @model_validator(mode="after")
    def _only_the_last_repeats(self) -> "Message":
        for entry in self.field[:-1]:
            if entry.repeat:
                raise ValueError(f"{entry.name} repeats to the end but is not the last field")
        refuse_twins(self.field)
        refuse_loose_ends(self.field)
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


class LineField(Part):
    """One column of a text line. decimal: a number, perhaps with a unit behind it, which `units` turns into UCUM.

    null: numbers that mean "nothing measured", such as the 0 of an empty scale.
    """

    name: Name
    column: int = Field(ge=0, le=32)
    type: Literal["decimal", "text"] = "decimal"
    unit: str = "1"
    units: dict[str, str] = Field(default_factory=dict)
    null: tuple[float, ...] = ()
    map: dict[str, Scalar] = Field(default_factory=dict)
    quantity: QuantityName | None = None

    @model_validator(mode="after")
    def _units_of_quantity(self) -> "LineField":
        wanted = QUANTITIES[self.quantity].unit if self.quantity else self.unit
        for unit in (self.unit, *self.units.values()) if self.quantity else ():
            if not units.known(unit, wanted):
                raise ValueError(f"{self.quantity} is kept in {wanted!r}, this column is in {unit!r}")
        return self


class Line(Part):
    """Lines of ASCII text, columns parted by `separator`. publish_if: texts that columns must have to be believed.

    exact_length: characters of every line where they are always as many; a lost one then costs the line.
    """

    separator: str = Field(default=",", min_length=1, max_length=4)
    max_length: int = Field(default=80, ge=4, le=512)
    exact_length: int | None = Field(default=None, ge=1, le=512)
    columns: int = Field(ge=1, le=33)
    publish_if: dict[Name, str] = Field(default_factory=dict)
    field: tuple[LineField, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _columns_are_there(self) -> "Line":
        for entry in self.field:
            if entry.column >= self.columns:
                raise ValueError(f"{entry.name}: column {entry.column} of {self.columns}, counted from 0")
        if missing := set(self.publish_if) - {entry.name for entry in self.field}:
            raise ValueError(f"publish_if names no column: {', '.join(sorted(missing))}")
        return self


class Vector(Part):
    """A captured or documented frame, whole as on the wire, and what it must decode to.

    poll: which request (index) a Modbus answer answers. source_at: which [[source]] the bytes come from. expect: name
    to value, null where not measured; fields not named are not compared. reject: the reason for which the bytes must be
    refused instead. kind, context: of a [codec]'s frame, as what it is decoded and what the bytes alone do not say
    ({ bindkey, mac }).
    """

    hex: Hex
    expect: dict[str, Any] = Field(default_factory=dict)
    reject: str | None = None
    poll: int = Field(default=0, ge=0)
    source_at: int = Field(default=0, ge=0)
    source: str = ""
    kind: str | None = None
    context: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_outcome(self) -> "Vector":
        if bool(self.expect) == (self.reject is not None):
            raise ValueError("say either expect or reject")
        return self


class Profile(Part):
    """One model of device, whole."""

    schema_version: Literal[1] = Field(alias="schema")
    device: DeviceSection
    codec: Codec | None = None
    framer: Framer | None = None
    line: Line | None = None
    message: tuple[Message, ...] = ()
    stream: Stream | None = None
    silence_s: float = Field(default=60.0, gt=0)
    source: tuple[Source, ...] = ()
    dedupe: Dedupe | None = None
    publish_if: ConditionText | tuple[tuple[ConditionText, ...], ...] = ()
    modbus: Modbus | None = None
    poll: tuple[Poll, ...] = ()
    role: dict[str, Role] = Field(default_factory=dict)
    tests: tuple[Vector, ...] = Field(min_length=1)

    @property
    def gate(self) -> tuple[tuple[str, ...], ...]:
        """publish_if as alternatives, each a list of conditions that must all hold; empty: always."""
        return ((self.publish_if,),) if isinstance(self.publish_if, str) else self.publish_if

    @model_validator(mode="after")
    def _fits_together(self) -> "Profile":
        """What stands inside the sections; which sections there may be is asked of the file (profile_fit.py)."""
        if self.codec is None:
            self._check_modbus()
            self._check_serial()
            self._check_sources()
        return self

    def _check_modbus(self) -> None:
        fields = [entry for poll in self.poll for entry in poll.field]
        refuse_twins(fields)
        for entry in fields:
            if entry.role is not None and entry.role not in self.role:
                raise ValueError(f"{entry.name}: unknown role {entry.role!r}; known: {', '.join(sorted(self.role))}")
        for vector in self.tests:
            if self.poll and vector.poll >= len(self.poll):
                raise ValueError(f"a test answers poll {vector.poll}, there are {len(self.poll)}")

    def _check_serial(self) -> None:
        if self.stream is not None and self.message:
            wanted = (self.stream.samples, self.stream.sequence, self.stream.load, self.stream.status)
            names = {entry.name for entry in self.message[0].field}
            if len(self.message) != 1 or (missing := {name for name in wanted if name is not None} - names):
                raise ValueError(f"stream names no field of the message: {', '.join(sorted(missing))}")
        elif self.framer is not None and self.message:
            self._check_keys(self.framer)

    def _check_keys(self, framer: Framer) -> None:
        keys = [key for message in self.message for key in message.keys]
        if not framer.key_at or any(len(key) != len(framer.key_at) for key in keys) or not all(
            message.keys for message in self.message
        ):
            raise ValueError("without [stream] each [[message]] needs a key of as many bytes as framer.key_at names")
        if twins := {key.hex() for key in keys if keys.count(key) > 1}:
            raise ValueError(f"two messages have the key {', '.join(sorted(twins))}")

    def _check_sources(self) -> None:
        adverts = self.device.transport == "ble-adv"
        for source in self.source:
            if adverts != (source.characteristic is None):
                wanted = "service_data or company" if adverts else "characteristic"
                raise ValueError(f"a source of transport {self.device.transport} names its {wanted}")
            names = {entry.name for entry in source.field}
            if self.dedupe and (missing := set(self.dedupe.key) - names):
                raise ValueError(f"dedupe names no field of the source: {', '.join(sorted(missing))}")
            refuse_loose_ends(source.field, (text for group in self.gate for text in group))
        for vector in self.tests:
            if self.source and vector.source_at >= len(self.source):
                raise ValueError(f"a test comes from source {vector.source_at}, there are {len(self.source)}")
