"""What the frame modules of profile families share: the generic model's profile, loaded when first asked for."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from drivers.profile_ble import full_uuid
from drivers.profile_message import Decoded
from drivers.profile_models import Framed, Sources, load_model

VectorDecoder = Callable[[bytes, Mapping[str, Any]], dict[str, Any]]
"""Bytes and a vector's context to values under the names that vectors use. ProtocolError where they are refused."""


@cache
def sources(path: Path) -> Sources:
    """The [[source]]s of the profile in `path`, compiled once."""
    return Sources(load_model(path))


@cache
def framed(path: Path) -> Framed:
    """The keyed messages of the profile in `path`, compiled once."""
    return Framed(load_model(path))


def decode_source(path: Path, uuid: str, data: bytes) -> Decoded:
    """Bytes of one characteristic, or of one service's advertised data. ProtocolError; KeyError for an unknown uuid."""
    wanted = full_uuid(uuid)
    for source, decoder in sources(path).items():
        if wanted in (source.characteristic, source.service_data):
            return decoder.decode(data)
    raise KeyError(uuid)


def decode_frame(path: Path, frame: bytes) -> tuple[bytes, Decoded]:
    """The key and the values of one whole frame. ProtocolError."""
    compiled = framed(path)
    cut = compiled.only_cut(frame)
    return cut.key, compiled.decode(cut)


def date_text(value: Any) -> str | None:
    """A date as vectors write it."""
    return value.isoformat() if isinstance(value, datetime) else None


def renamed(decoded: Decoded, names: Mapping[str, str]) -> dict[str, Any]:
    """The values under other names; dates as texts."""
    values = ((names.get(name, name), value) for name, value in decoded.values.items())
    return {name: date_text(value) if isinstance(value, datetime) else value for name, value in values}
