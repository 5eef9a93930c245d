"""Promises of the main job's benchmark: each figure is what its name says, and what cannot be measured is said."""

import asyncio
import sys
from pathlib import Path

import pytest

from drivers.polar_pmd.peer import FRAME_SAMPLES, RATE_HZ
from gateway.core.clock import ManualClock
from gateway.core.errors import CarebedError
from gateway.demo.ward import Ward
from gateway.upstream.envelope import AlarmState
from gateway.upstream.seen import Record
from tests.benchmarks import main_job
from tests.benchmarks.box import Queues, Spent, growth, percent_of_a_core, ready_s
from tests.benchmarks.ward_script import Call, Listener

MS = 1_000_000


def alarm(trace: dict[str, int], *, rule: str = "sos@1", rev: int = 1, closed: int | None = None) -> AlarmState:
    """In bed b-1, raised for its button."""
    return AlarmState(
        seq=rev, boot="00000001", m=0, t=0, tu=0, sync="ntp", id="a-1", rev=rev, bed="b-1", dev="button-1", rule=rule,
        kind="other", prio="high", cond="active", signal={}, delay_s=0.0, val={}, q=1.0, esc=0, mode="demo",
        closed=closed, evidence={"confirmation_s": 8.0}, trace=trace,
    )  # fmt: skip


def call(*, sent_ms: int = 0, raised_ms: int = 12, received_ms: int = 45) -> Call:
    """The last byte arrived at 10 ms, and the alarm at the platform at 30 ms."""
    trace = {"receipt": 10 * MS, "raised": raised_ms * MS}
    end = alarm({**trace, "received": received_ms * MS}, rev=2, closed=1)
    return Call(sent_ms * MS, alarm(trace), 30 * MS, end)


def record(message: AlarmState, *, duplicate: bool = False) -> Record:
    return Record("gw", "alarm", message, 30 * MS, "live", duplicate)


def test_a_call_counts_from_its_last_byte_and_from_the_device_s_own_moment() -> None:
    made = call()
    assert (made.local_ms, made.received_ms, made.platform_ms, made.from_sending_ms) == (2, 35, 20, 12)


def test_an_alarm_whose_received_was_not_seen_is_an_error_and_no_good_figure() -> None:
    trace = {"receipt": 10 * MS, "raised": 12 * MS}
    made = Call(0, alarm(trace), 30 * MS, alarm(trace, rev=2, closed=1))
    with pytest.raises(CarebedError, match="no 'receipt' or 'received' in its trace"):
        _ = made.received_ms


def test_the_bars_of_a_call_are_those_of_the_issue() -> None:
    figures = main_job.latencies("SOS advert", [call()] * 99 + [call(raised_ms=500)], "the press")
    assert [figure.bar for figure in figures] == [100.0, 500.0, None, None]
    assert figures[0].value == 2  # the 99th of a hundred
    assert main_job.latencies("SOS advert", [call(raised_ms=500)], "the press")[0].met is False


def test_a_fall_s_confirmation_time_is_no_delay_and_what_comes_on_top_is() -> None:
    found = [call(raised_ms=8_200), call(sent_ms=1_000, raised_ms=10_300)]
    beyond, behind, count = main_job.falls(found, missed=1)
    assert beyond.value == pytest.approx(1.3)
    assert beyond.met is False
    assert behind.value == pytest.approx(10_290)
    assert (count.value, count.name) == (2, "falls found of 3 played")


def test_when_no_fall_was_found_nothing_is_reported_as_measured() -> None:
    with pytest.raises(CarebedError, match="none of 3 falls"):
        main_job.falls([], missed=3)


def test_a_queue_that_shrinks_does_not_hide_one_that_grows() -> None:
    assert growth(Queues(5.0, 2.0), Queues(0.0, 9.0)) == Queues(0.0, 7.0)


def test_daemon_and_worker_are_counted_together() -> None:
    figures = main_job.house(Spent(9.0, 95.0), Spent(7.0, 150.0), Queues(0.0, 1.0), alive=25)
    assert (figures[0].value, figures[0].bar, figures[0].met) == (16.0, 15.0, False)
    assert [figure.met for figure in figures if figure.name.startswith("25 beds: growth")] == [True, False]


def test_two_cores_for_half_the_window_are_a_hundred_percent_of_one() -> None:
    assert percent_of_a_core(10.0, 40.0, 30.0) == 100.0


async def test_the_listener_gives_an_alarm_to_who_called_and_names_what_nobody_caused() -> None:
    listener = Listener()
    waiting = listener.call(("sos", "b-1", "button-1"))
    first = record(alarm({}))
    listener.heard(record(alarm({}), duplicate=True))
    listener.heard(first)
    assert waiting.result() is first
    closing = listener.closing("a-1")
    listener.heard(record(alarm({}, rev=2)))
    assert not closing.done()
    listener.heard(record(alarm({}, rev=3, closed=1)))
    assert closing.result().rev == 3
    listener = Listener()
    listener.heard(record(alarm({}, rule="fall@1")))
    assert listener.uncaused == ["fall@1 b-1 button-1"]


SAYS_READY = """
import os, signal, socket, sys
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect(os.environ["NOTIFY_SOCKET"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(sys.argv[1])))
to.send(b"STATUS=opening")
to.send(b"READY=1\\nSTATUS=running")
signal.pause()
"""


async def test_ready_is_the_notice_itself_and_a_bad_end_is_no_start(tmp_path: Path) -> None:
    notify, log = tmp_path / "notify", tmp_path / "log"
    command = (sys.executable, "-c", SAYS_READY)
    took_s = await ready_s(Path("0"), notify, log, command=command)
    assert 0.0 < took_s < 30.0
    with pytest.raises(CarebedError, match="ended with code 7"):
        await ready_s(Path("7"), notify, log, command=command)
    with pytest.raises(CarebedError, match="ended with code 3 before READY=1"):
        await ready_s(Path("0"), notify, log, command=(sys.executable, "-c", "raise SystemExit(3)"))


async def test_a_fall_ends_with_the_sample_the_band_took_last_and_not_with_the_frame_that_carries_it() -> None:
    clock = ManualClock()
    (bed,) = Ward(clock, 1, bands=1, lossy=0.0, recordings=None).beds
    falling = asyncio.create_task(bed.fall(None))
    await asyncio.sleep(0)
    length, frames = bed.wrist.falling, 0
    while not falling.done():
        clock.shift(FRAME_SAMPLES / RATE_HZ)
        bed._moved(FRAME_SAMPLES)
        frames += 1
        await asyncio.sleep(0)
    behind = frames * FRAME_SAMPLES - length
    assert 0 < behind < FRAME_SAMPLES
    assert clock.now().since_s(falling.result()) == pytest.approx(behind / RATE_HZ)
