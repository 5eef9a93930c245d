"""The box's key: made once, readable by its user alone, never quietly replaced."""

import base64
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.keys import BoxKey, KeyFileError, key_id, verifier, verify


def write(path: Path, text: bytes) -> Path:
    path.write_bytes(text)
    path.chmod(0o600)
    return path


def test_a_key_is_made_once_and_found_again(tmp_path: Path) -> None:
    first = BoxKey.load_or_create(tmp_path / "box.pem")
    again = BoxKey.load_or_create(tmp_path / "box.pem")
    assert (again.public, again.key_id) == (first.public, first.key_id)
    assert os.listdir(tmp_path) == ["box.pem"]


def test_a_new_key_is_readable_by_its_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        BoxKey.load_or_create(tmp_path / "box.pem")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "box.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    BoxKey.load_or_create(tmp_path / "box.pem")
    (tmp_path / "box.pem").chmod(mode)
    with pytest.raises(KeyFileError, match="mode") as caught:
        BoxKey.load_or_create(tmp_path / "box.pem")
    assert "chmod 600" in caught.value.hint


def test_a_damaged_key_is_told_and_never_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "box.pem", b"")
    for content in (b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", bytes(64)):
        write(path, content)
        with pytest.raises(KeyFileError, match="no private key"):
            BoxKey.load_or_create(path)
        assert path.read_bytes() == content


def test_a_key_of_another_kind_is_told(tmp_path: Path) -> None:
    pem = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(KeyFileError, match="expected an Ed25519 key"):
        BoxKey.load_or_create(write(tmp_path / "box.pem", pem))


def test_a_link_in_place_of_the_key_is_not_followed(tmp_path: Path) -> None:
    BoxKey.load_or_create(tmp_path / "elsewhere.pem")
    (tmp_path / "box.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(KeyFileError):
        BoxKey.load_or_create(tmp_path / "box.pem")


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError) as caught:
        BoxKey.load_or_create(tmp_path / "missing" / "box.pem")
    assert "state directory" in caught.value.hint


def test_a_draft_left_by_a_run_that_died_does_not_stand_in_the_way(tmp_path: Path) -> None:
    write(tmp_path / ".box.pem.draft", b"half a ke")
    key = BoxKey.load_or_create(tmp_path / "box.pem")
    assert BoxKey.load_or_create(tmp_path / "box.pem").key_id == key.key_id


def test_a_signature_is_genuine_for_exactly_its_message_and_key(tmp_path: Path) -> None:
    box = BoxKey.load_or_create(tmp_path / "box.pem")
    other = BoxKey.load_or_create(tmp_path / "other.pem")
    signature = box.sign(b"message")
    assert len(signature) == 64
    assert verify(box.public, b"message", signature)
    assert not verify(box.public, b"message.", signature)
    assert not verify(other.public, b"message", signature)
    for wrong in (b"", signature[:-1], signature + b"\0", bytes(64)):
        assert not verify(box.public, b"message", wrong)


def test_the_signature_of_rfc_8032_test_2_is_verified() -> None:
    """RFC 8032, section 7.1, TEST 2."""
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    wanted = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    box = BoxKey(Ed25519PrivateKey.from_private_bytes(secret))
    assert base64.b64decode(box.public) == public
    assert box.sign(b"\x72") == wanted
    assert verifier(base64.b64encode(public).decode())(b"\x72", wanted)


@pytest.mark.parametrize("public", ["", "AAAA", "not base64", "A" * 44, "é" * 44])
def test_what_is_no_public_key_is_refused(public: str) -> None:
    with pytest.raises(KeyFileError, match="public key"):
        verifier(public)
    with pytest.raises(KeyFileError, match="public key"):
        key_id(public)
