"""iBeacon (manufacturer data 0x004C) and Eddystone (service data 0xFEAA): bytes to values and back.

The layouts of iBeacon, UID and TLM are the profiles'; what is no row of numbers (a URL, which frame it is) is code.

Sources: Apple "Proximity Beacon Specification" R1; github.com/google/eddystone protocol-specification; vectors in
tests/vectors/beacons.json. Everything else under Apple's number is its telephones' talk.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from drivers.hrs.frame import Rejected
from drivers.profile_vectors import sources
from gateway.core.errors import ProtocolError

IBEACON_PROFILE = Path(__file__).parent / "ibeacon_generic.toml"
EDDYSTONE_PROFILE = Path(__file__).parent / "eddystone_generic.toml"

APPLE = 0x004C
EDDYSTONE = "0000feaa-0000-1000-8000-00805f9b34fb"

DEFAULT_POWER_DBM = -59  # at 1 m; for beacons that abuse the field for their battery or leave it 0
TYPICAL_POWER_DBM = range(-100, -19)

_IBEACON = b"\x02\x15"
_UID, _URL, _TLM, _EID = 0x00, 0x10, 0x20, 0x30
_SCHEMES = ("http://www.", "https://www.", "http://", "https://")
_ENDINGS = (
    ".com/", ".org/", ".edu/", ".net/", ".info/", ".biz/", ".gov/",
    ".com", ".org", ".edu", ".net", ".info", ".biz", ".gov",
)  # fmt: skip
_NO_TEMPERATURE = 0x8000


@dataclass(frozen=True, slots=True)
class IBeacon:
    """power_dbm: at 1 m, as sent."""

    uuid: UUID
    major: int
    minor: int
    power_dbm: int

    @property
    def believed_power_dbm(self) -> int:
        """The power at 1 m, or the usual one where the field holds something else."""
        return self.power_dbm if self.power_dbm in TYPICAL_POWER_DBM else DEFAULT_POWER_DBM


@dataclass(frozen=True, slots=True)
class Uid:
    """power_dbm: at 0 m, as sent (41 dB above that at 1 m)."""

    power_dbm: int
    namespace: bytes
    instance: bytes


@dataclass(frozen=True, slots=True)
class Url:
    """A web address; power_dbm at 0 m."""

    power_dbm: int
    url: str


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The beacon's own state; None where it does not measure it. uptime_s: since its power-on."""

    voltage_v: float | None
    temperature_cel: float | None
    adv_count: int
    uptime_s: float


@dataclass(frozen=True, slots=True)
class EncryptedTelemetry:
    """Telemetry that only the owner of the identity key can read."""


@dataclass(frozen=True, slots=True)
class Eid:
    """An identity that changes every few minutes; only its key's owner knows whose it is."""

    power_dbm: int
    ephemeral: bytes


@dataclass(frozen=True, slots=True)
class OtherFrame:
    """A maker's own frame under Eddystone's number, such as a KKM sensor's (0x21)."""

    kind: int


Eddystone = Uid | Url | Telemetry | EncryptedTelemetry | Eid | OtherFrame


def decode_ibeacon(data: bytes) -> IBeacon | Rejected:
    """data: manufacturer data behind the company number. Never raises."""
    if data[:2] != _IBEACON:
        return Rejected("not_ibeacon")
    if len(data) != 23:
        return Rejected("length")
    found = sources(IBEACON_PROFILE).decoders[0].decode(data).values
    return IBeacon(UUID(bytes=bytes(found["uuid"])), found["major"], found["minor"], found["power"])


def encode_ibeacon(beacon: IBeacon) -> bytes:
    """The beacon's end, behind the company number."""
    return _IBEACON + beacon.uuid.bytes + struct.pack(">HHb", beacon.major, beacon.minor, beacon.power_dbm)


def decode_eddystone(data: bytes) -> Eddystone | Rejected:
    """data: service data behind the uuid. Never raises."""
    if len(data) < 2:
        return Rejected("truncated")
    kind = data[0]
    power_dbm = data[1] - 256 if data[1] > 127 else data[1]
    if kind == _UID:
        return _uid(data) if len(data) in (18, 20) else Rejected("length")  # many leave the two reserved bytes out
    if kind == _URL:
        return _url(power_dbm, data[2:])
    if kind == _TLM:
        return _telemetry(data)
    if kind == _EID:
        return Eid(power_dbm, data[2:]) if len(data) == 10 else Rejected("length")
    return OtherFrame(kind)


def encode_uid(uid: Uid) -> bytes:
    """The beacon's end."""
    return bytes([_UID]) + struct.pack("b", uid.power_dbm) + uid.namespace + uid.instance + b"\x00\x00"


def encode_telemetry(telemetry: Telemetry) -> bytes:
    """The beacon's end."""
    millivolts = round((telemetry.voltage_v or 0.0) * 1000)
    celsius = telemetry.temperature_cel
    temperature = _NO_TEMPERATURE if celsius is None else round(celsius * 256) & 0xFFFF
    return struct.pack(
        ">BBHHII", _TLM, 0, millivolts, temperature, telemetry.adv_count, round(telemetry.uptime_s * 10)
    )


def _uid(data: bytes) -> Uid:
    found = sources(EDDYSTONE_PROFILE).decoders[0].decode(data).values
    return Uid(found["power"], bytes(found["namespace"]), bytes(found["instance"]))


def _url(power_dbm: int, data: bytes) -> Url | Rejected:
    if not data or data[0] >= len(_SCHEMES):
        return Rejected("url_scheme")
    url = _SCHEMES[data[0]]
    for code in data[1:]:
        if code < len(_ENDINGS):
            url += _ENDINGS[code]
        elif 0x20 < code < 0x7F:
            url += chr(code)
        else:
            return Rejected("url_character")
    return Url(power_dbm, url)


def _telemetry(data: bytes) -> Telemetry | EncryptedTelemetry | Rejected:
    version = data[1]
    if version == 1:
        return EncryptedTelemetry() if len(data) == 18 else Rejected("length")
    if version != 0:
        return Rejected("tlm_version")
    if len(data) != 14:
        return Rejected("length")
    found = sources(EDDYSTONE_PROFILE).decoders[1].decode(data).values
    return Telemetry(found["voltage"], found["temperature"], found["adv_count"], found["uptime"])


def manufacturer_values(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    """A vector of manufacturer data with its company number. ProtocolError where it is no iBeacon."""
    if int.from_bytes(data[:2], "little") != APPLE:
        raise _refused("company", data)
    beacon = decode_ibeacon(data[2:])
    if isinstance(beacon, Rejected):
        raise _refused(beacon.reason, data)
    return {
        "type": "ibeacon",
        "uuid": str(beacon.uuid),
        "major": beacon.major,
        "minor": beacon.minor,
        "measured_power_dBm_at_1m": beacon.power_dbm,
    }


def service_data_values(data: bytes, _context: Mapping[str, Any]) -> dict[str, Any]:
    """A vector of service data FEAA. ProtocolError where it is no frame of Eddystone."""
    match decode_eddystone(data):
        case Uid(power_dbm, namespace, instance):
            return {
                "type": "eddystone_uid",
                "tx_power_dBm_at_0m": power_dbm,
                "namespace": namespace.hex(),
                "instance": instance.hex(),
            }
        case Url(power_dbm, url):
            return {"type": "eddystone_url", "tx_power_dBm_at_0m": power_dbm, "url": url}
        case Telemetry(voltage_v, temperature_cel, adv_count, uptime_s):
            return {
                "type": "eddystone_tlm",
                "voltage_V": voltage_v,
                "temperature_C": temperature_cel,
                "adv_count": adv_count,
                "uptime_s": uptime_s,
            }
        case EncryptedTelemetry():
            return {"type": "eddystone_tlm_encrypted"}
        case Eid(power_dbm, ephemeral):
            return {"type": "eddystone_eid", "tx_power_dBm_at_0m": power_dbm, "eid": ephemeral.hex()}
        case OtherFrame(kind):
            return {"type": "eddystone_other", "frame_type": kind}
        case Rejected(reason):
            raise _refused(reason, data)


def _refused(reason: str, data: bytes) -> ProtocolError:
    return ProtocolError(f"{reason}: {data.hex()}", hint="this is no beacon, or it garbles what it sends")


VECTOR_DECODERS: dict[str, Callable[[bytes, Mapping[str, Any]], dict[str, Any]]] = {
    "manufacturer_data_incl_company": manufacturer_values,
    "service_data_FEAA": service_data_values,
}
