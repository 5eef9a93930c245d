"""Errors sorted by what the caller does next: the message says what was seen and expected, the hint what to do."""

from dataclasses import dataclass


class CarebedError(Exception):
    """Root of every error this project raises on purpose; `hint` is the next action in plain words."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class LinkError(CarebedError):
    """A port, radio or peer is not there now: wait and retry."""


class PairingError(CarebedError):
    """Bonding failed or was lost: a person must pair the device again; retrying does not help."""


class ProtocolError(CarebedError):
    """Bytes that do not follow the device's format: count, keep the raw hex, resynchronise."""


class StoreError(CarebedError):
    """The databases cannot be read or written."""


class StoreBusyError(StoreError):
    """Another process has the databases: there is nothing to mend, one of the two must not run."""


class UpstreamError(CarebedError):
    """A platform or its broker refused or did not answer."""


class WorkerError(CarebedError):
    """The signal worker died, hung or broke its protocol: restart it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in a file a person wrote.

    line: 1-based line in the file, 0 where the fault belongs to the whole file (a missing section).
    """

    line: int
    key: str
    message: str
    hint: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "file"
        return f"{where}: {self.key}: {self.message} ({self.hint})"


class ConfigError(CarebedError):
    """A file must be mended by its author; carries every fault at once, not the first."""

    def __init__(self, path: str, faults: tuple[Fault, ...]) -> None:
        count = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
        super().__init__(
            f"{path}: {count}\n" + "\n".join(f"  {fault}" for fault in faults),
            hint=f"mend the file, then: carebed check-config {path}",
        )
        self.path = path
        self.faults = faults
