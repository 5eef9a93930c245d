"""Which TaiDoc meter measures what: each model is a TOML file here; what its maker means by the same bits, a dialect.

A model's file says by the first of its [codec]'s kinds what it measures. One called td_NNNN is of a meter that calls
itself TD-NNNN, and of no other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from drivers.base import Device
from drivers.profile import models_in, models_over
from drivers.profile_models import load_model
from drivers.taidoc.frame import Command
from gateway.core.errors import ConfigError, Fault

HERE = Path(__file__).parent
MOST_USERS = 4  # keys on the cuffs that keep records by person
_NUMBER = re.compile(r"td_(\d{4})")


class Kind(Enum):
    """By the kind of frame that a record's value is."""

    PRESSURE = "taidoc8_bp"
    BLOOD = "taidoc8_glucose"
    TEMPERATURE = "taidoc8_temp"
    SATURATION = "taidoc8_spo2"
    MIXED = "taidoc8_record"  # pressure and glucose in one memory
    WEIGHT = "taidoc_scale"


@dataclass(frozen=True, slots=True)
class Model:
    """number: what the meter must say of itself, "" where any will do. user: whose records are asked for.

    one_byte: the systolic's second byte is a flag. flags: the time's upper bits say how the beats were. many: strips
    for more than glucose. live: no records, asked once a second while a finger is in. weighing: a scale's request.
    """

    kind: Kind
    number: str = ""
    user: int = 0
    one_byte: bool = False
    flags: bool = False
    many: bool = False
    live: bool = False
    weighing: Command = Command.WEIGHING


DIALECTS: Mapping[str | None, Mapping[str, Any]] = {
    None: {},
    "flag_byte": {"one_byte": True},
    "flag_byte_rhythm": {"one_byte": True, "flags": True},
    "flag_byte_user": {"one_byte": True, "user": 1},
    "mixed_user": {"flags": True, "user": 1},
    "strips": {"many": True},
    "live": {"live": True},
    "composition": {"weighing": Command.WEIGHING_BIA},
}


def names(transport: str) -> tuple[str, ...]:
    """Models that are met over this link."""
    return tuple(models_over(HERE, transport))


@cache
def load(name: str) -> Model:
    """The model of a file here, its vectors tried. KeyError for a name that is none, ConfigError for its file."""
    profile = load_model(models_in(HERE)[name])
    codec = profile.codec
    kinds = [kind.value for kind in Kind]
    if codec is None or codec.kinds[0] not in kinds:
        raise ConfigError(name, (Fault(0, "codec.kinds", "the first is none of these", ", ".join(kinds)),))
    if codec.dialect not in DIALECTS:
        known = ", ".join(str(dialect) for dialect in DIALECTS if dialect)
        raise ConfigError(name, (Fault(0, "codec.dialect", f"no dialect {codec.dialect!r}", f"one of: {known}"),))
    number = _NUMBER.fullmatch(name)
    return Model(Kind(codec.kinds[0]), f"TD-{number[1]}" if number else "", **DIALECTS[codec.dialect])


def model_of(device: Device) -> Model:
    """The device's model, with its setting `user` where the meter keeps records by person. ConfigError."""
    known = models_in(HERE)
    if device.model not in known:
        message = f"unknown model {device.model!r}; known: {', '.join(known)}"
        raise ConfigError(device.id, (Fault(0, "model", message, "name one of these models"),))
    model, user = load(device.model), device.settings.get("user")
    if user is None:
        return model
    if isinstance(user, bool) or not isinstance(user, int) or not 1 <= user <= MOST_USERS or not model.user:
        hint = f"1 to {MOST_USERS}" if model.user else "this model keeps no records by person: leave it out"
        raise ConfigError(device.id, (Fault(0, "user", f"{user!r} is no user of {device.model}", hint),))
    return replace(model, user=user)
