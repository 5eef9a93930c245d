"""Promises of the reserve: a box starts on a full disk and can store an alarm."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.clock import ManualClock
from gateway.core.errors import StoreError
from gateway.store import reserve
from gateway.store.database import Store
from tests.gateway.store.facts import alarm as an_alarm


@pytest.fixture(name="small_disk")
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    size = (reserve.PLENTY + 2) * reserve.RESERVE_BYTES
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], capture_output=True)
    if made.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb") as file:
        room = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)


async def test_a_box_starts_on_a_full_disk_and_stores_an_alarm(small_disk: Path) -> None:
    state = small_disk / "state"
    await (await Store.open(state, ManualClock())).close()
    assert (state / reserve.NAME).stat().st_blocks * 512 >= reserve.RESERVE_BYTES
    fill(small_disk)

    store = await Store.open(state, ManualClock())
    assert not (state / reserve.NAME).exists()
    alarm = an_alarm()
    await store.alarms.save(alarm, store.alarms.next_seq())
    assert [known.id for known in await store.alarms.open_alarms()] == [alarm.id]
    await store.close()


async def test_without_a_reserve_a_full_disk_is_told_and_nothing_is_pretended(small_disk: Path) -> None:
    state = small_disk / "state"
    await (await Store.open(state, ManualClock())).close()
    (state / reserve.NAME).unlink()
    fill(small_disk)
    with pytest.raises(StoreError) as caught:
        await Store.open(state, ManualClock())
    assert caught.value.hint


def test_a_disk_with_little_room_keeps_no_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve, "RESERVE_BYTES", 1 << 60)
    assert reserve.keep(tmp_path) is False
    assert list(tmp_path.iterdir()) == []
