"""The store's library brings nothing that the store does not use."""

import subprocess
import sys


def test_the_store_does_not_load_pandas_and_leaves_it_to_others() -> None:
    code = (
        "import sys, gateway.store.database\n"
        "assert 'pandas' not in sys.modules, 'pandas was loaded'\n"
        "import importlib.util\n"
        "assert importlib.util.find_spec('pandas') is not None, 'pandas is hidden for good'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
