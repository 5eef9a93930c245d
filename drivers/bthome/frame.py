"""BTHome v2 service data (0xFCD2): bytes to objects and back, AES-CCM included.

Source: bthome.io/format, the whole table of object ids; vectors in tests/vectors/bthome_v2.json. An unknown object id
has an unknown length: parsing stops there, or where the advert is cut off, and keeps what was read.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

SERVICE_DATA_UUID = "0000fcd2-0000-1000-8000-00805f9b34fb"

PACKET_ID, BATTERY, BUTTON, DIMMER = 0x00, 0x01, 0x3A, 0x3C
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
    0x81: "hold_release",
    0xFE: "hold_press",  # firmware before 1.0.23 of a Shelly BLU Button
}
TURN_NAMES = {0x01: "rotate_left", 0x02: "rotate_right"}
COMMAND_NAMES = {0x00: "off", 0x01: "on", 0x02: "toggle", 0x03: "step_up", 0x04: "step_down"}

_ENCRYPTED, _HAS_MAC, _TRIGGER, _VERSION = 0x01, 0x02, 0x04, 2
_COUNTER_BYTES, _MIC_BYTES, _MAC_BYTES = 4, 4, 6
_ARGUMENTS = 0x1F  # of a command's length byte: bytes behind its code


@dataclass(frozen=True, slots=True)
class Kind:
    """How an object is laid out: name with its unit, bytes, scale (0: a truth value), signed.

    form: "" for a number; "text", "raw" and "command" say their length in a byte of their own (size 0); "version" is
    the parts of a version number, the last part first.
    """

    name: str
    size: int
    scale: float = 1.0
    signed: bool = False
    form: str = ""


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
    0x3B: Kind("command", 0, form="command"),
    0x3C: Kind("dimmer", 2),  # which way, how many steps
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
    0x47: Kind("volume_L", 2, 0.1),
    0x48: Kind("volume_mL", 2),
    0x49: Kind("volume_flow_rate_m3_h", 2, 0.001),
    0x4A: Kind("voltage_V", 2, 0.1),
    0x4B: Kind("gas_m3", 3, 0.001),
    0x4C: Kind("gas_m3", 4, 0.001),
    0x4D: Kind("energy_kWh", 4, 0.001),
    0x4E: Kind("volume_L", 4, 0.001),
    0x4F: Kind("water_L", 4, 0.001),
    0x50: Kind("timestamp_s", 4),
    0x51: Kind("acceleration_m_s2", 2, 0.001),
    0x52: Kind("gyroscope_deg_s", 2, 0.001),
    0x53: Kind("text", 0, form="text"),
    0x54: Kind("raw", 0, form="raw"),
    0x55: Kind("volume_storage_L", 4, 0.001),
    0x56: Kind("conductivity_uS_cm", 2),
    0x57: Kind("temperature_C", 1, signed=True),
    0x58: Kind("temperature_C", 1, 0.35, signed=True),
    0x59: Kind("count", 1, signed=True),
    0x5A: Kind("count", 2, signed=True),
    0x5B: Kind("count", 4, signed=True),
    0x5C: Kind("power_W", 4, 0.01, signed=True),
    0x5D: Kind("current_A", 2, 0.001, signed=True),
    0x5E: Kind("direction_deg", 2, 0.01),
    0x5F: Kind("precipitation_mm", 2, 0.1),
    0x60: Kind("channel", 1),
    0x61: Kind("rotational_speed_rpm", 2),
    0x62: Kind("speed_m_s", 4, 1e-6, signed=True),
    0x63: Kind("acceleration_m_s2", 4, 1e-6, signed=True),
    0x64: Kind("light_level", 1),
    0x65: Kind("settings_revision", 1),
    0xF0: Kind("device_type_id", 2),
    0xF1: Kind("firmware_version", 4, form="version"),
    0xF2: Kind("firmware_version", 3, form="version"),
}


KIND_NAMES = {number: kind.name for number, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Rejected:
    """An advert that is not accepted, by reason."""

    reason: str


Worth = float | bool | str


@dataclass(frozen=True, slots=True)
class Objects:
    """objects: (id, value) in the order sent; a button's value is its raw code, a truth value a bool; text, raw bytes
    (hexadecimal), commands and versions are strings.

    unknown_id: where parsing stopped. cut_id: the object of which not all bytes are there. counter: of an encrypted
    advert.
    """

    objects: tuple[tuple[int, Worth], ...]
    trigger_based: bool = False
    encrypted: bool = False
    unknown_id: int | None = None
    counter: int | None = None
    cut_id: int | None = None

    def first(self, *ids: int) -> float | None:
        """The number of the first object with one of these ids."""
        return next((value for kind, value in self.objects if kind in ids and not isinstance(value, str)), None)

    @property
    def unread(self) -> str:
        """Why the rest of the advert was not read; "" when all was."""
        if self.cut_id is not None:
            return f"truncated_object_{self.cut_id:02x}"
        return "" if self.unknown_id is None else f"unknown_object_{self.unknown_id:02x}"

    @property
    def packet_id(self) -> int | None:
        value = self.first(PACKET_ID)
        return None if value is None else int(value)

    @property
    def presses(self) -> tuple[int, ...]:
        """One code a button, in the order of the buttons."""
        return tuple(int(value) for kind, value in self.objects if kind == BUTTON)

    @property
    def truths(self) -> tuple[tuple[int, int, bool], ...]:
        """(id, number from 1 among its like, value) of each object that is true or false, in their order."""
        found: list[tuple[int, int, bool]] = []
        for kind, value in self.objects:
            if KINDS[kind].scale == 0.0:
                found.append((kind, 1 + sum(kind == one for one, _, _ in found), bool(value)))
        return tuple(found)


def decode(data: bytes, mac: str, key: bytes | None = None) -> Objects | Rejected:
    """Never raises. mac: "AA:BB:CC:DD:EE:FF", the advert's sender; where the data name an address themselves, that one
    seals them. A device that has a key is never believed in clear."""
    if not data:
        return Rejected("empty")
    info = data[0]
    if info >> 5 != _VERSION:
        return Rejected("unknown_version")
    body, counter = data[1:], None
    if info & _HAS_MAC:
        if len(body) < _MAC_BYTES:
            return Rejected("truncated")
        mac, body = body[_MAC_BYTES - 1 :: -1].hex(), body[_MAC_BYTES:]
    if info & _ENCRYPTED:
        if key is None:
            return Rejected("encrypted_no_key")
        opened = _open(info, body, mac, key)
        if isinstance(opened, Rejected):
            return opened
        body, counter = opened
    elif key is not None:
        return Rejected("clear_from_keyed_device")
    objects, unknown, cut = _objects(body)
    return Objects(objects, bool(info & _TRIGGER), bool(info & _ENCRYPTED), unknown, counter, cut)


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


def _objects(body: bytes) -> tuple[tuple[tuple[int, Worth], ...], int | None, int | None]:
    """The objects, the unknown id that ended them, the id of one that was cut off."""
    objects: list[tuple[int, Worth]] = []
    at = 0
    while at < len(body):
        number = body[at]
        kind = KINDS.get(number)
        if kind is None:
            return tuple(objects), number, None
        start, size = at + 1, kind.size
        if not size:
            if start >= len(body):
                return tuple(objects), None, number
            size = 1 + (body[start] & _ARGUMENTS) if kind.form == "command" else body[start]
            start += 1
        at = start + size
        if at > len(body):
            return tuple(objects), None, number
        objects.append((number, _value(kind, body[start:at])))
    return tuple(objects), None, None


def _value(kind: Kind, raw: bytes) -> Worth:
    match kind.form:
        case "text":
            return raw.decode("utf-8", "replace")
        case "raw":
            return raw.hex()
        case "version":
            return ".".join(str(part) for part in reversed(raw))
        case "command":
            return " ".join(filter(None, (COMMAND_NAMES.get(raw[0], f"code_{raw[0]}"), raw[1:].hex())))
    number = int.from_bytes(raw, "little", signed=kind.signed)
    if kind.scale == 0.0:
        return bool(number)
    return number if kind.scale == 1.0 else round(number * kind.scale, 6)


def _packed(kind: Kind, value: Worth) -> bytes:
    if isinstance(value, str):
        raw = value.encode() if kind.form == "text" else bytes.fromhex(value)
        return bytes([len(raw)]) + raw
    number = round(value / kind.scale) if kind.scale else int(value)
    return number.to_bytes(kind.size, "little", signed=kind.signed)
