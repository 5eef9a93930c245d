"""The person at the platform: acknowledges each alarm by name, and closes it with an outcome when help has ended.

Asks through the reference platform client; while the uplink is cut it asks again until it is answered.
"""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.core.clock import Clock
from gateway.core.errors import UpstreamError
from gateway.upstream.envelope import AlarmState
from gateway.upstream.platform import Platform, Reply
from gateway.upstream.seen import Record

NAME = "carer-07"
NOTICES_S = 4.0  # scaled seconds until somebody looks
HELPS_S = 40.0
LOOKS_AGAIN_S = 5.0
EVENTS = ("sos", "fall")  # over when a person says so; the others end by themselves first
SELF_ENDING = ("uplink_lost", "sensor_lost", "box_in_trouble", "input_lost")  # nobody is sent to a bed for these


class Carer:
    """Give `heard` to the platform as its listener, and `attach` the platform; `stop` at the end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._platform: Platform | None = None
        self._duties: dict[str, asyncio.Task[None]] = {}  # one for each alarm of the story: a handful

    def attach(self, platform: Platform) -> None:
        """Where to answer."""
        self._platform = platform

    def heard(self, record: Record) -> None:
        """A message came; a new alarm is a new duty."""
        alarm = record.message
        if not isinstance(alarm, AlarmState) or alarm.id in self._duties or record.duplicate:
            return
        if alarm.rule.partition("@")[0] not in SELF_ENDING:
            self._duties[alarm.id] = asyncio.create_task(self._answer(record.gw, alarm))

    async def stop(self) -> None:
        """Leave whatever is unfinished; a duty that failed raises here."""
        for duty in self._duties.values():
            if not duty.done():
                duty.cancel()
        for outcome in await asyncio.gather(*self._duties.values(), return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _answer(self, gw: str, alarm: AlarmState) -> None:
        platform = self._platform
        assert platform is not None
        await self._clock.sleep(NOTICES_S)
        await self._until_answered(lambda: platform.acknowledge(gw, alarm.id, NAME, "on my way"))
        await self._clock.sleep(HELPS_S)
        if alarm.rule.partition("@")[0] not in EVENTS:
            while platform.gateways[gw].alarms[alarm.id].cond != "inactive":
                await self._clock.sleep(LOOKS_AGAIN_S)
        await self._until_answered(lambda: platform.close(gw, alarm.id, "helped", NAME))

    async def _until_answered(self, ask: Callable[[], Awaitable[Reply]]) -> None:
        """200: done; 409: a newer revision is on its way here, look again."""
        while True:
            try:
                reply = await ask()
            except UpstreamError:
                reply = None
            if reply is not None and reply.st == 200:
                return
            if reply is not None and reply.st not in (409, 429):
                raise UpstreamError(f"the gateway refused the carer's answer with {reply.st}: {reply.message}",
                                    hint="see the contract's status codes")  # fmt: skip
            await self._clock.sleep(LOOKS_AGAIN_S)
