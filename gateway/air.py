"""Who is in the air: what each Bluetooth radio has heard lately, which models it may be, and who of it is registered.

Built when somebody asks; bounded by what the radios keep (`drivers.ble_seen`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drivers.base import Device
from drivers.ble_link import BleAdapter
from drivers.ble_models import candidates
from drivers.ble_seen import Sighting
from drivers.recognise import contradiction, decided, recognise
from gateway.core.clock import Clock

Air = Callable[[], "AirState"]


@dataclass(frozen=True, slots=True)
class ProposedModel:
    """A model that fits what was heard. why: "layout", "name", "data", "service"; certain: False until its name was
    heard."""

    family: str
    model: str
    why: tuple[str, ...]
    certain: bool


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """One address heard lately. identity: "" where the address changes. kind: "public", "static", "resolvable",
    "private" or "" (unknown). rssi_dbm: median.

    models: best first; model: the one that it is, "" when none or several may be. device: id under which it is
    registered, else "". contradicts: the model that it seems to be instead of the registered one, else "".
    """

    link: str
    address: str
    identity: str
    kind: str
    name: str
    rssi_dbm: int
    adverts: int
    last_heard_s: float
    services: tuple[str, ...]
    companies: tuple[int, ...]
    models: tuple[ProposedModel, ...]
    model: str
    device: str
    contradicts: str


@dataclass(frozen=True, slots=True)
class RadioState:
    """One radio. last_advert_s: None when it has heard nothing yet. forgotten: addresses pushed out of the list."""

    name: str
    scanning: bool
    adverts: int
    forgotten: int
    last_advert_s: float | None


@dataclass(frozen=True, slots=True)
class AirState:
    """radios: empty where the configuration names none. devices: who was heard last comes first."""

    radios: tuple[RadioState, ...] = ()
    devices: tuple[SeenDevice, ...] = ()


NOTHING = AirState()


def air_of(radios: Mapping[str, BleAdapter], devices: Sequence[Device], clock: Clock) -> AirState:
    """The air as it is now."""
    now = clock.now()
    registered = {(device.link, device.address.upper()): device for device in devices if device.address}
    states = []
    seen = []
    for name, radio in radios.items():
        last = radio.health.last_advert
        silent_s = None if last is None else max(0.0, now.since_s(last))
        states.append(RadioState(name, radio.scanning, radio.health.adverts, radio.sightings.forgotten, silent_s))
        for sighting in radio.sightings:
            age_s = max(0.0, now.since_s(sighting.last))
            seen.append(_seen(name, sighting, registered.get((name, sighting.address)), age_s))
    return AirState(tuple(states), tuple(sorted(seen, key=lambda one: one.last_heard_s)))


def _seen(link: str, sighting: Sighting, device: Device | None, age_s: float) -> SeenDevice:
    traits, known = sighting.traits, candidates()
    found = recognise(traits, known)
    best = decided(found)
    other = contradiction(traits, device.family, device.model, known) if device is not None else None
    return SeenDevice(
        link=link,
        address=sighting.address,
        identity=sighting.identity,
        kind=sighting.kind,
        name=sighting.name or "",
        rssi_dbm=sighting.rssi_dbm,
        adverts=sighting.adverts,
        last_heard_s=round(age_s, 1),
        services=tuple(sorted(sighting.services | sighting.service_data.keys())),
        companies=tuple(sorted(sighting.companies)),
        models=tuple(ProposedModel(one.family, one.model, one.why, one.certain) for one in found),
        model=best.model if best else "",
        device=device.id if device else "",
        contradicts=other.model if other else "",
    )
