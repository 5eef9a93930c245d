"""Which cells there are, and which of them a fact, an event or a moment concerns.

Cells for beds and devices exist from the start; those for uplinks, parts of the box, inputs, and for devices or beds
that the registry does not know (an SOS counts from wherever it comes) are made when they are first heard of.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from edge_rules.cell import Cell, Source
from edge_rules.channel import Age, Channel, Pulse
from edge_rules.fusion import Facts, Key
from edge_rules.kleene import Value
from edge_rules.moment import BedScope, DeviceScope
from edge_rules.rule import AT_BED, EVENTS, FACTS, Input, Per, Rule
from gateway.core.model import Measurement

MAX_MADE = 1000  # cells made for strangers; beyond that strangers share one, so that noise cannot fill the memory
Place = tuple[str, str, str]  # ("bed", "device" or "site"; its id; quantity)


class Fact:
    """A fused fact as a source."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[int], bool | None]) -> None:
        self._read = read

    def read(self, at_ns: int) -> Value:
        """True, False or None."""
        return self._read(at_ns)


class Ward:
    """All cells of a site, indexed by what concerns them."""

    def __init__(
        self, rules: Sequence[Rule], beds: Sequence[BedScope], devices: Sequence[DeviceScope], upstreams: Sequence[str]
    ) -> None:
        self.facts = Facts(devices, upstreams)
        self.triggered: dict[str, list[Rule]] = defaultdict(list)
        self.pulsed: dict[str, list[Rule]] = defaultdict(list)
        self.channels: dict[tuple[str, str, Input], Channel] = {}
        self._rules = rules
        self._beds = {bed.id: bed for bed in beds}
        self._devices = {device.id: device for device in devices}
        self._cells: dict[tuple[str, str], Cell] = {}
        self._timed: list[Cell] = []
        self._by_place: dict[Place, list[tuple[Channel, list[Cell]]]] = defaultdict(list)
        self._by_fact: dict[Key, list[Cell]] = defaultdict(list)
        self._fitted = 0
        for rule in rules:
            self._index(rule)
            self._fit(rule, upstreams)
        self._fitted = len(self._cells)

    def _index(self, rule: Rule) -> None:
        if rule.event is not None:
            self.triggered[rule.event].append(rule)
        for name in rule.names:
            if name in EVENTS:
                self.pulsed[name].append(rule)

    def _fit(self, rule: Rule, upstreams: Iterable[str]) -> None:
        match rule.scope.per:
            case Per.BED:
                for bed in self._beds:
                    self.cell(rule, bed, bed, None)
            case Per.DEVICE:
                for device in self._devices.values():
                    if rule.event is None:  # a rule that waits for an event has a cell where the event comes from
                        self.cell(rule, device.id, device.bed, device.id)
            case Per.UPSTREAM:
                for name in upstreams:
                    self.cell(rule, name, None, None)
            case Per.SITE:
                self.cell(rule, "", None, None)

    # -- cells --------------------------------------------------------------------------------------------------------

    def cells(self) -> Iterable[Cell]:
        """All of them."""
        return self._cells.values()

    def cell(self, rule: Rule, key: str, bed: str | None, device: str | None) -> Cell | None:
        """The cell of a rule and scope; None where the rule does not hold for that bed or device."""
        cell = self._cells.get((rule.id, key))
        if cell is not None:
            return cell
        if not self._holds(rule, bed, device):
            return None
        if self._fitted and len(self._cells) - self._fitted >= MAX_MADE:
            key = "stranger"
            if (cell := self._cells.get((rule.id, key))) is not None:
                return cell
        return self._make(rule, key, bed, device)

    def named(self, rule: str, key: str, bed: str | None, device: str | None) -> Cell | None:
        """The cell of a rule by name, as `cell`; None where there is no such rule."""
        for known in self._rules:
            if known.id == rule and (cell := self.cell(known, key, bed, device)) is not None:
                return cell
        return None

    def _holds(self, rule: Rule, bed: str | None, device: str | None) -> bool:
        scope = rule.scope
        known = self._beds.get(bed or "")
        resident = known.resident if known is not None else None
        if scope.families and (device not in self._devices or self._devices[device].family not in scope.families):
            return False
        if scope.beds and bed not in scope.beds:
            return False
        if scope.profiles and (known is None or known.profile not in scope.profiles):
            return False
        if scope.residents and resident not in scope.residents:
            return False
        return resident is None or resident not in scope.except_residents

    def _make(self, rule: Rule, key: str, bed: str | None, device: str | None) -> Cell:
        sources = [self._source(rule, name, key, bed, device) for name in rule.names]
        cell = Cell(rule, key, bed, device if rule.scope.per is Per.DEVICE else None, sources)
        self._cells[rule.id, key] = cell
        if cell.timed:
            self._timed.append(cell)
        for name, source in zip(rule.names, sources, strict=True):
            channel = source.channel if isinstance(source, Age) else source
            if isinstance(channel, Channel):
                self._listen(self._place(rule, channel.input.quantity, key, bed), channel, cell)
            elif name in FACTS:
                self._by_fact[name, self._fact_key(rule, name, key, bed)].append(cell)
        return cell

    def _listen(self, place: Place, channel: Channel, cell: Cell) -> None:
        for known, cells in self._by_place[place]:
            if known is channel:
                cells.append(cell)
                return
        self._by_place[place].append((channel, [cell]))

    @staticmethod
    def _place(rule: Rule, quantity: str, key: str, bed: str | None) -> Place:
        if rule.scope.per is Per.BED:
            return "bed", bed or key, quantity
        return rule.scope.per.value, key.partition(AT_BED)[0], quantity

    def _source(self, rule: Rule, name: str, key: str, bed: str | None, device: str | None) -> Source:
        if name in EVENTS:
            return Pulse()
        if name in FACTS:
            return self._fact(rule, name, self._fact_key(rule, name, key, bed))
        if name.startswith("age("):
            return Age(self._channel(rule, name[4:-1], key, bed))
        return self._channel(rule, name, key, bed)

    def _channel(self, rule: Rule, name: str, key: str, bed: str | None) -> Channel:
        source = rule.inputs[name]
        kind, place, _ = self._place(rule, source.quantity, key, bed)
        return self.channels.setdefault((kind, place, source), Channel(source))

    @staticmethod
    def _fact_key(rule: Rule, name: str, key: str, bed: str | None) -> str:
        own = {"in_bed": bed or key, "online": key.partition(AT_BED)[0], "input_missing": key}
        if name in own:
            return own[name]
        about = Per.UPSTREAM if name == "uplink" else Per.PART
        return key if rule.scope.per is about else "*"

    def _fact(self, rule: Rule, name: str, key: str) -> Fact:
        facts = self.facts
        match name:
            case "in_bed":
                return Fact(lambda at_ns: facts.in_bed(key, at_ns))
            case "online":
                return Fact(lambda at_ns: facts.is_online(key))
            case "uplink":
                return Fact(lambda at_ns: facts.uplink(key))
            case "box_ok":
                return Fact(lambda at_ns: facts.box_ok(key))
        return Fact(lambda at_ns: facts.input_missing(key))

    # -- what concerns whom -------------------------------------------------------------------------------------------

    def accept(self, m: Measurement, at_ns: int) -> list[Cell]:
        """Hand a measurement to its channels; the cells to be stepped, each once."""
        heard: dict[Cell, None] = {}
        first: Place = ("bed", m.bed, m.quantity) if m.bed is not None else ("site", "", m.quantity)
        for place in (first, ("device", m.device, m.quantity)):
            for channel, cells in self._by_place.get(place, ()):
                if channel.accept(m, at_ns):
                    heard.update(dict.fromkeys(cells))
        return list(heard)

    def naming(self, key: Key) -> list[Cell]:
        """The cells that name a fact; those for an uplink, part, input or device never heard of before are made."""
        name, about = key
        per = {"uplink": Per.UPSTREAM, "box_ok": Per.PART, "input_missing": Per.INPUT, "online": Per.DEVICE}.get(name)
        for rule in self._rules:
            if per is not None and rule.scope.per is per and name in rule.names:
                self.cell(rule, about, self._bed_of(per, about), about)
        cells = [*self._by_fact.get(key, ())]
        return cells + self._by_fact.get((name, "*"), []) if about != "*" else cells

    def _bed_of(self, per: Per, about: str) -> str | None:
        if per is Per.INPUT:
            return about.partition("/")[0]
        return self._devices[about].bed if per is Per.DEVICE and about in self._devices else None

    def due(self, at_ns: int) -> list[Cell]:
        """The cells that time alone brings up."""
        return [cell for cell in self._timed if cell.due_ns <= at_ns]

    @contextmanager
    def pulse(self, cell: Cell, kind: str) -> Iterator[None]:
        """The event is true for this cell within the block."""
        pulses = [
            source
            for name, source in zip(cell.rule.names, cell.sources, strict=True)
            if name == kind and isinstance(source, Pulse)
        ]
        for pulse in pulses:
            pulse.on = True
        yield
        for pulse in pulses:
            pulse.on = False

    def report_unknown(self, cell: Cell, at_ns: int) -> list[Key]:
        """Tell the facts which inputs a cell has missed for too long; the facts that may have turned."""
        if cell.bed is None or cell.rule.scope.per is not Per.BED:
            return []
        expected = tuple(name for name in cell.unknown_inputs(at_ns) if self._expected(cell, name))
        if expected == cell.reported:
            return []
        before, cell.reported = cell.reported, expected
        turned: list[Key] = []
        for name in dict.fromkeys((*before, *expected)):
            turned += self.facts.saw_missing(f"{cell.bed}/{name}", cell.id, missing=name in expected)
        return turned

    def _expected(self, cell: Cell, name: str) -> bool:
        if name == "in_bed":
            return cell.bed in self.facts.beds or self._fits(cell, "bed_occupied")
        if self._fits(cell, name):
            return True
        channels = [source for source in cell.sources if isinstance(source, Channel)]
        return any(channel.input.quantity == name and channel.ever for channel in channels)

    def blind(self) -> list[tuple[str, str, str]]:
        """(rule, scope, quantity) of inputs that nobody is expected to deliver and nobody ever delivered, and of those
        with a limit outside of what every device of the bed declares that it can report."""
        return [
            (cell.rule.id, cell.key, source.input.quantity)
            for cell in self._cells.values()
            for name, source in zip(cell.rule.names, cell.sources, strict=True)
            if isinstance(source, Channel) and (self._unseen(cell, source) or self._out_of_reach(cell, name, source))
        ]

    def _unseen(self, cell: Cell, source: Channel) -> bool:
        return not source.ever and not self._fits(cell, source.input.quantity)

    def _out_of_reach(self, cell: Cell, name: str, source: Channel) -> bool:
        bed = self._beds.get(cell.bed or "")
        ranges = bed.ranges.get(source.input.quantity, ()) if bed is not None else ()
        limits = [limit for limit in (cell.rule.when.limits if cell.rule.when else ()) if limit.name == name]
        return bool(ranges) and any(not any(limit.within(*each) for each in ranges) for limit in limits)

    def _fits(self, cell: Cell, quantity: str) -> bool:
        bed = self._beds.get(cell.bed or "")
        return bed is not None and quantity in bed.quantities
