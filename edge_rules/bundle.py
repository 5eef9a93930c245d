"""Signed rule bundles: what a clinical owner changes for one resident, and what not even a signature can change.

A bundle is one JSON text: {"manifest": JSON text, "rules": TOML text, "signature": base64}. The signature is Ed25519
over PREFIX and the manifest's bytes; the manifest names the SHA-256 of the rules' bytes. The private key is not on the
box and not on the platform: whoever breaks into either cannot sign.
"""

import base64
import binascii
import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn

import msgspec

from edge_rules.rule import FLOOR, Per, Rule, Scope
from edge_rules.rulefile import load_rules
from gateway.core.errors import CarebedError, ConfigError, Fault

PREFIX = b"carebed-rules-1\n"  # a signature over anything else can never pass for one over a bundle
MAX_BYTES = 1_000_000  # before anything is parsed
Verify = Callable[[bytes, bytes], bool]  # (message, signature) -> genuine


class BundleError(CarebedError):
    """A bundle that is refused; the rules in force stay."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed. gateway "*" is every box of the tenant; resident "" is nobody in particular (new rules only)."""

    id: str
    version: int
    sha256: str
    tenant: str
    gateway: str
    resident: str
    not_before: datetime
    expires: datetime
    key_id: str

    @property
    def tag(self) -> str:
        """What an alarm says of the bundle behind its rule."""
        return f"{self.id}@{self.version}:{self.sha256[:12]}"


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    manifest: str
    rules: str
    signature: str


@dataclass(frozen=True, slots=True)
class Box:
    """Who is asked to take a bundle: tenant and gateway id, and the highest version by bundle id taken so far."""

    tenant: str
    gateway: str
    versions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was found genuine and meant for this box."""

    manifest: Manifest
    rules: tuple[Rule, ...]
    disabled: frozenset[str]

    def in_force(self, utc: datetime) -> bool:
        """False before its first and after its last moment."""
        return self.manifest.not_before <= utc < self.manifest.expires


def seal(manifest: Manifest, rules: str, sign: Callable[[bytes], bytes]) -> str:
    """The signed text, for the clinical owner's tool and the tests; sha256 of the manifest is filled in."""
    manifest = msgspec.structs.replace(manifest, sha256=hashlib.sha256(rules.encode()).hexdigest())
    body = msgspec.json.encode(manifest)
    sealed = _Sealed(body.decode(), rules, base64.b64encode(sign(PREFIX + body)).decode())
    return msgspec.json.encode(sealed).decode()


def open_bundle(text: str, keys: Mapping[str, Verify], box: Box, utc: datetime) -> Bundle:
    """Check signature, digest, addressee, version and time, in this order, then read the rules.

    keys: verifier by key id. BundleError for anything about the bundle, ConfigError with every fault of its rules.
    """
    sealed = _decode(text)
    manifest = _genuine(sealed, keys)
    if hashlib.sha256(sealed.rules.encode()).hexdigest() != manifest.sha256:
        _refuse("the rules are not those that were signed", "have it signed again, rules and manifest together")
    if manifest.tenant != box.tenant or manifest.gateway not in ("*", box.gateway):
        _refuse(f"it is meant for {manifest.tenant}/{manifest.gateway}", "send it to the box it was signed for")
    highest = box.versions.get(manifest.id, 0)
    if manifest.version <= highest:
        _refuse(f"version {manifest.version} is not newer than {highest}", "raise the version and sign it again")
    if manifest.expires <= utc:
        _refuse(f"it expired on {manifest.expires:%Y-%m-%d}", "have it signed again with a later date")
    path = f"bundle {manifest.id}"
    disabled = _disabled(sealed.rules, path)
    return Bundle(manifest, load_rules(sealed.rules, path, bundle=manifest.tag), disabled)


def apply_bundle(base: Sequence[Rule], bundle: Bundle) -> tuple[Rule, ...]:
    """The rules with a bundle laid over them.

    For one resident it may replace or disable removable rules, and add new ones; without a resident it only adds. The
    base rule goes on for everybody else. ConfigError with every fault.
    """
    resident = bundle.manifest.resident
    known = {rule.id: rule for rule in base}
    touched = bundle.disabled | {rule.id for rule in bundle.rules if rule.id in known}
    faults = [fault for name in sorted(touched) if (fault := _untouchable(name, known, resident)) is not None]
    faults += [
        Fault(0, f"rule.{rule.id}", "explains a rule of the safety floor", "leave it out")
        for rule in bundle.rules
        if rule.explains & FLOOR
    ]
    if resident:
        faults += [
            Fault(0, f"rule.{rule.id}", "is not about a bed or device", "a resident's bundle cannot change the box")
            for rule in bundle.rules
            if rule.scope.per not in (Per.BED, Per.DEVICE)
        ]
    if faults:
        raise ConfigError(f"bundle {bundle.manifest.id}", tuple(faults))
    kept = [_without(rule, resident) if rule.id in touched else rule for rule in base]
    return (*kept, *(_only_for(rule, resident) for rule in bundle.rules))


def _untouchable(name: str, known: Mapping[str, Rule], resident: str) -> Fault | None:
    if name not in known:
        return Fault(0, "disable", f"there is no rule {name!r}", f"known: {', '.join(sorted(known))}")
    if name in FLOOR or not known[name].removable:
        return Fault(0, f"rule.{name}", "cannot be replaced or disabled, not even by signature", "leave it out")
    if not resident:
        return Fault(0, f"rule.{name}", "can be replaced or disabled for one resident only", "name the resident")
    return None


def _without(rule: Rule, resident: str) -> Rule:
    return replace(rule, scope=replace(rule.scope, except_residents=rule.scope.except_residents | {resident}))


def _only_for(rule: Rule, resident: str) -> Rule:
    if not resident:
        return rule
    scope: Scope = replace(rule.scope, residents=frozenset({resident}))
    return replace(rule, scope=scope)


def _decode(text: str) -> _Sealed:
    if len(text) > MAX_BYTES:
        _refuse(f"{len(text)} characters, at most {MAX_BYTES}", "this is not a rule bundle")
    try:
        return msgspec.json.decode(text, type=_Sealed)
    except msgspec.MsgspecError as error:
        raise BundleError(f"bundle refused: cannot be read: {error}", hint="send the file as it was sealed") from error


def _genuine(sealed: _Sealed, keys: Mapping[str, Verify]) -> Manifest:
    """The manifest, if a known key signed exactly these bytes."""
    try:
        manifest = msgspec.json.decode(sealed.manifest, type=Manifest)
        signature = base64.b64decode(sealed.signature, validate=True)
    except (msgspec.MsgspecError, binascii.Error) as error:
        raise BundleError(
            f"bundle refused: its manifest cannot be read: {error}", hint="send the file as it was sealed"
        ) from error
    verify = keys.get(manifest.key_id)
    if verify is None:
        _refuse(f"it is signed with the unknown key {manifest.key_id[:32]!r}", "check bundle_key in carebed.toml")
    if not verify(PREFIX + sealed.manifest.encode(), signature):
        _refuse("the signature is not genuine", "it was altered on its way, or signed with another key")
    if manifest.not_before.tzinfo is None or manifest.expires.tzinfo is None:
        _refuse("not_before and expires need a time zone", "write them in UTC, as 2026-11-24T00:00:00Z")
    return manifest


def _disabled(rules: str, path: str) -> frozenset[str]:
    """The list `disable` at the head of the rules; a syntax error is left to load_rules, which knows its line."""
    try:
        value = tomllib.loads(rules).get("disable", [])
    except tomllib.TOMLDecodeError:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        fault = Fault(0, "disable", f"expected a list of rules, found {value!r}", 'as disable = ["night_exit"]')
        raise ConfigError(path, (fault,))
    return frozenset(value)


def _refuse(message: str, hint: str) -> NoReturn:
    raise BundleError(f"bundle refused: {message}", hint=hint)
