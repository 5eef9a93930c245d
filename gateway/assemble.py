"""From configuration and registry to links and drivers: who owns which port, and which driver speaks for whom.

A device that cannot be built (unknown family, a link that the file does not name) costs only itself: it becomes a
`Misfit` with a hint, and the rest of the ward starts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol, cast

from drivers.base import Device, Driver
from drivers.ble_ladder import Cures
from drivers.ble_link import BleAdapter, BleBackend, backend_bluez, backend_virtual
from drivers.capability import Sight, can_be_missed, sights
from drivers.catalogue import FAMILIES, SERIAL, SHARED
from drivers.serial_link import Format, SerialPort
from edge_rules.engine import BedScope, DeviceScope
from gateway.config import Ble, Config
from gateway.core.clock import Clock, ScaledClock, SystemClock
from gateway.core.errors import CarebedError
from gateway.core.model import Event

Link = SerialPort | BleAdapter


class RegisteredBed(Protocol):
    """A bed as the registry has it."""

    @property
    def id(self) -> str: ...
    @property
    def profile(self) -> str: ...
    @property
    def resident(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Misfit:
    """A device that no driver could be made for."""

    device: Device
    reason: str
    hint: str


def make_clock(config: Config) -> Clock:
    """The box's clock, or the scaled one that the configuration accepted for a demonstration or test."""
    if config.clock is None:
        return SystemClock()
    return ScaledClock(
        config.clock.speed, origin_real_ns=config.clock.origin_real_ns, origin_utc_ns=config.clock.origin_utc_ns
    )


def make_links(
    config: Config, clock: Clock, *, on_event: Callable[[Event], None] | None = None, cures: Cures | None = None
) -> dict[str, Link]:
    """Every port and radio of the file by name; none is opened yet."""
    links: dict[str, Link] = {
        port.name: SerialPort(
            str(port.path), clock, name=port.name, baud=port.baud, format=cast(Format, port.format),
            rs485=port.rs485,
        )
        for port in config.serial
    }
    radios = {
        radio.name: BleAdapter(
            radio.name, clock, _backend(radio), slots=radio.slots, scan_only=radio.scan_only, on_event=on_event,
            cures=cures,
        )
        for radio in config.ble
    }  # fmt: skip
    return links | radios


def _backend(radio: Ble) -> BleBackend:
    if radio.backend == "virtual":
        return backend_virtual(radio.hci or "")
    return backend_bluez(radio.adapter or "hci0")


def make_drivers(
    devices: Sequence[Device], links: Mapping[str, Link], clock: Clock
) -> tuple[list[Driver], list[Misfit]]:
    """A driver for each device, one for all devices of a shared bus, and who was left over."""
    drivers: list[Driver] = []
    misfits: list[Misfit] = []
    for group in _groups(devices):
        try:
            drivers.append(_make(group, links, clock))
        except CarebedError as error:
            misfits += [Misfit(device, str(error), error.hint) for device in group]
        except (KeyError, ValueError) as error:
            hint = "mend the device's entry in the ward file, then: carebed provision import FILE"
            misfits += [Misfit(device, str(error.args[0]), hint) for device in group]
    return drivers, misfits


def _groups(devices: Sequence[Device]) -> list[tuple[Device, ...]]:
    def key(device: Device) -> tuple[str, str, str]:
        family = FAMILIES.get(device.family)
        shared = family is not None and family.transport in SHARED
        return device.family, device.link, "" if shared else device.id

    return [tuple(group) for _, group in groupby(sorted(devices, key=key), key)]


def _make(devices: tuple[Device, ...], links: Mapping[str, Link], clock: Clock) -> Driver:
    first = devices[0]
    family: Any = FAMILIES.get(first.family)
    if family is None:
        raise KeyError(f"unknown family {first.family!r}; known: {', '.join(sorted(FAMILIES))}")
    link = links.get(first.link)
    wanted = SerialPort if family.transport in SERIAL else BleAdapter
    if not isinstance(link, wanted):
        section = "[[serial]]" if wanted is SerialPort else "[[ble]]"
        raise KeyError(f"link {first.link!r} is no {section} of the configuration")
    driver: Driver = family.make(devices, link, clock)
    return driver


def bed_scopes(beds: Sequence[RegisteredBed], devices: Sequence[Device]) -> list[BedScope]:
    """For the rules: each bed with what its devices are expected to deliver, and within which ranges."""
    seen = [sight for device in devices for sight in sights(device)]
    scopes = []
    for bed in beds:
        by_quantity: dict[str, list[Sight]] = {}
        for sight in seen:
            if sight.bed == bed.id:
                by_quantity.setdefault(sight.quantity, []).append(sight)
        scopes.append(BedScope(bed.id, bed.profile, bed.resident, frozenset(by_quantity), _ranges(by_quantity)))
    return scopes


def _ranges(by_quantity: Mapping[str, Sequence[Sight]]) -> dict[str, tuple[tuple[float, float], ...]]:
    """Of each quantity that all its devices see within declared limits only."""
    ranges = {}
    for quantity, seen in by_quantity.items():
        declared = tuple(sight.range for sight in seen if sight.range is not None)
        if len(declared) == len(seen):
            ranges[quantity] = declared
    return ranges


def device_scopes(devices: Sequence[Device]) -> list[DeviceScope]:
    """For the rules: who is silent by nature (a button that does not beacon, a meter in its drawer) is not missed."""
    return [
        DeviceScope(device.id, device.bed, device.family, supervised=can_be_missed(device)) for device in devices
    ]
