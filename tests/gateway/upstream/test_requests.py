"""What comes from outside: pulls that survive a cut, commands that act once, and requests that want harm."""

import asyncio
import json

import pytest

from gateway.core.clock import SystemClock
from gateway.core.errors import UpstreamError
from gateway.core.model import Alarm, Event
from gateway.upstream.endpoint import Endpoint, Inbound
from gateway.upstream.envelope import AlarmAck, AlarmClose, AlarmState, Backlog, Inventory, Nothing, Result
from gateway.upstream.platform import Platform
from gateway.upstream.requests import MAX_REQUEST_BYTES
from gateway.upstream.topics import Topics
from gateway.upstream.wire import Connection
from tests.broker import Broker
from tests.gateway.upstream.conftest import GW, QUICK, TENANT, Start, make_link, make_platform, until
from tests.gateway.upstream.house import MemoryHouse, alarm
from tests.proxy import Proxy

pytestmark = pytest.mark.system
TOPICS = Topics(TENANT, GW)


async def _up(broker: Broker, house: MemoryHouse, start: Start, port: int | None = None) -> Platform:
    link = await start(make_link(house, port or broker.port))
    platform: Platform = await start(make_platform(broker.port))
    await until(lambda: link.status.state == "up")
    return platform


class Asker:
    """A bare client that sends what it likes and keeps what comes back."""

    def __init__(self, port: int) -> None:
        self.answers: list[Inbound] = []
        self._port = port
        self._asked = 0

    async def __aenter__(self) -> "Asker":
        self._connection = Connection(
            Endpoint("127.0.0.1", self._port), "asker", SystemClock(), self.answers.append, pace=QUICK, manual_ack=False
        )
        await self._connection.open()
        await self._connection.subscribe((TOPICS.reply("asker"), False))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def ask(
        self,
        verb: str,
        payload: bytes,
        *,
        response_topic: str | None = TOPICS.reply("asker"),
        correlation: bytes | None = b"1",
        expiry_s: int | None = None,
    ) -> None:
        await self._connection.publish(
            TOPICS.request(verb), payload, response_topic=response_topic, correlation=correlation, expiry_s=expiry_s
        )

    async def status(self, verb: str, payload: bytes, **arguments: object) -> tuple[str, dict[str, object]]:
        self._asked += 1
        correlation = arguments.setdefault("correlation", f"asked-{self._asked}".encode())
        known = len([answer for answer in self.answers if answer.correlation == correlation])
        await self.ask(verb, payload, **arguments)  # type: ignore[arg-type]
        await until(lambda: len([one for one in self.answers if one.correlation == correlation]) > known)
        mine = [answer for answer in self.answers if answer.correlation == correlation][-1]
        return mine.user["st"], json.loads(mine.payload)


async def test_a_day_of_summaries_is_pulled_in_pages_and_verified(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    for _ in range(1440):
        house.keep_summary()
    platform = await _up(broker, house, start)
    pulled = await platform.pull(GW, "summaries.read", {"bed": "b-7Q4MZ2K9"}, credit=4)
    assert [row.seq for row in pulled.rows] == list(range(1, 1441))
    assert pulled.verified
    assert pulled.requests == 3, "twelve pages by credits of four"
    assert all(row.hist for row in pulled.rows)


async def test_rows_that_come_during_a_pull_do_not_shift_its_pages(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    for _ in range(300):
        house.keep_summary()
    platform = await _up(broker, house, start)
    pulling = asyncio.ensure_future(platform.pull(GW, "summaries.read", credit=1))
    await asyncio.sleep(0)
    for _ in range(50):
        house.keep_summary()
    pulled = await pulling
    assert pulled.verified
    assert len(pulled.rows) in (300, 350), "the whole of what there was when it began"


async def test_a_cut_in_the_middle_of_a_pull_loses_no_row_and_brings_none_twice(
    broker: Broker, proxy: Proxy, house: MemoryHouse, start: Start
) -> None:
    for _ in range(1440):
        house.keep_summary()
    platform = await _up(broker, house, start, proxy.port)
    await until(lambda: house.outbox._of("district", "summary").missed == [])
    proxy.cut_after = 15_000  # of about 35 kB
    pulled = await platform.pull(GW, "summaries.read", credit=32)
    assert proxy.cuts == 1
    assert pulled.requests > 1
    assert [row.seq for row in pulled.rows] == list(range(1, 1441))
    assert pulled.verified


async def test_a_pull_by_time_bed_and_number_gives_what_was_asked_for(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    for bed in ("b-1", "b-2", "b-1", "b-2"):
        house.keep("tech", _unplugged(house), bed)
    platform = await _up(broker, house, start)
    now_ms = house.clock.anchor().utc_ns // 1_000_000
    assert [row.seq for row in (await platform.pull(GW, "tech.read", {"bed": "b-2"})).rows] == [2, 4]
    assert [row.seq for row in (await platform.pull(GW, "tech.read", {"after": 1, "hi": 3})).rows] == [2, 3]
    assert (await platform.pull(GW, "tech.read", {"to": now_ms - 3_600_000})).rows == []
    nothing = await platform.pull(GW, "tech.read", {"from": now_ms + 3_600_000})
    assert (nothing.rows, nothing.pages, nothing.verified) == ([], 1, True)


def _unplugged(house: MemoryHouse) -> Event:
    return Event("link_lost", house.clock.now(), device="belt-1", detail={"reason": "unplugged"})


async def test_inventory_health_and_backlog_are_read(broker: Broker, house: MemoryHouse, start: Start) -> None:
    house.keep_summary()
    platform = await _up(broker, house, start)
    inventory = await platform.request(GW, "inventory.read", Nothing())
    assert isinstance(inventory.message, Inventory)
    assert inventory.message.rev == 88
    assert (await platform.request(GW, "health.read", Nothing())).st == 200
    backlog = await platform.request(GW, "backlog.read", Nothing())
    assert isinstance(backlog.message, Backlog)
    assert backlog.message.streams["summary"].hi == 1


async def test_an_acknowledgement_of_a_stale_revision_is_refused_with_the_present_state(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    raised = alarm(house.clock)
    house.keep("alarm", raised)
    house.keep("alarm", alarm(house.clock, rev=3))
    platform = await _up(broker, house, start)
    await until(lambda: GW in platform.gateways and raised.id in platform.gateways[GW].alarms)
    reply = await platform.acknowledge(GW, raised.id, "carer-7", rev=1)
    assert reply.st == 409
    assert isinstance(reply.message, Result)
    assert isinstance(reply.message.alarm, AlarmState)
    assert reply.message.alarm.rev == 3
    assert house.acknowledgements == 0
    assert (await platform.acknowledge(GW, raised.id, "carer-7")).st == 200


async def test_a_repeated_command_is_answered_as_before_and_acts_once(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    raised = alarm(house.clock)
    house.keep("alarm", raised)
    await _up(broker, house, start)
    async with Asker(broker.port) as asker:
        payload = b'{"alarm_id":"a-sos","rev":1,"by":"carer-7"}'
        first = await asker.status("alarm.ack", payload, correlation=b"same")
        again = await asker.status("alarm.ack", payload, correlation=b"same")
    assert first == again
    assert first[0] == "200"
    assert house.acknowledgements == 1


async def test_a_command_nobody_waits_for_is_carried_out_without_an_answer(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    raised = alarm(house.clock)
    house.keep("alarm", raised)
    link = await start(make_link(house, broker.port))
    async with Asker(broker.port) as asker:
        await until(lambda: link.status.state == "up")
        await asker.ask("alarm.received", b'{"alarm_id":"a-sos","rev":1}', response_topic=None)
        await until(lambda: ("received", "a-sos", 1) in house.calls)
        assert asker.answers == []


@pytest.mark.parametrize(
    ("verb", "payload", "status", "said"),
    [
        ("summaries.read", b"{", "400", "truncated"),
        ("summaries.read", b"\xff\xfe", "400", ""),
        ("summaries.read", b"[]", "400", "object"),
        ("summaries.read", b'{"from":"yesterday"}', "400", "$.from"),
        ("summaries.read", b'{"from":-1}', "400", "$.from"),
        ("summaries.read", b'{"after":99999999999999999999999}', "400", ""),
        ("summaries.read", b'{"max_pages":100000}', "400", "$.max_pages"),
        ("summaries.read", b'{"cursor":"bm90IG91cnM="}', "400", "cursor"),
        ("summaries.read", b'{"res":"5m"}', "400", "5m"),
        ("summaries.read", b'{"v":"2.0"}', "415", "2.0"),
        ("door.open", b"{}", "404", "door.open"),
        ("a/b/c", b"{}", "404", "a/b/c"),
        ("alarm.ack", b'{"alarm_id":"a-sos","rev":1,"by":""}', "400", "$.by"),
        ("alarm.ack", b'{"alarm_id":"a-none","rev":1,"by":"c"}', "404", "a-none"),
        ("alarm.close", b'{"alarm_id":"a-sos","outcome":"nonsense","by":"c"}', "422", "nonsense"),
        ("summaries.read", b'{"bed":"' + b"x" * MAX_REQUEST_BYTES + b'"}', "413", "bytes"),
    ],
)
async def test_a_request_that_cannot_be_answered_gets_its_status_and_a_reason(
    broker: Broker, house: MemoryHouse, start: Start, verb: str, payload: bytes, status: str, said: str
) -> None:
    house.keep("alarm", alarm(house.clock))
    link = await start(make_link(house, broker.port))
    async with Asker(broker.port) as asker:
        await until(lambda: link.status.state == "up")
        got, result = await asker.status(verb, payload)
        assert got == status
        assert result["type"] == "result"
        assert said in str(result["text"])
        assert (await asker.status("inventory.read", b"{}"))[0] == "200", "and the next one is answered as ever"


async def test_a_cursor_of_another_stream_or_filter_is_refused(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    for _ in range(200):
        house.keep_summary()
    link = await start(make_link(house, broker.port))
    async with Asker(broker.port) as asker:
        await until(lambda: link.status.state == "up")
        await asker.ask("summaries.read", b'{"max_pages":1}')
        await until(lambda: len(asker.answers) == 1)
        cursor = asker.answers[0].user["cursor"]
        for verb, args in (("obs.read", {}), ("summaries.read", {"bed": "b-other"})):
            status, result = await asker.status(verb, json.dumps({**args, "cursor": cursor}).encode())
            assert status == "400"
            assert "another read" in str(result["text"])


@pytest.mark.parametrize(
    "topic", ["cb/1/t1/gw-OTHER/res/me", "cb/1/t1/gw-3F2A9C/state", "cb/1/t1/gw-3F2A9C/evt/alarm/b-1", "$SYS/x"]
)
async def test_an_answer_is_never_sent_to_a_foreign_topic_and_the_command_is_not_carried_out(
    broker: Broker, house: MemoryHouse, start: Start, topic: str
) -> None:
    house.keep("alarm", alarm(house.clock))
    link = await start(make_link(house, broker.port))
    async with Asker(broker.port) as asker:
        await until(lambda: link.status.state == "up")
        await asker.ask("alarm.ack", b'{"alarm_id":"a-sos","rev":1,"by":"x"}', response_topic=topic)
        assert (await asker.status("inventory.read", b"{}"))[0] == "200"
        assert len(asker.answers) == 1
    assert house.acknowledgements == 0
    assert link.requests["foreign"] == 1


async def test_an_upstream_that_is_no_responder_may_read_but_not_answer_for_people(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    house.keep("alarm", alarm(house.clock))
    link = await start(make_link(house, broker.port, responder=False))
    platform = await start(make_platform(broker.port))
    await until(lambda: link.status.state == "up")
    reply = await platform.request(GW, "alarm.ack", AlarmAck(alarm_id="a-sos", rev=1, by="c"))
    assert reply.st == 403
    close = await platform.request(GW, "alarm.close", AlarmClose(alarm_id="a-sos", outcome="helped", by="c"))
    assert close.st == 403
    assert (await platform.request(GW, "inventory.read", Nothing())).st == 200
    assert house.acknowledgements == 0
    assert not [call for call in house.calls if call[0] == "received"]


async def test_a_request_that_was_answered_too_late_is_told_504_and_not_carried_out(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    house.keep("alarm", alarm(house.clock))
    link = make_link(house, broker.port)
    await start(link)
    async with Asker(broker.port) as asker:
        await until(lambda: link.status.state == "up")
        session = link._session
        assert session is not None
        session.heard(
            Inbound(
                topic=TOPICS.request("alarm.ack"),
                payload=b'{"alarm_id":"a-sos","rev":1,"by":"x"}',
                at=house.clock.now(),
                real_ns=house.clock.real_ns() - 31 * 10**9,
                mid=1,
                qos=0,
                retain=False,
                dup=False,
                response_topic=TOPICS.reply("asker"),
                expiry_s=30,
            )
        )
        await until(lambda: len(asker.answers) == 1)
        assert asker.answers[0].user["st"] == "504"
    assert house.acknowledgements == 0


async def test_requests_beyond_what_is_answered_at_once_are_told_to_come_again(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    for _ in range(500):
        house.keep_summary()
    link = await start(make_link(house, broker.port))
    async with Asker(broker.port) as asker:
        await until(lambda: link.status.state == "up")
        for number in range(60):
            asker._connection.publish(
                TOPICS.request("summaries.read"),
                b'{"max_pages":4}',
                qos=0,
                response_topic=TOPICS.reply("asker"),
                correlation=str(number).encode(),
            )
        await until(lambda: any(answer.user["st"] == "429" for answer in asker.answers))
        busy = next(answer for answer in asker.answers if answer.user["st"] == "429")
        assert float(busy.user["retry"]) > 0
        await until(lambda: link.status.requests.get("200", 0) + link.status.requests.get("206", 0) > 4)
        await until(lambda: not link._session._answering)
        assert (await asker.status("inventory.read", b"{}"))[0] == "200"


async def test_a_request_is_delivered_again_when_the_link_went_before_it_was_dealt_with(
    broker: Broker, proxy: Proxy, house: MemoryHouse, start: Start
) -> None:
    house.keep("alarm", alarm(house.clock))
    gate, entered = asyncio.Event(), asyncio.Event()
    plain = house.received

    async def slow(alarm_id: str, rev: int, upstream: str) -> Alarm | None:
        entered.set()
        await gate.wait()
        return await plain(alarm_id, rev, upstream)

    house.received = slow  # type: ignore[method-assign]
    link = await start(make_link(house, proxy.port))
    async with Asker(broker.port) as asker:
        await until(lambda: link.status.state == "up")
        await asker.ask("alarm.received", b'{"alarm_id":"a-sos","rev":1}', response_topic=None)
        await entered.wait()
        proxy.cut()
        gate.set()
        await until(lambda: ("received", "a-sos", 1) in house.calls)


async def test_a_gateway_that_is_off_makes_a_pull_fail_with_a_hint(broker: Broker, start: Start) -> None:
    platform = Platform(SystemClock(), Endpoint("127.0.0.1", broker.port), TENANT, reply_s=0.05)
    await start(platform)
    with pytest.raises(UpstreamError, match="silent"):
        await platform.pull(GW, "summaries.read")
