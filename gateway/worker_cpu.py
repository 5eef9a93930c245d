"""Which CPU machine code is made for: this one, or any of its kind (`generic`), whatever the environment says.

numba takes NUMBA_CPU_NAME and NUMBA_CPU_FEATURES as they are. A name that LLVM does not know may abort the process; one
that it knows gives code that this CPU may not be able to run. Both would look like a damaged cache, again and again.
"""

import logging
import os
from collections.abc import Mapping

NAME, FEATURES = "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"
ANY = ("host", "generic")
log = logging.getLogger("carebed.worker")


def settle() -> str:
    """The CPU as it will be compiled for: part of the cache directory's name. What does not fit this one is taken out
    of the environment with a warning. Before numba is imported, which reads it once."""
    from llvmlite import binding  # type: ignore[import-untyped]

    host = str(binding.get_host_cpu_name())
    for key, why in misfits(os.environ, host, dict(binding.get_host_cpu_features())).items():
        log.warning("%s=%s is left out: %s", key, os.environ.pop(key), why)
    return f"{host} {os.environ.get(NAME, '')} {os.environ.get(FEATURES, '')}"


def misfits(environment: Mapping[str, str], host: str, has: Mapping[str, bool]) -> dict[str, str]:
    """Why a variable cannot be obeyed on the CPU `host` with these features."""
    found: dict[str, str] = {}
    name = environment.get(NAME)
    if name is not None and name not in (*ANY, host):
        found[NAME] = f"this CPU is {host}"
    wanted = [part.strip() for part in environment.get(FEATURES, "").split(",") if part.strip()]
    lacking = [part for part in wanted if part[0] not in "+-" or (part[0] == "+" and not has.get(part[1:]))]
    if lacking:
        found[FEATURES] = f"this CPU has no {lacking[0]}"
    return found
