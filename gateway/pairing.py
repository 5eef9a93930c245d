"""Pairing one device while a person stands before it: a timed window, the passkey, and the outcome in plain words.

One pairing at a time. It is committed before anything is sent, its driver is kept away from the device meanwhile, and
is woken when the bond is there. The passkey is passed on and kept nowhere.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

import msgspec

from drivers.base import Device
from drivers.ble_gatt import Gatt, deadline
from drivers.ble_link import BleAdapter, Use
from gateway.core.clock import Clock
from gateway.core.errors import CarebedError, LinkError, PairingError
from gateway.core.model import Detail, Event, Stamp
from gateway.pair_state import OVER, PairState, Step

log = logging.getLogger(__name__)

LONGEST_S = 300.0
LOOK_S = 0.2  # between two looks whether a driver that was just connecting has its link
ADVERTS_ONLY = "ble-adv"

Expect = Callable[[str], AbstractAsyncContextManager[None]]
Book = Callable[[str, bytes], Awaitable[object]]


@dataclass(slots=True)
class _Session:
    device: Device
    until: Stamp
    step: Step = Step.WAITING
    digits: str = ""
    reason: str = ""
    hint: str = ""


class PairingDesk:
    """Fills `gateway.commands.PairingDesk`, and is the `Person` of BlueZ's agent.

    transport: of a device's family and model. expect: lets an address bond that nobody enrolled; None where no agent
    is needed, then the bond is told here. on_bonded: whose driver may try again.
    """

    def __init__(
        self, clock: Clock, devices: Sequence[Device], radios: Mapping[str, BleAdapter], book: Book,
        on_event: Callable[[Event], None], *, transport: Callable[[Device], str],
        on_bonded: Callable[[str], None] = lambda device: None,
    ) -> None:  # fmt: skip
        self.expect: Expect | None = None
        self._clock = clock
        self._devices = {device.id: device for device in devices}
        self._radios = radios
        self._book = book
        self._on_event = on_event
        self._transport = transport
        self._on_bonded = on_bonded
        self._session: _Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked: asyncio.Future[int | None] | None = None

    # -- asked by page and command line -------------------------------------------------------------------------------

    def doubt(self, device_id: str) -> str:
        """Why this device cannot be paired now: a Reason's value; "" when it can."""
        device = self._devices.get(device_id)
        if device is None:
            return "device_unknown"
        if device.link not in self._radios or not device.address or self._transport(device) == ADVERTS_ONLY:
            return "device_bonds_not"
        return "pairing_busy" if self._session is not None and self._session.step not in OVER else ""

    async def start(self, device_id: str, by: str, via: str, window_s: float) -> str:
        """Commit, then begin; "" or why not. The outcome is read with `state`."""
        if doubt := self.doubt(device_id):
            return doubt
        device = self._devices[device_id]
        window = min(max(window_s, 1.0), LONGEST_S)
        self._session = _Session(device, self._clock.now().plus_s(window * self._clock.speed))
        session = self._session
        try:
            await self._book(f"pair-{os.urandom(8).hex()}", msgspec.json.encode((device_id, by, via, window)))
        except BaseException:
            session.step, session.reason = Step.FAILED, "the order could not be kept"
            raise
        self._tell("pairing_started", session, {"by": by, "via": via})
        self._task = asyncio.create_task(self._run(session, window), name=f"pairing of {device_id}")
        return ""

    def answer(self, passkey: int | None, *, agrees: bool | None) -> str:
        """What the person typed, or whether the digits are the same; "" or why nobody wants to know."""
        session = self._session
        if session is None or self._asked is None or self._asked.done():
            return "pairing_asks_not"
        if session.step is Step.PASSKEY:
            if passkey is None or not 0 <= passkey <= 999_999:
                return "passkey_invalid"
            self._asked.set_result(passkey)
        elif agrees is None:
            return "pairing_asks_not"
        else:
            self._asked.set_result(1 if agrees else None)
        session.step = Step.WAITING
        return ""

    def state(self) -> PairState:
        """The newest pairing as it is now."""
        session = self._session
        if session is None:
            return PairState()
        left_s = max(0.0, session.until.since_s(self._clock.now())) / self._clock.speed
        return PairState(
            session.device.id, session.step.value, session.digits, session.reason, session.hint,
            0.0 if session.step in OVER else round(left_s, 1),
        )  # fmt: skip

    async def run(self) -> None:
        """Wait until cancelled; then break off what is under way."""
        try:
            await asyncio.Event().wait()
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    # -- the person of BlueZ's agent ----------------------------------------------------------------------------------

    async def passkey(self, address: str) -> int | None:
        """Typed by whoever pairs; None at once when nobody does: a driver alone cannot read a display."""
        return await self._ask(Step.PASSKEY)

    async def confirm(self, address: str, passkey: int) -> bool:
        return await self._ask(Step.CONFIRM, f"{passkey:06d}") is not None

    def show(self, address: str, passkey: int) -> None:
        if self._session is not None and self._session.step not in OVER:
            self._session.step, self._session.digits = Step.SHOW, f"{passkey:06d}"

    async def _ask(self, step: Step, digits: str = "") -> int | None:
        session = self._session
        if session is None or session.step in OVER:
            return None
        session.step, session.digits = step, digits
        self._asked = asyncio.get_running_loop().create_future()
        return await self._asked

    # -- the pairing itself -------------------------------------------------------------------------------------------

    async def _run(self, session: _Session, window_s: float) -> None:
        late = f"{session.device.id}: not paired within {window_s:g} s"
        hint = "switch it on or into its pairing mode, bring it nearer, free it from phones, and start again"
        try:
            async with deadline(self._clock, window_s, late, hint=hint):
                await self._pair(session, window_s)
        except (PairingError, LinkError) as error:
            self._failed(session, error)
        except asyncio.CancelledError:
            self._failed(session, LinkError("the gateway stopped meanwhile", hint="start the pairing again"))
            raise
        except Exception as error:  # this task's supervisor: a session that never ended would refuse every later one
            log.exception("pairing of %s failed in a way that nobody foresaw", session.device.id)
            what = f"{session.device.id}: the gateway itself failed: {type(error).__name__}: {error}"
            self._failed(session, LinkError(what, hint="start again; the journal has the details for the maker"))
        else:
            session.step = Step.BONDED
            if self.expect is None:  # BlueZ's agent tells it by itself, with the identity that the bond has shown
                self._tell("device_bonded", session, {"address": session.device.address})
            self._on_bonded(session.device.id)

    async def _pair(self, session: _Session, window_s: float) -> None:
        device, radio = session.device, self._radios[session.device.link]
        allowed = self.expect(device.address) if self.expect is not None else nullcontext()
        async with allowed, radio.reservations.hold(device.address), self._linked(radio, device, window_s) as gatt:
            await gatt.pair()

    @asynccontextmanager
    async def _linked(self, radio: BleAdapter, device: Device, window_s: float) -> AsyncIterator[Gatt]:
        """The link that the device's driver has just now, else one of our own."""
        while device.address.upper() in radio.health.connected:
            if (gatt := radio.linked(device.address)) is not None:
                yield gatt
                return
            await self._clock.sleep(LOOK_S * self._clock.speed)
        async with radio.connect(device.address, window_s, use=Use.METER, reserved=True) as gatt:
            yield gatt

    def _failed(self, session: _Session, error: CarebedError) -> None:
        session.step, session.reason, session.hint = Step.FAILED, str(error), error.hint
        self._tell("pairing_failed", session, {"reason": str(error), "hint": error.hint})

    def _tell(self, kind: str, session: _Session, detail: Detail) -> None:
        self._on_event(Event(kind, self._clock.now(), session.device.bed, session.device.id, detail))
