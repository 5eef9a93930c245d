"""Facts become payloads and come back as they were."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gateway.core.errors import StoreError
from gateway.core.model import Acknowledgement, Alarm, Delivery, Event, Gap, Measurement, Minute, SignalState, Status
from gateway.store.rows import pack, pack_minute, stream_of, unpack, unpack_minute
from tests.gateway.store.facts import AT, BED, alarm, event, gap, heart_rate, minute


def test_an_alarm_comes_back_with_every_field() -> None:
    full = replace(
        alarm(), cleared=AT, signal={"buzzer": SignalState.LATCHED}, delivery=Delivery.RECEIVED,
        received_by=("district",), acknowledgement=Acknowledgement("n-1", AT, "seen"), escalation=2, outcome="helped",
        closed=AT, values={"heart_rate": 131.5}, evidence={"samples": 3, "reason": "x"}, trace={"receipt": 5},
    )  # fmt: skip
    assert unpack(pack(full), Alarm) == full


def test_measurement_event_and_gap_come_back_as_they_were() -> None:
    odd = Measurement(None, "kiosk", "systolic", 280.0, "mm[Hg]", AT, status=Status.OVER)
    for fact in (heart_rate(61.5), odd):
        assert unpack(pack(fact), Measurement) == fact
    assert unpack(pack(event("sos_pressed")), Event) == event("sos_pressed")
    assert unpack(pack(gap(3)), Gap) == gap(3)


@given(hnp.arrays(np.float32, 60, elements=st.floats(width=32, allow_nan=True, allow_infinity=False)))
def test_the_column_of_a_minute_is_kept_bit_by_bit(column: NDArray[np.float32]) -> None:
    told = Minute(BED, "heart_rate", AT, 60, 1.0, 2.0, 3.0, 0.5, column)
    back = unpack_minute(pack_minute(told), BED, "heart_rate", AT)
    assert back.column.tobytes() == column.tobytes()
    assert (back.n, back.min, back.mean, back.max, back.quality) == (60, 1.0, 2.0, 3.0, 0.5)
    assert not back.column.flags.writeable


def test_a_payload_of_an_unknown_format_is_refused_with_a_hint() -> None:
    with pytest.raises(StoreError, match="format byte is 7f") as refused:
        unpack(b"\x7f" + pack(gap())[1:], Gap)
    assert "newer version" in refused.value.hint


@pytest.mark.parametrize("damaged", [b"", b"\x01", b"\x01\xc1garbage"])
def test_damaged_payloads_are_store_errors(damaged: bytes) -> None:
    with pytest.raises(StoreError):
        unpack(damaged, Gap)
    with pytest.raises(StoreError):
        unpack_minute(damaged, BED, "heart_rate", AT)


def test_a_damaged_column_is_a_store_error() -> None:
    with pytest.raises(StoreError):
        unpack_minute(pack_minute(minute())[:-9], BED, "heart_rate", AT)


def test_events_about_a_person_are_never_filed_as_technical() -> None:
    for kind in ("sos_pressed", "service_requested", "fall_suspected", "bed_entered", "bed_exited", "kiosk_reading"):
        assert stream_of(event(kind)) == "obs"
    for kind in ("link_lost", "link_up", "device_fault", "readings_rejected", "box_trouble", "uplink_lost"):
        assert stream_of(event(kind)) == "tech"


def test_an_event_of_a_kind_nobody_foresaw_is_filed_as_about_a_person() -> None:
    assert stream_of(event("something_new")) == "obs"
