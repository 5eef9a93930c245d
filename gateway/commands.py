"""The few things that page, command line and platforms may ask of the house, and how it answers.

A command is checked here, carried out by whom `daemon.py` put behind the Protocols, and committed before it is
answered. A refusal is an answer with a reason, never an exception: the asker shows it and goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from gateway.core.model import Alarm

NAME_LENGTH = 64  # characters; a roster's pseudonym, a platform's user or a name typed on the page
NOTE_LENGTH = 500
OUTCOMES = ("helped", "nothing_needed", "medical", "false_alarm", "repaired", "test")


class Reason(StrEnum):
    """Why a command was refused; the texts are under "refused." in the catalogues."""

    ALARM_UNKNOWN = "alarm_unknown"
    REVISION_STALE = "revision_stale"
    NAME_MISSING = "name_missing"
    NAME_LONG = "name_long"
    NOTE_LONG = "note_long"
    OUTCOME_UNKNOWN = "outcome_unknown"
    ALREADY_CLOSED = "already_closed"
    ALREADY_ACKNOWLEDGED = "already_acknowledged"
    UPSTREAM_UNKNOWN = "upstream_unknown"
    STATION_UNKNOWN = "station_unknown"
    PERSON_UNKNOWN = "person_unknown"
    READING_UNKNOWN = "reading_unknown"
    BED_UNKNOWN = "bed_unknown"
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_BONDS_NOT = "device_bonds_not"
    PAIRING_BUSY = "pairing_busy"
    PAIRING_ASKS_NOT = "pairing_asks_not"
    PASSKEY_INVALID = "passkey_invalid"


@dataclass(frozen=True, slots=True)
class Done:
    """Carried out and committed; the alarm as it is now."""

    alarm: Alarm


@dataclass(frozen=True, slots=True)
class Refused:
    """Not carried out. values fill the placeholders of the reason's text; alarm is its present state, if known."""

    reason: Reason
    values: Mapping[str, str | int] = field(default_factory=dict)
    alarm: Alarm | None = None


Answer = Done | Refused


class AlarmDesk(Protocol):
    """Who changes alarms: engine, pipeline and store together. The coroutines return when the change is committed."""

    async def find(self, alarm_id: str) -> Alarm | None:
        """The newest state, open or closed."""

    async def acknowledge(self, alarm_id: str, by: str, note: str, via: str) -> Alarm: ...
    async def received(self, alarm_id: str, upstream: str) -> Alarm: ...
    async def close(self, alarm_id: str, outcome: str, by: str, via: str) -> Alarm: ...


class IdentityDesk(Protocol):
    """Who takes in a card, QR code or badge that was shown at a shared device."""

    def present(self, station: str, detail: Mapping[str, str]) -> str:
        """"" when it was taken in, else the Reason's value for which it says nothing."""


class ReadingDesk(Protocol):
    """Who gives a reading of a shared device, that is nobody's, to the person whose it is."""

    async def assign(self, reading: str, bed: str, resident: str, by: str, via: str) -> str:
        """"" when it is committed, else the Reason's value."""


class PairingDesk(Protocol):
    """Who pairs a device. Both answer "" when it was done, else the value of the Reason why not."""

    async def start(self, device_id: str, by: str, via: str, window_s: float) -> str:
        """Commit the order, then begin."""

    def answer(self, passkey: int | None, *, agrees: bool | None) -> str:
        """What the person before the device typed, or whether both show the same digits."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What may be asked. upstreams: names of the configured platforms. pairing: None without a radio."""

    desk: AlarmDesk
    upstreams: frozenset[str] = frozenset()
    identities: IdentityDesk | None = None
    readings: ReadingDesk | None = None
    pairing: PairingDesk | None = None

    async def acknowledge(self, alarm_id: str, by: str, note: str, via: str, rev: int | None = None) -> Answer:
        """A named person has seen the alarm. rev: the revision they saw; refused when there is a newer one."""
        alarm = await self.desk.find(alarm_id)
        if refusal := _check_person(by, note) or _check_alarm(alarm_id, alarm, rev):
            return refusal
        if alarm is not None and alarm.acknowledgement is not None:
            return Refused(Reason.ALREADY_ACKNOWLEDGED, {"by": alarm.acknowledgement.by}, alarm)
        return Done(await self.desk.acknowledge(alarm_id, by.strip(), note.strip(), via))

    async def close(self, alarm_id: str, outcome: str, by: str, via: str, rev: int | None = None) -> Answer:
        """Help has come to an end, with one of OUTCOMES; an alarm without an outcome stays open."""
        alarm = await self.desk.find(alarm_id)
        if refusal := _check_person(by, "") or _check_alarm(alarm_id, alarm, rev):
            return refusal
        if outcome not in OUTCOMES:
            return Refused(Reason.OUTCOME_UNKNOWN, {}, alarm)
        return Done(await self.desk.close(alarm_id, outcome, by.strip(), via))

    async def received(self, alarm_id: str, rev: int, upstream: str) -> Answer:
        """A platform says it has the alarm. An older rev is welcome: it proves that the platform knows of it at all."""
        if upstream not in self.upstreams:
            return Refused(Reason.UPSTREAM_UNKNOWN, {"upstream": upstream})
        alarm = await self.desk.find(alarm_id)
        if alarm is None or rev > alarm.rev:
            return Refused(Reason.ALARM_UNKNOWN, {"alarm": alarm_id}, alarm)
        return Done(await self.desk.received(alarm_id, upstream))

    async def pair(self, device: str, by: str, via: str, window_s: float) -> Refused | None:
        """A named person stands before a device of the registry and pairs it; how far it is, the read model says."""
        if refusal := _check_person(by, ""):
            return refusal
        start = self.pairing.start if self.pairing is not None else None
        doubt = Reason.DEVICE_BONDS_NOT.value if start is None else await start(device, by.strip(), via, window_s)
        return Refused(Reason(doubt), {"device": device}) if doubt else None

    def pair_answer(self, passkey: int | None, *, agrees: bool | None) -> Refused | None:
        """What the pairing under way asked for."""
        answer = self.pairing.answer if self.pairing is not None else None
        doubt = Reason.PAIRING_ASKS_NOT.value if answer is None else answer(passkey, agrees=agrees)
        return Refused(Reason(doubt)) if doubt else None

    async def assign(self, reading: str, by: str, via: str, *, bed: str = "", resident: str = "") -> Refused | None:
        """A named person says whose a reading is that nobody has claimed. None: done, and for good.

        bed or resident (a pseudonym), or both when they agree.
        """
        if refusal := _check_person(by, ""):
            return refusal
        ask = self.readings.assign if self.readings is not None else None
        doubt = Reason.READING_UNKNOWN.value if ask is None else await ask(reading, bed, resident, by.strip(), via)
        return Refused(Reason(doubt), {"reading": reading}) if doubt else None

    def present(self, station: str, by: str, *, bed: str = "", resident: str = "") -> Refused | None:
        """Somebody showed at a shared device who they are: readings two minutes around now are theirs. None: done.

        by: "card", "qr" or "badge"; bed or resident (a pseudonym), or both when they agree.
        """
        named = {"bed": bed, "resident": resident, "by": by}
        detail = {key: value for key, value in named.items() if value}
        doubt = Reason.STATION_UNKNOWN.value if self.identities is None else self.identities.present(station, detail)
        return Refused(Reason(doubt), {"station": station}) if doubt else None


def _check_person(by: str, note: str) -> Refused | None:
    if not by.strip():
        return Refused(Reason.NAME_MISSING)
    if len(by.strip()) > NAME_LENGTH:
        return Refused(Reason.NAME_LONG, {"limit": NAME_LENGTH})
    if len(note.strip()) > NOTE_LENGTH:
        return Refused(Reason.NOTE_LONG, {"limit": NOTE_LENGTH})
    return None


def _check_alarm(alarm_id: str, alarm: Alarm | None, rev: int | None) -> Refused | None:
    if alarm is None:
        return Refused(Reason.ALARM_UNKNOWN, {"alarm": alarm_id})
    if alarm.closed is not None:
        return Refused(Reason.ALREADY_CLOSED, {}, alarm)
    if rev is not None and rev != alarm.rev:
        return Refused(Reason.REVISION_STALE, {"rev": alarm.rev}, alarm)
    return None
