"""What people do in the ward of the latency benchmark, and what each of their calls became on its way.

Every bed presses its button and pulls its cord at random moments; some fall. The platform answers each alarm, so that
the list of open ones stays short and the next call of the same device is a new alarm.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.core.clock import SystemClock
from gateway.core.errors import CarebedError, LinkError, UpstreamError
from gateway.demo.processes import WardProcess
from gateway.demo.site import BEDS_PER_MODULE, GATEWAY, bed_id
from gateway.upstream.envelope import AlarmState
from gateway.upstream.platform import Platform
from gateway.upstream.seen import Record

RAISED_WITHIN_S = 10.0  # of a press or pull: whatever takes longer is lost for this benchmark
FALL_WITHIN_S = 15.0  # from the last sample
GAP_S = 2.4  # mean between two calls of one bed, drawn at random: no call keeps step with a poll or a tick
LOOK_S = 0.5  # until the platform closes an alarm
RELEASE_S = 0.8  # a cord is let go, and the module has been asked often enough to know it
STAND_S = 12.0  # after a fall: three times what the detector needs to learn how an arm hangs

Key = tuple[str, str, str]  # rule, bed, device
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One call for help. sent_ns: when the device said it; times are real CLOCK_BOOTTIME."""

    sent_ns: int
    raised: AlarmState
    at_platform_ns: int
    closed: AlarmState

    def _between_ms(self, start: str, end: str) -> float:
        trace = self.closed.trace
        if start not in trace or end not in trace:
            raise CarebedError(
                f"alarm {self.closed.id} has no {start!r} or {end!r} in its trace, only {', '.join(trace)}",
                hint="the gateway did not see that step before the alarm was closed",
            )
        return (trace[end] - trace[start]) / 1e6

    @property
    def local_ms(self) -> float:
        """Last byte to local alarm."""
        return self._between_ms("receipt", "raised")

    @property
    def received_ms(self) -> float:
        """Last byte to the platform's `received` at the gateway."""
        return self._between_ms("receipt", "received")

    @property
    def platform_ms(self) -> float:
        """Last byte to the alarm's arrival at the platform."""
        return (self.at_platform_ns - self.raised.trace["receipt"]) / 1e6

    @property
    def from_sending_ms(self) -> float:
        """The device's own moment to local alarm."""
        return (self.raised.trace["raised"] - self.sent_ns) / 1e6

    @property
    def beyond_confirmation_s(self) -> float:
        """Of a fall: last sample to local alarm, less the confirmation time that the detector states."""
        return self.from_sending_ms / 1e3 - float(self.raised.evidence["confirmation_s"])


class Listener:
    """Tells alarms from the platform's records; give `heard` to the platform."""

    def __init__(self) -> None:
        self.uncaused: list[str] = []
        self._known: set[str] = set()
        self._calls: dict[Key, asyncio.Future[Record]] = {}
        self._closings: dict[str, asyncio.Future[AlarmState]] = {}

    def heard(self, record: Record) -> None:
        alarm = record.message
        if not isinstance(alarm, AlarmState) or record.duplicate:
            return
        if alarm.id not in self._known:
            self._known.add(alarm.id)
            waiting = self._calls.pop((alarm.rule.partition("@")[0], alarm.bed or "", alarm.dev or ""), None)
            if waiting is None:
                self.uncaused.append(f"{alarm.rule} {alarm.bed} {alarm.dev}")
            else:
                waiting.set_result(record)
        elif alarm.closed is not None and alarm.id in self._closings:
            self._closings.pop(alarm.id).set_result(alarm)

    def call(self, key: Key) -> "asyncio.Future[Record]":
        """The first state of the next alarm of this key."""
        return self._calls.setdefault(key, asyncio.get_running_loop().create_future())

    def give_up(self, key: Key) -> None:
        """Wait for it no more."""
        self._calls.pop(key, None)

    def closing(self, alarm_id: str) -> "asyncio.Future[AlarmState]":
        """The state in which this alarm is closed."""
        return self._closings.setdefault(alarm_id, asyncio.get_running_loop().create_future())


class Script:
    """Everybody in the ward. sos, cords, falls: what became of their calls; missed: falls nobody noticed."""

    def __init__(self, ward: WardProcess, platform: Platform, listener: Listener) -> None:
        self.sos: list[Call] = []
        self.cords: list[Call] = []
        self.falls: list[Call] = []
        self.missed = 0
        self._ward = ward
        self._platform = platform
        self._listener = listener
        self._answers: dict[tuple[str, int], asyncio.Future[Answer]] = {}
        self._clock = SystemClock()

    async def play(self, beds: int, *, presses: int, pulls: int, fallers: Sequence[int], falls: int) -> None:
        """Each bed presses and pulls so often; each of `fallers` falls so often. The first call without an alarm ends
        it: LinkError."""
        hearing = asyncio.create_task(self._hear())
        try:
            async with asyncio.TaskGroup() as tasks:
                for bed in range(1, beds + 1):
                    tasks.create_task(self._live(bed, presses, pulls))
                for bed in fallers:
                    tasks.create_task(self._fall(bed, falls))
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _hear(self) -> None:
        while True:
            answer = await self._ward.answer(10 * RAISED_WITHIN_S)
            self._answers.pop((answer["done"], answer["bed"])).set_result(answer)

    async def _do(self, action: str, bed: int) -> "asyncio.Future[Answer]":
        answer = self._answers[action, bed] = asyncio.get_running_loop().create_future()
        await self._ward.do(do=action, bed=bed)
        return answer

    async def _live(self, bed: int, presses: int, pulls: int) -> None:
        random = Random(bed)
        deeds = ["press_button"] * presses + ["pull_cord"] * pulls
        random.shuffle(deeds)
        for deed in deeds:
            await self._clock.sleep(random.expovariate(1 / GAP_S))
            device = f"button-{bed}" if deed == "press_button" else f"contacts-{(bed - 1) // BEDS_PER_MODULE + 1}"
            call = await self._call(deed, bed, ("sos", bed_id(bed), device), RAISED_WITHIN_S)
            if call is None:
                raise LinkError(f"{deed} in bed {bed} raised no alarm within {RAISED_WITHIN_S:.0f} s",
                                hint="see the daemon's log above")  # fmt: skip
            (self.sos if deed == "press_button" else self.cords).append(call)

    async def _fall(self, bed: int, falls: int) -> None:
        await self._clock.sleep(Random(bed).uniform(0.0, 5.0))
        for _ in range(falls):
            call = await self._call("fall", bed, ("fall", bed_id(bed), f"band-{bed}"), FALL_WITHIN_S)
            if call is None:
                self.missed += 1
            else:
                self.falls.append(call)
            await (await self._do("stand_up", bed))
            await self._clock.sleep(STAND_S)

    async def _call(self, deed: str, bed: int, key: Key, within_s: float) -> Call | None:
        """Do it and follow the alarm to its end; None when none comes."""
        coming = self._listener.call(key)
        done = await self._do(deed, bed)
        try:
            async with asyncio.timeout(within_s):
                record = await coming
        except TimeoutError:
            self._listener.give_up(key)
            return None
        sent = await done
        if deed == "pull_cord":
            await (await self._do("release_cord", bed))
            await self._clock.sleep(RELEASE_S)
        alarm = record.message
        assert isinstance(alarm, AlarmState)
        return Call(int(sent["real_ns"]), alarm, record.real_ns, await self._close(alarm.id))

    async def _close(self, alarm_id: str) -> AlarmState:
        await self._clock.sleep(LOOK_S)
        closing = self._listener.closing(alarm_id)
        reply = await self._platform.close(GATEWAY, alarm_id, "helped", "carer-07")
        if reply.st != 200:
            raise UpstreamError(f"closing {alarm_id} was refused: {reply.st} {reply.message}", hint="see the contract")
        async with asyncio.timeout(RAISED_WITHIN_S):
            return await closing
