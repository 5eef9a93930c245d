"""The decoders in code that a [codec] may name: of each family, the kinds of frames its frame module decodes."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import drivers
from drivers import vector_kinds
from drivers.profile_codec import Codec
from gateway.core.errors import ProtocolError

HERE = Path(drivers.__path__[0])


def decoders(family: str) -> Mapping[str, vector_kinds.VectorDecoder]:
    """Kind to decoder of what a family has in code; empty for a family that has nothing, or that there is not."""
    if family in vector_kinds.BY_FAMILY:
        return vector_kinds.BY_FAMILY[family]
    if not (HERE / family / "frame.py").is_file():
        return {}
    found: Mapping[str, vector_kinds.VectorDecoder] = getattr(
        importlib.import_module(f"drivers.{family}.frame"), "VECTOR_DECODERS", {}
    )
    return found


def families() -> list[str]:
    """Families with layouts in code, in order of name."""
    packages = sorted(path.parent.name for path in HERE.glob("*/frame.py"))
    return [name for name in packages if decoders(name)]


def decode(codec: Codec, kind: str, data: bytes, context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Values of whole bytes of one kind. ProtocolError whose message begins with the reason."""
    decoder = decoders(codec.family).get(kind)
    if decoder is None:
        raise ProtocolError(f"kind: {codec.family} decodes no {kind!r}", hint="name one of its kinds")
    return decoder(data, context)
