"""What goes wrong on Bluetooth, sorted by what to do next, and how long each kind of failure rests.

Causes and cures are from BlueZ, bleak and Home Assistant issues (bleak-retry-connector 217 and 226, bleak 1673 and
1698, bluez 191). Waits are real seconds, however fast a demonstration's clock runs.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakCharacteristicNotFoundError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
    BleakGATTProtocolErrorCode,
)

from gateway.core.clock import Clock
from gateway.core.errors import CarebedError, LinkError, PairingError
from gateway.core.model import Stamp

BLE_ERRORS = (BleakError, OSError, EOFError)  # what bleak and the D-Bus or HCI socket below it raise
REMEMBERED = 512  # devices whose failures are remembered
MEND_AGAIN_S = 86_400.0  # a device that lacks a characteristic by nature is not removed and found again all day


class Cause(Enum):
    """Why a connection or a call failed."""

    ABORTED = "aborted"  # the radio itself gave up (Wi-Fi on the same chip): an immediate retry usually works
    BUSY = "busy"  # BlueZ still has an earlier Connect pending; it clears it after minutes
    AUTHENTICATION = "authentication"  # the bond is missing or refused: only a person can help
    STALE = "stale"  # what BlueZ remembers of the device is no longer true
    NO_SLOT = "no_slot"  # the controller holds as many links as it can
    ABSENT = "absent"  # it does not answer
    RADIO_OFF = "radio_off"  # the adapter is not powered, or not there
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Backoff:
    """attempts: within one connect, one at once after the other. mend: BlueZ is told to forget the device, once, before
    the second attempt. first_s, longest_s: rest before the next connect, doubled each time; 0: the supervisor's own."""

    attempts: int = 1
    mend: bool = False
    first_s: float = 0.0
    longest_s: float = 0.0


BACKOFF: Mapping[Cause, Backoff] = {
    Cause.ABORTED: Backoff(attempts=3, first_s=0.5, longest_s=8.0),
    Cause.BUSY: Backoff(attempts=2, mend=True, first_s=30.0, longest_s=300.0),
    Cause.AUTHENTICATION: Backoff(),
    Cause.STALE: Backoff(attempts=2, mend=True, first_s=5.0, longest_s=300.0),
    Cause.NO_SLOT: Backoff(first_s=15.0, longest_s=240.0),
    Cause.ABSENT: Backoff(),
    Cause.RADIO_OFF: Backoff(),
    Cause.OTHER: Backoff(),
}

_SECURITY = {
    BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION,
    BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHORIZATION,
    BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION,
    BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION_KEY_SIZE,
}
_WORDS = (  # in the text of an error, hyphens and underscores as spaces
    (Cause.ABORTED, ("le connection abort by local", "br connection canceled")),
    (Cause.AUTHENTICATION, ("key missing", "not paired")),
    (Cause.NO_SLOT, ("limited resources", "connection limit", "memory allocation", "connection slot")),
    (Cause.RADIO_OFF, ("not powered",)),
)
_REFUSALS = (  # the end of the name of BlueZ's error: what a person does about it
    ("AuthenticationCanceled", "the pairing was broken off: start it again and stay near the device"),
    ("AuthenticationRejected", "the device refuses: put it into its pairing mode, and remove it from every phone"),
    ("AuthenticationTimeout", "nobody answered in time: start the pairing again, with the device in your hand"),
)
_REFUSED = "pair the device again: remove the old bond on both sides first"
_DBUS = (
    ("InProgress", Cause.BUSY),
    ("UnknownObject", Cause.STALE),
    ("UnknownMethod", Cause.STALE),
    ("NotReady", Cause.RADIO_OFF),
    ("ServiceUnknown", Cause.RADIO_OFF),
    ("NoReply", Cause.RADIO_OFF),
)


def cause_of(error: BaseException) -> Cause:
    """The class of what bleak or its transport raised."""
    match error:
        case BleakGATTProtocolError():
            return Cause.AUTHENTICATION if error.args[0] in _SECURITY else Cause.OTHER
        case BleakBluetoothNotAvailableError():
            return Cause.RADIO_OFF
        case BleakCharacteristicNotFoundError():
            return Cause.STALE
        case BleakDeviceNotFoundError():
            return Cause.ABSENT
        case BleakDBusError() if "Authentication" in error.dbus_error:
            return Cause.AUTHENTICATION
        case BleakDBusError():
            known = [cause for name, cause in _DBUS if error.dbus_error.endswith(name)]
            return known[0] if known else _by_words(error)
        case BleakError():
            return _by_words(error)
    return Cause.OTHER


def _by_words(error: BaseException) -> Cause:
    text = str(error).lower().replace("-", " ").replace("_", " ")
    return next((cause for cause, words in _WORDS if any(word in text for word in words)), Cause.OTHER)


def is_transient(error: BaseException) -> bool:
    """True for a connection that the radio itself aborted: an immediate second attempt usually works."""
    return cause_of(error) is Cause.ABORTED


def sorted_error(error: BaseException, subject: str) -> CarebedError:
    """What bleak or its transport raised, as the error class that says what the caller does next."""
    seen = f"{subject}: {str(error) or type(error).__name__}"
    match cause_of(error):
        case Cause.AUTHENTICATION if isinstance(error, BleakGATTProtocolError):
            return PairingError(seen, hint="pair the device again: its bond is missing or was refused")
        case Cause.AUTHENTICATION:
            name = error.dbus_error if isinstance(error, BleakDBusError) else ""
            hint = next((hint for end, hint in _REFUSALS if name.endswith(end)), _REFUSED)
            return PairingError(seen, hint=hint)
        case Cause.BUSY:
            return LinkError(seen, hint="BlueZ is still busy with an earlier connection; it ends by itself in minutes")
        case Cause.RADIO_OFF:
            return LinkError(seen, hint="rfkill unblock bluetooth; systemctl status bluetooth; bluetoothctl power on")
        case Cause.ABSENT:
            return LinkError(seen, hint="switch the device on, charge it, bring it nearer")
        case Cause.STALE:
            return LinkError(seen, hint="not this model, or a stale service cache: bluetoothctl remove ADDRESS")
        case Cause.NO_SLOT:
            return LinkError(seen, hint="the radio holds all the links it can: fewer devices, or a second adapter")
    if isinstance(error, FileNotFoundError):
        return LinkError(f"{subject}: no D-Bus system bus, or no such port", hint="systemctl start dbus bluetooth")
    if isinstance(error, OSError):
        return LinkError(seen, hint="is the Bluetooth service (or the virtual controller) running?")
    return LinkError(seen, hint="wait; if it stays, switch the device off and on")


@dataclass(slots=True)
class _Record:
    """One device's failures since it last connected."""

    failures: int = 0
    rest_until: Stamp | None = None
    mended: dict[Cause, Stamp] = field(default_factory=dict)


class Patience:
    """Remembers, by device, how often it failed, how long it rests and whether BlueZ was told to forget it already."""

    def __init__(self, clock: Clock, jitter: random.Random | None = None) -> None:
        self._clock = clock
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads retries, guards no secret
        self._records: dict[str, _Record] = {}  # full: the device that failed longest ago is forgotten

    def rest_s(self, address: str) -> float:
        """Seconds of the clock before the next connect, 0.0 when it may start at once."""
        record = self._records.get(address)
        if record is None or record.rest_until is None:
            return 0.0
        return max(0.0, record.rest_until.since_s(self._clock.now()))

    def failed(self, address: str, cause: Cause) -> None:
        """Take note of a connect that failed, or of a call whose answer was `cause`."""
        record = self._record(address)
        backoff = BACKOFF[cause]
        real_s = min(backoff.longest_s, backoff.first_s * 2.0 ** min(record.failures, 16))
        rest_s = real_s * self._jitter.uniform(0.8, 1.2) * self._clock.speed
        record.failures += 1
        record.rest_until = self._clock.now().plus_s(rest_s)

    def may_mend(self, address: str, cause: Cause) -> bool:
        """True, once, when BlueZ should be told to forget the device; the caller then does so."""
        record = self._record(address)
        before = record.mended.get(cause)
        now = self._clock.now()
        if not BACKOFF[cause].mend or (before is not None and now.since_s(before) < MEND_AGAIN_S):
            return False
        record.mended[cause] = now
        return True

    def connected(self, address: str) -> None:
        """The device answered: the next failure is its first. A stale cache stays noted: it shows only afterwards."""
        record = self._records.get(address)
        if record is not None:
            record.failures, record.rest_until = 0, None
            record.mended.pop(Cause.BUSY, None)

    def _record(self, address: str) -> _Record:
        record = self._records.pop(address, None) or _Record()
        self._records[address] = record
        if len(self._records) > REMEMBERED:
            del self._records[next(iter(self._records))]
        return record
