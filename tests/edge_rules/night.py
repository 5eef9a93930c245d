"""A ward whose time the test moves: facts go in by one short call each, every alarm that changed is kept in order."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from edge_rules.engine import BedScope, DeviceScope, Engine, Now
from edge_rules.rule import Rule
from edge_rules.rulefile import load_defaults, load_rules
from gateway.core.model import Alarm, Event, Measurement, Mode, Stamp, Status
from gateway.core.quantities import QUANTITIES

PARIS = ZoneInfo("Europe/Paris")
BOOT = "00000001"
START_NS = 10**12
BED, BELT, MAT, BUTTON = "b-1", "belt-1", "mat-1", "button-1"
BEDS = (BedScope(BED, quantities=frozenset({"bed_occupied", "vital_sign", "heart_rate", "respiration_rate"})),)
DEVICES = (DeviceScope(BELT, BED), DeviceScope(MAT, BED), DeviceScope(BUTTON, BED, supervised=False))
DEFAULTS = load_defaults()


def rule_text(name: str = "test", **keys: str | None) -> str:
    """One complete rule in TOML; keys replace or add, None leaves one out. Values are written as they are."""
    table: dict[str, str | None] = {
        "rev": "1", "kind": '"physiological"', "priority": '"high"', "when": '"in_bed"',
        "reason": '"r"', "source": '"s"',
    }  # fmt: skip
    table.update({key.rstrip("_"): value for key, value in keys.items()})
    lines = [f"{key} = {value}" for key, value in table.items() if value is not None]
    return "\n".join((f"[rule.{name}]", *lines, ""))


def rules_of(text: str) -> tuple[Rule, ...]:
    """The rules of a text."""
    return load_rules(text, "test.toml")


class Night:
    """Begins at local time `at` of the Paris site, in bed nobody."""

    def __init__(
        self,
        rules: Sequence[Rule] = DEFAULTS,
        *,
        at: datetime = datetime(2026, 11, 24, 23, 0, tzinfo=PARIS),
        beds: Sequence[BedScope] = BEDS,
        devices: Sequence[DeviceScope] = DEVICES,
        mode: Mode = Mode.REAL,
        upstreams: Sequence[str] = (),
        local_certain: bool = True,
    ) -> None:
        self.make: Callable[[], Engine] = lambda: Engine(rules, beds, devices, mode, upstreams=upstreams)
        self.engine = self.make()
        self.mode = mode
        self.boot = BOOT
        self.local_certain = local_certain
        self._begin = at.astimezone(UTC)
        self._start_ns = START_NS
        self.seconds = 0.0
        self.log: list[Alarm] = []

    def now(self) -> Now:
        local = (self._begin + timedelta(seconds=self.seconds)).astimezone(PARIS)
        mono_ns = self._start_ns + round(self.seconds * 1e9)
        return Now(Stamp(self.boot, mono_ns), local, mono_ns, local_certain=self.local_certain)

    def step_utc(self, seconds: float) -> None:
        """Move the wall clock alone, as an NTP step does."""
        self._begin += timedelta(seconds=seconds)

    def stamp(self) -> Stamp:
        return self.now().stamp

    def keep(self, alarms: list[Alarm]) -> list[Alarm]:
        self.log += alarms
        return alarms

    def measure(
        self, quantity: str, value: float, *, quality: float = 0.9, bed: str | None = BED, device: str = BELT,
        origin: str = "test/1", ago_s: float = 0.0, status: Status = Status.VALID, mode: Mode | None = None,
    ) -> list[Alarm]:  # fmt: skip
        at = self.stamp().plus_s(-ago_s)
        unit = QUANTITIES[quantity].unit
        return self.keep(
            self.engine.measurement(
                Measurement(bed, device, quantity, value, unit, at, 0.0, quality, origin, status, mode or self.mode),
                self.now(),
            )
        )

    def event(
        self, kind: str, *, bed: str | None = BED, device: str | None = BELT, at: Stamp | None = None, **detail: str
    ) -> list[Alarm]:
        return self.keep(self.engine.event(Event(kind, at or self.stamp(), bed, device, detail, self.mode), self.now()))

    def tick(self) -> list[Alarm]:
        return self.keep(self.engine.tick(self.now()))

    def go(self, seconds: float, **values: float | None) -> list[Alarm]:
        """Let seconds pass, one tick each, with these quantities measured by the belt before each; all transitions."""
        changed: list[Alarm] = []
        for _ in range(round(seconds)):
            self.seconds += 1.0
            for quantity, value in values.items():
                if value is not None:
                    changed += self.measure(quantity, value)
            changed += self.tick()
        return changed

    def leap(self, seconds: float) -> list[Alarm]:
        """Let time pass without a tick, then tick once: a process that was not scheduled."""
        self.seconds += seconds
        return self.tick()

    def open(self, rule: str | None = None) -> list[Alarm]:
        return [alarm for alarm in self.engine.open_alarms() if rule in (None, alarm.rule)]

    def raised(self, rule: str) -> list[Alarm]:
        """First sight of each alarm of a rule."""
        seen: dict[str, Alarm] = {}
        for alarm in self.log:
            if alarm.rule == rule:
                seen.setdefault(alarm.id, alarm)
        return list(seen.values())

    def kill(self, *, stored: Sequence[Alarm] | None = None, snapshot: str | None = None) -> None:
        """kill -9 and start again in the same boot: what was written is all there is."""
        snapshot = self.engine.snapshot() if snapshot is None else snapshot
        stored = self.engine.open_alarms() if stored is None else stored
        self.engine = self.make()
        if snapshot:
            self.engine.load_snapshot(snapshot, self.now())
        self.engine.restore(stored)

    def reboot(self, *, down_s: float, utc_step_s: float = 0.0, local_certain: bool = True) -> None:
        """Power loss: another boot id, a monotonic clock that begins anew, and perhaps a wall clock that is wrong."""
        snapshot, stored = self.engine.snapshot(), self.engine.open_alarms()
        self.seconds += down_s
        self._begin += timedelta(seconds=utc_step_s)
        self.boot = f"{int(self.boot, 16) + 1:08x}"
        self._start_ns = 5 * 10**9 - round(self.seconds * 1e9)
        self.local_certain = local_certain
        self.engine = self.make()
        self.engine.load_snapshot(snapshot, self.now())
        self.engine.restore(stored)
