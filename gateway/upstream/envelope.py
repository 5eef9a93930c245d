"""What travels: one flat msgspec Struct for each message type, JSON on the wire.

Every message names its schema `v` and its `type`. Rows add `seq` (u64 by gateway and stream, never reset: with both it
is the key that a reader dedupes by), `boot` and `m` (monotonic ms of that boot), `t`, `tu` and `sync` (UTC ms, its
uncertainty in ms, where it comes from; `t` is null while nobody can know it) and `hist` (late: moves no current
value). Readers ignore fields they do not know and refuse wrong types; an absent field and a null one mean the same.
Inside a major version fields are only added.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.core.errors import ProtocolError

VERSION = "1.0"
MAJORS = (1,)

U64 = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # unsigned by contract; SQLite and JSON readers stop at 63 bits
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Message(Struct, tag_field="type", kw_only=True):
    """v: schema version as "major.minor"."""

    v: str = VERSION


class Timed(Message, kw_only=True):
    boot: str
    m: int
    t: int | None = None
    tu: U64
    sync: str


class Numbered(Timed, kw_only=True):
    seq: U64
    hist: bool = False


class RuleSet(Struct):
    """The rules in force: revision and SHA-256 of their source."""

    rev: int
    sha: str


class State(Message, tag="state", kw_only=True):
    """Birth (`on`), clean end and last will. A death whose `boot` is not that of the last birth is an old one."""

    on: bool
    boot: str
    why: str | UnsetType = UNSET
    bootn: int | UnsetType = UNSET
    t: int | UnsetType | None = UNSET
    tu: int | UnsetType = UNSET
    sync: str | UnsetType = UNSET
    sw: str | UnsetType = UNSET
    majors: list[int] | UnsetType = UNSET
    cfg: int | UnsetType = UNSET
    rules: RuleSet | UnsetType = UNSET
    inv: int | UnsetType = UNSET
    hi: dict[str, int] | UnsetType = UNSET
    lo: dict[str, int] | UnsetType = UNSET
    island: bool | UnsetType = UNSET
    modes: list[str] | UnsetType = UNSET


class DeviceClock(Struct):
    """A device's own clock against the gateway's, ms."""

    off_ms: int
    tu: int


class Sees(Struct):
    """What is hidden from a device of a quantity: it reports from lo to hi only (unit of the quantity; null: nothing
    declared), a change late_s late; blind: in words for technicians."""

    lo: float | None = None
    hi: float | None = None
    late_s: float = 0.0
    blind: str = ""


class SosPath(Struct):
    """One way to call for help. inp: input of a contact module. way: "beacon", "loop", "link" or "none".

    proof: "supervised", "silent" or "unsupervised"; due: its test press is due, by: UTC ms when it falls or fell due.
    """

    inp: str = ""
    bed: str | None = None
    way: str = "none"
    proof: str = "unsupervised"
    due: bool = False
    by: int | None = None


class InvDevice(Struct):
    """caps: quantities it measures, and waveforms as "wave:acc@50". seen: UTC ms of the last sign of life.

    sees: by quantity, only where something is declared. worn, chg (charging): absent where it cannot tell or has not.
    """

    dev: str
    kind: str
    model: str
    link: str
    bed: str | None = None
    fw: str | None = None
    bond: str = "n/a"
    trust: str | None = None
    batt: int | None = None
    seen: int | None = None
    clock: DeviceClock | None = None
    caps: list[str] = []
    sees: dict[str, Sees] | UnsetType = UNSET
    worn: bool | UnsetType | None = UNSET
    chg: bool | UnsetType | None = UNSET
    sos: list[SosPath] | UnsetType = UNSET


class Inventory(Message, tag="inv", kw_only=True):
    rev: int
    devices: list[InvDevice]


class Health(Timed, tag="health", kw_only=True):
    """parts: state of each part ("store": "ready"); gauges: named numbers with the unit in the name."""

    parts: dict[str, str]
    gauges: dict[str, float]


class Ack(Struct):
    """A named person has seen the alarm: t is UTC ms."""

    by: str
    t: int | None = None
    note: str = ""
    via: str = ""


class WaveWindow(Struct):
    """Which waveforms belong to an alarm (UTC ms); fetched with `wave.read`."""

    ch: list[str]
    from_: int = msgspec.field(name="from")
    to: int


Scalar = str | int | float | bool


class AlarmState(Numbered, tag="alarm", kw_only=True):
    """The whole alarm after transition `rev`; times are UTC ms, delay_s the rule's own delay.

    rule: name@revision. mode: only "real" may call people. trace: CLOCK_BOOTTIME ns by step, for latencies.
    local: why it sounds on the spot too, "" while a platform has it. overdue: acknowledged, but not attended or not
    closed in time. hidden_by: the alarm that explains this one.
    """

    id: str
    rev: int
    bed: str | None = None
    rule: str
    kind: str
    prio: str
    cond: str
    signal: dict[str, str]
    onset: int | None = None
    raised: int | None = None
    delay_s: float
    val: dict[str, float]
    q: float
    esc: int
    ack: Ack | None = None
    mode: str
    dev: str | None = None
    latch: bool = False
    delivery: str = "raised"
    cleared: int | None = None
    closed: int | None = None
    outcome: str = ""
    evidence: dict[str, Scalar] = {}
    bundle: str = "built-in"
    attended: Ack | None = None
    received_by: list[str] = []
    local: str = ""
    overdue: str = ""
    hidden_by: str = ""
    paused_until: int | None = None
    wave: WaveWindow | None = None
    trace: dict[str, int] = {}


class Observation(Numbered, tag="obs", kw_only=True):
    """One spot reading. what: quantity name; unit: UCUM; st: validity ("over", "under": val is the limit); alg:
    "device" or algorithm/version. asg: of a shared device, "unassigned" or by what the person was known; a row with a
    bed takes the place of the one without it of the same dev, what, boot and m."""

    bed: str | None = None
    dev: str
    what: str
    val: float
    unit: str
    q: float
    alg: str
    st: str
    mode: str
    win_s: float = 0.0
    loinc: str | None = None
    mdc: int | None = None
    asg: str = ""


class Stat(Struct):
    """n: seconds measured in the window."""

    n: int
    min: float
    mean: float
    max: float
    q: float


class Summary(Numbered, tag="summary", kw_only=True):
    """What one bed measured from `t` on for `win_s` seconds, by quantity name."""

    bed: str | None = None
    stats: dict[str, Stat]
    mode: str
    win_s: int = 60


class Happening(Numbered, tag="event", kw_only=True):
    """Something that happened: to a person (stream "obs": a button, a bed exit), or technical (stream "tech")."""

    kind: str
    mode: str
    bed: str | None = None
    dev: str | None = None
    detail: dict[str, Scalar] = {}


class GapNote(Numbered, tag="gap", kw_only=True):
    """Data that will never come, with the reason; travels in the stream "tech"."""

    what: str
    reason: str
    lost: int
    bed: str | None = None
    dev: str | None = None


class Page(Message, tag="page", kw_only=True):
    """Rows of one stream by column (`gateway.upstream.pages`); n rows with numbers from lo to hi."""

    stream: str
    n: int
    same: dict[str, Any]
    cols: dict[str, dict[str, Any]]
    lo: int | None = None
    hi: int | None = None
    hist: bool = True


class StreamMarks(Struct):
    """lo: lowest number kept, hi: highest given out; acked_hi: the broker has all up to here; pruned_lo: below it is
    gone for good; waiting: rows not acknowledged, live and missed together."""

    lo: int
    hi: int
    acked_hi: int
    pruned_lo: int
    waiting: int = 0


class Backlog(Message, tag="backlog", kw_only=True):
    streams: dict[str, StreamMarks]


class Result(Message, tag="result", kw_only=True):
    """The reply to a command, and to any request that was refused: st as in the user property.

    rev: of the alarm after the command. alarm: its present state where a stale `rev` was refused (409).
    """

    verb: str
    st: int
    text: str = ""
    retry_s: float | UnsetType = UNSET
    rev: int | UnsetType = UNSET
    alarm: AlarmState | UnsetType = UNSET


class Backfill(Struct):
    """rate: pages a second for each gateway, 0 pauses; hold_until: UTC ms before which no page is wanted."""

    rate: Annotated[float, Meta(ge=0.0, le=1000.0)] | None = None
    hold_until: U64 | None = None


class PlatformState(Message, tag="platform", kw_only=True):
    on: bool
    t: int | None = None
    backfill: Backfill | None = None


class Query(Struct, rename={"from_": "from"}):
    """Arguments of the paged reads; from and to are UTC ms (from inclusive, to exclusive), after and hi are numbers.

    res: resolution, "1m" only. cursor: continues a read where a page ended. max_pages: the credit.
    """

    v: str = VERSION
    bed: Name | None = None
    from_: U64 | None = None
    to: U64 | None = None
    after: U64 | None = None
    hi: U64 | None = None
    res: str = "1m"
    cursor: Annotated[str, Meta(max_length=512)] | None = None
    max_pages: Annotated[int, Meta(ge=1, le=64)] = 8


class Nothing(Struct):
    """Arguments of a verb that takes none."""

    v: str = VERSION


class AlarmReceived(Struct):
    alarm_id: Name
    rev: U64
    v: str = VERSION


class AlarmAck(Struct):
    """by: the person, as a pseudonym of the roster or a platform's user id."""

    alarm_id: Name
    rev: U64
    by: Name
    note: Annotated[str, Meta(max_length=500)] = ""
    v: str = VERSION


class AlarmClose(Struct):
    alarm_id: Name
    outcome: Name
    by: Name
    v: str = VERSION


Event = AlarmState | Observation | Summary | Happening | GapNote
Anything = (
    State
    | Inventory
    | Health
    | AlarmState
    | Observation
    | Summary
    | Happening
    | GapNote
    | Page
    | Backlog
    | Result
    | PlatformState
)

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Anything] = msgspec.json.Decoder(Anything)


def encode(message: Struct) -> bytes:
    """JSON of a message."""
    return _ENCODER.encode(message)


def major(version: str) -> int | None:
    """The major of "1.3"; None when it is no version."""
    head = version.split(".", 1)[0]
    return int(head) if head.isascii() and head.isdigit() else None


def decode(payload: bytes) -> Anything:
    """The message in a payload. ProtocolError for no JSON, a wrong type, an unknown tag or another major version."""
    try:
        message = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"no message of this contract: {error}", hint="see the contract's schema") from None
    if major(message.v) not in MAJORS:
        raise ProtocolError(
            f"schema version {message.v!r}, this side speaks {MAJORS}", hint="update the older of the two ends"
        )
    return message
