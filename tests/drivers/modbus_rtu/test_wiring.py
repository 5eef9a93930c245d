"""What a bus says of its wiring, and what the bus monitor shows of each slave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_rtu.driver import HERE
from drivers.modbus_rtu.frame import Request, search
from drivers.modbus_rtu.peer import Mood, through_exchanged_wires
from drivers.modbus_rtu.registers import load_map
from drivers.modbus_rtu.wiring import SUSPECT_POLLS
from tests.drivers.modbus_rtu.bench import line

IO8, ROOM = (load_map(HERE / f"{model}.toml") for model in ("waveshare_io8", "xy_md02"))


async def test_an_echo_is_told_once_and_disturbs_nothing() -> None:
    async with line(IO8, ROOM) as bus:
        bus.bus.echo = True
        await bus.run_for(3)
        (told,) = bus.told("bus_echo")
        assert told["part"] == "bus bus-1"
        assert told["hint"]
        assert bus.driver.health().echo
        assert not bus.sink.rejects


async def test_a_bus_without_echo_tells_of_none() -> None:
    async with line(IO8) as bus:
        await bus.run_for(1)
        assert bus.told("bus_echo") == []
        assert not bus.driver.health().echo


async def test_an_echo_is_seen_even_when_no_slave_answers() -> None:
    async with line(IO8) as bus:
        bus.bus.echo = True
        bus.slaves[0].mood = Mood.DEAD
        await bus.run_for(2)
        assert len(bus.told("bus_echo")) == 1
        assert bus.told("link_lost")[0]["reason"] == "no_reply"


async def test_exchanged_wires_are_told_once_with_what_to_do_and_their_repair_too() -> None:
    async with line(IO8, ROOM) as bus:
        bus.bus.swapped = True
        await bus.run_for(12)
        (told,) = bus.told("box_trouble")
        assert told["suspicion"] == "swapped"
        assert "A and B" in str(told["hint"])
        assert "baud" in str(told["hint"])
        assert bus.driver.health().suspicion == "swapped"
        assert bus.sink.measurements == []
        bus.bus.swapped = False
        await bus.run_for(35, lambda: bool(bus.told("box_recovered")))
        assert bus.told("box_recovered") == [{"part": told["part"]}]
        assert bus.driver.health().suspicion == ""


async def test_garbage_after_good_answers_is_a_noisy_line_and_no_exchange() -> None:
    async with line(IO8) as bus:
        await bus.run_for(1)
        bus.slaves[0].mood = Mood.BABBLE
        await bus.run_for(60, lambda: bool(bus.told("box_trouble")))
        assert bus.told("box_trouble")[0]["suspicion"] == "noisy"


async def test_one_slave_that_babbles_among_good_ones_says_nothing_of_the_wires() -> None:
    async with line(IO8, ROOM) as bus:
        bus.slaves[1].mood = Mood.BABBLE
        await bus.run_for(45)
        assert bus.told("box_trouble") == []
        assert bus.sink.rejects[("d-2", "noise")] >= SUSPECT_POLLS


async def test_silence_is_no_sign_of_exchanged_wires() -> None:
    async with line(IO8, ROOM) as bus:
        for slave in bus.slaves:
            slave.mood = Mood.DEAD
        await bus.run_for(45)
        assert bus.told("box_trouble") == []
        assert bus.driver.health().dead == ("d-1", "d-2")


@given(data=st.binary(min_size=1, max_size=9))
def test_exchanged_wires_never_carry_an_answer(data: bytes) -> None:
    heard = through_exchanged_wires(Request(1, 4, 0, 2).adu + data)
    assert search(Request(1, 4, 0, 2), heard)[0] is None


async def test_the_bus_monitor_counts_polls_time_outs_and_dead_slaves() -> None:
    async with line(IO8, ROOM) as bus:
        bus.slaves[1].mood = Mood.DEAD
        bus.slaves[0].delay_s = 0.03
        await bus.run_for(9)
        health = bus.driver.health()
        good, dead = health.slaves
        assert (good.state, dead.state, health.dead) == ("up", "lost", ("d-2",))
        assert good.polls == good.answers
        assert bus.slaves[0].asked - good.polls in (0, 1)  # one question may be on its way
        assert (dead.polls, dead.timeouts, dead.answers, dead.losses) == (bus.slaves[1].asked, 5, 0, 1)
        assert dead.probes == 2  # one second and five seconds after it was given up
        assert (health.polls, health.timeouts) == (good.polls + dead.polls, 5)
        assert good.reply_ms == pytest.approx(30, abs=11)
        assert good.last_answer is not None
        assert dead.last_answer is None
        bus.slaves[0].mood = Mood.WRONG_CRC
        await bus.run_for(0.3)
        assert bus.driver.health().slaves[0].damaged >= 1
        assert health.slaves[0].damaged == 0  # what was handed out stays as it was
