"""A signature changes what may be changed for one resident, and nothing else."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from edge_rules.bundle import Box, Bundle, BundleError, Manifest, apply_bundle, open_bundle, seal
from edge_rules.engine import BedScope
from edge_rules.rule import FLOOR
from gateway.core.errors import ConfigError
from gateway.keys import BoxKey, verifier
from tests.edge_rules.night import BED, BUTTON, DEFAULTS, Night, rule_text

NOW = datetime(2026, 11, 24, tzinfo=UTC)
BOX = Box("t1", "gw-3F2A9C", {})
LATER = rule_text("night_exit", when='"!in_bed"', for_='"45m"', latch="true", schedule='"22:00-06:00 local"')


@pytest.fixture(name="owner")
def clinical_owner(tmp_path: Path) -> BoxKey:
    return BoxKey.load_or_create(tmp_path / "owner.pem")


def manifest(owner: BoxKey, **changes: object) -> Manifest:
    plain = Manifest(
        "r-1-profile", 3, "", "t1", "gw-3F2A9C", "r-1", NOW - timedelta(days=1), NOW + timedelta(days=90), owner.key_id
    )
    return msgspec.structs.replace(plain, **changes)


def opened(owner: BoxKey, text: str, box: Box = BOX) -> Bundle:
    return open_bundle(text, {owner.key_id: verifier(owner.public)}, box, NOW)


def sealed(owner: BoxKey, rules: str, **changes: object) -> str:
    return seal(manifest(owner, **changes), rules, owner.sign)


def test_a_genuine_bundle_is_taken_and_names_itself_in_every_rule(owner: BoxKey) -> None:
    bundle = opened(owner, sealed(owner, LATER))
    (rule,) = bundle.rules
    assert rule.bundle == bundle.manifest.tag
    assert bundle.manifest.tag.startswith("r-1-profile@3:")
    assert bundle.in_force(NOW)
    assert not bundle.in_force(NOW + timedelta(days=90))
    assert not bundle.in_force(NOW - timedelta(days=2))


def test_any_byte_changed_is_refused(owner: BoxKey) -> None:
    text = sealed(owner, LATER)
    parts = json.loads(text)
    altered = [
        {**parts, "rules": parts["rules"].replace("45m", "90m")},
        {**parts, "manifest": parts["manifest"].replace('"version":3', '"version":4')},
        {**parts, "manifest": parts["manifest"].replace('"resident":"r-1"', '"resident":"r-2"')},
        {**parts, "signature": base64.b64encode(bytes(64)).decode()},
        {**parts, "signature": "not base64!"},
        {**parts, "more": 1},
        {"rules": parts["rules"]},
    ]
    for parts in altered:
        with pytest.raises(BundleError, match="bundle refused"):
            opened(owner, json.dumps(parts))
    with pytest.raises(BundleError, match="characters"):
        opened(owner, "x" * 1_000_001)


def test_another_s_key_is_refused_also_under_the_owner_s_name(owner: BoxKey, tmp_path: Path) -> None:
    other = BoxKey.load_or_create(tmp_path / "other.pem")
    with pytest.raises(BundleError, match="unknown key"):
        opened(owner, sealed(other, LATER))
    with pytest.raises(BundleError, match="not genuine"):
        opened(owner, seal(manifest(owner), LATER, other.sign))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"tenant": "t2"}, "meant for t2"),
        ({"gateway": "gw-000000"}, "meant for t1/gw-000000"),
        ({"version": 2}, "version 2 is not newer than 2"),
        ({"version": 1}, "version 1 is not newer than 2"),
        ({"expires": NOW}, "expired"),
    ],
)
def test_a_bundle_for_another_box_of_the_past_or_rolled_back_is_refused(
    owner: BoxKey, changes: dict[str, object], part: str
) -> None:
    with pytest.raises(BundleError, match=part):
        opened(owner, sealed(owner, LATER, **changes), Box("t1", "gw-3F2A9C", {"r-1-profile": 2}))


def test_a_bundle_for_every_box_of_the_tenant_is_taken(owner: BoxKey) -> None:
    assert opened(owner, sealed(owner, LATER, gateway="*")).rules


def test_mistakes_in_its_rules_are_told_with_their_lines(owner: BoxKey) -> None:
    with pytest.raises(ConfigError, match="line 5"):
        opened(owner, sealed(owner, LATER.replace("!in_bed", "!inbed")))
    with pytest.raises(ConfigError, match="TOML"):
        opened(owner, sealed(owner, "[rule"))
    with pytest.raises(ConfigError, match="expected a list"):
        opened(owner, sealed(owner, 'disable = "night_exit"\n' + LATER))


def test_for_one_resident_a_rule_is_replaced_and_for_all_others_it_stands(owner: BoxKey) -> None:
    rules = apply_bundle(DEFAULTS, opened(owner, sealed(owner, LATER)))
    ward = Night(rules, beds=(BedScope("b-1", resident="r-1"), BedScope("b-2", resident="r-2")), devices=())
    for _ in range(50 * 60):
        ward.seconds += 1
        for bed in ("b-1", "b-2"):
            ward.measure("bed_occupied", 0, bed=bed, device=f"belt-{bed}")
        ward.tick()
    told = [
        (alarm.bed, alarm.bundle.partition(":")[0], alarm.raised.since_s(alarm.onset))
        for alarm in ward.raised("night_exit")
    ]
    assert told == [("b-2", "built-in", 900.0), ("b-1", "r-1-profile@3", 2700.0)]


def test_for_one_resident_a_removable_rule_is_disabled_and_sos_still_calls(owner: BoxKey) -> None:
    bundle = opened(owner, sealed(owner, 'disable = ["night_exit", "heart_rate_low"]\n'))
    ward = Night(apply_bundle(DEFAULTS, bundle), beds=(BedScope(BED, resident="r-1"),), devices=())
    ward.go(1200, bed_occupied=0)
    assert not ward.raised("night_exit")
    assert len(ward.event("sos_pressed", device=BUTTON)) == 1


@pytest.mark.parametrize("rule", sorted(FLOOR | {"input_lost"}))
def test_the_safety_floor_is_neither_disabled_nor_replaced_by_any_signature(owner: BoxKey, rule: str) -> None:
    bundle = opened(owner, sealed(owner, f'disable = ["{rule}"]\n'))
    with pytest.raises(ConfigError, match="not even by signature"):
        apply_bundle(DEFAULTS, bundle)
    with pytest.raises(ConfigError, match=r"safety floor|not even by signature"):
        apply_bundle(DEFAULTS, opened(owner, sealed(owner, rule_text(rule))))


def test_a_bundle_cannot_hide_the_floor_behind_another_alarm(owner: BoxKey) -> None:
    with pytest.raises(ConfigError, match="never hidden"):
        opened(owner, sealed(owner, rule_text("greedy", explains='["fall"]')))


def test_without_a_resident_it_only_adds(owner: BoxKey) -> None:
    added = opened(owner, sealed(owner, rule_text("extra", when='"room_temperature < 12"'), resident=""))
    assert len(apply_bundle(DEFAULTS, added)) == len(DEFAULTS) + 1
    for text in (LATER, 'disable = ["night_exit"]\n'):
        with pytest.raises(ConfigError, match="one resident only"):
            apply_bundle(DEFAULTS, opened(owner, sealed(owner, text, resident="")))


def test_a_resident_s_bundle_cannot_change_the_box_and_unknown_names_are_told(owner: BoxKey) -> None:
    with pytest.raises(ConfigError, match="not about a bed"):
        apply_bundle(DEFAULTS, opened(owner, sealed(owner, rule_text("x", scope='"upstream"', when='"!uplink"'))))
    with pytest.raises(ConfigError, match="no rule 'night_exits'"):
        apply_bundle(DEFAULTS, opened(owner, sealed(owner, 'disable = ["night_exits"]\n')))
