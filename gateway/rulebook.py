"""Which rules are in force on this box: the built-in ones, and over them the signed bundle that the file names.

A bundle that cannot be trusted changes nothing: the built-in rules stay in force and the refusal is trouble of the box.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from edge_rules.bundle import Box, apply_bundle, open_bundle
from edge_rules.rule import Rule
from edge_rules.rulefile import load_defaults
from gateway.config import Config
from gateway.core.errors import CarebedError
from gateway.keys import key_id, verifier
from gateway.store.database import Store

FRESH_REAL_S = 0.5  # real time within which a value counts as fresh, however fast the clock runs
UNKNOWN_REAL_S = 30.0  # real time a missing input is borne before it becomes an alarm of its own
TAKEN_KEY = "rules.bundles"  # setting: {bundle id: [version, sha256 of the sealed text]}


@dataclass(frozen=True, slots=True)
class Rulebook:
    """rev and sha256 of what is in force, for the birth message; refused: why the bundle was not taken, "" if it was.

    signed: a clinical owner's bundle is in force.
    """

    rules: tuple[Rule, ...]
    rev: int
    sha256: str
    signed: bool = False
    refused: str = ""
    hint: str = ""


async def open_rulebook(config: Config, store: Store, utc: datetime) -> Rulebook:
    """Never raises for a bad bundle; ConfigError when the built-in rules themselves are damaged."""
    rules = _unhurried(load_defaults(), config.clock.speed if config.clock else 1.0)
    built_in = Rulebook(rules, 0, _digest(rules))
    if config.rules.bundle is None or config.rules.bundle_key is None:
        return built_in
    try:
        text = config.rules.bundle.read_text(encoding="utf-8")
        return await _with_bundle(built_in, text, config, store, utc)
    except OSError as error:
        refused = f"the bundle {config.rules.bundle} cannot be read: {error.strerror}"
        return Rulebook(rules, 0, built_in.sha256, refused=refused, hint="check [rules] bundle in carebed.toml")
    except CarebedError as error:
        return Rulebook(rules, 0, built_in.sha256, refused=str(error), hint=error.hint)


async def _with_bundle(built_in: Rulebook, text: str, config: Config, store: Store, utc: datetime) -> Rulebook:
    digest = hashlib.sha256(text.encode()).hexdigest()
    taken = msgspec.json.decode(await store.journal.setting(TAKEN_KEY) or b"{}", type=dict[str, tuple[int, str]])
    # The bundle in force is read again at each start; only another text must have a higher version.
    versions = {name: version - (known == digest) for name, (version, known) in taken.items()}
    tenant = config.upstream[0].tenant if config.upstream else ""
    signer = config.rules.bundle_key or ""
    keys = {key_id(signer): verifier(signer)}
    bundle = open_bundle(text, keys, Box(tenant, config.site.gateway, versions), utc)
    rules = apply_bundle(built_in.rules, bundle) if bundle.in_force(utc) else built_in.rules
    taken[bundle.manifest.id] = (bundle.manifest.version, digest)
    store.journal.set_setting(TAKEN_KEY, msgspec.json.encode(taken))
    return Rulebook(rules, bundle.manifest.version, bundle.manifest.sha256, signed=bundle.in_force(utc))


def _unhurried(rules: tuple[Rule, ...], speed: float) -> tuple[Rule, ...]:
    """A demonstration's fast clock makes neither the radio nor the worker faster: 5 s of it may be 125 ms of theirs,
    and 5 min less than a cold start on a busy machine."""
    return rules if speed <= 1.0 else tuple(_patient(rule, speed) for rule in rules)


def _patient(rule: Rule, speed: float) -> Rule:
    inputs = {
        name: replace(source, fresh_s=max(source.fresh_s, FRESH_REAL_S * speed)) for name, source in rule.inputs.items()
    }
    unknown_s = rule.quality.unknown_after_s and max(rule.quality.unknown_after_s, UNKNOWN_REAL_S * speed)
    return replace(rule, inputs=inputs, quality=replace(rule.quality, unknown_after_s=unknown_s))


def _digest(rules: tuple[Rule, ...]) -> str:
    return hashlib.sha256(repr([(rule.id, rule.rev) for rule in rules]).encode()).hexdigest()
