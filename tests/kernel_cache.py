"""One warm kernel cache for the whole test session, known before any test imports the kernels (numba reads it once).

`tests/conftest.py` imports this module first. A test file that reached the kernels earlier would compile them without a
cache, and the tests of the cache would find it empty.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from gateway.worker import warm_up

# Of this checkout alone: two that differ in their kernels would throw away each other's cache in mid-test.
CHECKOUT = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:8]
KERNELS = Path(tempfile.gettempdir()) / f"carebed-test-kernels-{os.getuid()}-{CHECKOUT}"

warm_up(KERNELS, lambda name, seconds: None)
