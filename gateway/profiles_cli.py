"""What `carebed profile` and `carebed vectors` print, and their exit codes."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from drivers import profile_tools, vectors
from gateway.core.errors import ConfigError, ProtocolError

GOOD, FAILED, FAULTY = 0, 1, 78


def check(files: Sequence[Path]) -> int:
    """Every fault of every file; FAULTY when there is one."""
    worst = GOOD
    for file in files:
        try:
            profile = profile_tools.check(file)
        except ConfigError as error:
            print(f"{error}\nmend the file, then: carebed profile check {file}", file=sys.stderr)
            worst = FAULTY
        else:
            count = len(profile.tests)
            print(f"{file}: good: {profile.device.id}, {count} vector{'s' if count != 1 else ''} decoded")
    return worst


def supported(into: Path | None) -> int:
    """The table of supported devices; written into a Markdown file that has its marks, where one is given."""
    if into is not None:
        profile_tools.write_table(into)
        return GOOD
    print("\n".join(profile_tools.table()))
    return GOOD


def decode(
    model: str, hexadecimal: str, *, poll: int = 0, source: int = 0, kind: str | None = None, context: Sequence[str]
) -> int:
    """The values as one JSON document; FAILED with the reason when they are refused. context: "name=value" each."""
    known = dict(entry.partition("=")[::2] for entry in context)
    try:
        values = profile_tools.decode(model, hexadecimal, poll=poll, source=source, kind=kind, context=known)
    except ProtocolError as error:
        print(f"refused: {error}\n{error.hint}", file=sys.stderr)
        return FAILED
    except ConfigError as error:
        print(error, file=sys.stderr)
        return FAULTY
    print(json.dumps(dict(values), default=_plain, ensure_ascii=False))
    return GOOD


def run_vectors(files: Sequence[Path]) -> int:
    """Each failure and the count; FAILED when any case fails."""
    passed = failed = 0
    for file in files:
        for outcome in vectors.run_file(file):
            if not outcome.difference:
                passed += 1
                continue
            failed += 1
            print(f"{file.name}: {outcome.case}: {outcome.difference}\n  {outcome.hex}")
    print(f"{passed} passed, {failed} failed")
    return FAILED if failed else GOOD


def _plain(value: Any) -> Any:
    """Dates as texts, arrays as lists."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.tolist() if hasattr(value, "tolist") else str(value)
