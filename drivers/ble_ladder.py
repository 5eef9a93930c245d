"""What is done about a radio that hears nothing: stronger with each silence, each step no more often than it may be.

A dead scan looks like an empty room, so the first steps cost nothing, and the last ones are hours apart: a watchdog
that itself loops is worse than what it watches (home-assistant/core 78012 and 142656).
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from drivers.ble_errors import BLE_ERRORS
from gateway.core.clock import Clock
from gateway.core.errors import LinkError
from gateway.core.model import Detail, Stamp

log = logging.getLogger(__name__)

SILENCE_S = 90.0  # a scan without any advert for this long is started anew (habluetooth's figure)
POWER_CYCLE_EVERY_S = 600.0  # it costs every link of the adapter
RESTART_EVERY_S = 3600.0  # it costs every link of the box
EXIT_AFTER_S = 7200.0  # a process younger than this does not end itself: no restart loop in an empty house

Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rung:
    """One step. gap_s: real seconds between two uses. after_s: real seconds after the start before its first use."""

    name: str
    act: Act
    gap_s: float = 0.0
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Cures:
    """What only the daemon can do.

    restart_service: `systemctl restart bluetooth`. restart_box: end the process for a clean restart.
    """

    restart_service: Act | None = None
    restart_box: Act | None = None

    def rungs(self) -> list[Rung]:
        """The upper rungs of every ladder of this box."""
        acts = (
            ("restart_bluetoothd", self.restart_service, RESTART_EVERY_S, 0.0),
            ("exit", self.restart_box, EXIT_AFTER_S, EXIT_AFTER_S),
        )
        return [Rung(name, act, gap_s, after_s) for name, act, gap_s, after_s in acts if act is not None]


async def nothing() -> None:
    """The act of a rescan: the scan is started anew after every step."""


class Ladder:
    """Climbed one rung for each silence, from the bottom again once something was heard."""

    def __init__(self, clock: Clock, rungs: Sequence[Rung], on_step: Callable[[str], None]) -> None:
        self._clock = clock
        self._rungs = tuple(rungs)
        self._on_step = on_step
        self._next = 0
        self._started = clock.now()
        self._used: dict[str, Stamp] = {}

    @property
    def climbed(self) -> int:
        """Rungs used since something was heard."""
        return self._next

    def heard(self) -> None:
        """The radio is alive."""
        self._next = 0

    async def climb(self) -> str:
        """Do what the next rung says; while that one rests, the strongest below it that does not. The rung's name.

        A step that fails is only logged: the next silence takes the next one.
        """
        now = self._clock.now()
        top = min(self._next, len(self._rungs) - 1)
        index = next((i for i in range(top, 0, -1) if not self._rests(self._rungs[i], now)), 0)
        rung = self._rungs[index]
        self._used[rung.name] = now
        if index == self._next:
            self._next += 1
        self._on_step(rung.name)
        try:
            await rung.act()
        except (*BLE_ERRORS, LinkError) as error:
            log.warning("%s did not help: %s", rung.name, error)
        return rung.name

    def _rests(self, rung: Rung, now: Stamp) -> bool:
        speed = self._clock.speed
        if now.since_s(self._started) < rung.after_s * speed:
            return True
        used = self._used.get(rung.name)
        return used is not None and now.since_s(used) < rung.gap_s * speed


class Watchdog:
    """Watches one radio: after each silence one rung, and an event for what costs more than a rescan.

    wanted: set once somebody listens or connects; the silence of an empty house is no trouble.
    """

    def __init__(
        self, part: str, clock: Clock, power_cycle: Act, cures: Cures, say: Callable[[str, Detail], None]
    ) -> None:
        self.wanted = False
        self._part = part
        self._clock = clock
        self._say = say
        rungs = [Rung("rescan", nothing), Rung("power_cycle", power_cycle, POWER_CYCLE_EVERY_S), *cures.rungs()]
        self._ladder = Ladder(clock, rungs, self._step)
        self._mended_at = clock.now()
        self._troubled = False

    def heard(self) -> None:
        """The radio is alive. Called for each advert."""
        if self._ladder.climbed:
            self._ladder.heard()
            if self._troubled:
                self._troubled = False
                self._say("box_recovered", {"part": self._part})

    async def mend_when_silent(self, last_advert: Stamp | None) -> None:
        """One rung, when nothing has been heard for SILENCE_S although somebody waits for it."""
        now = self._clock.now()
        silent_s = now.since_s(max(self._mended_at, last_advert or self._mended_at))
        if self.wanted and silent_s >= SILENCE_S * self._clock.speed:
            self._mended_at = now
            await self._ladder.climb()

    def _step(self, rung: str) -> None:
        if rung == "rescan":
            return
        self._troubled = True
        reason = f"nothing heard for more than {SILENCE_S:g} s; next step: {rung}"
        log.warning("%s: %s", self._part, reason)
        self._say("box_trouble", {"part": self._part, "reason": reason, "hint": "rfkill; systemctl status bluetooth"})
