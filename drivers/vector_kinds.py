"""The kinds of vectors whose families have their frames as code older than VECTOR_DECODERS: their values, renamed."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from drivers.bthome import frame as bthome
from drivers.hrs import frame as hrs
from drivers.modbus_rtu import dissect
from drivers.polar_pmd import frame as polar
from gateway.core.errors import ProtocolError

VectorDecoder = Callable[[bytes, Mapping[str, Any]], dict[str, Any]]
"""As in profile_vectors, which reads profiles and may therefore not be imported here."""

Values = dict[str, Any]
Context = Mapping[str, Any]
HINT = "compare with the device's document"
SETTINGS = {
    polar.RATE_HZ: "sample_rate_Hz",
    polar.RESOLUTION_BITS: "resolution_bits",
    polar.RANGE: "range",
    polar.RANGE_MILLI: "range_milliunit",
    polar.CHANNEL_COUNT: "channels",
    polar.FACTOR: "factor",
}
COMPRESSED = 0x80  # in the frame type of PMD data


def _refused(rejected: hrs.Rejected | bthome.Rejected) -> ProtocolError:
    return ProtocolError(f"{rejected.reason}: refused", hint=HINT)


def _heart_rate(data: bytes, _context: Context) -> Values:
    found = hrs.decode(data)
    if isinstance(found, hrs.Rejected):
        raise _refused(found)
    return {
        "heart_rate_bpm": found.bpm,
        "sensor_contact": found.contact,
        "energy_expended_kJ": found.energy_kj,
        "rr_1024ths_s": list(found.rr),
    }


def _bthome(data: bytes, context: Context) -> Values:
    text = context.get("bindkey")
    key = bthome.parse_key(text) if text else None
    if text and key is None:
        raise ProtocolError("key: the bind key is none", hint="32 hexadecimal characters")
    found = bthome.decode(data, context.get("mac", "00:00:00:00:00:00"), key)
    if isinstance(found, bthome.Rejected):
        raise _refused(found)
    objects = [_bthome_object(kind, value) for kind, value in found.objects]
    if found.unknown_id is not None:
        objects.append({"unknown_object_id": found.unknown_id})
    if found.cut_id is not None:
        objects.append({"truncated_object_id": found.cut_id})
    return {"trigger_based": found.trigger_based, "encrypted": found.encrypted, "objects": objects}


def _bthome_object(kind: int, value: float | bool | str) -> Values:
    name = bthome.KINDS[kind].name
    if kind == bthome.BUTTON:
        code = int(value)
        return {name: bthome.PRESS_NAMES.get(code, f"code_{code}") if code != bthome.NOT_PRESSED else None}
    if kind == bthome.DIMMER:
        steps, way = divmod(int(value), 256)
        return {name: bthome.TURN_NAMES.get(way), "steps": steps}
    return {name: value}


def _pmd_data(data: bytes, context: Context) -> Values:
    """context: the "factor" of the start reply, 1 where it is not given."""
    found = polar.decode_data(data, float(context.get("factor", 1)))
    if isinstance(found, hrs.Rejected):
        raise _refused(found)
    kind = data[9]
    common: Values = {
        "timestamp_ns_since_2000": found.at_ns,
        "frame_type": kind & ~COMPRESSED,
        "compressed": bool(kind & COMPRESSED),
    }
    if isinstance(found, polar.Acceleration):
        mg = np.round(found.data_g * 1000).astype(int).tolist()
        ends = {"first_mg": mg[0], "second_mg": mg[1] if len(mg) > 1 else None, "last_mg": mg[-1]} if mg else {}
        return common | {"measurement": "ACC", "n_samples": len(mg), **ends}
    if isinstance(found, polar.Light):
        counts = found.counts.astype(int).tolist()
        ends = {"first": counts[0], "second": counts[1] if len(counts) > 1 else None, "last": counts[-1]}
        return common | {"measurement": "PPG", "n_samples": len(counts), **ends}
    return common | {"measurement": "PPI", "samples": [_interval(one) for one in found.samples]}


def _interval(one: polar.PulseInterval) -> Values:
    return {
        "hr_bpm": one.bpm,
        "pp_ms": one.interval_ms,
        "error_ms": one.error_ms,
        "blocker": one.blocker,
        "skin_contact": bool(one.flags & 2),
        "skin_contact_supported": one.contact is not None,
    }


def _pmd_control(data: bytes, _context: Context) -> Values:
    found = polar.decode_control(data)
    if isinstance(found, hrs.Rejected):
        raise _refused(found)
    if isinstance(found, polar.Stopped):
        return {"stopped": list(found.measurements)}
    return {
        "op": found.operation,
        "measurement_type": found.measurement,
        "status": found.status,
        "more": found.more,
        "params_hex": found.params.hex(),
    }


def _pmd_settings(data: bytes, _context: Context) -> Values:
    found = polar.decode_settings(data)
    if isinstance(found, hrs.Rejected):
        raise _refused(found)
    return {SETTINGS.get(kind, str(kind)): list(values) for kind, values in found.items()}


def _modbus_request(data: bytes, _context: Context) -> Values:
    return dissect.request(data)


def _modbus_answer(data: bytes, _context: Context) -> Values:
    return dissect.answer(data)


BY_FAMILY: dict[str, dict[str, VectorDecoder]] = {
    "hrs": {"2A37": _heart_rate},
    "bthome": {"service_data_FCD2": _bthome},
    "polar_pmd": {  # a band streams its pulse by the Heart Rate Service beside its own
        "PMD_DATA": _pmd_data,
        "PMD_PPG": _pmd_data,  # named apart: a profile with it says that the model sends PPG that is read
        "PMD_CP": _pmd_control,
        "PMD_SETTINGS": _pmd_settings,
        "2A37": _heart_rate,
    },
    "modbus_rtu": {"rtu_request": _modbus_request, "rtu_response": _modbus_answer},
}
VECTOR_DECODERS: dict[str, VectorDecoder] = {kind: one for kinds in BY_FAMILY.values() for kind, one in kinds.items()}
