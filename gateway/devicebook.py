"""What is known of each device since the start: heard, worn, charging, refused, lost, and how its calls are supervised.

Bounded by the number of devices and the constants below. Only the last press of each way to call for help outlives a
start: a month outlives the boots of a box, so `on_pressed` hands it out to be kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from drivers.base import Device
from drivers.capability import Sight, profile_of, sights
from drivers.supervision import SosPath, Wear, judge, sos_paths
from gateway.core.clock import Clock
from gateway.core.model import Event, Measurement, Stamp
from gateway.views import DeviceState, SosState, why

REASONS_KEPT = 20  # different reasons of rejection by device; more are summed under "other"
SHOWN_RAW_BYTES = 64
FAULTS_KEPT = 10  # different faults by device at once; the oldest goes
ONCE_SHOWN_S = 3600.0  # a fault that just happened: so long can a technician who was called still see it

Presses = Mapping[str, float]  # UTC in s since 1970 of the last press, by `name_of` the path


def name_of(path: SosPath) -> str:
    """Key under which the last press of a path is kept."""
    return f"{path.device}/{path.input}"


@dataclass(frozen=True, slots=True)
class _Fault:
    """lasts: until the device tells its end; else it happened once."""

    why: str
    at: Stamp
    lasts: bool


@dataclass(slots=True)
class _Seen:
    """What one device has told since start. state: "never", "up" or "lost"; a fault is shown instead of "up"."""

    state: str = "never"
    reason: str = ""
    last: Stamp | None = None
    rssi_dbm: int | None = None
    battery_percent: float | None = None
    wear: Wear = field(default_factory=Wear)
    rejected: dict[str, int] = field(default_factory=dict)
    raw: bytes = b""
    lost: dict[str, int] = field(default_factory=dict)
    withheld: dict[str, str] = field(default_factory=dict)
    faults: dict[str, _Fault] = field(default_factory=dict)


class DeviceBook:
    """when: UTC in ns of a stamp, None where no anchor times it."""

    def __init__(self, clock: Clock, when: Callable[[Stamp], int | None]) -> None:
        self._clock = clock
        self._when = when
        self._started = clock.now()
        self._devices: dict[str, Device] = {}
        self._paths: dict[str, tuple[SosPath, ...]] = {}
        self._sees: dict[str, tuple[Sight, ...]] = {}
        self._seen: dict[str, _Seen] = {}
        self._pressed: dict[str, float] = {}
        self.on_pressed: Callable[[Presses], None] = lambda pressed: None

    def set_devices(self, devices: Sequence[Device]) -> None:
        """The registry as it is now; what is known of devices that stay is kept."""
        self._devices = {device.id: device for device in devices}
        self._sees = {device.id: sights(device) for device in devices}
        self._paths = {device.id: sos_paths(device, profile_of(device.family, device.model)) for device in devices}
        self._seen = {name: self._seen.get(name, _Seen()) for name in self._devices}

    def set_pressed(self, pressed: Presses) -> None:
        """What `on_pressed` handed out in an earlier life."""
        self._pressed = dict(pressed)

    # -- fed --------------------------------------------------------------------------------------------------------

    def heard(self, device: str, at: Stamp) -> bool:
        """True when it had not been heard before, or had been lost."""
        seen = self._seen.get(device)
        if seen is None:
            return False
        if seen.last is None or at > seen.last:
            seen.last = at
        back = seen.state in ("never", "lost")
        if back:
            seen.state, seen.reason = "up", ""
        return back

    def signal(self, device: str, rssi_dbm: int) -> None:
        if device in self._seen:
            self._seen[device].rssi_dbm = rssi_dbm

    def measured(self, measurement: Measurement) -> None:
        seen = self._seen.get(measurement.device)
        if seen is None:
            return
        seen.wear = seen.wear.after(measurement)
        if measurement.quantity == "battery":
            seen.battery_percent = measurement.value

    def happened(self, event: Event) -> None:
        """An event of a device."""
        seen = self._seen.get(event.device or "")
        if seen is None:
            return
        seen.wear = seen.wear.after(event)
        self._press(event)
        match event.kind:
            case "link_up":
                seen.state, seen.reason, seen.last = "up", "", event.at
                seen.faults.clear()
            case "link_lost":  # what it would say now is not known; once it is back, a fault that lasts is told again
                seen.state, seen.reason = "lost", why(event)
                seen.faults.clear()
            case "device_fault" if event.detail.get("active") is False:
                seen.faults.pop(_key(event), None)
                self.heard(event.device or "", event.at)
            case "device_fault":
                _fault(seen, event)
            case _:
                self.heard(event.device or "", event.at)

    def rejected(self, device: str, reason: str, raw: bytes, count: int) -> None:
        seen = self._seen.setdefault(device, _Seen())
        key = reason if reason in seen.rejected or len(seen.rejected) < REASONS_KEPT else "other"
        seen.rejected[key] = seen.rejected.get(key, 0) + count
        seen.raw = raw[:SHOWN_RAW_BYTES]

    def lost(self, device: str, channel: str, lost: int) -> None:
        seen = self._seen.setdefault(device, _Seen())
        seen.lost[channel] = seen.lost.get(channel, 0) + lost

    def withheld(self, device: str, reasons: Mapping[str, str]) -> None:
        """By quantity: why the worker withholds it, "" when it no longer does."""
        seen = self._seen.setdefault(device, _Seen())
        seen.withheld = {name: why for name, why in (seen.withheld | dict(reasons)).items() if why}

    def _press(self, event: Event) -> None:
        utc_ns = self._when(event.at)
        pressed = [path for path in self._paths.get(event.device or "", ()) if path.pressed_by(event)]
        if pressed and utc_ns is not None:
            self._pressed |= {name_of(path): utc_ns / 1e9 for path in pressed}
            self.on_pressed(self._pressed)

    # -- read -------------------------------------------------------------------------------------------------------

    def states(self, bed: str | None = None) -> tuple[DeviceState, ...]:
        """All devices, or those of one bed."""
        return tuple(self.state(device) for device in self._devices.values() if bed in (None, device.bed))

    def state(self, device: Device) -> DeviceState:
        seen = self._seen.get(device.id, _Seen())
        faults = dict.fromkeys(fault.why for fault in seen.faults.values() if self._stands(fault, seen))
        return DeviceState(
            id=device.id,
            family=device.family,
            model=device.model,
            link=device.link,
            bed=device.bed,
            state="fault" if faults else seen.state,
            reason="; ".join(faults) if faults else seen.reason,
            last_seen_s=max(0.0, self._clock.now().since_s(seen.last)) if seen.last else None,
            rssi_dbm=seen.rssi_dbm,
            battery_percent=seen.battery_percent,
            rejected=dict(seen.rejected),
            last_rejected=seen.raw.hex(" "),
            lost_samples=dict(seen.lost),
            withheld=dict(seen.withheld),
            worn=seen.wear.worn,
            charging=seen.wear.charging,
            sees=self._sees[device.id],
            sos=tuple(self._sos(path, seen) for path in self._paths.get(device.id, ())),
        )

    def _stands(self, fault: _Fault, seen: _Seen) -> bool:
        """One that happened once is over when it is old and the device has been heard since."""
        old = self._clock.now().since_s(fault.at) > ONCE_SHOWN_S
        return fault.lasts or not old or seen.last is None or seen.last <= fault.at

    def _sos(self, path: SosPath, seen: _Seen) -> SosState:
        """What was not heard since the start is silent only once its silence is longer than it may be."""
        pressed_s = self._pressed.get(name_of(path))
        judged = judge(
            path,
            heard=self._utc(seen.last or self._started),
            pressed=None if pressed_s is None else datetime.fromtimestamp(pressed_s, tz=UTC),
            now=datetime.fromtimestamp(self._clock.anchor().utc_ns_of(self._clock.now()) / 1e9, tz=UTC),
        )
        test_by = None if judged.test_by is None else round(judged.test_by.timestamp() * 1000)
        return SosState(path.input, path.bed, path.way.value, judged.proof.value, judged.test_due, test_by)

    def _utc(self, at: Stamp) -> datetime | None:
        utc_ns = self._when(at)
        return None if utc_ns is None else datetime.fromtimestamp(utc_ns / 1e9, tz=UTC)


def _key(event: Event) -> str:
    """What a fault is known by, at its beginning and at its end."""
    named = {key: event.detail[key] for key in ("fault", "part", "function", "address") if key in event.detail}
    return repr(named or event.detail.get("reason", ""))


def _fault(seen: _Seen, event: Event) -> None:
    detail, key = event.detail, _key(event)
    text = why(event) or ": ".join(str(detail[name]) for name in ("fault", "meaning") if name in detail)
    seen.faults.pop(key, None)  # told again, it is the newest
    seen.faults[key] = _Fault(text, event.at, detail.get("active") is True)
    if len(seen.faults) > FAULTS_KEPT:
        del seen.faults[next(iter(seen.faults))]
