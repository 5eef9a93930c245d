"""The directory of compiled kernels: its name, its manifest, its disposal. Knows nothing of numba.

numba writes its cache without fsync, and loading a damaged file can abort the process. So a directory is used only
when a manifest, written and synced after its files, names each of them with its SHA-256; anything else is deleted and
compiled anew. Users of one directory take turns through a lock file beside it.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "kernels-"
MANIFEST = "MANIFEST.json"
SPACE_BYTES = 2 * 1024 * 1024  # a full set of kernels takes 0.4 MB; a full disk must be noticed before numba meets it


def directory(cache_dir: Path, *facts: str) -> Path:
    """Where kernels made from these facts (sources, options, versions, CPU) belong under `cache_dir`."""
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]
    return cache_dir / f"{PREFIX}{digest}"


def writable(cache_dir: Path) -> bool:
    """True when a cache's worth of files can be made under `cache_dir` (which is created if need be)."""
    probe = cache_dir / f".probe-{os.getpid()}"
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(SPACE_BYTES))
        probe.unlink()
    except OSError:
        with suppress(OSError):  # the probe may not exist, or lie where nothing can
            probe.unlink()
        return False
    return True


@contextmanager
def locked(cache_dir: Path) -> Iterator[None]:
    """Alone with the directory until the end of the block; a holder that dies lets go."""
    with open(cache_dir / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fault(kernels: Path) -> str:
    """Why the directory may not be loaded, as a sentence; empty when every file is what the manifest says."""
    try:
        manifest = json.loads((kernels / MANIFEST).read_text(encoding="ascii"))
        seen = _digests(kernels)
    except FileNotFoundError:
        return "there is no manifest"
    except ValueError:
        return "the manifest is damaged"
    except OSError as error:
        return f"a file cannot be read: {error}"
    if not isinstance(manifest, dict):
        return "the manifest is damaged"
    if seen == manifest:
        return ""
    differing = sorted(name for name in seen.keys() | manifest.keys() if seen.get(name) != manifest.get(name))
    return f"{len(differing)} of {len(manifest)} files differ from the manifest, first {differing[0]}"


def seal(kernels: Path) -> None:
    """Sync every file and directory to disk, then write and sync the manifest (replaced in one step)."""
    for path in _files(kernels):
        _sync(path)
    for path in {kernels, *(file.parent for file in _files(kernels))}:
        _sync(path)
    draft = kernels / f".{MANIFEST}"
    draft.write_text(json.dumps(_digests(kernels), indent=1, sort_keys=True), encoding="ascii")
    _sync(draft)
    draft.replace(kernels / MANIFEST)
    _sync(kernels)


def wipe_all(cache_dir: Path) -> None:
    """Delete every directory of kernels under `cache_dir`. OSError when one cannot be deleted."""
    for kernels in sorted(cache_dir.glob(f"{PREFIX}*")):
        shutil.rmtree(kernels)


def _files(kernels: Path) -> Iterable[Path]:
    return sorted(path for path in kernels.rglob("*") if path.is_file() and path.name not in (MANIFEST, f".{MANIFEST}"))


def _digests(kernels: Path) -> dict[str, str]:
    return {
        path.relative_to(kernels).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in _files(kernels)
    }


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
