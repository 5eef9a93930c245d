"""Every decoder there is, found by looking: a new family is fuzzed without a line here.

Whole decoders take one message: what a frame module offers as VECTOR_DECODERS, and every public function of a family
without a stream whose first argument is bytes. Stream decoders take any chunk: classes with a `feed`, and the framer of
each profile.
"""

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any, Protocol, cast, get_type_hints

import drivers
from drivers.bed_belt.driver import HERE as BELTS
from drivers.bed_belt.frame import BeltDecoder, load_format
from drivers.bthome import frame as bthome
from drivers.modbus_rtu.frame import Request, search
from drivers.modbus_rtu.registers import decode as decode_registers
from drivers.modbus_rtu.registers import request_of
from drivers.nonin.frame import PacketStream
from drivers.nonin.peer import packets
from drivers.profile import models_in
from drivers.profile_frames import Rejects, StreamDecoder
from drivers.profile_line import LineStream
from drivers.profile_models import Framed
from drivers.profile_schema import Profile
from gateway.core.errors import ProtocolError
from tests.fuzz.corpus import cases, frames_of, profiles

NO_DECODERS = ("driver", "peer")  # I/O, and the device's end
ADDRESS = "54:48:E6:8F:80:A5"
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
FILL: dict[Any, Any] = {str: ADDRESS, bytes: KEY, int: 1, float: 1.0, bool: False}


class Feeds(Protocol):
    """A stream decoder."""

    def feed(self, data: bytes, /) -> tuple[Sequence[Any], Any]: ...


@dataclass(frozen=True)
class Whole:
    """call: one message to values; it may refuse with ProtocolError and in no other way."""

    name: str
    call: Callable[[bytes], object]
    frames: tuple[bytes, ...]


@dataclass(frozen=True)
class Stream:
    """parts: frames on the wire in each of `frames`, where a device sends a value over several of them."""

    name: str
    make: Callable[[], Feeds]
    frames: tuple[bytes, ...]
    parts: int = 1


def families() -> list[str]:
    """Packages below drivers/ that have a frame module."""
    packages = [found.name for found in pkgutil.iter_modules(drivers.__path__) if found.ispkg]
    return [name for name in packages if importlib.util.find_spec(f"drivers.{name}.frame") is not None]


def modules(family: str) -> list[ModuleType]:
    """A family's modules in which bytes may be decoded."""
    package = importlib.import_module(f"drivers.{family}")
    names = [found.name for found in pkgutil.iter_modules(package.__path__) if found.name not in NO_DECODERS]
    return [importlib.import_module(f"drivers.{family}.{name}") for name in names]


def kinds() -> set[str]:
    """Kinds of vectors that some family's frame module decodes."""
    return {kind for family in families() for module in modules(family) for kind in _decoders(module)}


def _decoders(module: ModuleType) -> Mapping[str, Callable[[bytes, Mapping[str, Any]], object]]:
    found: Mapping[str, Callable[[bytes, Mapping[str, Any]], object]] = getattr(module, "VECTOR_DECODERS", {})
    return found


@cache
def wholes() -> tuple[Whole, ...]:
    found = [target for family in families() for module in modules(family) for target in _wholes_of(family, module)]
    return (*found, *_modbus(), _bthome_encrypted())


@cache
def streams() -> tuple[Stream, ...]:
    found = [target for family in families() for module in modules(family) for target in _streams_of(family, module)]
    return (*found, *_framers(), *_belts(), *_nonin())


def _wholes_of(family: str, module: ModuleType) -> Iterator[Whole]:
    decoders = _decoders(module)
    for kind, decode in decoders.items():
        contexts = [case.context for case in cases() if case.kind == kind]
        for number, context in enumerate(_distinct(contexts)):
            yield Whole(f"{family}:{kind}{number or ''}", _with(decode, context), frames_of(family, (kind,)))
    if _has_stream(family):
        return
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ != module.__name__ or name.startswith(("_", "encode")):
            continue
        if (call := _filled(function)) is not None:
            place = module.__name__.removeprefix("drivers.")
            yield Whole(f"{place}.{name}", call, frames_of(family, tuple(decoders)))


def _has_stream(family: str) -> bool:
    """Its functions then take what the stream has cut out, and are reached through it and through the vectors."""
    return any(True for module in modules(family) for _ in _streams_of(family, module))


def _distinct(contexts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for context in contexts or [{}]:
        if context not in found:
            found.append(context)
    return found


def _with(
    decode: Callable[[bytes, Mapping[str, Any]], object], context: Mapping[str, Any]
) -> Callable[[bytes], object]:
    return lambda data: decode(data, context)


def _filled(function: Callable[..., object]) -> Callable[[bytes], object] | None:
    """The function as one of bytes alone; None when it is no decoder or needs more than a plain value."""
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        return None
    first, *rest = parameters
    if hints.get(first.name) is not bytes or hints.get("return") is bytes:
        return None
    given = {}
    for parameter in rest:
        if parameter.default is parameter.empty:
            if hints.get(parameter.name) not in FILL:
                return None
            given[parameter.name] = FILL[hints[parameter.name]]
    return lambda data: function(data, **given)


def _streams_of(family: str, module: ModuleType) -> Iterator[Stream]:
    kinds = tuple(_decoders(module))
    for name, kind in inspect.getmembers(module, inspect.isclass):
        if kind.__module__ != module.__name__ or not hasattr(kind, "feed") or inspect.isabstract(kind):
            continue
        wanted = list(inspect.signature(kind).parameters.values())
        if all(parameter.default is not parameter.empty for parameter in wanted):
            yield Stream(f"{family}.{name}", cast(Callable[[], Feeds], kind), frames_of(family, kinds))


class ProfileStream:
    """A framed profile as its driver reads it: frames cut out, then values by name. Refused values are left out."""

    def __init__(self, profile: Profile) -> None:
        self._framed = Framed(profile)
        self.stream = StreamDecoder(self._framed.layout)

    def feed(self, data: bytes) -> tuple[list[Any], Rejects]:
        cuts, rejects = self.stream.feed(data)
        values = []
        for cut in cuts:
            with suppress(ProtocolError):
                values.append(self._framed.decode(cut))
        return values, rejects


def _framers() -> Iterator[Stream]:
    for family, profile in profiles():
        name = f"profile:{family}/{profile.device.id}"
        frames = tuple(bytes.fromhex(vector.hex) for vector in profile.tests)
        if profile.framer is not None:
            yield Stream(name, partial(ProfileStream, profile), frames)
        elif profile.line is not None:
            yield Stream(name, partial(LineStream, profile.line), frames)


def _belts() -> Iterator[Stream]:
    for model, path in models_in(BELTS).items():
        belt = load_format(path)
        yield Stream(f"bed_belt/{model}", partial(BeltDecoder, belt), frames_of("bed_belt"))


def _nonin() -> Iterator[Stream]:
    """Five bytes a frame, 25 frames a packet, laid out by the format that was chosen."""
    for data_format in (2, 7):
        frames = tuple(packets([(97, 66), (88, 120), (None, None)], data_format=data_format))
        yield Stream(f"nonin.PacketStream {data_format}", partial(PacketStream, data_format), frames, parts=25)


def _modbus() -> Iterator[Whole]:
    """Answers to every poll of every model: found, then decoded by its map."""
    for family, profile in profiles():
        for number, poll in enumerate(profile.poll):
            request = request_of(poll, (profile.modbus.unit if profile.modbus else None) or 1)

            def answered(data: bytes, request: Request = request, poll: Any = poll) -> object:
                found, seen = search(request, data)
                return seen if found is None or found.code else decode_registers(poll, found.data)

            yield Whole(f"modbus:{profile.device.id}/{number}", answered, frames_of(family))


def _bthome_encrypted() -> Whole:
    return Whole("bthome:with_key", lambda data: bthome.decode(data, ADDRESS, KEY), frames_of("bthome"))
