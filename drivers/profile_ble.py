"""What a profile says of a BLE device: how it is found, and the layout of what it sends."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from drivers.profile_parts import ConditionText, MessageField, Name, Order, Part, refuse_loose_ends, refuse_twins

BASE = "0000{}-0000-1000-8000-00805f9b34fb"


def full_uuid(text: str) -> str:
    """The 128-bit form of a uuid, lower case: "2A35" is 00002a35-0000-1000-8000-00805f9b34fb."""
    return BASE.format(text.lower()) if len(text) == 4 else text.lower()


def _uuid(text: str) -> str:
    digits = text.replace("-", "")
    if len(digits) not in (4, 32) or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
        raise ValueError(f"{text!r} is no uuid: 4 hexadecimal digits, or the full form with dashes")
    return full_uuid(text)


Uuid = Annotated[str, AfterValidator(_uuid)]


class Match(Part):
    """How the device is known in the air: any of the services, names or the data it broadcasts."""

    services: tuple[Uuid, ...] = ()
    name_prefix: tuple[str, ...] = ()
    company: int | None = Field(default=None, ge=0, le=0xFFFF)
    service_data: Uuid | None = None
    length: int | None = Field(default=None, ge=1, le=255)

    @model_validator(mode="after")
    def _something(self) -> "Match":
        if not (self.services or self.name_prefix or self.company is not None or self.service_data):
            raise ValueError("match needs services, name_prefix, company or service_data")
        return self


class StatusIf(Part):
    """Conditions (any of a list) under which a reading is not believed, only shown, or not final yet."""

    invalid: tuple[ConditionText, ...] = ()
    questionable: tuple[ConditionText, ...] = ()
    ongoing: tuple[ConditionText, ...] = ()


class Source(Part):
    """One characteristic, or one kind of advertised data, and its fields in order.

    reading: "record" is a finished measurement, told once; "stream" comes about once a second while it is worn, where
    "no value" is no failure. less: pairs of fields of which the first must be below the second.
    event: what a record is told as besides its numbers. clock: the field with the device's own time, believed while it
    is off by no more than clock_tolerance_s and clock_unset does not hold.
    """

    characteristic: Uuid | None = None
    service_data: Uuid | None = None
    company: int | None = Field(default=None, ge=0, le=0xFFFF)
    mode: Literal["notify", "indicate", "read"] = "notify"
    byte_order: Order = "little"
    exact_length: bool = True
    reading: Literal["record", "stream", "none"] = "record"
    event: Name = "reading"
    clock: Name | None = None
    clock_unset: ConditionText | None = None
    clock_tolerance_s: float = Field(default=86_400.0, gt=0, le=86_400.0)
    less: tuple[tuple[Name, Name], ...] = ()
    status_if: StatusIf = StatusIf()
    field: tuple[MessageField, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> "Source":
        if sum(part is not None for part in (self.characteristic, self.service_data, self.company)) != 1:
            raise ValueError("a source is one characteristic, one service_data or one company")
        refuse_twins(self.field)
        states = self.status_if
        stated = [*states.invalid, *states.questionable, *states.ongoing]
        stated += [self.clock_unset] if self.clock_unset else []
        refuse_loose_ends(self.field, stated)
        names = {entry.name for entry in self.field}
        named = {name for pair in self.less for name in pair} | ({self.clock} if self.clock else set())
        if missing := named - names:
            raise ValueError(f"no field is called {', '.join(sorted(missing))}")
        return self
