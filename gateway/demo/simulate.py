"""`carebed simulate MODEL`: the device's end of the wire, for training and for trying a configuration without a device.

A model on a wire speaks on a pseudo-terminal, or on a real port, as the device at the other end of a cable. A model on
the air speaks in a radio space of its own, which a virtual radio reaches as HCI over TCP.
"""

import argparse
import asyncio
import difflib
import json
import os
import re
import signal
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import serial

import drivers
from drivers.catalogue import FAMILIES, SERIAL, SHARED
from drivers.faulty_line import VirtualPort
from drivers.profile import parse
from drivers.serial_link import PARITY, Format
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import LinkError
from gateway.demo.scenes_wired import LINES, WIRED, Wire, path_of

NEAR = 6  # models that are offered for a name there is not
MOST_TCP_PORT = 65535
OTHER_END = "/dev/serial/by-id/..."  # of a real cable: only the gateway's machine knows its name
WIRED_SETTINGS = {"identity_reader": {"identifies": "kiosk-1"}}
ADDRESS = "F2:CA:4E:BE:D0:01"
Said = Callable[[str], None]
Living = asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class Model:
    """family: as the catalogue has it."""

    id: str
    family: str
    transport: str

    @property
    def wired(self) -> bool:
        return self.transport in SERIAL


def models() -> dict[str, Model]:
    """Every model that can be simulated, by id."""
    from gateway.demo.scenes_radio import RADIO

    return {
        model: Model(model, family.name, family.transport)
        for family in FAMILIES.values()
        for model in family.models
        if family.name in (WIRED if family.transport in SERIAL else RADIO)
    }


def chosen(name: str) -> Model:
    """LinkError with the nearest ones there are."""
    known = models()
    if name not in known:
        near = _near(name, known)
        asked = f"did you mean {' or '.join(near)}" if near else "it is no model, no family and on no product's box"
        raise LinkError(f"no virtual {name!r}", hint=f"{asked}; `carebed simulate` lists them all")
    return known[name]


def _near(name: str, known: Mapping[str, Model]) -> list[str]:
    """Models of the family so called, else those with the word in their names, on their boxes, or spelt nearly so."""
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if len(word) < 2:
        return []
    found = [one.id for one in known.values() if one.family == word] or [one for one in known if word in one]
    found = found or [one.id for one in known.values() if word in one.family]
    found = found or [one for one in known if word in _products(one)]
    return found[:NEAR] or difflib.get_close_matches(word, known, n=NEAR)


def _products(model: str) -> str:
    """What stands on the boxes of a model, written as models are."""
    files = Path(drivers.__path__[0]).glob(f"*/{model}.toml")
    names = " ".join(name for path in files for name in parse(path)[0].device.products)
    return re.sub(r"[^a-z0-9]+", "_", names.lower())


def line_of(model: Model) -> tuple[int, Format]:
    """Baud and format that the model speaks."""
    path = path_of(model.family, model.id)
    if path.exists() and (given := parse(path)[0].device.serial) is not None:
        return given.baud, given.format
    return LINES.get(model.family, (9_600, "8N1"))


@contextmanager
def device_end(port: str | None, baud: int, format: Format) -> Iterator[tuple[int, str]]:
    """The device's end and the path for the gateway. A real port is opened; any other path becomes a name for a
    pseudo-terminal. LinkError when the path is taken or the port cannot be opened."""
    if port is not None and _is_device(port):
        try:
            stop_bits = int(format[2])
            real = serial.Serial(port, baud, parity=PARITY[format[1]], stopbits=stop_bits, timeout=0, exclusive=True)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            hint = "it must be a serial port that nobody else has open and that you may use (group dialout)"
            raise LinkError(f"cannot open {port}: {error}", hint=hint) from error
        with real:
            yield real.fileno(), OTHER_END
        return
    if port is not None and Path(port).absolute().is_relative_to("/dev"):
        hint = "plug the adapter in; ls -l /dev/serial/by-id shows what this machine sees"
        raise LinkError(f"there is no port {port}", hint=hint)
    pseudo = VirtualPort()
    try:
        if port is not None:
            _name(pseudo.path, Path(port))
        yield pseudo.fd, pseudo.path if port is None else os.path.abspath(port)
    finally:
        if port is not None and os.path.islink(port) and os.readlink(port) == pseudo.path:
            os.unlink(port)
        pseudo.unplug()


def _is_device(port: str) -> bool:
    """LinkError when it is the name of a simulation that is running."""
    if os.path.islink(port) and os.readlink(port).startswith("/dev/pts/") and os.path.exists(port):
        raise LinkError(f"another simulation speaks on {port}", hint="end it, or give another path")
    try:
        return stat.S_ISCHR(os.stat(port).st_mode)
    except FileNotFoundError:
        return False


def _name(target: str, link: Path) -> None:
    if link.is_symlink() and not link.exists():  # of a simulation that was killed
        link.unlink()
    try:
        link.symlink_to(target)
    except OSError as error:
        hint = "give a path that does not exist yet, or that of a serial port"
        if not link.parent.is_dir():
            hint = f"there is no directory {link.parent}"
        raise LinkError(f"cannot name a virtual port {link}: {error.strerror}", hint=hint) from error


@asynccontextmanager
async def wired(
    model: Model, port: str | None, clock: Clock, said: Said, *, share: float = 0.0
) -> AsyncIterator[Living]:
    """The device lives on its wire while the block runs. share: part of its writes that is disturbed."""
    baud, format = line_of(model)
    with device_end(port, baud, format) as (fd, path):
        where = f"on {path}" if path != OTHER_END else f"on {port}, to whatever is at the other end of its cable"
        said(f"{model.id} speaks {where}, {baud} baud {format}")
        link = f'[[serial]]\nname = "trial"\npath = {json.dumps(path)}\nbaud = {baud}\nformat = "{format}"'
        said(_entries(model, link, _unit(model)))
        living = asyncio.create_task(WIRED[model.family](Wire(fd, clock, share), model.id))
        try:
            yield living
        finally:
            await _end(living)


@asynccontextmanager
async def on_air(model: Model, port: str | None, clock: Clock, said: Said) -> AsyncIterator[Living]:
    """The device lives in its radio space while the block runs."""
    from drivers.ble_virtual_ward import RadioSpace
    from gateway.demo.scenes_radio import RADIO, Air

    if port is not None and not (port.isdecimal() and int(port) <= MOST_TCP_PORT):
        hint = f"--port is the TCP port of its radio space: a number up to {MOST_TCP_PORT}, or leave it out"
        raise LinkError(f"{model.id} is no device on a wire", hint=hint)
    space = RadioSpace()
    try:
        try:
            number = await space.serve(port=int(port or 0))
        except OSError as error:
            raise LinkError(f"TCP port {port}: {error.strerror}", hint="give another one, or none") from error
        said(f"{model.id} is on the air as {ADDRESS}, its radio space at TCP port {number}")
        link = f'[[ble]]\nname = "trial"\nbackend = "virtual"\nhci = "tcp-client:127.0.0.1:{number}"'
        said(_entries(model, link, ADDRESS))
        living = asyncio.create_task(RADIO[model.family](Air(space, clock, ADDRESS), model.id))
        try:
            yield living
        finally:
            await _end(living)
    finally:
        await space.close()


async def _end(living: Living) -> None:
    """A scene that has failed by itself says so here; LinkError when its port has."""
    living.cancel()
    (result,) = await asyncio.gather(living, return_exceptions=True)
    cause = result
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, OSError):
        raise LinkError(f"the port broke: {cause.strerror}", hint="is its adapter still plugged in?") from cause
    if isinstance(result, Exception):
        raise result


def _unit(model: Model) -> str:
    if model.transport not in SHARED:
        return ""
    modbus = parse(path_of(model.family, model.id))[0].modbus
    return str(modbus.unit if modbus else 1)


def _entries(model: Model, link: str, address: str) -> str:
    """What a configuration (of mode test) and a ward file say of this device."""
    lines = ["", 'in carebed.toml, whose [site] says mode = "test":', link]
    lines += ["", "in the ward file:", "[[device]]", 'id = "trial-1"']
    lines += [f'family = "{model.family}"', f'model = "{model.id}"', 'link = "trial"', f'address = "{address}"']
    if settings := settings_of(model):
        lines += ["[device.settings]", *(f"{name} = {json.dumps(value)}" for name, value in settings.items())]
    return "\n".join(lines)


def settings_of(model: Model) -> dict[str, str | int | float | bool]:
    """What the registry has to say so that this scene means something."""
    if model.wired:
        return dict(WIRED_SETTINGS.get(model.family, {}))
    from gateway.demo.scenes_radio import settings

    return dict(settings(model.family, model.id))


async def _play(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    model, clock = chosen(options.model), SystemClock()

    def said(text: str) -> None:
        print(text, flush=True)

    if model.wired:
        scene = wired(model, options.port, clock, said, share=options.faults / 100)
    elif options.faults:
        raise LinkError(f"{model.id} is no device on a wire", hint="--faults disturbs wires: leave it out")
    else:
        scene = on_air(model, options.port, clock, said)
    async with scene as living:
        said("\nCtrl-C ends it.")
        living.add_done_callback(lambda _: stopped.set())
        await stopped.wait()


def main(options: argparse.Namespace) -> int:
    """The exit code. options: model ("" lists them), port, faults in percent."""
    if not options.model:
        for model in sorted(models().values(), key=lambda model: (model.family, model.id)):
            print(f"{model.id:<26} {model.family:<16} {model.transport}")
        return 0
    asyncio.run(_play(options))
    return 0
