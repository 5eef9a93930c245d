"""sqlite_utils without pandas: it imports pandas when that is installed, for a feature that is not used here.

On a developer's machine, where the peers of the signal benchmark bring pandas, the daemon would grow by 38 MB.
"""

import importlib
import sys
from types import ModuleType


def sqlite_utils_alone() -> ModuleType:
    """The module, imported while pandas is hidden; whoever wants pandas later gets it."""
    known = sys.modules.get("pandas")
    if known is None:
        sys.modules["pandas"] = None  # type: ignore[assignment]  # the import system's word for "not there"
    try:
        return importlib.import_module("sqlite_utils")
    finally:
        if known is None:
            del sys.modules["pandas"]
