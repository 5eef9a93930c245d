"""Brokers that refuse, limit, swallow, forget or lie, and a thief with the same id."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.core.errors import StoreError, UpstreamError
from gateway.core.model import Event
from gateway.upstream.endpoint import Endpoint, Granted, elsewhere, tls_context
from gateway.upstream.envelope import AlarmState, Backfill
from gateway.upstream.lanes import Pace
from gateway.upstream.wire import Connection
from tests.broker import Broker
from tests.gateway.upstream.conftest import GW, QUICK, MakeBroker, Start, make_link, make_platform, until
from tests.gateway.upstream.fake_broker import FakeBroker, disconnect
from tests.gateway.upstream.house import MemoryHouse, MemoryRow, alarm
from tests.proxy import Proxy

pytestmark = pytest.mark.system


def _pace(**changes: float) -> Pace:
    plain = {name: getattr(QUICK, name) for name in Pace.__dataclass_fields__}
    return Pace(**(plain | changes))


async def test_bad_credentials_give_a_clear_reason_a_hint_and_a_long_back_off(
    house: MemoryHouse, start: Start, make_broker: MakeBroker
) -> None:
    broker = await make_broker(passwords={"gw": "right"}).start()
    link = await start(make_link(house, broker.port, pace=Pace(start_spread_s=0.0), username="gw", password="wrong"))
    await until(lambda: link.status.state == "waiting")
    (_, reason), *_ = link.status.reasons
    assert "Bad user name or password" in reason or "Not authorized" in reason
    assert "check user name and password" in reason or "access list" in reason
    (lost,) = house.events
    assert lost.kind == "uplink_lost"
    assert "check" in str(lost.detail["hint"]) or "access list" in str(lost.detail["hint"])
    assert link.status.attempts == 1, "the next try is a minute away"


async def test_right_credentials_are_accepted(house: MemoryHouse, start: Start, make_broker: MakeBroker) -> None:
    broker = await make_broker(passwords={"gw": "right"}).start()
    link = await start(make_link(house, broker.port, username="gw", password="right"))
    await until(lambda: link.status.state == "up")


async def test_nobody_listening_is_told_once_and_the_link_comes_up_when_somebody_does(
    house: MemoryHouse, start: Start, make_broker: MakeBroker
) -> None:
    broker = make_broker()
    link = await start(make_link(house, broker.port))
    await until(lambda: link.status.attempts >= 4)
    assert "cannot connect" in link.status.reasons[0][1]
    assert [event.kind for event in house.events] == ["uplink_lost"], "once, not at each try"
    await broker.start()
    await until(lambda: link.status.state == "up")
    assert [event.kind for event in house.events] == ["uplink_lost", "uplink_back"]


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with an alarm on the way"])
async def test_a_black_hole_is_noticed_within_twice_the_keep_alive(
    broker: Broker, proxy: Proxy, house: MemoryHouse, start: Start, busy: bool
) -> None:
    pace = _pace(keepalive_s=1, puback_s=5.0)
    link = await start(make_link(house, proxy.port, pace=pace))
    await until(lambda: link.status.state == "up")
    await asyncio.sleep(0.3)
    proxy.black_hole = True
    began_ns = house.clock.real_ns()
    if busy:
        raised = alarm(house.clock)
        link.alarm(raised, house.keep("alarm", raised))
    await until(lambda: link.status.state != "up")
    assert (house.clock.real_ns() - began_ns) / 1e9 <= pace.black_hole_s + 0.5
    proxy.black_hole = False
    proxy.cut()
    await until(lambda: link.status.state == "up")


async def test_a_broker_that_answers_pings_but_never_pubacks_is_dropped(
    fake: FakeBroker, house: MemoryHouse, start: Start
) -> None:
    fake._puback = lambda _: None
    link = await start(make_link(house, fake.port, pace=_pace(puback_s=0.5, keepalive_s=1)))
    await until(lambda: any("no PUBACK" in reason for _, reason in link.status.reasons))


@pytest.mark.parametrize(
    "babble",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\xff", b"\x20\x02\x00", b"\x20\x03\x00\x00\xff"],
)
async def test_a_peer_that_speaks_no_mqtt_is_left_with_a_reason(
    fake: FakeBroker, house: MemoryHouse, start: Start, babble: bytes
) -> None:
    fake.connack = babble
    link = await start(make_link(house, fake.port, pace=_pace(connect_s=0.3)))
    await until(lambda: link.status.attempts >= 3)
    assert link.status.reasons[0][1]
    assert [event.kind for event in house.events] == ["uplink_lost"]


async def test_a_broker_that_is_full_is_obeyed(fake: FakeBroker, house: MemoryHouse, start: Start) -> None:
    link = await start(make_link(house, fake.port, pace=_pace(max_retry_s=60.0)))
    await until(lambda: link.status.state == "up")
    fake.say(disconnect(0x97))
    await until(lambda: link.status.state == "waiting")
    assert "quota" in link.status.reasons[0][1].lower()
    await asyncio.sleep(0.5)
    assert fake.connections == 1, "at least half a minute of peace"


async def test_a_server_that_moved_is_followed(
    fake: FakeBroker, broker: Broker, house: MemoryHouse, start: Start
) -> None:
    link = await start(make_link(house, fake.port, pace=_pace(first_retry_s=60.0, max_retry_s=60.0)))
    await until(lambda: link.status.state == "up")
    fake.say(disconnect(0x9D, f"127.0.0.1:{broker.port}"))
    await until(lambda: link.status.state == "up" and link.status.host.endswith(str(broker.port)))


async def test_an_alarm_the_broker_refuses_is_told_to_the_local_ladder_and_tried_again(
    fake: FakeBroker, house: MemoryHouse, start: Start
) -> None:
    refusing = True
    fake._puback = lambda topic: 0x87 if refusing and "/evt/alarm/" in topic else 0
    link = await start(make_link(house, fake.port, pace=_pace(unwatched_retry_s=0.2)))
    await until(lambda: link.status.state == "up")
    raised = alarm(house.clock)
    seq = house.keep("alarm", raised)
    link.alarm(raised, seq)
    await until(lambda: ("undelivered", raised.id, 1) in house.calls)
    assert house.undelivered_reasons[0] == "the broker refused it (0x87)"
    assert house.outbox.live_acks == []
    refusing = False
    await until(lambda: ("alarm", seq) in house.outbox.live_acks)
    assert ("published", raised.id, 1) in house.calls


async def test_a_receive_maximum_of_five_is_never_exceeded(
    house: MemoryHouse, start: Start, make_broker: MakeBroker
) -> None:
    broker = await make_broker(lines=("max_inflight_messages 5",)).start()
    platform = await start(make_platform(broker.port))
    peak = 0
    connection_publish = Connection.publish

    def counted(self: Connection, *args: object, **kwargs: object) -> "asyncio.Future[int]":
        nonlocal peak
        answer = connection_publish(self, *args, **kwargs)  # type: ignore[arg-type]
        peak = max(peak, len(self._pending)) if link._session and self is link._session._connection else peak
        return answer

    link = make_link(house, broker.port)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "publish", counted)
        await start(link)
        await until(lambda: link.status.state == "up")
        assert link._session is not None
        assert link._session.pumps.window.size == 5
        for _ in range(200):
            house.keep_summary()
        link.rows_ready()
        for number in range(20):
            raised = alarm(house.clock, f"n{number}")
            link.alarm(raised, house.keep("alarm", raised))
        await until(lambda: len(platform.seen.of(GW, "summary")) == 200 and len(platform.seen.of(GW, "alarm")) == 20)
    assert peak == 5


async def test_a_small_largest_packet_makes_small_pages_and_holds_what_does_not_fit(
    house: MemoryHouse, start: Start, make_broker: MakeBroker
) -> None:
    broker = await make_broker(lines=("max_packet_size 1200",)).start()
    platform = await start(make_platform(broker.port))
    for _ in range(60):
        house.keep_summary()
    link = await start(make_link(house, broker.port))
    await until(lambda: len(platform.seen.of(GW, "summary")) == 60)
    assert link.status.pages >= 2
    pulled = await platform.pull(GW, "summaries.read")
    assert pulled.verified
    assert pulled.pages >= 2


async def test_an_alarm_nobody_subscribes_to_is_not_delivered_and_goes_up_when_a_platform_comes(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    link = await start(make_link(house, broker.port, pace=_pace(unwatched_retry_s=60.0)))
    await until(lambda: link.status.state == "up")
    raised = alarm(house.clock)
    seq = house.keep("alarm", raised)
    link.alarm(raised, seq)
    await until(lambda: ("undelivered", raised.id, 1) in house.calls)
    assert house.undelivered_reasons == ["nobody subscribes to it"]
    assert ("published", raised.id, 1) not in house.calls
    assert ("alarm", seq) not in house.outbox.live_acks
    assert link.status.held == {"alarm": "nobody subscribes to it"}
    platform = await start(make_platform(broker.port))
    await until(lambda: ("received", raised.id, 1) in house.calls)
    message = platform.seen.records[0].message
    assert isinstance(message, AlarmState)
    assert not message.hist
    await until(lambda: link.status.held == {})


async def test_a_stream_the_store_cannot_read_waits_alone(broker: Broker, house: MemoryHouse, start: Start) -> None:
    platform = await start(make_platform(broker.port))
    plain = house.outbox.live

    async def damaged(upstream: str, stream: str, limit: int) -> Sequence[MemoryRow]:
        if stream == "summary":
            raise StoreError("a stored Minute cannot be read", hint="keep a copy")
        return await plain(upstream, stream, limit)

    house.outbox.live = damaged  # type: ignore[method-assign]
    link = await start(make_link(house, broker.port))
    await until(lambda: link.status.state == "up")
    house.keep_summary()
    house.keep("tech", Event("link_lost", house.clock.now()))
    link.rows_ready()
    await until(lambda: len(platform.seen.of(GW, "tech")) == 1)
    assert link.status.held == {"summary": "a stored Minute cannot be read"}
    house.outbox.live = plain  # type: ignore[method-assign]
    await until(lambda: len(platform.seen.of(GW, "summary")) == 1)
    assert link.status.attempts == 1


async def test_what_waited_longer_than_live_rows_may_travels_as_pages(
    broker: Broker, house: MemoryHouse, start: Start
) -> None:
    link = await start(make_link(house, broker.port, pace=_pace(late_s=0.5)))
    await until(lambda: link.status.state == "up")
    for _ in range(20):
        house.keep_summary()
    link.rows_ready()
    await until(lambda: "summary" in link.status.held)
    await asyncio.sleep(0.6)
    platform = await start(make_platform(broker.port))
    await until(lambda: len(platform.seen.of(GW, "summary")) == 20)
    assert {record.how for record in platform.seen.records} == {"page"}


async def test_a_platform_sets_the_pace_of_what_was_missed(broker: Broker, house: MemoryHouse, start: Start) -> None:
    for _ in range(30):
        house.keep_summary()
    link = await start(make_link(house, broker.port, pace=_pace(backlog_start_s=3600.0)))
    platform = await start(make_platform(broker.port))
    await until(lambda: link.status.state == "up")
    await asyncio.sleep(0.3)
    assert len(platform.seen.of(GW, "summary")) == 0
    await platform.steer(Backfill(rate=100.0))
    await until(lambda: len(platform.seen.of(GW, "summary")) == 30)


async def test_a_second_box_with_the_same_id_is_reported_and_not_fought(
    fake: FakeBroker, house: MemoryHouse, start: Start
) -> None:
    link = await start(make_link(house, fake.port))
    await until(lambda: link.status.state == "up")
    fake.say(disconnect(0x8E))
    await until(lambda: "uplink_taken_over" in [event.kind for event in house.events])
    assert "copied SD card" in str(house.events[-1].detail["hint"])
    link.alarm(alarm(house.clock), 1)
    await asyncio.sleep(0.5)
    assert fake.connections == 1, "not even an alarm makes two boxes throw each other out"


async def test_a_broker_restart_loses_nothing(house: MemoryHouse, start: Start, make_broker: MakeBroker) -> None:
    broker = await make_broker(persistent=True).start()
    platform = await start(make_platform(broker.port))
    link = await start(make_link(house, broker.port))
    await until(lambda: link.status.state == "up")
    await asyncio.sleep(1.2)  # mosquitto saves the platform's session once a second
    for _ in range(20):
        house.keep_summary()
    link.rows_ready()
    await until(lambda: len(platform.seen.of(GW, "summary")) == 20)
    await broker.kill()
    for _ in range(20):
        house.keep_summary()
    await broker.start()
    await until(lambda: len(platform.seen.of(GW, "summary")) == 40)


async def test_plaintext_is_refused_except_on_loopback() -> None:
    with pytest.raises(UpstreamError, match="plaintext") as caught:
        Endpoint("mqtt.example.org", 1883)
    assert "ca_file" in caught.value.hint
    assert Endpoint("::1", 1883).host == "::1"


def test_a_server_reference_moves_the_link_but_never_off_tls() -> None:
    here = Endpoint("127.0.0.1", 1883)
    moved = elsewhere(here, "127.0.0.2:1884")
    assert moved is not None
    assert (moved.host, moved.port) == ("127.0.0.2", 1884)
    assert elsewhere(here, "evil.example.org:1883") is None
    assert elsewhere(here, None) is None
    assert elsewhere(here, "127.0.0.1:99999") is None


def test_tls_files_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match=r"none\.pem"):
        tls_context(str(tmp_path / "none.pem"))


def test_a_payload_never_exceeds_the_brokers_largest_packet() -> None:
    assert Granted(False, 20, None).payload_bytes(32_768) == 32_768
    assert Granted(False, 20, 1200).payload_bytes(32_768) == 944
