"""The life of an alarm: three state machines that do not get into each other's way."""

from dataclasses import replace

import pytest

from edge_rules.alarm import alarm_id
from edge_rules.book import PauseRefusedError
from edge_rules.signals import CHANNELS, decide
from gateway.core.model import Alarm, Delivery, Stamp
from tests.edge_rules.night import BED, BUTTON, Night

QUIET = {"bed_occupied": 1.0, "vital_sign": 1.0}


def pressed() -> tuple[Night, Alarm]:
    ward = Night(beds=(), devices=(), upstreams=("district",))
    ward.event("uplink_back", bed=None, device=None, upstream="district")
    (alarm,) = ward.event("sos_pressed", device=BUTTON)
    return ward, alarm


def test_the_same_rule_bed_and_onset_is_the_same_alarm() -> None:
    onset = Stamp("00000001", 5)
    assert alarm_id("sos", "b-1", onset) == alarm_id("sos", "b-1", onset)
    others = {alarm_id("sos", "b-1", onset.plus_s(1e-9)), alarm_id("fall", "b-1", onset), alarm_id("sos", "b-2", onset)}
    assert len(others - {alarm_id("sos", "b-1", onset)}) == 3


def test_proof_of_delivery_never_goes_back_and_keeps_the_revision() -> None:
    ward, alarm = pressed()
    ward.seconds += 0.1
    (published,) = ward.engine.published(alarm.id, ward.now())
    assert (published.delivery, published.rev) == (Delivery.PUBLISHED, 1)
    assert ward.engine.stored(alarm.id, ward.now()) == []
    (received,) = ward.engine.received(alarm.id, "district", ward.now())
    assert (received.delivery, received.rev, received.received_by) == (Delivery.RECEIVED, 1, ("district",))
    assert ward.engine.received(alarm.id, "district", ward.now()) == []
    assert set(received.trace) == {"receipt", "raised", "published", "received"}
    assert received.trace["published"] - received.trace["raised"] == 100_000_000


def test_only_a_responder_s_received_moves_the_delivery() -> None:
    ward, alarm = pressed()
    (told,) = ward.engine.received(alarm.id, "province", ward.now(), responder=False)
    assert (told.delivery, told.received_by) == (Delivery.RAISED, ("province",))


def test_the_first_acknowledgement_counts_and_a_second_is_kept() -> None:
    ward, alarm = pressed()
    (first,) = ward.engine.acknowledge(alarm.id, "p-1", "on my way", "page", ward.now())
    assert first.acknowledgement is not None
    assert (first.acknowledgement.by, first.acknowledgement.note, first.rev) == ("p-1", "on my way", 2)
    assert first.signal["page"] == "ack"
    assert ward.engine.acknowledge(alarm.id, "p-1", "", "page", ward.now()) == []
    (second,) = ward.engine.acknowledge(alarm.id, "p-2", "", "district", ward.now())
    assert second.acknowledgement == first.acknowledgement
    assert second.evidence["also_answered"] == "p-2"


def test_a_closed_alarm_has_an_outcome_and_makes_no_signal() -> None:
    ward, alarm = pressed()
    (closed,) = ward.engine.close(alarm.id, "helped", "p-1", ward.now())
    assert (closed.outcome, closed.condition, closed.open) == ("helped", "inactive", False)
    assert set(closed.signal.values()) == {"off"}
    assert ward.open() == []
    assert ward.engine.close(alarm.id, "again", "p-2", ward.now()) == []
    assert ward.engine.acknowledge(alarm.id, "p-2", "", "page", ward.now()) == []


def test_an_alarm_that_went_away_by_itself_can_still_be_given_its_outcome() -> None:
    ward = Night(devices=())
    ward.go(80, **QUIET, heart_rate=140)
    (alarm,) = ward.open("heart_rate_high")
    ward.go(45, **QUIET, heart_rate=70)
    assert not ward.open("heart_rate_high")
    (closed,) = ward.engine.close(alarm.id, "exercise", "p-1", ward.now())
    assert (closed.id, closed.outcome) == (alarm.id, "exercise")


def test_what_is_still_true_after_a_close_raises_again_after_the_rearm_time_as_a_new_alarm() -> None:
    ward = Night(devices=())
    ward.go(80, **QUIET, heart_rate=140)
    (alarm,) = ward.open("heart_rate_high")
    ward.keep(ward.engine.close(alarm.id, "seen", "p-1", ward.now()))
    ward.go(299, **QUIET, heart_rate=140)
    assert len(ward.raised("heart_rate_high")) == 1
    ward.go(5, **QUIET, heart_rate=140)
    assert len(ward.raised("heart_rate_high")) == 2


def test_answers_to_an_alarm_nobody_knows_change_nothing() -> None:
    ward, _ = pressed()
    assert ward.engine.alarm("a-0") is None
    assert ward.engine.acknowledge("a-0", "p", "", "page", ward.now()) == []
    assert ward.engine.attend("a-0", "p", "", "page", ward.now()) == []
    assert ward.engine.close("a-0", "x", "p", ward.now()) == []
    assert ward.engine.published("a-0", ward.now()) == []


@pytest.mark.parametrize("rule", ["sos", "fall"])
def test_sos_and_fall_are_never_paused(rule: str) -> None:
    ward, _ = pressed()
    with pytest.raises(PauseRefusedError, match="cannot be paused"):
        ward.engine.pause(BED, rule, 60, ward.now())


def test_a_pause_is_at_most_30_minutes_silences_the_ears_only_and_ends_by_itself() -> None:
    ward = Night(devices=())
    with pytest.raises(PauseRefusedError, match="1801"):
        ward.engine.pause(BED, "heart_rate_high", 1801, ward.now())
    ward.go(300, **QUIET, heart_rate=140)
    assert ward.open("heart_rate_high")[0].signal["buzzer"] == "on"
    (paused,) = ward.keep(ward.engine.pause(BED, "heart_rate_high", 1800, ward.now()))
    assert (paused.signal["buzzer"], paused.signal["lamp"], paused.signal["page"]) == ("paused", "paused", "on")
    ward.go(1799, **QUIET, heart_rate=140)
    assert ward.open("heart_rate_high")[0].signal["buzzer"] == "paused"
    ward.go(2, **QUIET, heart_rate=140)
    assert ward.open("heart_rate_high")[0].signal["buzzer"] == "on"


def test_a_pause_also_holds_for_an_alarm_raised_within_it() -> None:
    ward = Night(devices=())
    ward.engine.pause(BED, "heart_rate_high", 600, ward.now())
    ward.go(80, **QUIET, heart_rate=140)
    assert ward.open("heart_rate_high")[0].signal["lamp"] == "paused"


def test_the_strongest_alarm_decides_a_channel() -> None:
    ward, alarm = pressed()
    assert ward.engine.signals(ward.now()) == {
        "platform": "high", "page": "high", "lamp": "high", "buzzer": "off", "relay": "off",
    }  # fmt: skip
    ward.go(10)
    assert ward.engine.signals(ward.now())["buzzer"] == "high"
    ward.go(110)
    assert ward.engine.signals(ward.now())["buzzer"] == "high_2"
    ward.engine.acknowledge(alarm.id, "p-1", "", "page", ward.now())
    assert ward.engine.signals(ward.now())["lamp"] == "answered"
    ward.event("sos_pressed", device="cord-1")
    assert ward.engine.signals(ward.now())["lamp"] == "high"


def test_without_alarms_nothing_sounds_and_an_island_shows_on_the_lamp() -> None:
    assert decide(()) == dict.fromkeys(CHANNELS, "off")
    assert decide((), 91.0)["lamp"] == "island"
    _, alarm = pressed()
    assert decide((replace(alarm, signal={}),), 0.0)["lamp"] == "off"
