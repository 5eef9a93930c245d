"""The wire's shape: field names of the contract, evolution inside a major, topics, and pages."""

import json
import zlib
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.clock import ManualClock
from gateway.core.errors import ProtocolError
from gateway.core.model import Event, Gap, Measurement, Stamp, Status
from gateway.upstream import envelope
from gateway.upstream.pages import messages_of, pack, page_of, unpack
from gateway.upstream.ports import Timing
from gateway.upstream.topics import Topics, parse, platform_state
from gateway.upstream.translate import message_of
from tests.gateway.upstream.house import BED, MemoryHouse, MemoryRow, alarm, summary

TOPICS = Topics("t1", "gw-3F2A9C")

# The examples of the contract's reference, as they stand there (abridged there too).
STATE = """{"v":"1.3","type":"state","on":true,"boot":"3f9c1a7e","bootn":41,"t":1795459200123,"tu":25,"sync":"ntp",
"sw":"1.4.2","majors":[1],"cfg":17,"rules":{"rev":9,"sha":"..."},"inv":88,"hi":{"alarm":912,"summary":4821934},
"lo":{"summary":4692334},"island":false,"modes":["ok"]}"""
INVENTORY = """{"v":"1.3","type":"inv","rev":88,"devices":[{"dev":"belt-0A3F","kind":"bed_belt","model":"...",
"fw":"2.1","bed":"b-7Q4MZ2K9","link":"rs485:1","bond":"n/a","trust":"high","batt":83,"seen":1795459199000,
"clock":{"off_ms":-120,"tu":40},"caps":["hr","rr","occ","wave:bcg@100"]}]}"""
ALARM = """{"v":"1.3","type":"alarm","seq":913,"boot":"3f9c1a7e","m":93812345,"t":1795459200123,"tu":25,"sync":"ntp",
"id":"a-912-1","rev":2,"bed":"b-7Q4MZ2K9","rule":"tachy_in_bed@4","kind":"physiological","prio":"high","cond":"active",
"signal":{"buzzer":"on","platform":"on"},"onset":1795459140000,"raised":1795459200000,"delay_s":60,"val":{"hr":128.4},
"q":0.86,"wave":{"ch":["bcg"],"from":1795459110000,"to":1795459200000},"esc":0,"ack":null,"mode":"real","hist":false}"""


@pytest.mark.parametrize("example", [STATE, INVENTORY, ALARM], ids=["state", "inv", "alarm"])
def test_examples_of_the_contract_are_understood_and_keep_every_field(example: str) -> None:
    message = envelope.decode(example.encode())
    again = json.loads(envelope.encode(message))
    original = json.loads(example)
    assert {key: again[key] for key in original} == original


def test_a_living_alarm_has_every_field_of_the_example() -> None:
    house = MemoryHouse(ManualClock())
    row = MemoryRow("alarm", 913, BED, house.clock.now(), alarm(house.clock))
    living = json.loads(envelope.encode(message_of(row, house.when)))
    assert set(json.loads(ALARM)) - set(living) == set()
    assert (living["rule"], living["prio"], living["delay_s"], living["ack"]) == ("sos_pressed@4", "high", 60.0, None)
    assert living["t"] == 1795550400000
    assert living["m"] == 10**12 // 1_000_000


def test_a_will_is_the_state_message_with_its_boot_alone() -> None:
    will = json.loads(envelope.encode(envelope.State(on=False, why="lost", boot="3f9c1a7e")))
    assert will == {"type": "state", "v": "1.0", "on": False, "boot": "3f9c1a7e", "why": "lost"}


def test_a_reader_ignores_fields_that_a_later_minor_version_added() -> None:
    newer = json.loads(STATE) | {"v": "1.9", "moon": {"phase": 3}}
    assert isinstance(envelope.decode(json.dumps(newer).encode()), envelope.State)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"v": "2.0"}, "speaks"), ({"type": "poem"}, "poem"), ({"seq": -1}, r"\$.seq"), ({"seq": "9"}, r"\$.seq")],
)
def test_another_major_an_unknown_tag_and_a_wrong_type_are_refused_with_the_path(
    change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ProtocolError, match=said):
        envelope.decode(json.dumps(json.loads(ALARM) | change).encode())


def test_a_kiosks_reading_and_its_later_bed_are_one_reading_by_device_quantity_boot_and_moment() -> None:
    house = MemoryHouse(ManualClock())
    first = Measurement(None, "kiosk", "glucose", 33.3, "mmol/L", house.clock.now(), status=Status.OVER)
    rows = [replace(first, assigned="unassigned"), replace(first, bed=BED, assigned="card")]
    stored = [MemoryRow("obs", 7 + at, row.bed, row.at, row) for at, row in enumerate(rows)]
    told = [json.loads(envelope.encode(message_of(row, house.when))) for row in stored]
    assert len({tuple(row[key] for key in ("dev", "what", "boot", "m", "val", "st")) for row in told}) == 1
    assert [(row["bed"], row["asg"]) for row in told] == [(None, "unassigned"), (BED, "card")]


def test_a_row_of_a_boot_without_any_anchor_travels_with_time_unknown_and_keeps_its_order() -> None:
    measured = Measurement("b-1", "kiosk", "systolic", 131.0, "mm[Hg]", Stamp("0000000f", 5 * 10**9))
    row = MemoryRow("obs", 7, "b-1", measured.at, measured)
    wire = json.loads(envelope.encode(message_of(row, lambda _: Timing(None, 3 * 10**11, "none"))))
    assert (wire["t"], wire["sync"], wire["boot"], wire["m"]) == (None, "none", "0000000f", 5000)
    assert (wire["loinc"], wire["mdc"], wire["unit"], wire["st"]) == ("8480-6", 150021, "mm[Hg]", "valid")


def test_topics_are_those_of_the_contract() -> None:
    assert TOPICS.state == "cb/1/t1/gw-3F2A9C/state"
    assert TOPICS.event("alarm", "b-7Q4MZ2K9") == "cb/1/t1/gw-3F2A9C/evt/alarm/b-7Q4MZ2K9"
    assert TOPICS.event("alarm", None) == "cb/1/t1/gw-3F2A9C/evt/alarm/box"
    assert TOPICS.event("obs", None) == "cb/1/t1/gw-3F2A9C/evt/obs/site"
    assert TOPICS.event("tech", "b-1") == "cb/1/t1/gw-3F2A9C/evt/tech"
    assert TOPICS.page("summary") == "cb/1/t1/gw-3F2A9C/evt/page/summary"
    assert TOPICS.requests == "cb/1/t1/gw-3F2A9C/req/#"
    assert platform_state("t1") == "cb/1/t1/_platform/state"
    address = parse("cb/1/t1/gw/evt/alarm/b-1")
    assert address is not None
    assert (address.tenant, address.gw, address.kind, address.rest) == ("t1", "gw", "evt", ("alarm", "b-1"))
    assert parse("cb/2/t1/gw/state") is None


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a b", "x" * 65, "-x"])
def test_a_name_that_would_change_the_topic_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="topic level"):
        Topics(name, "gw")


def test_a_bed_with_an_odd_name_never_holds_back_its_alarm() -> None:
    assert TOPICS.event("alarm", "bed 7/#+") == "cb/1/t1/gw-3F2A9C/evt/alarm/bed_7___"


@pytest.mark.parametrize(
    "topic",
    [
        "cb/1/t1/gw-OTHER/res/me",
        "cb/1/t1/gw-3F2A9C/state",
        "cb/1/t1/gw-3F2A9C/res/me/more",
        "cb/1/t1/gw-3F2A9C/res/ME",
        "cb/1/t1/gw-3F2A9C/res/",
        "cb/1/t1/gw-3F2A9C/res/#",
        "cb/1/t1/gw-3F2A9C/res/" + "a" * 33,
        "$SYS/broker",
    ],
)
def test_a_response_topic_elsewhere_is_not_allowed(topic: str) -> None:
    assert not TOPICS.may_answer_on(topic)


def _summaries(count: int) -> list[envelope.Event]:
    """Minutes of a sleeper: five quantities with noise from one minute to the next, and now and then lost seconds."""
    house, random = MemoryHouse(ManualClock()), Random(3)
    rows = []
    for number in range(count):
        start = house.clock.now().plus_s(60 * number)
        rows.append(MemoryRow("summary", number, BED, start, summary(start, random)))
    return [message_of(row, house.when, hist=True) for row in rows]


def test_an_hour_of_one_bed_costs_at_most_50_bytes_a_minute() -> None:
    packed = pack("summary", _summaries(60))
    assert packed.rows == 60
    assert len(packed.wire) / 60 <= 50


def test_a_page_longer_than_1_kb_is_deflated_and_gives_back_the_same_rows() -> None:
    messages = _summaries(60)
    packed = pack("summary", messages)
    assert packed.deflated
    page = envelope.decode(unpack(packed.wire, deflated=True))
    assert isinstance(page, envelope.Page)
    assert (page.stream, page.n, page.lo, page.hi, page.hist) == ("summary", 60, 0, 59, True)
    assert messages_of(page) == messages


def test_a_page_holds_as_many_rows_as_the_broker_takes() -> None:
    messages = _summaries(120)
    packed = pack("summary", messages, 1500)
    assert 1 <= packed.rows < 120
    assert len(packed.wire) <= 1500
    assert pack("summary", messages, 1).rows == 1


def test_a_deflate_bomb_and_a_torn_page_are_refused() -> None:
    with pytest.raises(ProtocolError, match="longer than"):
        unpack(zlib.compress(b"0" * 50_000_000), deflated=True)
    with pytest.raises(ProtocolError, match="cut short"):
        unpack(zlib.compress(b"{}" * 1000)[:-4], deflated=True)
    with pytest.raises(ProtocolError, match="inflated"):
        unpack(b"no zlib", deflated=True)


@pytest.mark.parametrize(
    "column", [{"d": [1]}, {"d": ["a", 1]}, {"d": [1, 2], "e": 10**6}, {"d": [1, 2], "e": "2"}, {}, {"x": 5}]
)
def test_a_column_that_lies_is_refused(column: dict[str, object]) -> None:
    page = page_of("summary", _summaries(2))
    page.cols["seq"] = column
    with pytest.raises(ProtocolError):
        messages_of(page)


_NAMES = st.sampled_from(["heart_rate", "a/b", "x", "temperature_c"])
_SCALARS = st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6), st.booleans(), st.text(max_size=5))
_STAMPS = st.builds(Stamp, st.sampled_from(["0000000a", "0000000b"]), st.integers(0, 2**55))
_FACTS = st.one_of(
    st.builds(
        Event,
        kind=_NAMES,
        at=_STAMPS,
        bed=st.sampled_from([None, "b-1", "b-2"]),
        device=st.none() | _NAMES,
        detail=st.dictionaries(_NAMES, _SCALARS, max_size=3),
    ),
    st.builds(Gap, what=_NAMES, reason=_NAMES, at=_STAMPS, lost=st.integers(0, 10**6), bed=st.none() | _NAMES),
    st.builds(
        Measurement,
        bed=st.sampled_from([None, "b-1"]),
        device=_NAMES,
        quantity=_NAMES,
        value=st.floats(-1e5, 1e5),
        unit=st.just("1"),
        at=_STAMPS,
        quality=st.floats(0, 1),
    ),
)


@given(st.lists(_FACTS, max_size=12))
def test_whatever_rows_go_into_a_page_the_same_come_out(facts: list[Event | Gap | Measurement]) -> None:
    def when(at: Stamp) -> Timing:
        return Timing(at.mono_ns // 10**6 if at.boot_id == "0000000a" else None, 5, "ntp")

    messages = [message_of(MemoryRow("tech", n * n, fact.bed, fact.at, fact), when) for n, fact in enumerate(facts)]
    packed = pack("tech", messages)
    page = envelope.decode(unpack(packed.wire, deflated=packed.deflated))
    assert isinstance(page, envelope.Page)
    assert messages_of(page) == messages


def test_every_message_type_has_a_schema_that_names_its_fields() -> None:
    _, components = msgspec.json.schema_components(list(envelope.Anything.__args__))
    assert {"AlarmState", "Summary", "Page", "PlatformState"} <= set(components)
