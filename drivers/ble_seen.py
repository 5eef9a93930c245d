"""What an adapter has heard lately, and of whom: the list from which an installer picks a new device. Bounded.

A street with phones sends a hundred adverts a second from addresses that change every quarter of an hour. An address is
therefore on probation until it has been heard a second time; probation and list are each bounded, and what is pushed
out of them is counted.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from drivers.ble_radio import Advert
from drivers.recognise import Traits
from gateway.core.model import Stamp

PROBATION = 512  # addresses heard once; full: the one heard longest ago is forgotten and counted
SEEN = 256  # addresses heard again; full: the same. Those of registered devices come on top and are never forgotten
RSSI_KEPT = 15  # newest signal strengths of one device, for the median
TRAITS_KEPT = 16  # services and kinds of data remembered of one device; a real one has fewer
NAME_KEPT = 64  # characters of a name

_KINDS = {0b11: "static", 0b01: "resolvable", 0b00: "private"}  # top bits of a random address (Core 5.4 Vol 6 B 1.3.2)


@dataclass(slots=True)
class Sighting:
    """One address as heard lately. kind: "public", "static", "resolvable" or "private" (these two change), "" where the
    radio does not tell."""

    address: str
    kind: str
    first: Stamp
    last: Stamp
    adverts: int = 0
    name: str | None = None
    services: set[str] = field(default_factory=set)
    service_data: dict[str, int] = field(default_factory=dict)
    companies: dict[int, int] = field(default_factory=dict)
    _rssi: deque[int] = field(default_factory=lambda: deque(maxlen=RSSI_KEPT))  # full: the oldest goes

    @property
    def traits(self) -> Traits:
        return Traits(self.name, frozenset(self.services), dict(self.service_data), dict(self.companies))

    @property
    def rssi_dbm(self) -> int:
        """Median of the newest adverts."""
        return round(median(self._rssi))

    @property
    def identity(self) -> str:
        """The address where it stays the same; "" for one that changes."""
        return "" if self.kind in ("resolvable", "private") else self.address

    def hear(self, advert: Advert) -> None:
        """Take note of one advert; a scan response says the rest of what its advert had no room for."""
        self.last = advert.at
        self.adverts += 1
        self._rssi.append(advert.rssi_dbm)
        if advert.name:
            self.name = advert.name[:NAME_KEPT]
        if advert.service_uuids and len(self.services) < TRAITS_KEPT:
            self.services.update(advert.service_uuids[:TRAITS_KEPT])
        _keep(self.service_data, advert.service_data)
        _keep(self.companies, advert.manufacturer_data)


def _keep(known: "dict[str, int] | dict[int, int]", heard: Mapping[str, bytes] | Mapping[int, bytes]) -> None:
    lengths: dict[str | int, int] = known  # type: ignore[assignment]  # both kinds of key are kept alike
    for key, data in heard.items():
        if key in lengths or len(lengths) < TRAITS_KEPT:
            lengths[key] = len(data)


def kind_of(details: object, address: str) -> str:
    """What the backend says of an address: BlueZ in its properties, bumble in the address itself."""
    props = details.get("props") if isinstance(details, dict) else None
    told = str(props.get("AddressType", "")) if isinstance(props, dict) else ""
    public = getattr(details, "is_public", None)
    if told == "public" or public is True:
        return "public"
    if told != "random" and public is None:
        return ""
    return _KINDS.get(int(address[:2], 16) >> 6, "")


class Sightings:
    """Who one adapter has heard."""

    def __init__(self) -> None:
        self.forgotten = 0
        self._registered: frozenset[str] = frozenset()
        self._known: dict[str, Sighting] = {}  # registered; bounded by the registry
        self._again: dict[str, Sighting] = {}  # bounded by SEEN
        self._once: dict[str, Sighting] = {}  # bounded by PROBATION

    def __len__(self) -> int:
        return len(self._known) + len(self._again) + len(self._once)

    def __iter__(self) -> Iterator[Sighting]:
        """Who was heard last comes first."""
        found = (*self._known.values(), *self._again.values(), *self._once.values())
        return iter(sorted(found, key=lambda one: one.last, reverse=True))

    def of(self, address: str) -> Sighting | None:
        """What is known of one address."""
        address = address.upper()
        return self._known.get(address) or self._again.get(address) or self._once.get(address)

    def register(self, addresses: Iterable[str]) -> None:
        """Never forget these; called before anything is heard."""
        self._registered |= {address.upper() for address in addresses}

    def hear(self, advert: Advert, details: object = None) -> None:
        """Take note of one advert."""
        address = advert.address
        sighting = self._known.get(address) or self._again.pop(address, None) or self._once.pop(address, None)
        if sighting is None:
            sighting = Sighting(address, kind_of(details, address), advert.at, advert.at)
            shelf = self._known if address in self._registered else self._once
        else:
            shelf = self._known if address in self._registered else self._again
        sighting.hear(advert)
        shelf[address] = sighting
        self._bound(self._once, PROBATION)
        self._bound(self._again, SEEN)

    def _bound(self, shelf: dict[str, Sighting], limit: int) -> None:
        if len(shelf) > limit:
            del shelf[next(iter(shelf))]
            self.forgotten += 1
