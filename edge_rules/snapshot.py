"""What must survive a restart besides the alarms: running durations, windows, facts and ages, as one JSON text.

Times are nanoseconds of the boot in which the snapshot was taken, and move with it: within the same boot they stand,
after a reboot they are laid so that the time passed is the difference of UTC, at least nothing and at most a day (a
clock that stepped by a year must not ripen a single duration), and nothing at all while UTC is not to be trusted.
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from edge_rules.book import AlarmBook, Clockwork
from edge_rules.cell import Cell, Phase
from edge_rules.fusion import Reading
from edge_rules.moment import Now
from gateway.core.errors import StoreError
from gateway.core.model import Stamp

if TYPE_CHECKING:
    from edge_rules.ward import Ward

MAX_OUTAGE_S = 86_400.0
Shift = Callable[[int], int]


class CellState(msgspec.Struct, array_like=True, frozen=True):
    """One cell that is not simply idle; rev: of the rule, a newer one begins afresh."""

    rule: str
    rev: int
    key: str
    bed: str | None
    device: str | None
    phase: Phase
    onset: tuple[str, int] | None
    since_ns: int
    known_ns: int
    clear_since_ns: int | None
    rearm_ns: int
    unknown_ns: int | None
    seconds: str
    second: int
    event_ns: int
    alarm: str | None
    hidden_by: str
    reported: tuple[str, ...]
    due_ns: int


class ChannelState(msgspec.Struct, array_like=True, frozen=True):
    """One input's window; name: of place and input."""

    name: str
    device: str
    at_ns: int
    quality: float
    value: float | None
    samples: list[tuple[int, float]]


class Snapshot(msgspec.Struct, frozen=True):
    """The whole. beds: bed, device, occupied, at, changed, derived. idle_due_ns: of every cell not listed."""

    boot: str
    mono_ns: int
    utc_s: float
    idle_due_ns: int
    cells: list[CellState]
    channels: list[ChannelState]
    beds: list[tuple[str, str, bool, int, int, bool]]
    online: dict[str, bool]
    uplinks: dict[str, bool | None]
    silent_since_ns: dict[str, int]
    troubles: dict[str, str]
    missing: dict[str, list[str]]
    started_ns: int | None
    clocks: dict[str, tuple[int, int | None]]
    recent: list[str]
    pauses: list[tuple[str, str, int]]
    v: int = 1


def dump(ward: "Ward", book: AlarmBook, now: Now | None) -> str:
    """The state as it is after the last call."""
    facts = ward.facts
    dues = Counter(cell.due_ns for cell in ward.cells() if not cell.lively)
    idle_due_ns = dues.most_common(1)[0][0] if dues else 0
    snapshot = Snapshot(
        now.stamp.boot_id if now else "", now.stamp.mono_ns if now else 0, now.utc_s if now else 0.0, idle_due_ns,
        [_cell(cell) for cell in ward.cells() if cell.lively or cell.due_ns != idle_due_ns],
        [ChannelState(_name(key), *channel.state()) for key, channel in ward.channels.items() if channel.ever],
        [
            (bed, device, reading.occupied, reading.at_ns, reading.changed_ns, reading.derived)
            for bed, readings in facts.beds.items()
            for device, reading in readings.items()
        ],
        facts.online, facts.uplinks, facts.silent_since_ns, facts.troubles,
        {name: sorted(cells) for name, cells in facts.missing.items() if cells}, facts.started_ns,
        {alarm: (clock.raised_ns, clock.answered_ns) for alarm, clock in book.clocks.items()},
        list(book.recent), [(bed, rule, until_ns) for (bed, rule), until_ns in book.pauses.items()],
    )  # fmt: skip
    return msgspec.json.encode(snapshot).decode()


def load(text: str, ward: "Ward", book: AlarmBook, now: Now) -> None:
    """Lay a stored state over a new ward and book. StoreError when the text is damaged."""
    try:
        snapshot = msgspec.json.decode(text, type=Snapshot)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"the rules' snapshot cannot be read: {error}",
            hint="it is dropped; running durations begin anew, open alarms come from alarms.db",
        ) from error
    shift = _shift(snapshot, now)
    _load_cells(snapshot, ward, shift)
    _load_facts(snapshot, ward, shift)
    for key, channel in ward.channels.items():
        state = next((state for state in snapshot.channels if state.name == _name(key)), None)
        if state is not None:
            samples = [(shift(at_ns), value) for at_ns, value in state.samples]
            channel.load(state.device, shift(state.at_ns), state.quality, state.value, samples)
    for alarm, (raised_ns, answered_ns) in snapshot.clocks.items():
        book.clocks[alarm] = Clockwork(shift(raised_ns), None if answered_ns is None else shift(answered_ns))
    book.recent.extend(snapshot.recent)
    book.pauses.update({(bed, rule): shift(until_ns) for bed, rule, until_ns in snapshot.pauses})


def _shift(snapshot: Snapshot, now: Now) -> Shift:
    if snapshot.boot == now.stamp.boot_id:
        return lambda at_ns: at_ns
    passed_s = min(max(0.0, now.utc_s - snapshot.utc_s), MAX_OUTAGE_S) if now.local_certain else 0.0
    offset_ns = now.stamp.mono_ns - round(passed_s * 1e9) - snapshot.mono_ns
    return lambda at_ns: at_ns + offset_ns


def _name(key: tuple[str, str, object]) -> str:
    return f"{key[0]} {key[1]} {key[2]}"


def _cell(cell: Cell) -> CellState:
    onset = None if cell.onset is None else (cell.onset.boot_id, cell.onset.mono_ns)
    return CellState(
        cell.rule.id, cell.rule.rev, cell.key, cell.bed, cell.device, cell.phase, onset, cell.since_ns, cell.known_ns,
        cell.clear_since_ns, cell.rearm_ns, cell.unknown_ns, f"{cell.seconds:x}", cell.second, cell.event_ns,
        cell.alarm, cell.hidden_by, cell.reported, cell.due_ns,
    )  # fmt: skip


def _load_cells(snapshot: Snapshot, ward: "Ward", shift: Shift) -> None:
    for cell in ward.cells():
        cell.due_ns = shift(snapshot.idle_due_ns)
    for state in snapshot.cells:
        found = ward.named(state.rule, state.key, state.bed, state.device)
        if found is None or found.rule.rev != state.rev:
            continue
        cell = found
        cell.phase = state.phase
        cell.onset = None if state.onset is None else Stamp(*state.onset)
        cell.since_ns, cell.known_ns = shift(state.since_ns), shift(state.known_ns)
        cell.clear_since_ns = None if state.clear_since_ns is None else shift(state.clear_since_ns)
        cell.rearm_ns = shift(state.rearm_ns) if state.rearm_ns else 0
        cell.unknown_ns = None if state.unknown_ns is None else shift(state.unknown_ns)
        cell.seconds = int(state.seconds, 16)
        cell.second = shift(state.second * 10**9) // 10**9
        cell.event_ns = shift(state.event_ns) if state.event_ns >= 0 else -1
        cell.alarm, cell.hidden_by, cell.reported = state.alarm, state.hidden_by, state.reported
        cell.due_ns = shift(state.due_ns)


def _load_facts(snapshot: Snapshot, ward: "Ward", shift: Shift) -> None:
    facts = ward.facts
    for bed, device, occupied, at_ns, changed_ns, derived in snapshot.beds:
        facts.beds.setdefault(bed, {})[device] = Reading(occupied, shift(at_ns), shift(changed_ns), derived)
    facts.online.update(snapshot.online)
    facts.uplinks.update(snapshot.uplinks)
    facts.silent_since_ns.update({name: shift(at_ns) for name, at_ns in snapshot.silent_since_ns.items()})
    facts.troubles.update(snapshot.troubles)
    facts.missing.update({name: set(cells) for name, cells in snapshot.missing.items()})
    facts.started_ns = None if snapshot.started_ns is None else shift(snapshot.started_ns)
