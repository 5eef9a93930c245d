"""Promises of the rulebook: what is in force on this box, and what happens to a bundle that cannot be trusted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_rules.bundle import Manifest, seal
from edge_rules.rule import FLOOR
from gateway.config import Config, parse
from gateway.core.clock import ManualClock
from gateway.keys import BoxKey
from gateway.rulebook import FRESH_REAL_S, UNKNOWN_REAL_S, Rulebook, open_rulebook
from gateway.store.database import Store
from tests.edge_rules.night import rule_text

NOW = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
LATER = rule_text("night_exit", when='"!in_bed"', for_='"45m"', latch="true", schedule='"22:00-06:00 local"')
SITE = '[site]\ngateway = "gw-3F2A9C"\nsite = "s-1"\ntime_zone = "Europe/Paris"\nmode = "test"\n'
UPLINK = '[[upstream]]\nname = "district"\nhost = "127.0.0.1"\ntenant = "t1"\nplaintext = true\n'


@pytest.fixture(name="owner")
def clinical_owner(tmp_path: Path) -> BoxKey:
    return BoxKey.load_or_create(tmp_path / "owner.pem")


def bundle(owner: BoxKey, version: int, rules: str = LATER) -> str:
    plain = Manifest(
        "r-1-profile", version, "", "t1", "gw-3F2A9C", "p-7Q4MZ2K9", NOW - timedelta(days=1), NOW + timedelta(days=90),
        owner.key_id,
    )  # fmt: skip
    return seal(plain, rules, owner.sign)


def configured(owner: BoxKey, path: Path) -> Config:
    return parse(f'{SITE}{UPLINK}[rules]\nbundle_key = "{owner.public}"\nbundle = "{path}"\n')


async def opened(config: Config, state: Path) -> Rulebook:
    store = await Store.open(state, ManualClock(utc=NOW))
    try:
        return await open_rulebook(config, store, NOW)
    finally:
        await store.close()


async def test_without_a_bundle_the_built_in_rules_are_in_force(tmp_path: Path) -> None:
    book = await opened(parse(SITE), tmp_path)
    assert {rule.id for rule in book.rules} >= FLOOR
    assert (book.rev, book.signed, book.refused) == (0, False, "")


async def test_a_signed_bundle_is_in_force_and_stays_so_at_the_next_start(tmp_path: Path, owner: BoxKey) -> None:
    path = tmp_path / "bundle.json"
    path.write_text(bundle(owner, 3))
    for _ in range(2):
        book = await opened(configured(owner, path), tmp_path / "state")
        assert (book.rev, book.signed, book.refused) == (3, True, "")
        holds = {rule.hold.need_s for rule in book.rules if rule.id == "night_exit"}
        assert holds == {45 * 60.0, 15 * 60.0}  # for this resident, and for everybody else


async def test_an_older_bundle_than_the_one_taken_is_refused_and_the_built_in_rules_stay(
    tmp_path: Path, owner: BoxKey
) -> None:
    path = tmp_path / "bundle.json"
    path.write_text(bundle(owner, 3))
    await opened(configured(owner, path), tmp_path / "state")
    path.write_text(bundle(owner, 2))
    book = await opened(configured(owner, path), tmp_path / "state")
    assert not book.signed
    assert "version 2" in book.refused
    assert book.hint
    assert {rule.id for rule in book.rules} >= FLOOR


@pytest.mark.parametrize("text", ["", "{}", "not json at all", None])
async def test_a_bundle_that_is_none_changes_nothing(tmp_path: Path, owner: BoxKey, text: str | None) -> None:
    path = tmp_path / "bundle.json"
    if text is not None:
        path.write_text(text)
    book = await opened(configured(owner, path), tmp_path / "state")
    assert book.refused
    assert book.hint
    assert {rule.id for rule in book.rules} == {rule.id for rule in (await opened(parse(SITE), tmp_path / "o")).rules}


async def test_a_bundle_of_another_signer_is_refused(tmp_path: Path, owner: BoxKey) -> None:
    other = BoxKey.load_or_create(tmp_path / "other.pem")
    path = tmp_path / "bundle.json"
    path.write_text(bundle(other, 3))
    assert (await opened(configured(owner, path), tmp_path / "state")).refused


async def test_only_a_scaled_clock_is_given_real_time_for_freshness(tmp_path: Path) -> None:
    real = await opened(parse(SITE), tmp_path / "a")
    clock = "[clock]\nspeed = 40.0\norigin_real_ns = 1\norigin_utc_ns = 1\n"
    fast = await opened(parse(SITE + clock), tmp_path / "b")
    slow = {rule.id: rule for rule in real.rules}
    assert slow["heart_rate_high"].inputs["hr"].fresh_s == 5.0
    for rule in fast.rules:
        assert all(source.fresh_s >= 40 * FRESH_REAL_S for source in rule.inputs.values())
        assert rule.quality.unknown_after_s == 0 or rule.quality.unknown_after_s >= 40 * UNKNOWN_REAL_S
        assert rule.hold == slow[rule.id].hold  # what the rule promises to people is never stretched
