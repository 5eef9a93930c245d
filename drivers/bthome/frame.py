"""BTHome v2 service data (0xFCD2): bytes to objects and back, AES-CCM included.

Source: bthome.io/format; vectors in tests/vectors/bthome_v2.json. An unknown object id has an unknown length: parsing
stops there and keeps what was read.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

SERVICE_DATA_UUID = "0000fcd2-0000-1000-8000-00805f9b34fb"

PACKET_ID, BATTERY, BUTTON = 0x00, 0x01, 0x3A
TEMPERATURE_IDS, HUMIDITY_IDS = (0x02, 0x45, 0x57, 0x58), (0x03, 0x2E)

NOT_PRESSED = 0x00
PRESS_NAMES = {
    0x01: "press",
    0x02: "double_press",
    0x03: "triple_press",
    0x04: "long_press",
    0x05: "long_double_press",
    0x06: "long_triple_press",
    0x80: "hold_press",
    0xFE: "hold_press",  # firmware before 1.0.23 of a Shelly BLU Button
}

_ENCRYPTED, _HAS_MAC, _TRIGGER, _VERSION = 0x01, 0x02, 0x04, 2
_COUNTER_BYTES, _MIC_BYTES, _MAC_BYTES = 4, 4, 6


@dataclass(frozen=True, slots=True)
class Kind:
    """How an object is laid out: name with its unit, bytes, scale (0: a truth value), signed."""

    name: str
    size: int
    scale: float = 1.0
    signed: bool = False


def _truth(*names: str) -> list[Kind]:
    return [Kind(name, 1, 0.0) for name in names]


_BINARY = dict(
    zip(
        [0x0F, 0x10, 0x11, *range(0x15, 0x2E)],
        _truth(
            *("generic", "power", "opening", "battery_low", "battery_charging", "carbon_monoxide", "cold"),
            *("connectivity", "door", "garage_door", "gas", "heat", "light", "lock", "moisture", "motion", "moving"),
            *("occupancy", "plug", "presence", "problem", "running", "safety", "smoke", "sound", "tamper"),
            *("vibration", "window"),
        ),
        strict=True,
    )
)

KINDS: dict[int, Kind] = _BINARY | {
    0x00: Kind("packet_id", 1),
    0x01: Kind("battery_percent", 1),
    0x02: Kind("temperature_C", 2, 0.01, signed=True),
    0x03: Kind("humidity_percent", 2, 0.01),
    0x04: Kind("pressure_hPa", 3, 0.01),
    0x05: Kind("illuminance_lx", 3, 0.01),
    0x06: Kind("mass_kg", 2, 0.01),
    0x07: Kind("mass_lb", 2, 0.01),
    0x08: Kind("dewpoint_C", 2, 0.01, signed=True),
    0x09: Kind("count", 1),
    0x0A: Kind("energy_kWh", 3, 0.001),
    0x0B: Kind("power_W", 3, 0.01),
    0x0C: Kind("voltage_V", 2, 0.001),
    0x0D: Kind("pm2_5_ug_m3", 2),
    0x0E: Kind("pm10_ug_m3", 2),
    0x12: Kind("co2_ppm", 2),
    0x13: Kind("tvoc_ug_m3", 2),
    0x14: Kind("moisture_percent", 2, 0.01),
    0x2E: Kind("humidity_percent", 1),
    0x2F: Kind("moisture_percent", 1),
    0x3A: Kind("button", 1),
    0x3C: Kind("dimmer", 2),
    0x3D: Kind("count", 2),
    0x3E: Kind("count", 4),
    0x3F: Kind("rotation_deg", 2, 0.1, signed=True),
    0x40: Kind("distance_mm", 2),
    0x41: Kind("distance_m", 2, 0.1),
    0x42: Kind("duration_s", 3, 0.001),
    0x43: Kind("current_A", 2, 0.001),
    0x44: Kind("speed_m_s", 2, 0.01),
    0x45: Kind("temperature_C", 2, 0.1, signed=True),
    0x46: Kind("uv_index", 1, 0.1),
    0x4A: Kind("voltage_V", 2, 0.1),
    0x50: Kind("timestamp_s", 4),
    0x51: Kind("acceleration_m_s2", 2, 0.001),
    0x52: Kind("gyroscope_deg_s", 2, 0.001),
    0x57: Kind("temperature_C", 1, signed=True),
    0x58: Kind("temperature_C", 1, 0.35, signed=True),
    0x60: Kind("channel", 1),
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """An advert that is not accepted, by reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Objects:
    """objects: (id, value) in the order sent; a button's value is its raw code, a truth value a bool.

    unknown_id: where parsing stopped. counter: of an encrypted advert.
    """

    objects: tuple[tuple[int, float | bool], ...]
    trigger_based: bool = False
    encrypted: bool = False
    unknown_id: int | None = None
    counter: int | None = None

    def first(self, *ids: int) -> float | None:
        """The value of the first object with one of these ids."""
        return next((value for kind, value in self.objects if kind in ids), None)

    @property
    def packet_id(self) -> int | None:
        value = self.first(PACKET_ID)
        return None if value is None else int(value)

    @property
    def presses(self) -> tuple[int, ...]:
        """One code a button, in the order of the buttons."""
        return tuple(int(value) for kind, value in self.objects if kind == BUTTON)


def decode(data: bytes, mac: str, key: bytes | None = None) -> Objects | Rejected:
    """Never raises. mac: "AA:BB:CC:DD:EE:FF". A device that has a key is never believed in clear."""
    if not data:
        return Rejected("empty")
    info = data[0]
    if info >> 5 != _VERSION:
        return Rejected("unknown_version")
    body = data[1 + _MAC_BYTES :] if info & _HAS_MAC else data[1:]
    counter = None
    if info & _ENCRYPTED:
        if key is None:
            return Rejected("encrypted_no_key")
        opened = _open(info, body, mac, key)
        if isinstance(opened, Rejected):
            return opened
        body, counter = opened
    elif key is not None:
        return Rejected("clear_from_keyed_device")
    objects, unknown = _objects(body)
    return Objects(objects, bool(info & _TRIGGER), bool(info & _ENCRYPTED), unknown, counter)


def encode(objects: Objects, mac: str, key: bytes | None = None) -> bytes:
    """The device's end: service data of these objects, encrypted when there is a key (counter is then required)."""
    info = _VERSION << 5 | objects.trigger_based * _TRIGGER | (key is not None) * _ENCRYPTED
    body = b"".join(bytes([kind]) + _packed(KINDS[kind], value) for kind, value in objects.objects)
    if key is None:
        return bytes([info]) + body
    counter = (objects.counter or 0).to_bytes(_COUNTER_BYTES, "little")
    sealed = AESCCM(key, tag_length=_MIC_BYTES).encrypt(_nonce(info, mac, counter), body, None)
    return bytes([info]) + sealed[:-_MIC_BYTES] + counter + sealed[-_MIC_BYTES:]


def parse_key(text: str) -> bytes | None:
    """A bind key of 32 hex characters; None when it is not one."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == 16 else None


def _nonce(info: int, mac: str, counter: bytes) -> bytes:
    return bytes.fromhex(mac.replace(":", "")) + b"\xd2\xfc" + bytes([info]) + counter


def _open(info: int, body: bytes, mac: str, key: bytes) -> tuple[bytes, int] | Rejected:
    """body: ciphertext, counter, MIC."""
    if len(body) < _COUNTER_BYTES + _MIC_BYTES:
        return Rejected("truncated")
    sealed, counter, mic = body[:-8], body[-8:-4], body[-4:]
    try:
        clear = AESCCM(key, tag_length=_MIC_BYTES).decrypt(_nonce(info, mac, counter), sealed + mic, None)
    except InvalidTag:
        return Rejected("wrong_key_or_forged")
    return clear, int.from_bytes(counter, "little")


def _objects(body: bytes) -> tuple[tuple[tuple[int, float | bool], ...], int | None]:
    objects: list[tuple[int, float | bool]] = []
    at = 0
    while at < len(body):
        kind = KINDS.get(body[at])
        value = body[at + 1 : at + 1 + kind.size] if kind else b""
        if kind is None or len(value) < kind.size:
            return tuple(objects), body[at]
        objects.append((body[at], _value(kind, value)))
        at += 1 + kind.size
    return tuple(objects), None


def _value(kind: Kind, raw: bytes) -> float | bool:
    number = int.from_bytes(raw, "little", signed=kind.signed)
    if kind.scale == 0.0:
        return bool(number)
    return number if kind.scale == 1.0 else round(number * kind.scale, 6)


def _packed(kind: Kind, value: float | bool) -> bytes:
    number = round(value / kind.scale) if kind.scale else int(value)
    return number.to_bytes(kind.size, "little", signed=kind.signed)
