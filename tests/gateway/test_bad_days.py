"""Bad days of a box, each ended as promised: a message with a hint, a counted and stored gap or rejection, and a daemon
that goes on. Nothing accepted is lost, nothing invented is stored.

The daemon is the real process on real pseudo-terminals; the site and its faults are in `tests.gateway.wires`.
"""

import array
import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.ble_virtual_ward import RadioSpace
from drivers.faulty_line import LineFault
from drivers.hrs.frame import HeartRate
from drivers.modbus_rtu.peer import Mood
from drivers.polar_pmd.peer import FRAME_SAMPLES as BAND_FRAME_SAMPLES
from drivers.polar_pmd.peer import PolarBand
from gateway.core.clock import SystemClock
from gateway.core.model import Minute
from gateway.demo.broker import free_port
from gateway.demo.site import BAND_ADDRESS, GATEWAY, TENANT
from gateway.demo.story import BEDS, KIOSK
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.envelope import AlarmState, Backfill, Backlog, Nothing
from gateway.upstream.platform import Platform
from tests.broker import Broker
from tests.gateway.store.test_disk_full import fill
from tests.gateway.test_config import TWELVE
from tests.gateway.wires import FRAME_SAMPLES, PATIENCE_S, Belt, Box, Wires, eventually, wires

SPEED = 10.0
LONG_SPEED = 20.0  # where a rule's own minutes must pass
LEAST_POLLS_PER_S = 8.0  # of a contact module beside a dead slave: 20 to 40 were measured; blocked it would be 3
JITTER_S = 5  # seconds of a minute whose values may meet in one: at 20 times the speed 50 ms of a busy machine are one
DISK_KB = 8192
HUM = b"\x00\x00"  # no frame begins so: seen to be counted, it proves that the bytes behind it are through the kernel


async def still_helps(site: Wires, box: Box, bed: int = 2) -> dict[str, Any]:
    """The daemon answers, and a cord that is pulled now becomes an alarm."""
    assert (await box.ask("health"))["gateway"] == GATEWAY
    site.cord(bed, pulled=True)
    found: dict[str, Any] = await eventually(
        partial(box.alarm, "sos", bed=BEDS[bed - 1]), "the alarm of the pulled cord"
    )
    return found


async def lost_of(box: Box, device: str, channel: str = "bed.wave") -> int:
    return int((await box.device(device))["lost_samples"].get(channel, 0))


async def sends(belt: Belt, frames: int) -> None:
    """Wait until the belt has sent so many more frames."""
    wanted = len(belt.frames) + frames

    async def sent() -> bool:
        return len(belt.frames) >= wanted

    await eventually(sent, f"{frames} frames of a belt")


async def becomes(box: Box, device: str, state: str) -> dict[str, Any]:
    """Wait until a device is in this state; the device as the page shows it."""

    async def there() -> dict[str, Any] | None:
        found = await box.device(device)
        return found if found["state"] == state else None

    found: dict[str, Any] = await eventually(there, f"{device} is {state}")
    return found


# -- a cable ----------------------------------------------------------------------------------------------------------


async def test_frames_that_a_cable_spoils_are_counted_to_the_sample_and_the_rest_arrives(tmp_path: Path) -> None:
    async with wires(tmp_path, speed=SPEED) as site:
        async with site.daemon() as box:
            belt, other = site.belts
            belt.start()
            other.start()
            await box.heard("belt-1", "belt-2")
            before, other_before = await lost_of(box, "belt-1"), await lost_of(box, "belt-2")
            assert belt.spoilt == 0
            belt.peer.line.next_faults.extend(kind for kind in LineFault for _ in range(10))
            belt.peer.line.share = 0.1
            await sends(belt, 400)
            belt.peer.line.share = 0.0
            await sends(belt, 50)
            lost = before + FRAME_SAMPLES * belt.spoilt

            async def counted() -> bool:
                return await lost_of(box, "belt-1") == lost

            await eventually(counted, f"{lost} samples marked as lost, as the line's own record has it")
            device = await box.device("belt-1")
            assert device["state"] == "up"
            assert {"noise", "checksum"} <= set(device["rejected"])
            await still_helps(site, box)
            assert await lost_of(box, "belt-1") == lost, "more was marked lost than was spoilt"
            assert (await lost_of(box, "belt-2"), (await box.device("belt-2"))["rejected"]) == (other_before, {})
        async with site.books() as books:
            assert await books.lost("bed.wave", "belt-1") == lost
            assert await books.lost("bed.load", "belt-1") == lost // FRAME_SAMPLES
            assert dict(await books.rejected("belt-1")) == device["rejected"]
            assert await books.rejected("belt-2") == {}


@contextmanager
def gateway_end(belt: Belt) -> Iterator[int]:
    """A descriptor of our own on the gateway's end of the belt's port."""
    fd = os.open(belt.port.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


async def has_read_all(belt: Belt) -> bool:
    """Nothing waits to be read by the gateway. True too while the kernel still carries bytes from end to end."""
    count = array.array("i", [0])
    with gateway_end(belt) as fd:
        fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0] == 0


async def listens(belt: Belt) -> bool:
    """The gateway holds the lock of the port."""
    with gateway_end(belt) as fd:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def test_a_belt_unplugged_in_mid_frame_is_lost_with_a_hint_and_its_outage_is_counted_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with wires(tmp_path, speed=SPEED) as site:
        async with site.daemon() as box:
            belt, other = site.belts
            belt.start()
            other.start()
            await box.heard("belt-1", "belt-2")
            before = await lost_of(box, "belt-1")
            await sends(belt, 30)
            await belt.stop()
            number, since = belt.peer.sequence, site.clock.now()
            assert (await box.device("belt-1"))["rejected"] == {}
            half = belt.next_frame()
            os.write(belt.port.fd, HUM + half[: len(half) // 2])
            await eventually(partial(rejects, box, "belt-1", "noise"), "the gateway has met the hum before the half")
            await eventually(partial(has_read_all, belt), "the gateway has read what was sent")
            await belt.unplug()
            shown = await becomes(box, "belt-1", "lost")
            assert "was unplugged" in shown["reason"]
            assert "check the plug" in shown["reason"]
            sent = len(other.frames)
            await sends(other, 50)
            assert (await box.device("belt-2"))["state"] == "up"
            assert len(other.frames) >= sent + 50

            belt.plug()
            await eventually(partial(listens, belt), "the gateway has opened the port again")
            missed = round(site.clock.now().since_s(since) * 10)  # a belt goes on counting, ten frames a second
            belt.peer.sequence = number + missed
            belt.start()
            await becomes(box, "belt-1", "up")
            await sends(belt, 30)
            lost = before + FRAME_SAMPLES * missed
            assert await lost_of(box, "belt-1") == lost
            await still_helps(site, box)
        async with site.books() as books:
            assert await books.lost("bed.wave", "belt-1") == lost
            assert (await books.rejected("belt-1"))["half_frame"] == 1
            (unplugged,) = await books.details("link_lost", "belt-1")
            assert "check the plug" in unplugged["hint"]
            assert len(await books.details("link_up", "belt-1")) == 2
            assert await books.details("link_lost", "belt-2") == []


# -- a bus ------------------------------------------------------------------------------------------------------------


async def babble(belt: Belt) -> None:
    """Noise on a belt's port, full of heads of frames that never come."""
    random = Random(7)
    while True:
        await belt.peer.line.write(random.randbytes(20) + b"\xb5\x42" + random.randbytes(20))
        await SystemClock().sleep(0.01)


async def test_a_dead_slave_a_lying_one_and_a_babbling_belt_cost_only_themselves(tmp_path: Path) -> None:
    async with wires(tmp_path, speed=LONG_SPEED) as site:
        site.room.mood = Mood.DEAD
        async with site.daemon() as box:
            babbling = asyncio.create_task(babble(site.belts[1]))
            site.belts[0].start()
            await box.heard("belt-1", "contacts-1", "kiosk")
            shown = await becomes(box, "room-1", "lost")
            assert "no_reply" in shown["reason"]
            assert "A/B wires" in shown["reason"]
            shown = await becomes(box, "belt-2", "lost")
            assert "noise" in shown["reason"]
            assert "115200 baud" in shown["reason"]

            site.kiosk.mood = Mood.WRONG_CRC
            site.kiosk.set_all(counter=1, status=1, systolic=222.0, diastolic=111.0, pulse_rate=99.0)
            await becomes(box, "kiosk", "lost")
            site.kiosk.mood = Mood.HALF_REPLY
            polls, since = site.contacts.asked, SystemClock().now()
            await eventually(partial(box.alarm, "sensor_lost", device="room-1"), "the alarm of the dead slave")
            polls_per_s = (site.contacts.asked - polls) / SystemClock().now().since_s(since)
            assert polls_per_s > LEAST_POLLS_PER_S
            await eventually(partial(rejects, box, "kiosk", "checksum", "half_reply"), "both kinds of broken answers")

            site.kiosk.mood = Mood.WELL
            await becomes(box, "kiosk", "up")
            asked = site.kiosk.asked
            await eventually(partial(was_asked, site, asked + 2), "the kiosk is read again")
            site.kiosk.set_all(counter=2, status=1, **KIOSK)
            await eventually(partial(was_asked, site, site.kiosk.asked + 2), "the reading is read")
            await still_helps(site, box)
            assert await box.alarm("sensor_lost", device="contacts-1") is None
            assert await box.alarm("sensor_lost", device="belt-1") is None
            babbling.cancel()
        async with site.books() as books:
            (lost,) = await books.details("link_lost", "room-1")
            assert (lost["reason"], "A/B wires" in lost["hint"]) == ("no_reply", True)
            assert (await books.rejected("room-1"))["no_reply"] >= 3
            assert {"checksum", "half_reply"} <= set(await books.rejected("kiosk"))
            assert (await books.rejected("belt-2"))["noise"] > 0
            kept = await books.store.journal.observations(1000)
            values = {(one.quantity, one.value) for one in kept}
            assert values <= {*KIOSK.items(), ("systolic", 222.0), ("diastolic", 111.0), ("pulse_rate", 99.0)}
            assert set(KIOSK.items()) <= values
            assert len(kept) == len(values), "a reading was stored twice"
            for quantity in ("movement", "heart_rate", "respiration_rate", "vital_sign"):
                assert await books.store.journal.minutes(BEDS[1], quantity, None, None, 9) == []


async def rejects(box: Box, device: str, *reasons: str) -> bool:
    return set(reasons) <= set((await box.device(device))["rejected"])


async def was_asked(site: Wires, times: int) -> bool:
    return site.kiosk.asked >= times


# -- a radio ----------------------------------------------------------------------------------------------------------


class Wrist:
    """Somebody lying still, who counts the samples that were taken of him."""

    def __init__(self) -> None:
        self.taken = 0

    def move(self, count: int) -> NDArray[np.floating]:
        self.taken += count
        return np.tile([0.1, -0.35, 0.93], (count, 1))

    def pulse(self) -> HeartRate:
        return HeartRate(62, contact=True, rr=(991,))


@asynccontextmanager
async def radio() -> AsyncIterator[tuple[RadioSpace, int]]:
    """A radio space and the port of its HCI."""
    space = RadioSpace()
    port = await space.serve()
    try:
        yield space, port
    finally:
        await space.close()


@asynccontextmanager
async def band_in_range(site: Wires, space: RadioSpace, wrist: Wrist) -> AsyncIterator[PolarBand]:
    """A band in this process, streaming to whoever connects."""
    band = PolarBand(space, site.clock, BAND_ADDRESS.format(1), wrist.move, wrist.pulse)
    await band.start()
    living = asyncio.create_task(band.run())
    try:
        yield band
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)


async def test_a_band_out_of_range_in_mid_stream_comes_back_with_its_missing_samples_counted(tmp_path: Path) -> None:
    wrist = Wrist()
    async with (
        radio() as (space, port),
        wires(tmp_path, speed=SPEED, bands=1, hci_port=port) as site,
        band_in_range(site, space, wrist) as band,
    ):
        async with site.daemon() as box:

            async def has_sent(frames: int) -> bool:
                return band.frames_sent >= frames

            await becomes(box, "band-1", "up")
            await eventually(partial(has_sent, 20), "frames of the band")
            before = await lost_of(box, "band-1", "acc")
            band.disappear()
            band.streaming = False  # this band's stream ends with its connection, so that each frame sent has a hearer
            sent, taken = band.frames_sent, wrist.taken
            shown = await becomes(box, "band-1", "lost")
            assert shown["reason"].endswith(")"), "a hint follows the reason"
            await still_helps(site, box)
            band.reappear()
            await becomes(box, "band-1", "up")
            await eventually(partial(has_sent, sent + 20), "frames of the band after its return")
            missed = wrist.taken - taken - BAND_FRAME_SAMPLES * (band.frames_sent - sent)
            lost = await lost_of(box, "band-1", "acc") - before
            assert abs(lost - missed) <= BAND_FRAME_SAMPLES, (lost, missed)
        async with site.books() as books:
            assert await books.lost("acc", "band-1") == before + lost
            (gone,) = await books.details("link_lost", "band-1")
            assert gone["hint"]


# -- a broker ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def following(site: Wires, port: int) -> AsyncIterator[Platform]:
    """A platform at the broker on this port."""
    platform = Platform(site.clock, Endpoint("127.0.0.1", port), TENANT, backfill=Backfill(rate=100.0))
    task = asyncio.create_task(platform.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await platform.connected.wait()
        yield platform
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def at_platform(platform: Platform, rule: str) -> list[AlarmState]:
    known = platform.gateways.get(GATEWAY)
    return [alarm for alarm in known.alarms.values() if alarm.rule.startswith(f"{rule}@")] if known else []


async def has_alarm(platform: Platform, rule: str) -> bool:
    return bool(at_platform(platform, rule))


async def is_complete(platform: Platform) -> bool:
    """The platform has every number of every stream up to the gateway's heads."""
    marks = (await platform.request(GATEWAY, "backlog.read", Nothing())).message
    assert isinstance(marks, Backlog)
    heads = {stream: mark.hi for stream, mark in marks.streams.items() if mark.hi}
    return not any(platform.seen.of(GATEWAY, stream).missing(1, hi) for stream, hi in heads.items())


async def test_a_broker_that_refuses_is_named_with_a_hint_and_gets_everything_once_it_accepts(tmp_path: Path) -> None:
    refusing, accepting = Broker(passwords={"somebody": "else"}), Broker()
    accepting.port = refusing.port
    await refusing.start()
    try:
        async with wires(tmp_path, speed=LONG_SPEED, broker_port=refusing.port) as site:
            async with site.daemon() as box:
                site.belts[0].start()
                await box.heard("belt-1", "contacts-1", "kiosk")
                (uplink,) = await eventually(partial(uplinks_that_are, box, "lost"), "the refused uplink is lost")
                assert "authorized" in uplink["reason"].lower()
                assert "access list" in uplink["reason"] or "password" in uplink["reason"]
                assert uplink["reason"] in await box.page("/system")
                alarm = await eventually(partial(box.alarm, "uplink_lost"), "the alarm of the lost uplink")
                assert alarm["evidence"]["upstream"] == "district"
                sos = await still_helps(site, box)

                await refusing.kill()
                await accepting.start()
                async with following(site, accepting.port) as platform:
                    await eventually(partial(uplinks_that_are, box, "up"), "the accepted uplink is up")
                    await eventually(partial(has_alarm, platform, "sos"), "the SOS of the outage is at the platform")
                    await eventually(partial(box.alarm, "uplink_lost", open=False), "the uplink's alarm has ended")
                    await eventually(partial(is_complete, platform), "every row is at the platform")
                    assert [alarm.id for alarm in at_platform(platform, "sos")] == [sos["id"]]
                    assert platform.seen.unreadable == 0
            async with site.books() as books:
                first, *_ = await books.details("uplink_lost", None)
                assert first["hint"]
                assert (await books.details("uplink_back", None))[-1]["upstream"] == "district"
    finally:
        await refusing.stop()
        await accepting.stop()


async def uplinks_that_are(box: Box, state: str) -> list[dict[str, Any]]:
    return [uplink for uplink in await box.ask("uplinks") if uplink["state"] == state]


# -- a disk -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The state directory as a file system of 8 MB. Mounting needs CAP_SYS_ADMIN; the reason is printed if refused."""
    mount = tmp_path / "state"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_KB}k", "tmpfs", str(mount)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no small file system can be mounted as uid {os.getuid()}: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "--lazy", str(mount)], check=True)  # a failing test may still hold it


async def read_out(site: Wires, counter: int) -> None:
    """Somebody measures at the kiosk, and the gateway reads it."""
    site.kiosk.set_all(counter=counter, status=1, **KIOSK)
    await eventually(partial(was_asked, site, site.kiosk.asked + 2), "the reading is read")


async def test_a_full_disk_is_told_help_goes_on_and_what_was_lost_is_a_gap_once_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    broker = await Broker().start()
    try:
        async with wires(tmp_path, speed=SPEED, broker_port=broker.port) as site, following(site, broker.port) as there:
            async with site.daemon() as box:
                await box.heard("contacts-1", "kiosk", "room-1")
                await eventually(partial(uplinks_that_are, box, "up"), "the uplink is up")
                await read_out(site, 1)
                await eventually(partial(has_rows, there, "obs", 4), "the first reading is stored and at the platform")
                readings = 1

                fill(small_disk / "ballast")
                while (await box.part("store"))["state"] != "fault":
                    readings += 1
                    await read_out(site, readings)
                part = await box.part("store")
                assert "disk_full" in part["reason"]
                assert "free space" in part["reason"]
                assert part["reason"] in await box.page("/system")
                trouble = await eventually(partial(box.alarm, "box_in_trouble", open=True), "the box's own alarm")
                assert trouble["evidence"]["part"] == "store"
                assert f"/alarms/{trouble['id']}" in await box.page("/")

                sos = await still_helps(site, box)
                await eventually(partial(has_alarm, there, "sos"), "the SOS is at the platform though it is not stored")
                assert await box.gauge("alarms_unsaved") >= 2
                readings += 1
                await read_out(site, readings)

                (small_disk / "ballast").unlink()
                await eventually(partial(part_is, box, "store", "ready"), "the store has recovered")
                await eventually(partial(nothing_unsaved, box), "every alarm is stored")
                await eventually(partial(box.alarm, "box_in_trouble", open=False), "the box's alarm has ended")
                readings += 1
                await read_out(site, readings)
                await eventually(partial(is_complete, there), "every stored row is at the platform")
                assert [alarm.id for alarm in at_platform(there, "sos")] == [sos["id"]]
            assert "free space" in site.log
            async with site.books() as books:
                gaps = [gap for gap in await books.store.journal.gaps(1000) if gap.reason == "disk_full"]
                counts = await books.store.journal.counts()
                lost = sum(gap.lost for gap in gaps if gap.what == "obs")
                assert 4 <= lost < 4 * readings
                assert counts["obs"] + lost == 4 * readings + 1, "three values and an event each, and one pulled cord"
                kept = await books.store.alarms.alarm(sos["id"])
                assert kept is not None
                assert kept.open
                told = {alarm.rule for alarm in await books.store.alarms.history(100)}
                assert {"sos", "box_in_trouble"} <= told
    finally:
        await broker.stop()


async def has_rows(platform: Platform, stream: str, count: int) -> bool:
    return len(platform.seen.of(GATEWAY, stream)) >= count


async def part_is(box: Box, part: str, state: str) -> bool:
    return str((await box.part(part))["state"]) == state


async def nothing_unsaved(box: Box) -> bool:
    return await box.gauge("alarms_unsaved") == 0


# -- the box itself ---------------------------------------------------------------------------------------------------


async def test_a_killed_worker_is_replaced_within_seconds_and_no_second_is_missing_or_comes_twice(
    tmp_path: Path,
) -> None:
    async with wires(tmp_path, speed=LONG_SPEED) as site:
        async with site.daemon() as box:
            for belt in site.belts:
                belt.start()
            await box.heard("belt-1", "belt-2")
            await box.working()
            await eventually(partial(measures, box, BEDS[0]), "the first results")
            first = site.clock.now().mono_ns // 60_000_000_000 + 1  # the first whole minute from here
            await eventually(partial(is_past, site, first * 60 + 30), "the middle of a minute")
            os.kill(int(await box.gauge("worker_pid")), signal.SIGKILL)
            killed = SystemClock().now()
            await eventually(partial(restarted, box), "another worker")
            await eventually(partial(measures, box, BEDS[0]), "results again")
            assert SystemClock().now().since_s(killed) < 15.0
            part = await box.part("worker")
            assert part["state"] == "ready"
            await still_helps(site, box)
            last = site.clock.now().mono_ns // 60_000_000_000 + 1
            await eventually(partial(is_past, site, (last + 1) * 60 + 10), "a whole minute after it")
        async with site.books() as books:
            troubles = await books.details("box_trouble", None)
            assert any(trouble["part"] == "worker" and "SIGKILL" in trouble["reason"] for trouble in troubles)
            for bed, name in zip(BEDS, ("belt-1", "belt-2"), strict=True):
                for quantity in ("movement", "bed_occupied"):
                    minutes = await books.store.journal.minutes(bed, quantity, None, None, 1000)
                    starts = [minute.start.mono_ns // 60_000_000_000 for minute in minutes]
                    assert sorted(set(starts)) == starts, "a minute is stored twice"
                    assert set(range(first, last + 1)) <= set(starts)
                    wanted = [minute for minute, start in zip(minutes, starts, strict=True) if first <= start <= last]
                    marked = await books.lost(quantity, name) + await books.lost("bed.wave", name) / 100
                    told = (quantity, [minute.n for minute in wanted], marked)
                    assert missing(wanted) <= marked + JITTER_S * len(wanted), told


def missing(minutes: list[Minute]) -> int:
    """Seconds without a value."""
    return sum(60 - minute.n for minute in minutes)


async def measures(box: Box, bed: str) -> bool:
    """A fresh derived value of the bed is shown."""
    values = (await box.ask(f"beds/{bed}"))["values"]
    return any(value["quantity"] == "movement" and value["age_s"] < 5 for value in values)


async def is_past(site: Wires, second: int) -> bool:
    return site.clock.now().mono_ns > second * 10**9


async def restarted(box: Box) -> bool:
    return await box.gauge("worker_restarts") >= 1 and await part_is(box, "worker", "ready")


# -- a file -----------------------------------------------------------------------------------------------------------


async def carebed(*arguments: str) -> tuple[int, str]:
    """The command as it is typed: (exit code, what it printed on stderr)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_file_with_twelve_mistakes_prints_them_all_and_is_served_as_the_page_that_explains_them(
    tmp_path: Path,
) -> None:
    file = tmp_path / "carebed.toml"
    file.write_text(TWELVE)
    code, said = await carebed("check-config", str(file))
    faults = [line for line in said.splitlines() if line.startswith("  line ")]
    assert (code, len(faults)) == (78, 12)
    assert all(line.endswith(")") for line in faults), "each with a hint"

    port = free_port()
    other = TWELVE.replace('port = "8080"', f"port = {port}\nhost = 7")  # the page must be found where the test looks
    file.write_text(f'{other}[paths]\nruntime_dir = "{tmp_path}"\n')
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", "run", "--config", str(file))
    try:
        page = await eventually(partial(answer_of, f"http://127.0.0.1:{port}/"), "the page that explains the file")
        assert page.status_code == 503
        told = httpx.get(f"http://127.0.0.1:{port}/api/v1/ward").json()["faults"]
        assert len(told) == 12
        assert all(fault["line"] and fault["hint"] for fault in told)
        assert all(str(fault["line"]) in page.text for fault in told)
    finally:
        process.terminate()
        assert await process.wait() == 78


async def answer_of(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url)
    except httpx.TransportError:
        return None
