"""Real frames to begin from: the vector files of tests/vectors and the frames that the models' files carry."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import drivers
from drivers.profile import load
from drivers.profile_schema import Profile, Vector
from gateway.core.errors import ProtocolError

VECTORS = Path(__file__).parents[1] / "vectors"
DRIVERS = Path(drivers.__path__[0])


@dataclass(frozen=True)
class Case:
    """One frame of a vector file. file: its stem; context: what a decoder must know beside the bytes."""

    file: str
    kind: str
    data: bytes
    accepted: bool
    context: Mapping[str, Any] = field(default_factory=dict)


@cache
def cases() -> tuple[Case, ...]:
    """Every case of every vector file."""
    found = []
    for path in sorted(VECTORS.glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            accepted = "reject" not in case["expect"]
            found.append(Case(path.stem, case["kind"], _bytes(case["hex"]), accepted, case.get("context", {})))
    return tuple(found)


def _bytes(text: str) -> bytes:
    return bytes.fromhex("".join(character for character in text if character in "0123456789abcdefABCDEF"))


@cache
def profiles() -> tuple[tuple[str, Profile], ...]:
    """Family and profile of every model's file; whether their own frames decode is another test's business."""
    return tuple((path.parent.name, load(path, _as_promised)) for path in sorted(DRIVERS.glob("*/*.toml")))


def _as_promised(_: Profile, vector: Vector) -> Mapping[str, Any]:
    if vector.reject is not None:
        raise ProtocolError(f"{vector.reject}: as promised", hint="none")
    return {name: _meant(value) for name, value in vector.expect.items()}


def _meant(value: Any) -> Any:
    """A promise as a decoder would keep it: TOML has no null."""
    if isinstance(value, Mapping):
        return {name: _meant(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_meant(one) for one in value]
    return None if value == "null" else value


def frames_of(family: str, kinds: Sequence[str] = ()) -> tuple[bytes, ...]:
    """Frames of a family: its kinds in the vector files, files that bear its name, and its models' own tests."""
    named = [case.data for case in cases() if case.kind in kinds or family in case.file or case.file in family]
    own = [bytes.fromhex(vector.hex) for owner, profile in profiles() if owner == family for vector in profile.tests]
    return tuple(dict.fromkeys(frame for frame in (*named, *own) if frame)) or tuple(c.data for c in cases() if c.data)


@st.composite
def disturbed(draw: st.DrawFn, frames: Sequence[bytes]) -> bytes:
    """Frames one behind the other with bytes changed, lost, put in between, or cut off."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(frames), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(("change", "lose", "insert", "cut", "repeat"))):
            case "change" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "lose":
                del data[at : at + draw(st.integers(1, 8))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=12))
            case "cut":
                del data[at:]
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 16))]
    return bytes(data)


def any_bytes(frames: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Noise, and what a bad line makes of real frames."""
    return st.one_of(st.binary(max_size=80), disturbed(frames), disturbed(frames))
