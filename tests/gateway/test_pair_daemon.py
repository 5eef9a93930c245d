"""Scan and pair from the terminal to the device's end of the air, through the daemon that a box runs."""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path

from bumble.pairing import PairingConfig

from drivers.gatt_peer import GattPeer
from gateway.core.clock import SystemClock
from tests.drivers.ble_ward import radio_space, running
from tests.drivers.gatt_house import paris
from tests.gateway.test_daemon import GOOD, PATIENCE_S, Box, box
from tests.gateway.test_pairing import ADDRESS, refuse

WARD = f"""
[[room]]
id = "r-1"
name = "101"
[[bed]]
id = "b-7Q4MZ2K9"
room = "r-1"
[[device]]
id = "cuff-1"
family = "bls"
model = "bls_generic"
link = "radio"
bed = "b-7Q4MZ2K9"
address = "{ADDRESS}"
"""


async def carebed(config: Path, *words: str) -> tuple[int, str]:
    """Exit code and output of the command as a technician types it."""
    command = [sys.executable, "-m", "gateway", *words, "--config", str(config)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE_S):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def state_of(made: Box) -> dict[str, object]:
    (device,) = (await made.ask("/api/v1/devices")).json()
    found: dict[str, object] = device
    return found


async def until_state(made: Box, state: str) -> dict[str, object]:
    async with asyncio.timeout(PATIENCE_S):
        while (device := await state_of(made))["state"] != state:
            await SystemClock().sleep(0.1)
    return device


def with_radio(port: int) -> str:
    return GOOD + f'[[ble]]\nname = "radio"\nbackend = "virtual"\nhci = "tcp-client:127.0.0.1:{port}"\n'


async def test_a_cuff_that_refused_its_driver_is_found_paired_and_heard_again_at_once(tmp_path: Path) -> None:
    clock = SystemClock()
    async with radio_space() as (space, port):
        peer = GattPeer(space, clock, ADDRESS, "1810", "2A35", lambda: paris(clock), name="BM54")
        peer.faults.stay = True
        await peer.start()
        refuse(peer)
        text = with_radio(port)
        (tmp_path / "ward.toml").write_text(WARD)
        early = tmp_path / "early.toml"  # the ward is imported before a daemon owns the databases
        early.write_text(text.format(directory=tmp_path, port=1))
        code, said = await carebed(early, "provision", "import", str(tmp_path / "ward.toml"))
        assert code == 0, said
        async with running(peer.run()), box(tmp_path, text) as made:
            await made.notice("READY=1")
            lost = await until_state(made, "lost")
            assert "pair the device again" in str(lost["reason"])

            code, said = await carebed(made.config, "scan", "--json")
            (seen,) = json.loads(said)["devices"]
            assert (seen["device"], seen["model"], seen["name"]) == ("cuff-1", "bls_generic", "BM54")

            code, said = await carebed(made.config, "pair", "cuff-1", "--by", "N-12", "--lang", "en")
            assert (code, "could not be paired" in said) == (1, True), said

            peer.peripheral.device.pairing_config_factory = lambda _: PairingConfig()
            code, said = await carebed(made.config, "pair", "cuff-1", "--by", "N-12", "--lang", "en")
            assert (code, said.splitlines()[-1]) == (0, "cuff-1 is paired."), said
            await until_state(made, "up")  # within the test's patience, not after the 300 s of a missing bond
            assert await made.stop() == 0
    with sqlite3.connect(tmp_path / "state" / "alarms.db") as db:
        assert db.execute("SELECT count(*) FROM command WHERE verb = 'pair'").fetchone() == (2,)
    db.close()
