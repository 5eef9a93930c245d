"""Everything that reaches out towards devices: ports, radios, BlueZ's own side, and a driver for each device.

BlueZ is loaded by name and only where a radio asks for it, so that a box without D-Bus runs all the same.
"""

import importlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from drivers.base import Device
from drivers.ble_doubt import Doubts
from drivers.ble_ladder import Cures
from drivers.ble_link import BleAdapter
from drivers.capability import profile_of
from drivers.catalogue import CLOCKED, FAMILIES
from gateway.assemble import make_drivers, make_links
from gateway.config import Config
from gateway.core.clock import Clock
from gateway.core.model import Event
from gateway.pairing import Book, PairingDesk
from gateway.pipeline import Pipeline
from gateway.supervise import PartSupervisor, Supervisor

log = logging.getLogger(__name__)

Restart = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outside:
    """What is run until the box stops. parts: radios and BlueZ; supervisors: drivers. radios: by name."""

    parts: tuple[PartSupervisor, ...]
    supervisors: tuple[Supervisor, ...]
    radios: Mapping[str, BleAdapter]
    pairing: PairingDesk


def open_outside(
    config: Config, clock: Clock, devices: Sequence[Device], pipeline: Pipeline, restart_box: Restart, book: Book
) -> Outside:
    """A device nobody can drive is a fault of its own; the rest starts. book: commits an order to pair."""
    bluez = any(radio.backend == "bluez" for radio in config.ble)
    cures = Cures(_restart_bluetoothd if bluez else None, restart_box)
    links = make_links(config, clock, on_event=pipeline.event, cures=cures)
    drivers, misfits = make_drivers([_in_zone(device, config.site.time_zone) for device in devices], links, clock)
    for misfit in misfits:
        log.error("%s: %s (%s)", misfit.device.id, misfit.reason, misfit.hint)
        detail = {"reason": misfit.reason, "hint": misfit.hint}
        pipeline.event(Event("device_fault", clock.now(), misfit.device.bed, misfit.device.id, detail))
    radios = {name: link for name, link in links.items() if isinstance(link, BleAdapter)}
    for name, radio in radios.items():
        radio.sightings.register(device.address for device in devices if device.link == name and device.address)
    parts = [PartSupervisor(f"radio {radio.name}", radio.run, pipeline.event, clock) for radio in radios.values()]
    if radios:
        doubts = Doubts({name: radio.sightings for name, radio in radios.items()}, devices, clock, pipeline.event)
        parts.append(PartSupervisor("model check", doubts.run, pipeline.event, clock))
    supervisors = tuple(Supervisor(driver, pipeline, clock) for driver in drivers)

    def wake(device: str) -> None:
        for supervisor in supervisors:
            if supervisor.answers_for(device):
                supervisor.wake()

    desk = PairingDesk(clock, devices, radios, book, pipeline.event, transport=_transport, on_bonded=wake)
    parts.append(PartSupervisor("pairing", desk.run, pipeline.event, clock))
    if bluez:
        person = desk if any(_bond(device) == "passkey" for device in devices) else None
        host = _bluez_host(config, clock, devices, pipeline, restart_box, person)
        desk.expect = host.agent.expect
        parts.append(PartSupervisor("bluetoothd", host.run, pipeline.event, clock))
    return Outside(tuple(parts), supervisors, radios, desk)


def _transport(device: Device) -> str:
    """How the device's family talks; "" for a family nobody knows."""
    family = FAMILIES.get(device.family)
    return family.transport if family is not None else ""


def _bond(device: Device) -> str:
    """What the device's model asks for: "none", "required" or "passkey"."""
    profile = profile_of(device.family, device.model)
    return profile.device.bond if profile is not None else "none"


def _in_zone(device: Device, time_zone: str) -> Device:
    """A meter's clock shows the site's time; the box itself may well run in UTC."""
    if device.family not in CLOCKED or "time_zone" in device.settings:
        return device
    return replace(device, settings={**device.settings, "time_zone": time_zone})


def _bluez_host(
    config: Config, clock: Clock, devices: Sequence[Device], pipeline: Pipeline, restart_box: Restart,
    person: PairingDesk | None,
) -> Any:
    """The pairing agent and the Current Time service of this box: only enrolled addresses may bond.

    person: who types passkeys, where a model asks for one; else the agent has neither keys nor display.
    """
    enrolled = {device.address.upper() for device in devices}
    adapters = [radio.adapter or "hci0" for radio in config.ble if radio.backend == "bluez"]

    def now() -> datetime | None:
        anchor = clock.anchor()
        if anchor.source == "none":
            return None
        return datetime.fromtimestamp(anchor.utc_ns / 1e9, tz=UTC).astimezone(config.zone)

    host = importlib.import_module("drivers.bluez_host").BluezHost
    return host(
        clock, adapters, allowed=enrolled.__contains__, on_event=pipeline.event, now=now, person=person,
        restart_box=restart_box,
    )


async def _restart_bluetoothd() -> None:
    await importlib.import_module("drivers.bluez_bus").restart_bluetoothd()
