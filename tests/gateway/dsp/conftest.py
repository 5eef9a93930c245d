"""One warm kernel cache for the whole session, set up before any test imports the kernels (numba reads it once)."""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from gateway.worker import warm_up

# Of this checkout alone: two that differ in their kernels would throw away each other's cache in mid-test.
CHECKOUT = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:8]
KERNELS = Path(tempfile.gettempdir()) / f"carebed-test-kernels-{os.getuid()}-{CHECKOUT}"


@pytest.fixture(scope="session", autouse=True)
def warm_kernels() -> Path:
    """The directory, filled and checked as the worker does it."""
    return KERNELS


warm_up(KERNELS, lambda name, seconds: None)
