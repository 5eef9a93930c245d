"""On which line of a TOML file each key stands, also when parts of the file do not parse.

tomllib gives values without lines and stops at the first mistake. Here a line that does not parse is set aside and the
rest is read again, so that a person gets every fault of the file in one go.
"""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.core.errors import Fault

KeyPath = tuple[str | int, ...]  # ("poll", 1, "field", 0, "name"): the second [[poll]], its first field, key name

MAX_SYNTAX_FAULTS = 50  # more is not a configuration file but something else that was given by mistake

_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\"'\- ]+?)\s*\]\]?\s*(#.*)?$")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_KEY = re.compile(rf"^\s*((?:{_PART.pattern})(?:\s*\.\s*(?:{_PART.pattern}))*)\s*=(.*)$")
_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(slots=True)
class Document:
    """What could be read of the file: values, the line of each key, faults of syntax, and the keys they cost.

    complete is False when lines were lost of which nobody can say what they held: what seems missing may be there.
    """

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    broken: set[KeyPath] = field(default_factory=set)
    complete: bool = True

    def line_of(self, path: KeyPath) -> int:
        """1-based line of the key or of the nearest section around it; 0 when the file has neither."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return 0


def read(text: str, parse_float: Callable[[str], Any] = float) -> Document:
    """Parse as much of `text` as can be parsed. Never raises for what a person typed."""
    lines = text.replace("\r\n", "\n").split("\n")
    document = Document()
    placed, by_line = locate(lines)
    document.lines = placed
    while len(document.faults) < MAX_SYNTAX_FAULTS:
        try:
            document.values = tomllib.loads("\n".join(lines), parse_float=parse_float)
        except tomllib.TOMLDecodeError as error:
            number = _line_of_error(str(error), lines)
            _set_aside(document, lines, number, str(error), by_line)
        else:
            return document
    document.complete = False
    return document


def _line_of_error(message: str, lines: list[str]) -> int:
    """1-based. A mistake that tomllib only sees at the end of the file is laid at the last line with text on it."""
    found = _POSITION.search(message)
    number = int(found.group(1)) if found and found.group(1) else len(lines)
    while number > 1 and not lines[number - 1].strip():
        number -= 1
    return number


def _set_aside(document: Document, lines: list[str], number: int, message: str, by_line: dict[int, KeyPath]) -> None:
    path = by_line.get(number, ())
    said = _POSITION.sub("", message)
    seen = lines[number - 1].strip()
    document.faults.append(
        Fault(number, key_text(path) or "syntax", f"cannot be read: {said}: {seen[:60]!r}", syntax_hint(seen))
    )
    if not path or seen.startswith("["):
        document.complete = False
    elif document.lines[path] == number:
        document.broken.add(path)
    elif "Cannot overwrite" not in said:  # in the middle of a value that spans lines
        document.complete = False
    lines[number - 1] = ""
    if seen.startswith("["):
        _forget_section(lines, number)


def _forget_section(lines: list[str], after: int) -> None:
    """Keys below a broken heading belong to nobody; left in place they would land in the section above."""
    for index in range(after, len(lines)):
        if lines[index].lstrip().startswith("["):
            return
        lines[index] = ""


def syntax_hint(seen: str) -> str:
    """What is most likely wrong with a line that does not parse."""
    if seen.startswith("["):
        return "a section is [name] or [[name]] alone on its line, and [name] stands only once in the file"
    if seen.count('"') % 2:
        return 'a quotation mark is missing: texts are written "like this"'
    if "=" not in seen:
        return "a line is: key = value"
    return 'texts need quotation marks ("like this"), numbers and true or false need none, a key stands only once'


def key_text(path: KeyPath) -> str:
    """("serial", 1, "baud") as a person counts: serial[2].baud."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def locate(lines: list[str]) -> tuple[dict[KeyPath, int], dict[int, KeyPath]]:
    """(path to its first line, line to path) for every section and key; values that span lines are stepped over."""
    first: dict[KeyPath, int] = {}
    by_line: dict[int, KeyPath] = {}
    section: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    until = ""
    for number, line in enumerate(lines, start=1):
        if until:
            by_line[number] = by_line.get(number - 1, section)
            until = "" if until in line else until
            continue
        if heading := _HEADER.match(line):
            section = _section(heading.group(1), heading.group(2), counts)
            first.setdefault(section, number)
            by_line[number] = section
        elif entry := _KEY.match(line):
            path = section + tuple(_names(entry.group(1)))
            first.setdefault(path, number)
            by_line[number] = path
            until = _opens(entry.group(2))
    return first, by_line


def _section(brackets: str, name: str, counts: dict[KeyPath, int]) -> KeyPath:
    """Where a heading stands: below the latest entry of every array of tables that its name goes through."""
    path: KeyPath = ()
    names = _names(name)
    for depth, part in enumerate(names):
        path = (*path, part)
        if brackets == "[[" and depth == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _names(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def _opens(value: str) -> str:
    """What ends a value that goes on over several lines; "" when it ends on its own line."""
    for quote in ('"""', "'''"):
        if value.count(quote) == 1:
            return quote
    bare = re.sub(r"\"[^\"]*\"|'[^']*'|#.*", "", value)
    return "]" if bare.count("[") > bare.count("]") else ""
