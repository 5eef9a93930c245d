"""Every row reaches every upstream, in order in its lane, whatever is cut, killed or acknowledged in between."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.clock import Anchor, ManualClock
from gateway.core.model import Stamp
from gateway.store.database import Store
from gateway.store.outbox import Start
from gateway.store.rows import STREAMS, Row
from tests.gateway.store.crash import crash
from tests.gateway.store.facts import AT, BED, alarm, event, heart_rate, minute


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "state", ManualClock())
    opened.outbox.register("district")
    yield opened
    await opened.close()


def append(store: Store, stream: str, n: int = 0) -> "asyncio.Future[int]":
    """One more row of a stream, not yet committed."""
    match stream:
        case "alarm":
            return store.alarms.save(alarm(f"a-{n}"), store.alarms.next_seq())
        case "obs":
            return store.journal.observation(heart_rate(60))
        case "summary":
            return store.journal.bed_minute(BED, AT, [minute(), minute(quantity="movement")])
        case _:
            return store.journal.event(event("link_lost"))


def seqs(rows: list[Row]) -> list[int]:
    return [row.seq for row in rows]


async def fill(store: Store, stream: str, count: int) -> None:
    for n in range(count):
        append(store, stream, n)
    await store.flush()


async def test_live_rows_come_until_they_are_acknowledged(store: Store) -> None:
    await fill(store, "obs", 5)
    assert seqs(await store.outbox.live("district", "obs", 3)) == [1, 2, 3]
    assert seqs(await store.outbox.live("district", "obs", 9, after=3)) == [4, 5]
    store.outbox.live_acked("district", "obs", 2)
    assert seqs(await store.outbox.live("district", "obs", 9)) == [3, 4, 5]


@pytest.mark.parametrize("stream", STREAMS)
async def test_what_a_link_missed_becomes_backlog_and_new_rows_stay_live(store: Store, stream: str) -> None:
    await fill(store, stream, 4)
    store.outbox.live_acked("district", stream, 1)
    await store.outbox.link_up("district")
    append(store, stream, 99)
    await store.flush()
    assert seqs(await store.outbox.live("district", stream, 9)) == [5]
    assert seqs(await store.outbox.backlog("district", stream, 2)) == [2, 3]
    assert seqs(await store.outbox.backlog("district", stream, 2, after=3)) == [4]
    store.outbox.backlog_acked("district", stream, [2, 4])
    assert seqs(await store.outbox.backlog("district", stream, 9)) == [3]


async def test_an_open_alarm_sent_again_live_leaves_the_backlog(store: Store) -> None:
    await fill(store, "alarm", 3)
    await store.outbox.link_up("district")
    store.outbox.live_acked("district", "alarm", 2)
    assert seqs(await store.outbox.backlog("district", "alarm", 9)) == [1, 3]
    assert await store.outbox.live("district", "alarm", 9) == []


async def test_an_alarm_acknowledged_before_its_commit_is_not_sent_again(store: Store) -> None:
    seq = store.alarms.next_seq()
    store.outbox.live_acked("district", "alarm", seq)
    await store.alarms.save(alarm(), seq)
    await store.outbox.link_up("district")
    assert await store.outbox.live("district", "alarm", 9) == []
    assert await store.outbox.backlog("district", "alarm", 9) == []


async def test_a_dead_upstream_holds_back_no_other(store: Store) -> None:
    store.outbox.register("province")
    await fill(store, "obs", 3)
    store.outbox.live_acked("district", "obs", 3)
    assert await store.outbox.live("district", "obs", 9) == []
    assert seqs(await store.outbox.live("province", "obs", 9)) == [1, 2, 3]


@pytest.mark.parametrize(("start", "expected"), [("oldest", [1, 2, 3]), ("head", [])])
async def test_a_new_upstream_starts_where_it_is_told(store: Store, start: Start, expected: list[int]) -> None:
    await fill(store, "summary", 3)
    store.outbox.register("province", start=start)
    await store.outbox.link_up("province")
    assert seqs(await store.outbox.backlog("province", "summary", 9)) == expected


async def test_registering_again_keeps_the_marks(store: Store) -> None:
    await fill(store, "obs", 3)
    store.outbox.live_acked("district", "obs", 2)
    store.outbox.register("district", start="head")
    assert seqs(await store.outbox.live("district", "obs", 9)) == [3]


async def test_a_forgotten_upstream_leaves_its_rows_and_no_marks(store: Store) -> None:
    await fill(store, "obs", 3)
    await store.outbox.forget("district")
    assert store.outbox.upstreams() == ()
    assert seqs(await store.outbox.range("obs", 0, 9)) == [1, 2, 3]
    left = await store.read("journal", lambda db: db.execute("SELECT count(*) FROM mark").fetchone()[0])
    assert left == 0


async def test_summaries_carry_all_quantities_of_their_minute(store: Store) -> None:
    await fill(store, "summary", 2)
    first, second = await store.outbox.live("district", "summary", 9)
    assert isinstance(first.body, tuple)
    assert [one.quantity for one in first.body] == ["heart_rate", "movement"]
    assert first.at == AT
    assert second.bed == BED


async def test_the_manifest_says_what_is_stored_and_what_is_acknowledged(store: Store) -> None:
    await fill(store, "obs", 6)
    store.outbox.live_acked("district", "obs", 2)
    await store.outbox.link_up("district")
    store.outbox.backlog_acked("district", "obs", [3, 5])
    manifest = await store.outbox.manifest("district")
    assert manifest["obs"] == {"lo": 1, "hi": 6, "acked_hi": 3, "pruned_lo": 1, "waiting": 2}
    assert manifest["tech"] == {"lo": 0, "hi": 0, "acked_hi": 0, "pruned_lo": 1, "waiting": 0}


async def test_a_pull_finds_rows_by_bed_number_and_utc(store: Store) -> None:
    store.journal.anchor(Anchor("000000aa", 0, 10**18, 1, "ntp"))
    for n in range(6):
        store.journal.observation(heart_rate(60, Stamp("000000aa", n * 10**9), BED if n % 2 else "b-OTHER000"))
    await store.flush()
    base_ms = 10**12
    found = await store.outbox.range("obs", 0, 9, bed=BED, from_utc_ms=base_ms + 1000, to_utc_ms=base_ms + 5000)
    assert seqs(found) == [2, 4]
    assert seqs(await store.outbox.range("obs", 2, 2, hi=5)) == [3, 4]
    assert await store.outbox.range("obs", 0, 9, from_utc_ms=0, to_utc_ms=1) == []


async def test_a_pull_over_a_thousand_restarts_of_the_box_misses_none(store: Store) -> None:
    for n in range(1000):
        boot = f"{n:08x}"
        store.journal.anchor(Anchor(boot, 0, n * 10**12, 1, "ntp"))
        store.journal.observation(heart_rate(60, Stamp(boot, 5)))
    await store.flush()
    found = await store.outbox.range("obs", 0, 5000, from_utc_ms=0, to_utc_ms=990 * 10**6)
    assert seqs(found) == list(range(1, 991))


async def test_who_watches_is_told_of_every_commit(store: Store) -> None:
    heard: list[str] = []
    store.outbox.watch(heard.append)
    await fill(store, "obs", 3)
    await append(store, "alarm")
    assert heard == ["obs", "alarm"]


async def test_an_alarm_that_the_disk_took_late_is_not_passed_over(store: Store) -> None:
    late, later = store.alarms.next_seq(), store.alarms.next_seq()
    await store.alarms.save(alarm("b"), later)
    store.outbox.live_acked("district", "alarm", later)
    await store.alarms.save(alarm("a"), late)
    store.outbox.came_late("alarm", late)
    assert seqs(await store.outbox.backlog("district", "alarm", 9)) == [late]


# -- any order of events ----------------------------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("append"), st.sampled_from(STREAMS), st.integers(1, 4)),
    st.tuples(st.just("commit"), st.just("obs"), st.just(0)),
    st.tuples(st.just("link_up"), st.just("obs"), st.just(0)),
    st.tuples(st.just("live"), st.sampled_from(STREAMS), st.integers(0, 3)),
    st.tuples(st.just("backlog"), st.sampled_from(STREAMS), st.integers(0, 3)),
    st.tuples(st.just("open_alarm"), st.just("alarm"), st.integers(0, 5)),
    st.tuples(st.just("crash"), st.just("obs"), st.just(0)),
    st.tuples(st.just("restart"), st.just("obs"), st.just(0)),
)


@dataclass
class Platform:
    """The platform's end and what it was promised: rows accepted, acknowledgements that are on disk."""

    accepted: dict[str, set[int]] = field(default_factory=lambda: {stream: set() for stream in STREAMS})
    got: dict[str, set[int]] = field(default_factory=lambda: {stream: set() for stream in STREAMS})
    settled: dict[str, set[int]] = field(default_factory=lambda: {stream: set() for stream in STREAMS})
    last_live: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    writing: list[tuple[str, "asyncio.Future[int]"]] = field(default_factory=list)
    acking: list[tuple[str, list[int], "asyncio.Future[None]"]] = field(default_factory=list)

    def take(self, stream: str, rows: list[Row]) -> None:
        numbers = seqs(rows)
        assert numbers == sorted(numbers), "out of order within a lane"
        assert not set(numbers) & self.settled[stream], "delivered again although the acknowledgement was on disk"
        self.got[stream] |= set(numbers)

    def settle(self) -> None:
        """What has resolved is promised from now on."""
        for stream, future in self.writing:
            if future.done():
                self.accepted[stream].add(future.result())
        for stream, numbers, acked in self.acking:
            if acked.done():
                assert acked.exception() is None
                self.settled[stream] |= set(numbers)
        self.writing = [one for one in self.writing if not one[1].done()]
        self.acking = [one for one in self.acking if not one[2].done()]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, max_size=30))
async def test_every_row_is_delivered_in_order_and_none_after_its_acknowledgement(
    steps: list[tuple[str, str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as root:
        directory, platform = Path(root) / "0", Platform()
        store = await Store.open(directory, ManualClock())
        store.outbox.register("district")
        await store.flush()
        for number, (what, stream, count) in enumerate(steps):
            match what:
                case "append":
                    platform.writing += [(stream, append(store, stream, number * 10 + n)) for n in range(count)]
                case "commit":
                    await store.flush()
                case "link_up":
                    await store.outbox.link_up("district")
                    platform.last_live = dict.fromkeys(STREAMS, 0)
                case "live":
                    await live(store, platform, stream, count)
                case "backlog":
                    await backlog(store, platform, stream, count)
                case "open_alarm":
                    await send_again(store, platform, count)
                case "crash" | "restart":
                    platform.settle()
                    directory, store = await again(store, directory, Path(root) / str(number + 1), what)
                    platform.writing, platform.acking = [], []
                    platform.last_live = dict.fromkeys(STREAMS, 0)
            platform.settle()
        await deliver_the_rest(store, platform)
        await store.close()


async def live(store: Store, platform: Platform, stream: str, acked: int) -> None:
    """Send what is live, strictly after what was sent before; acknowledge the first few."""
    after = platform.last_live[stream]
    rows = await store.outbox.live("district", stream, 4)
    platform.take(stream, rows)
    if rows and acked:
        last = rows[: acked + 1][-1].seq
        assert rows[0].seq > after, "live rows go back"
        platform.last_live[stream] = last
        future = store.outbox.live_acked("district", stream, last)
        platform.acking.append((stream, [row.seq for row in rows if row.seq <= last], future))


async def backlog(store: Store, platform: Platform, stream: str, skip: int) -> None:
    """Send a page of backlog; acknowledge all but one of its rows."""
    rows = await store.outbox.backlog("district", stream, 4)
    platform.take(stream, rows)
    chosen = [row.seq for index, row in enumerate(rows) if index != skip]
    platform.acking.append((stream, chosen, store.outbox.backlog_acked("district", stream, chosen)))


async def send_again(store: Store, platform: Platform, which: int) -> None:
    """An open alarm is published live once more, and acknowledged with its old number."""
    missed = await store.outbox.backlog("district", "alarm", 9)
    if missed:
        row = missed[which % len(missed)]
        platform.got["alarm"].add(row.seq)
        platform.acking.append(("alarm", [row.seq], store.outbox.live_acked("district", "alarm", row.seq)))


async def again(store: Store, directory: Path, to: Path, how: str) -> tuple[Path, Store]:
    if how == "crash":
        directory = await crash(store, directory, to)
    else:
        await store.close()
    return directory, await Store.open(directory, ManualClock())


async def deliver_the_rest(store: Store, platform: Platform) -> None:
    await store.flush()
    platform.settle()
    await store.outbox.link_up("district")
    for stream in STREAMS:
        while rows := await store.outbox.backlog("district", stream, 5):
            platform.take(stream, rows)
            await_later = store.outbox.backlog_acked("district", stream, seqs(rows))
            platform.acking.append((stream, seqs(rows), await_later))
        assert await store.outbox.live("district", stream, 5) == []
        assert platform.got[stream] >= platform.accepted[stream], "an accepted row never came"
    assert set(store.outbox.waiting("district").values()) == {0}
    await store.flush()
    platform.settle()
    assert not platform.acking


