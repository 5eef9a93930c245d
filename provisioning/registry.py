"""Rooms, beds, residents and devices: state in journal.db, filled from a ward file and later by the wizard.

A ward file is TOML: [site] id; [[room]] id, name; [[bed]] id, room, occupants, profile, resident; [[device]] id,
family, model, bed, link, address and [device.settings]. Importing is all or nothing and may be repeated: what the file
names is added or changed, what it does not name stays. A resident is a pseudonym and never a name.
"""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from drivers.base import Device, Setting
from drivers.catalogue import FAMILIES
from gateway.core.errors import ConfigError, Fault
from gateway.store.database import Store
from gateway.toml_lines import Document, KeyPath, key_text, read

KINDS = ("site", "room", "resident", "bed", "device")  # in this order they refer to each other
PROFILES = ("standard", "fall_risk", "dementia", "hospital_at_home", "end_of_life")
CROCKFORD = "[0-9A-HJKMNP-TV-Z]{8}"  # Crockford's base 32 without I, L, O, U: 40 random bits, read aloud without doubt
NAMING = frozenset(("name", "first_name", "last_name", "surname", "born", "birthday", "birth_date", "phone", "id_card"))

_UNIT = re.compile(r"|0x[0-9a-fA-F]{1,2}|[1-9][0-9]{0,2}")
_MAC = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}")
_NONE = re.compile("")
_BLE = (_MAC, 'the Bluetooth address, as "F4:12:AB:00:11:22"')
ADDRESSES: Mapping[str, tuple[re.Pattern[str], str]] = {  # by transport: form of the address, and what to write
    "serial": (_NONE, "the device has its port to itself: leave address out"),
    "modbus-rtu": (_UNIT, 'the Modbus unit id as text, "1" to "247", or leave it out for the factory setting'),
    "ble-gatt": _BLE,
    "ble-adv": _BLE,
}


@dataclass(frozen=True, slots=True)
class Room:
    """A room people find by its name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Bed:
    """The unit of care. resident: pseudonym of who lies there, None while it is empty or not told."""

    id: str
    room: str
    occupants: int = 1
    profile: str = "standard"
    resident: str | None = None


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did, or would do with dry_run: ids as "bed b-7Q4MZ2K9"."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    dry_run: bool


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


_BedId = Annotated[str, Field(pattern=f"^b-{CROCKFORD}$")]
_ResidentId = Annotated[str, Field(pattern=f"^p-{CROCKFORD}$")]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
_Text = Annotated[str, Field(min_length=1, max_length=64)]


class _Site(_Entry):
    id: _Id


class _Room(_Entry):
    id: _Id
    name: _Text


class _Bed(_Entry):
    id: _BedId
    room: _Id
    occupants: int = Field(default=1, ge=1, le=4)
    profile: Literal["standard", "fall_risk", "dementia", "hospital_at_home", "end_of_life"] = "standard"
    resident: _ResidentId | None = None


class _Device(_Entry):
    id: _Id
    family: _Id
    model: _Id
    link: _Id
    bed: _BedId | None = None
    address: str = ""
    settings: dict[str, Setting] = Field(default_factory=dict)


class _Ward(_Entry):
    site: _Site | None = None
    room: tuple[_Room, ...] = Field(default=(), strict=False)
    bed: tuple[_Bed, ...] = Field(default=(), strict=False)
    device: tuple[_Device, ...] = Field(default=(), strict=False)


_HINTS = {  # by key: what to write
    ("site", "id"): "the id of the site as in carebed.toml, e.g. s-7Q4MZ2K9",
    ("room", "id"): "letters, digits, - and _, at most 32, e.g. room-12",
    ("room", "name"): "what people call the room, at most 64 characters",
    ("bed", "id"): "b- and 8 characters of 0-9 and A-Z without I, L, O, U, drawn at random, e.g. b-7Q4MZ2K9",
    ("bed", "room"): "the id of a [[room]]",
    ("bed", "occupants"): "how many people sleep in it, 1 to 4",
    ("bed", "profile"): f"one of {', '.join(PROFILES)}",
    ("bed", "resident"): "p- and 8 characters of 0-9 and A-Z without I, L, O, U, drawn at random, never a name",
    ("device", "id"): "letters, digits, - and _, at most 32, e.g. belt-0A3F",
    ("device", "family"): f"one of {', '.join(FAMILIES)}",
    ("device", "model"): "the profile's id, e.g. open_belt",
    ("device", "link"): "the name of a [[serial]] or [[ble]] section of carebed.toml",
    ("device", "bed"): "the id of a [[bed]], or leave it out for a device of the site",
    ("device", "settings"): "texts, numbers or true/false by name",
}
Rows = dict[str, dict[str, dict[str, Any]]]  # kind, id, columns


@dataclass(slots=True)
class _Parsed:
    """A ward file that is sound in itself."""

    name: str
    rows: Rows
    document: Document
    places: dict[tuple[str, str], KeyPath] = field(default_factory=dict)


class Registry:
    """Rooms, beds and devices as they are registered now."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def rooms(self) -> tuple[Room, ...]:
        sql = "SELECT id, name FROM room ORDER BY id"
        rows = await self._store.read("journal", lambda db: db.execute(sql).fetchall())
        return tuple(Room(*row) for row in rows)

    async def beds(self) -> tuple[Bed, ...]:
        sql = "SELECT id, room, occupants, profile, resident FROM bed ORDER BY id"
        rows = await self._store.read("journal", lambda db: db.execute(sql).fetchall())
        return tuple(Bed(*row) for row in rows)

    async def devices(self) -> tuple[Device, ...]:
        sql = "SELECT id, family, model, link, bed, address, settings FROM device ORDER BY id"
        rows = await self._store.read("journal", lambda db: db.execute(sql).fetchall())
        return tuple(
            Device(key, family, model, link, bed, address, json.loads(settings))
            for key, family, model, link, bed, address, settings in rows
        )

    async def import_file(self, path: Path, *, dry_run: bool = False) -> ImportResult:
        """Add and change what the file names, in one transaction; with dry_run only say what would be done.

        ConfigError with every fault, each with its line and a hint: then nothing was changed.
        """
        ward = await asyncio.to_thread(_parse, path)
        if dry_run:
            return await self._store.read("journal", lambda db: _merge(db, ward, write=False))
        return await self._store.write("journal", lambda db: _merge(db, ward, write=True))


# -- the file in itself -----------------------------------------------------------------------------------------------


def _parse(path: Path) -> _Parsed:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        hint = "name a file that exists, that this user may read and that is saved as UTF-8"
        raise ConfigError(str(path), (Fault(0, "file", f"cannot be read: {error}", hint),)) from error
    document = read(text)
    faults = list(document.faults)
    try:
        ward = _Ward.model_validate(document.values)
    except ValidationError as error:
        faults += _schema_faults(error.errors(), document)
        raise _config_error(str(path), faults) from error
    parsed = _Parsed(str(path), {kind: {} for kind in KINDS}, document)
    faults += _collect(ward, parsed)
    if faults:
        raise _config_error(str(path), faults)
    return parsed


def _config_error(name: str, faults: list[Fault]) -> ConfigError:
    return ConfigError(name, tuple(sorted(faults, key=lambda fault: (fault.line, fault.key))))


def _schema_faults(details: list[ErrorDetails], document: Document) -> Iterator[Fault]:
    for detail in details:
        path = tuple(detail["loc"])
        if path in document.broken or (detail["type"] == "missing" and not document.complete):
            continue
        message, hint = _words(detail, path)
        yield Fault(document.line_of(path), key_text(path), message, hint)


def _words(detail: ErrorDetails, path: KeyPath) -> tuple[str, str]:
    names = tuple(part for part in path if isinstance(part, str))[:2]
    hint = _HINTS.get((names[0], names[-1]), "see `carebed provision --help` for the form of a ward file")
    if detail["type"] == "extra_forbidden":
        if names[-1] in NAMING and names[0] in ("bed", "resident"):
            return "who lies in a bed is a pseudonym here, never a name", _HINTS["bed", "resident"]
        if names == ("resident",):
            return "residents have no section of their own", 'write resident = "p-..." in the [[bed]]'
        known = _Ward.model_fields if len(names) == 1 else _FIELDS.get(names[0], _Ward).model_fields
        return f"unknown {'section' if len(names) == 1 else 'key'}", f"known here: {', '.join(known)}"
    if detail["type"] == "missing":
        return "is missing", f"add it: {hint}"
    if len(path) == 1 and path[0] in ("room", "bed", "device"):
        return f"stands as {type(detail['input']).__name__}, expected a list of sections", f"write [[{path[0]}]]"
    if names[-1] == "resident":
        return "is no pseudonym", hint  # what was typed may be a name: it is not repeated
    return f"{detail['input']!r:.80} is not accepted", hint


_FIELDS: Mapping[str, type[_Entry]] = {"site": _Site, "room": _Room, "bed": _Bed, "device": _Device}


def _collect(ward: _Ward, parsed: _Parsed) -> Iterator[Fault]:
    """Fill `parsed` with rows as the tables have them; yields what is wrong between the entries."""
    rows, site = parsed.rows, ward.site.id if ward.site else None
    if site:
        rows["site"][site] = {"id": site}
    for index, room in enumerate(ward.room):
        yield from _put(parsed, "room", index, {"id": room.id, "name": room.name, "site": site})
    for index, bed in enumerate(ward.bed):
        yield from _put(parsed, "bed", index, bed.model_dump())
        if bed.resident:
            rows["resident"][bed.resident] = {"id": bed.resident}
    for index, device in enumerate(ward.device):
        for key, message, hint in _device_faults(device):
            where: KeyPath = ("device", index, key)
            yield Fault(parsed.document.line_of(where), key_text(where), message, hint)
        address = device.address if device.address.startswith("0x") else device.address.upper()
        settings = json.dumps(device.settings, sort_keys=True, ensure_ascii=False)
        yield from _put(parsed, "device", index, {**device.model_dump(), "address": address, "settings": settings})


def _device_faults(device: _Device) -> Iterator[tuple[str, str, str]]:
    """(key, message, hint) of what the device's family does not accept."""
    family = FAMILIES.get(device.family)
    if family is None:
        yield "family", f"{device.family!r} is no family of devices", _HINTS["device", "family"]
        return
    if device.model not in family.models:
        yield "model", f"{device.model!r} is no model of {family.name}", f"one of {', '.join(family.models)}"
    form, hint = ADDRESSES[family.transport]
    address = device.address.upper() if family.transport.startswith("ble") else device.address
    if not form.fullmatch(address) or (family.transport == "modbus-rtu" and not _is_unit(address)):
        yield "address", f"{device.address!r} is not accepted", hint


def _is_unit(address: str) -> bool:
    return not address or 1 <= int(address, 0) <= 247


def _put(parsed: _Parsed, kind: str, index: int, row: dict[str, Any]) -> Iterator[Fault]:
    where: KeyPath = (kind, index, "id")
    if row["id"] in parsed.rows[kind]:
        first = parsed.document.line_of(parsed.places[kind, row["id"]])
        message = f"{row['id']} stands already on line {first}"
        yield Fault(parsed.document.line_of(where), key_text(where), message, "every id stands once")
        return
    parsed.rows[kind][row["id"]] = row
    parsed.places[kind, row["id"]] = (kind, index)


# -- the file and what is registered already --------------------------------------------------------------------------


def _merge(db: Any, ward: _Parsed, *, write: bool) -> ImportResult:
    """On a thread of the store: check the file against the tables, and write it in the caller's transaction."""
    present: Rows = {kind: {row["id"]: row for row in db[kind].rows} for kind in KINDS}
    if len(present["site"].keys() | ward.rows["site"].keys()) > 1:
        raise _config_error(ward.name, [_other_site(ward, present)])
    _keep_site(ward, present)
    if faults := list(_conflicts(ward, present)):
        raise _config_error(ward.name, faults)
    added: list[str] = []
    changed: list[str] = []
    unchanged = 0
    for kind in KINDS:
        for key, row in ward.rows[kind].items():
            known = present[kind].get(key)
            if known == row:
                unchanged += 1
                continue
            (changed if known else added).append(f"{kind} {key}")
    if write:
        _write(db, ward.rows)
    return ImportResult(tuple(added), tuple(changed), unchanged, dry_run=not write)


def _write(db: Any, rows: Rows) -> None:
    """Residents and links may swap places between rows: those are let go first."""
    for bed in rows["bed"]:
        db.execute("UPDATE bed SET resident = NULL WHERE id = ?", (bed,))
    for device in rows["device"]:
        db.execute("UPDATE device SET address = 'changing ' || id WHERE id = ?", (device,))
    for kind in KINDS:
        db[kind].upsert_all(rows[kind].values(), pk="id")


def _keep_site(ward: _Parsed, present: Rows) -> None:
    """A file without [site] leaves its rooms where they are."""
    for key, room in ward.rows["room"].items():
        if room["site"] is None and key in present["room"]:
            room["site"] = present["room"][key]["site"]


def _other_site(ward: _Parsed, present: Rows) -> Fault:
    known, wanted = next(iter(present["site"])), next(iter(ward.rows["site"]))
    line = ward.document.line_of(("site", "id"))
    return Fault(line, "site.id", f"is {wanted}, this box is registered at {known}", "take the ward file of this site")


def _conflicts(ward: _Parsed, present: Rows) -> Iterator[Fault]:
    together: Rows = {kind: {**present[kind], **ward.rows[kind]} for kind in KINDS}
    for kind, key, target in (("bed", "room", "room"), ("device", "bed", "bed")):
        for row in ward.rows[kind].values():
            if row[key] is not None and row[key] not in together[target]:
                yield _fault(ward, kind, row["id"], key, f"{row[key]} is no {target} of this file or of this box",
                             f"add a [[{target}]] with this id, or mend the id")  # fmt: skip
    for row in ward.rows["device"].values():
        named = json.loads(row["settings"]).get("identifies", "")
        for name in (part.strip() for part in str(named).split(",") if part.strip()):
            if name not in together["device"]:
                yield _fault(ward, "device", row["id"], "settings", f"identifies {name}, which is no device here",
                             "name the kiosks that the reader stands at, as their ids")  # fmt: skip
    yield from _doubles(ward, together, "bed", ("resident",), "nobody lies in two beds: free the other bed first")
    yield from _doubles(ward, together, "device", ("link", "family", "address"), "each device has its own address")


def _doubles(ward: _Parsed, together: Rows, kind: str, keys: tuple[str, ...], hint: str) -> Iterator[Fault]:
    seen: dict[tuple[Any, ...], str] = {}
    for row in sorted(together[kind].values(), key=lambda row: row["id"] in ward.rows[kind]):
        value = tuple(row[key] for key in keys)
        if value == (None,):
            continue
        if value in seen and row["id"] in ward.rows[kind]:
            said = ", ".join(str(part) for part in value if part)
            yield _fault(ward, kind, row["id"], keys[-1], f"{said} belongs to {kind} {seen[value]} already", hint)
        seen[value] = row["id"]


def _fault(ward: _Parsed, kind: str, row: str, key: str, message: str, hint: str) -> Fault:
    where = (*ward.places[kind, row], key)
    return Fault(ward.document.line_of(where), key_text(where), message, hint)
