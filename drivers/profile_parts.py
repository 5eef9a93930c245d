"""What any part of a profile is made of: names, numbers and their meaning, fields of a message.

A field's raw number means raw * scale + offset; everything else a field may say is data too. Shared by all transports.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from drivers import units
from drivers.profile_condition import parse
from gateway.core.quantities import QUANTITIES

Type = Literal["u8", "s8", "u16", "s16", "u32", "s32", "f32"]
SIZES: dict[str, int] = {"u8": 1, "s8": 1, "u16": 2, "s16": 2, "u32": 4, "s32": 4, "f32": 4}
WideType = Literal[
    "u8", "s8", "u16", "s16", "u24", "u32", "s32", "sm16", "f32", "sfloat", "float32", "datetime7", "ascii", "bits"
]
WIDE_SIZES: dict[str, int] = SIZES | {"u24": 3, "sm16": 2, "sfloat": 2, "float32": 4, "datetime7": 7, "bits": 0}
WHOLE = ("u8", "s8", "u16", "s16", "u24", "u32", "s32", "sm16")  # types whose raw number a condition may look at
PLAIN = ("u8", "s8", "u16", "s16", "u24", "u32", "s32")  # whole numbers without a sign bit of their own kind
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


def _condition(text: str) -> str:
    parse(text)
    return text


def _as_held(raw: int, kind: str) -> int:
    """The number that a type reads from the bits of `raw`. ValueError when it has more bits than the type."""
    span = 1 << 8 * WIDE_SIZES[kind]
    if not -span // 2 <= raw < span:
        raise ValueError(f"null {raw} does not fit {kind}")
    held = raw % span
    return held - span if kind.startswith("s") and held >= span // 2 else held


Hex = Annotated[str, AfterValidator(_hex)]
QuantityName = Annotated[str, AfterValidator(_known_quantity)]
ConditionText = Annotated[str, AfterValidator(_condition)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(Part):
    """What a raw number means: raw * scale + offset, rounded to the digits of the scale.

    null: raw numbers that mean "not measured". min, max: bounds after scaling; a value outside is refused, not clamped.
    must_equal: the only raw number accepted (a version, a constant).
    """

    converts: ClassVar[bool] = False  # True where the driver turns the device's unit into the quantity's

    name: Name
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

    @model_validator(mode="before")
    @classmethod
    def _null_of_the_type(cls, given: Any) -> Any:
        """Documents print the bits: 0x8000 of an s16 is its -32768. A null that the type cannot hold is a fault."""
        kind = given.get("type", "u16") if isinstance(given, dict) and not given.get("type_if") else ""
        nulls = given.get("null") if kind in PLAIN else None
        if not isinstance(nulls, list | tuple) or not all(type(one) is int for one in nulls):
            return given
        return given | {"null": [_as_held(one, kind) for one in nulls]}

    @model_validator(mode="after")
    def _unit_of_quantity(self) -> "Value":
        if self.quantity is None:
            return self
        wanted = QUANTITIES[self.quantity].unit
        for unit in self.possible_units():
            if unit != wanted and not (self.converts and units.known(unit, wanted)):
                raise ValueError(f"{self.quantity} is kept in {wanted!r}, this field is in {unit!r}")
        return self

    def possible_units(self) -> tuple[str, ...]:
        return (self.unit,)


def refuse_twins(fields: Iterable[Value]) -> None:
    """ValueError when two fields have one name."""
    seen: set[str] = set()
    for entry in fields:
        if entry.name in seen:
            raise ValueError(f"two fields are called {entry.name}")
        seen.add(entry.name)


Choice = tuple[Any, ...]


def pairs(choice: Choice) -> list[tuple[Any, Any]]:
    """("flags & 1", "kPa", "mm[Hg]") as [(condition, what then)]; what else is the last one."""
    return [(choice[at], choice[at + 1]) for at in range(0, len(choice) - 1, 2)]


class MessageField(Value):
    """A field of a message, in order.

    when: the field is there only then. type_if, unit_if, scale_if: [condition, what then, ..., what else].
    repeat: this type so many times, or until the end of the data. size: characters of an ascii field.
    map: raw number to what it is called; unmapped: a number without a name is refused, or means nothing.
    bits: names of the bits that are set. type "bits": no bytes of its own, but `mask` of the earlier field `of`.
    null_unless: not measured unless. reserved_mask: bits that must be 0, or the whole message is refused.
    values: what the mapped names measure, for a quantity ({ out = 0, in = 1 }); repeat_s: a state is told again so
    often while the device is heard. must_equal "len": the length of the message.
    """

    converts: ClassVar[bool] = True

    type: WideType = "u16"  # type: ignore[assignment]  # more types than a register has
    byte_order: Order | None = None
    repeat: Literal["to_end"] | Annotated[int, Field(ge=1, le=512)] | None = None
    size: int | None = Field(default=None, ge=1, le=256)
    when: ConditionText | None = None
    type_if: Choice = ()
    unit_if: Choice = ()
    scale_if: Choice = ()
    null_unless: ConditionText | None = None
    reserved_mask: int = 0
    must_equal: int | Literal["len"] | None = None  # type: ignore[assignment]
    map: dict[str, Scalar] = Field(default_factory=dict)
    unmapped: Literal["refuse", "null"] = "refuse"
    bits: dict[str, int] = Field(default_factory=dict)
    of: Name | None = None
    mask: int | None = Field(default=None, ge=1)
    values: dict[str, float] = Field(default_factory=dict)
    repeat_s: float | None = Field(default=None, gt=0)

    def possible_units(self) -> tuple[str, ...]:
        if not self.unit_if:
            return (self.unit,)
        return (*(str(unit) for _, unit in pairs(self.unit_if)), str(self.unit_if[-1]))

    def conditions(self) -> list[str]:
        """Every condition the field states."""
        chosen = [text for choice in (self.type_if, self.unit_if, self.scale_if) for text, _ in pairs(choice)]
        return [*chosen, *(text for text in (self.when, self.null_unless) if text)]

    @model_validator(mode="after")
    def _choices(self) -> "MessageField":
        for name in ("type_if", "unit_if", "scale_if"):
            choice = getattr(self, name)
            if choice and (len(choice) < 3 or len(choice) % 2 == 0):
                raise ValueError(f"{self.name}: {name} is [condition, what then, ..., what else]")
            for text, _ in pairs(choice):
                parse(str(text))
        if self.type_if and (wrong := {kind for kind in self._types() if WIDE_SIZES.get(kind) in (None, 0)}):
            raise ValueError(f"{self.name}: unknown type {', '.join(sorted(map(str, wrong)))} in type_if")
        return self

    @model_validator(mode="after")
    def _belongs_together(self) -> "MessageField":
        if (self.type == "bits") != (self.of is not None and self.mask is not None):
            raise ValueError(f"{self.name}: type bits needs of and mask, and nothing else takes them")
        if self.type == "ascii" and self.size is None and self.repeat is None:
            raise ValueError(f"{self.name}: an ascii field needs size, or repeat = 'to_end'")
        if (self.bits or self.map) and self.type not in (*WHOLE, "bits"):
            raise ValueError(f"{self.name}: map and bits belong to whole numbers")
        return self

    def _types(self) -> list[Any]:
        return [*(kind for _, kind in pairs(self.type_if)), *self.type_if[-1:]]


def refuse_loose_ends(fields: Iterable[MessageField], conditions: Iterable[str] = ()) -> None:
    """ValueError when a condition or a bits field names no whole-number field before it."""
    seen: set[str] = set()
    for entry in fields:
        named = [parse(text).field for text in entry.conditions()] + ([entry.of] if entry.of else [])
        if missing := [name for name in named if name not in seen]:
            raise ValueError(f"{entry.name} looks at {missing[0]}, which is no earlier whole-number field")
        if entry.type in WHOLE:
            seen.add(entry.name)
    if missing := [name for name in (parse(text).field for text in conditions) if name not in seen]:
        raise ValueError(f"a condition looks at {missing[0]}, which is no whole-number field of this message")
