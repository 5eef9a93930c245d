"""How a loop is compiled: numba's decorator with the house's options, and the types that kernels take.

The same source is plain Python when NUMBA_DISABLE_JIT=1: the oracle in the tests and the fallback of the worker.
Results are cached only when NUMBA_CACHE_DIR is set; `gateway.worker` sets it after it has checked the directory.
Each kernel takes float64 arrays that the caller owns (C-contiguous, writable: another layout would compile again) and
gives the same result for any chunking of its input. Reductions may be reassociated; NaN checks are never dropped.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = "nogil error_model=numpy reductions=reassoc,contract"  # part of the cache directory's name


def _compiler(*fastmath: str) -> Callable[[F], F]:
    """numba's decorator with the house's options, or the identity when the JIT is off (numba is then not imported)."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return lambda function: function
    from numba import njit

    cached = bool(os.environ.get("NUMBA_CACHE_DIR"))
    decorate: Callable[[F], F] = njit(
        cache=cached, nogil=True, error_model="numpy", fastmath=set(fastmath) if fastmath else False
    )
    return decorate


kernel = _compiler()
reduction = _compiler("reassoc", "contract")
