"""Facts that no single device tells: is somebody in bed, is a device there, is an uplink there, is the box well?

Each fact is True, False or None for unknown; `why` gives its state in a word. A reading that is not repeated goes
stale, which is unknown and not "as before".
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edge_rules.moment import DeviceScope
from gateway.core.model import Event, Measurement, Status

STALE_NS = 60 * 10**9  # belts tell once a second, contact mats every five seconds
SETTLE_NS = 30 * 10**9  # a mat tells an exit seconds before the belt: a disagreement of this length is only a delay
MIN_QUALITY = 0.5  # of a bed_occupied reading
NEVER_SEEN_NS = 300 * 10**9  # a supervised device has this long to be heard after a start, then it counts as lost
# Proof that the device is there; the worker's events may come late, and faults are reported of what cannot be reached.
FROM_DEVICE = frozenset({"link_up", "sos_pressed", "service_requested", "kiosk_reading", "sensor_off", "battery_low"})
_USABLE = (Status.VALID, Status.QUESTIONABLE)

Key = tuple[str, str]  # (fact, bed, device, upstream or part)


@dataclass(slots=True)
class Reading:
    """What one device last said of a bed. derived: by the signal worker, from a belt. changed_ns: the last turn."""

    occupied: bool
    at_ns: int
    changed_ns: int
    derived: bool


class Facts:
    """The fused state of the site. Every `saw_` returns the facts that may have turned."""

    def __init__(self, devices: Iterable[DeviceScope], upstreams: Iterable[str]) -> None:
        self.supervised = {device.id for device in devices if device.supervised}
        self.beds: dict[str, dict[str, Reading]] = {}
        self.online: dict[str, bool] = {}
        self.uplinks: dict[str, bool | None] = dict.fromkeys(upstreams)
        self.silent_since_ns: dict[str, int] = {}
        self.troubles: dict[str, str] = {}
        self.parts: set[str] = set()
        self.missing: dict[str, set[str]] = {}
        self.started_ns: int | None = None

    def refresh(self, at_ns: int) -> list[Key]:
        """Once a second: an uplink is down until it says that it is up, and a device may not stay unheard for ever."""
        turned: list[Key] = []
        if self.started_ns is None:
            self.started_ns = at_ns
            for name in [name for name, up in self.uplinks.items() if up is None]:
                turned += self._uplink(name, False, at_ns)
        if at_ns - self.started_ns >= NEVER_SEEN_NS:
            for device in self.supervised - self.online.keys():
                turned += self._online(device, False)
        return turned

    def _restart(self, at_ns: int) -> list[Key]:
        """What the process before this one knew of links and of itself holds no longer; beds go stale by themselves."""
        turned = [("box_ok", part) for part in self.troubles]
        self.troubles.clear()
        self.online.clear()
        self.started_ns = at_ns
        for name in list(self.uplinks):
            turned += self._uplink(name, False, at_ns)
        return turned

    # -- what is seen -------------------------------------------------------------------------------------------------

    def saw_measurement(self, m: Measurement, at_ns: int) -> list[Key]:
        turned: list[Key] = []
        if m.origin == "device":
            turned += self._online(m.device, True)
        if m.quantity == "bed_occupied" and m.bed is not None and m.quality >= MIN_QUALITY and m.status in _USABLE:
            turned += self._occupied(m.bed, m.device, m.value >= 0.5, at_ns, derived=m.origin != "device")
        return turned

    def saw_event(self, e: Event, at_ns: int) -> list[Key]:
        match e.kind:
            case "link_lost":
                return self._lost(e)
            case "bed_entered" | "bed_exited" if e.bed is not None:
                return self._occupied(e.bed, e.device or "", e.kind == "bed_entered", at_ns, derived=True)
            case "uplink_lost" | "uplink_back":
                return self._uplink(upstream_of(e), e.kind == "uplink_back", at_ns)
            case "box_trouble":
                self.troubles[part_of(e)] = str(e.detail.get("reason", ""))
                self.parts.add(part_of(e))
                return [("box_ok", part_of(e))]
            case "box_recovered":
                self.troubles.pop(part_of(e), None)
                return [("box_ok", part_of(e))]
            case "box_started":
                return self._restart(at_ns)
            case _ if e.kind in FROM_DEVICE and e.device is not None:
                return self._online(e.device, True)
        return []

    def saw_missing(self, name: str, cell: str, *, missing: bool) -> list[Key]:
        """A rule's cell has waited too long for an input ("bed/name"), or has it again."""
        cells = self.missing.setdefault(name, set())
        (cells.add if missing else cells.discard)(cell)
        return [("input_missing", name)]

    def _online(self, device: str, online: bool) -> list[Key]:
        if self.online.get(device) is online:
            return []
        self.online[device] = online
        return [("online", device)]

    def _lost(self, e: Event) -> list[Key]:
        turned = self._online(e.device or "", False)
        for bed, readings in self.beds.items():
            if readings.pop(e.device or "", None) is not None:
                turned.append(("in_bed", bed))
        return turned

    def _occupied(self, bed: str, device: str, occupied: bool, at_ns: int, *, derived: bool) -> list[Key]:
        readings = self.beds.setdefault(bed, {})
        before = readings.get(device)
        if before is None or before.occupied is not occupied:
            if before is not None and at_ns < before.at_ns:
                return []
            readings[device] = Reading(occupied, at_ns, at_ns, derived)
            return [("in_bed", bed)]
        stale = at_ns - before.at_ns > STALE_NS
        before.at_ns = max(before.at_ns, at_ns)
        return [("in_bed", bed)] if stale else []

    def _uplink(self, name: str, up: bool, at_ns: int) -> list[Key]:
        self.uplinks[name] = up
        if up:
            self.silent_since_ns.pop(name, None)
        else:
            self.silent_since_ns.setdefault(name, at_ns)
        return [("uplink", name)]

    # -- what is true -------------------------------------------------------------------------------------------------

    def in_bed(self, bed: str, at_ns: int) -> bool | None:
        """From all fresh readings of the bed; where they disagree for long, a belt knows better than a mat."""
        return self._bed_state(bed, at_ns)[0]

    def why_in_bed(self, bed: str, at_ns: int) -> str:
        """ "agreed", "conflict", "settled", "stale" or "never"."""
        return self._bed_state(bed, at_ns)[1]

    def _bed_state(self, bed: str, at_ns: int) -> tuple[bool | None, str]:
        readings = self.beds.get(bed)
        if not readings:
            return None, "never"
        fresh = [reading for reading in readings.values() if at_ns - reading.at_ns <= STALE_NS]
        if not fresh:
            return None, "stale"
        first = fresh[0]
        if all(reading.occupied is first.occupied for reading in fresh):
            return first.occupied, "agreed"
        if at_ns - max(reading.changed_ns for reading in fresh) < SETTLE_NS:
            return None, "conflict"
        best = max(fresh, key=lambda reading: (reading.derived, reading.changed_ns))
        return best.occupied, "settled"

    def is_online(self, device: str) -> bool | None:
        """None for a device that was never heard and never missed."""
        return self.online.get(device)

    def uplink(self, name: str) -> bool | None:
        """Of one upstream; of any of them for "*"."""
        if name != "*":
            return self.uplinks.get(name)
        states = self.uplinks.values()
        return True if True in states else (None if None in states or not states else False)

    def box_ok(self, part: str) -> bool:
        """Of one part; of all for "*"."""
        return not self.troubles if part == "*" else part not in self.troubles

    def input_missing(self, name: str) -> bool:
        """Whether any rule has waited too long for it."""
        return bool(self.missing.get(name))

    def silent_s(self, at_ns: int) -> float:
        """Seconds for which no uplink at all has been there; 0 while one is, or where there is none to be lost."""
        if not self.uplinks or len(self.silent_since_ns) < len(self.uplinks):
            return 0.0
        return max(0.0, (at_ns - max(self.silent_since_ns.values())) / 1e9)


def upstream_of(e: Event) -> str:
    """Which upstream an event is about."""
    return str(e.detail.get("upstream") or e.device or "platform")


def part_of(e: Event) -> str:
    """Which part of the box an event is about."""
    return str(e.detail.get("part") or e.device or "box")
