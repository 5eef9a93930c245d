"""Polls that lie together become one request, and are asked alone again where the slave does not give so much."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Device
from drivers.modbus_rtu.frame import Request, answer, refusal
from drivers.modbus_rtu.peer import VirtualSlave
from drivers.modbus_rtu.question import MOST_GAP, MOST_REGISTERS, Part, together
from drivers.profile_schema import Profile
from tests.drivers.modbus_rtu.bench import line


def poll(
    address: int, name: str, *, function: int = 4, every_ms: int = 100, count: int | None = None
) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "register": 0, "scale": 0.1, "unit": "Cel", "quantity": "room_temperature"}
    if function in (1, 2):
        entry = {"name": name, "bit": 0, "event": "sos_pressed"}
    found = {"function": function, "address": address, "every_ms": every_ms, "field": [entry]}
    return found if count is None else {**found, "count": count}


def profile(*polls: dict[str, Any], merge: bool = True) -> Profile:
    return Profile.model_validate(
        {
            "schema": 1,
            "device": {"id": "many", "class": "room_sensor", "transport": "modbus-rtu"},
            "modbus": {"merge": merge},
            "poll": polls,
            "tests": [{"hex": "0104020000B930", "expect": {polls[0]["field"][0]["name"]: 0}}],
        }
    )


def parts(*polls: dict[str, Any]) -> list[Part]:
    made = profile(*polls)
    device = Device("d", "modbus_rtu", "many", "bus-1")
    return [Part(device, made, entry) for entry in made.poll]


def spans(*polls: dict[str, Any]) -> list[list[int]]:
    return [[part.first for part in group] for group in together(parts(*polls))]


def test_registers_at_most_eight_apart_are_one_request_and_nine_are_two() -> None:
    assert spans(poll(1, "a"), poll(10, "b")) == [[1, 10]]
    assert spans(poll(1, "a"), poll(11, "b")) == [[1], [11]]


def test_order_in_the_file_does_not_matter_and_polls_may_overlap() -> None:
    assert spans(poll(9, "c"), poll(1, "a", count=5), poll(3, "b")) == [[1, 3, 9]]


def test_another_function_another_pace_and_inputs_stay_apart() -> None:
    assert spans(poll(1, "a"), poll(2, "b", function=3), poll(3, "c", every_ms=200)) == [[2], [1], [3]]
    assert spans(poll(1, "a", function=2), poll(2, "b", function=2)) == [[1], [2]]


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60)), min_size=1, max_size=12))
def test_no_request_exceeds_what_one_answer_holds_and_no_poll_is_lost(places: list[tuple[int, int]]) -> None:
    made = parts(*(poll(address, f"f{n}", count=count) for n, (address, count) in enumerate(places)))
    groups = together(made)
    assert sorted(id(part) for group in groups for part in group) == sorted(map(id, made))
    for group in groups:
        assert max(part.end for part in group) - min(part.first for part in group) <= MOST_REGISTERS
        reached = group[0].end
        for part in group[1:]:
            assert part.first - reached <= MOST_GAP
            reached = max(reached, part.end)


class Holed(VirtualSlave):
    """Does not know the registers between its polls, as most slaves do not."""

    silent = False

    def reply(self, request: Request) -> bytes:
        return b"" if self.silent and request.count > 1 else super().reply(request)


class Whole(VirtualSlave):
    """Answers registers that nobody described with 0."""

    def reply(self, request: Request) -> bytes:
        asked = range(request.address, request.address + request.count)
        words = [self._cells.get((request.function, at), 0) for at in asked]
        return answer(request, b"".join(word.to_bytes(2, "big") for word in words))


THREE = profile(poll(0, "a"), poll(4, "b"), poll(5, "c"))


async def test_one_answer_gives_every_poll_its_own_registers() -> None:
    async with line(THREE) as bus:
        bus.bus.slaves[1] = slave = Whole(1, THREE)
        slave.set_all(a=20.5, b=21.5, c=22.5)
        await bus.run_for(1)
        assert set(bus.sink.values("room_temperature")) == {20.5, 21.5, 22.5}
        assert bus.sink.values("room_temperature")[:3] == [20.5, 21.5, 22.5]
        assert slave.asked <= 11  # and not three times as often
        assert bus.sink.kinds("d-1") == ["link_up"]


async def test_a_slave_that_refuses_the_registers_in_between_is_asked_for_each_poll_alone() -> None:
    async with line(THREE) as bus:
        bus.slaves[0].set_all(a=20.5, b=21.5, c=22.5)
        await bus.run_for(1)
        assert set(bus.sink.values("room_temperature")) == {20.5, 21.5, 22.5}
        assert bus.sink.kinds("d-1") == ["link_up"]  # no device fault: the request was ours
        assert bus.sink.rejects[("d-1", "exception_2")] == 1
        assert refusal(Request(1, 4, 0, 6), 2) == bus.sink.raw[("d-1", "exception_2")]


async def test_a_slave_that_keeps_silent_when_asked_for_much_is_not_lost() -> None:
    async with line(THREE) as bus:
        bus.bus.slaves[1] = slave = Holed(1, THREE)
        slave.silent = True
        slave.set_all(a=20.5, b=21.5, c=22.5)
        await bus.run_for(3)
        assert bus.sink.kinds("d-1") == ["link_up"]
        assert set(bus.sink.values("room_temperature")) == {20.5, 21.5, 22.5}


async def test_a_slave_that_must_not_be_read_across_gaps_is_asked_for_each_poll_alone() -> None:
    alone = profile(poll(0, "a"), poll(4, "b"), poll(5, "c"), merge=False)
    asked: set[tuple[int, int]] = set()

    class Watched(VirtualSlave):
        def reply(self, request: Request) -> bytes:
            asked.add((request.address, request.count))
            return super().reply(request)

    async with line(alone) as bus:
        bus.bus.slaves[1] = slave = Watched(1, alone)
        slave.set_all(a=20.5, b=21.5, c=22.5)
        await bus.run_for(1)
        assert asked == {(0, 1), (4, 1), (5, 1)}
        assert set(bus.sink.values("room_temperature")) == {20.5, 21.5, 22.5}
        assert not bus.sink.rejects
