"""Many rows in one message: by column, numbers as differences, deflated beyond 1 kB.

A page is made from messages and gives back exactly the same messages. Each message is flattened (`stats/heart_rate/
mean`); what is equal in all rows stands once in `same`; every other key is a column with one entry for each row:
`{"d": [...]}` integers, each the difference to the last present one; `{"d": [...], "e": k}` decimals times 10^k, the
same way; `{"x": [...]}` anything else as it is. null in a column: the row does not have that key.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.core.errors import ProtocolError
from gateway.upstream.envelope import Event, Page, decode, encode

DEFLATE_FROM_BYTES = 1024  # below, zlib saves less than the user property that announces it costs
PAGE_BYTES = 32 * 1024  # a page on the wire is never longer, whatever the broker would take
INFLATED_BYTES = 8 * 1024 * 1024  # a longer page is refused by the reader: no bomb
SEPARATOR = "/"
MAX_DECIMALS = 3

Value = object
Flat = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Packed:
    """A page ready for the wire. plain: the JSON before deflate; rows: how many of the given rows are in it."""

    plain: bytes
    wire: bytes
    deflated: bool
    rows: int


def pack(stream: str, messages: Sequence[Event], limit_bytes: int = PAGE_BYTES) -> Packed:
    """As many of `messages` as fit `limit_bytes` on the wire, at least one (then longer than the limit if need be)."""
    count = len(messages)
    while True:
        packed = _pack_all(stream, messages[:count])
        if len(packed.wire) <= limit_bytes or count <= 1:
            return packed
        count = max(1, min(count - 1, int(count * limit_bytes / len(packed.wire) * 0.9)))


def _pack_all(stream: str, messages: Sequence[Event]) -> Packed:
    plain = encode(page_of(stream, messages))
    deflated = len(plain) > DEFLATE_FROM_BYTES
    return Packed(plain, zlib.compress(plain, 6) if deflated else plain, deflated, len(messages))


def page_of(stream: str, messages: Sequence[Event]) -> Page:
    """The messages by column."""
    rows = [_flatten(msgspec.to_builtins(message)) for message in messages]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    same: Flat = {}
    columns: dict[str, dict[str, object]] = {}
    for key in keys:
        values = [row.get(key) for row in rows]
        if len(rows) > 1 and values[0] is not None and all(_equal(value, values[0]) for value in values):
            same[key] = values[0]
        else:
            columns[key] = _column(values)
    numbers = [message.seq for message in messages]
    return Page(
        stream=stream,
        n=len(rows),
        lo=min(numbers) if numbers else None,
        hi=max(numbers) if numbers else None,
        same=same,
        cols=columns,
    )


def unpack(payload: bytes, *, deflated: bool) -> bytes:
    """The page's JSON. ProtocolError for what is no zlib stream or longer than 8 MiB."""
    if not deflated:
        return payload
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(payload, INFLATED_BYTES)
    except zlib.error as error:
        raise ProtocolError(f"page cannot be inflated: {error}", hint="ask for the page again") from None
    if not inflater.eof:
        raise ProtocolError(
            f"page is cut short or longer than {INFLATED_BYTES} bytes", hint="ask for it with fewer rows"
        )
    return plain


def messages_of(page: Page) -> list[Event]:
    """The rows of a page. ProtocolError when a column does not have one entry for each row or a row is no message."""
    columns = {key: _values(key, column, page.n) for key, column in page.cols.items()}
    messages: list[Event] = []
    for index in range(page.n):
        flat = dict(page.same)
        flat.update({key: values[index] for key, values in columns.items() if values[index] is not None})
        message = decode(msgspec.json.encode(_unflatten(flat)))
        if not isinstance(message, Event):
            raise ProtocolError(f"row {index} of a page is {type(message).__name__}", hint="see the contract's schema")
        messages.append(message)
    return messages


def _flatten(tree: Mapping[str, Value], prefix: str = "") -> Flat:
    flat: Flat = {}
    for key, value in tree.items():
        path = prefix + key
        if value is None:
            continue
        if isinstance(value, dict) and value and not any(SEPARATOR in inner for inner in value):
            flat.update(_flatten(value, path + SEPARATOR))
        else:
            flat[path] = value
    return flat


def _unflatten(flat: Mapping[str, Value]) -> dict[str, Value]:
    tree: dict[str, Value] = {}
    for path, value in flat.items():
        *parents, leaf = path.split(SEPARATOR)
        node = tree
        for parent in parents:
            inner = node.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise ProtocolError(f"column {path!r} lies below a value", hint="see the contract's schema")
            node = inner
        node[leaf] = value
    return tree


def _equal(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other


def _column(values: Sequence[Value]) -> dict[str, object]:
    present = [value for value in values if value is not None]
    if present and all(type(value) is int for value in present):
        return {"d": _differences(values, 0)}
    if present and all(type(value) is float for value in present):
        for decimals in range(1, MAX_DECIMALS + 1):
            if all(round(value, decimals) == value and abs(value) < 1e9 for value in present if type(value) is float):
                return {"d": _differences(values, decimals), "e": decimals}
    return {"x": list(values)}


def _differences(values: Sequence[Value], decimals: int) -> list[int | None]:
    last = 0
    differences: list[int | None] = []
    for value in values:
        if not isinstance(value, int | float):
            differences.append(None)
            continue
        whole = round(value * 10**decimals)
        differences.append(whole - last)
        last = whole
    return differences


def _values(key: str, column: Mapping[str, object], count: int) -> list[Value]:
    entries = column.get("d", column.get("x"))
    if not isinstance(entries, list) or len(entries) != count:
        raise ProtocolError(f"column {key!r} does not have {count} entries", hint="see the contract's schema")
    return _sums(key, entries, column.get("e")) if "d" in column else entries


def _sums(key: str, differences: Sequence[Value], decimals: object) -> list[Value]:
    if not (decimals is None or (isinstance(decimals, int) and 1 <= decimals <= MAX_DECIMALS)):
        raise ProtocolError(
            f"column {key!r} has e = {decimals!r}, 1 to {MAX_DECIMALS} was expected", hint="see the contract's schema"
        )
    total = 0
    values: list[Value] = []
    for difference in differences:
        if difference is None:
            values.append(None)
            continue
        if type(difference) is not int:
            raise ProtocolError(f"column {key!r} has a difference that is no integer", hint="see the contract's schema")
        total += difference
        values.append(total if decimals is None else total / 10**decimals)
    return values
