"""The box's own Ed25519 key, and signatures of others: raw keys as base64, detached signatures of 64 bytes.

The private key is made on the box, is readable by its user alone and never leaves it.
"""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.core.errors import CarebedError

MODE = 0o600
_KEY_BYTES = 32  # RFC 8032
_DIRECTORY_HINT = "check owner and mode of the state directory"


class KeyFileError(CarebedError):
    """The key file cannot be used: a person must look."""


class BoxKey:
    """A private key that signs for this box."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.public = base64.b64encode(raw).decode()
        self.key_id = key_id(self.public)

    @classmethod
    def load_or_create(cls, path: Path) -> "BoxKey":
        """The key in `path`, made on first use with mode 0600.

        KeyFileError when the file is readable by others, is not a file, cannot be read or holds no Ed25519 key: a new
        identity is never made in place of a damaged one.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return cls._create(path)
        except OSError as error:
            raise KeyFileError(f"{path}: {error.strerror}", hint=_DIRECTORY_HINT) from error
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                seen = stat.filemode(status.st_mode)
                raise KeyFileError(f"{path}: mode {seen}, expected -rw-------", hint=f"chmod 600 {path}")
            return cls._read(path, file.read())

    @classmethod
    def _read(cls, path: Path, pem: bytes) -> "BoxKey":
        hint = "restore it from the backup; removing it gives the box a new identity, which the platform must be told"
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except ValueError as error:
            raise KeyFileError(f"{path}: no private key in it", hint=hint) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: expected an Ed25519 key, found {type(key).__name__}", hint=hint)
        return cls(key)

    @classmethod
    def _create(cls, path: Path) -> "BoxKey":
        """Written beside its place and linked into it: either whole or not there, and never over another's."""
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        draft = path.with_name(f".{path.name}.draft")
        draft.unlink(missing_ok=True)  # of a run that died here
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            return cls.load_or_create(path)
        except OSError as error:
            raise KeyFileError(f"{path}: {error.strerror}", hint=_DIRECTORY_HINT) from error
        finally:
            draft.unlink(missing_ok=True)
        _sync_directory(path.parent)
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        """Detached signature, 64 bytes."""
        return self._key.sign(message)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def key_id(public: str) -> str:
    """Short name of a public key: the first 16 hex digits of its SHA-256. KeyFileError for what is no key."""
    return hashlib.sha256(_raw(public)).hexdigest()[:16]


def verifier(public: str) -> Callable[[bytes, bytes], bool]:
    """A function (message, signature) -> genuine. KeyFileError when `public` is not a base64 Ed25519 key."""
    key = Ed25519PublicKey.from_public_bytes(_raw(public))

    def verify(message: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return verify


def verify(public: str, message: bytes, signature: bytes) -> bool:
    """Whether the owner of `public` signed exactly this message."""
    return verifier(public)(message, signature)


def _raw(public: str) -> bytes:
    try:
        raw = base64.b64decode(public, validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyFileError("a public key is not base64", hint="copy the key again, all 44 characters of it") from error
    if len(raw) != _KEY_BYTES:
        raise KeyFileError(
            f"a public key of {len(raw)} bytes, expected {_KEY_BYTES}", hint="copy the key again, all 44 characters"
        )
    return raw
