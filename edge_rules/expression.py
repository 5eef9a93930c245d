"""Predicates: a typed subset of CEL, compiled to closures with three truth values.

Grammar: `||`, `&&`, `!`, comparisons (which do not chain), `+ - * /`, parentheses, `true`, `false`, numbers, names and
the functions below. Truth follows Kleene's strong logic, with None for unknown: `false && unknown` is false,
`true && unknown` is unknown; arithmetic and comparisons with an unknown operand are unknown, and so is what is not
finite (a division by zero). Nothing of Python is reachable from a text: there are no attributes, no indexing, no
calls but of FUNCTIONS, and every name must be declared.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from edge_rules.kleene import OPERATORS, Env, Evaluate, Value, applied, binary, both, either, minus, negate

MAX_CHARS = 500  # a predicate that a nurse can read out fits into this
MAX_DEPTH = 24  # nesting; the parser uses about eight Python frames a level
MAX_NUMBER = 1e9  # no quantity of the house has a larger value


class Type(StrEnum):
    NUMBER = "number"
    TRUTH = "truth value"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one argument; takes: None for any type.

    apply: None where the argument is the name of an input whose history is looked at; then the result is a source of
    its own, which the engine delivers under the text of the call.
    """

    takes: Type | None
    result: Type
    apply: Callable[[Value], Value] | None


def _abs(value: Value) -> Value:
    return None if value is None else abs(value)


def _known(value: Value) -> Value:
    return value is not None


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(Type.NUMBER, Type.NUMBER, _abs),
    "known": Function(None, Type.TRUTH, _known),
    # Seconds since the last good reading of an input; unknown when there never was one.
    "age": Function(Type.NUMBER, Type.NUMBER, None),
}


class ExpressionError(ValueError):
    """A predicate that is refused: position is the 0-based character where the trouble begins."""

    def __init__(self, position: int, message: str, hint: str) -> None:
        super().__init__(f"at character {position + 1}: {message}")
        self.position = position
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Limit:
    """A name compared with a number, as `heart_rate < 40`."""

    name: str
    mark: str
    number: float

    def within(self, low: float, high: float) -> bool:
        """Whether values from low to high can lie on both sides of it; a comparison that never turns tells nothing."""
        if self.mark in ("==", "!="):
            return low <= self.number <= high
        operator = OPERATORS[self.mark]
        return operator(low, self.number) != operator(high, self.number)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled predicate. `names` lists what it reads; `evaluate` takes the values by slot."""

    text: str
    names: tuple[str, ...]
    numbers: tuple[float, ...]
    evaluate: Callable[[Env], bool | None]
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class _Node:
    """name: of a bare name; constant: whether no name is read at all."""

    run: Evaluate
    type: Type
    position: int
    name: str = ""
    constant: bool = False


_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")|(?P<mark>\|\||&&|[<>=!]=|[-+*/<>!(),]))"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            hint = _HINTS.get(text[start], "use names, numbers, comparisons, && || ! and parentheses")
            raise ExpressionError(start, f"cannot read {text[start]!r} here", hint)
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match.group(kind), match.start(kind)))
        position = match.end()
    return [*tokens, _Token("end", "", end)]


_HINTS = {
    "=": "compare with ==",
    "&": "write && for and",
    "|": "write || for or",
    ".": "there are no attributes; use a plain name",
    "[": "there are no lists",
    "?": "there is no conditional; use && and ||",
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_WORDS = {"and": "&&", "or": "||", "not": "!", "True": "true", "False": "false"}


def compile_expression(text: str, types: Mapping[str, Type], slots: dict[str, int]) -> Expression:
    """Compile `text`, whose names must be among `types`, to a predicate over values held by slot.

    slots: name to index; names met for the first time are added, so that several predicates can share one list.
    A function of a name (as `age(heart_rate)`) takes a slot under its own text. ExpressionError with position and hint.
    """
    if len(text) > MAX_CHARS:
        raise ExpressionError(MAX_CHARS, f"{len(text)} characters, at most {MAX_CHARS}", "split it into several rules")
    parser = _Parser(_tokens(text), types, slots)
    root = parser.whole()
    run = root.run

    def evaluate(env: Env) -> bool | None:
        value = run(env)
        return None if value is None else bool(value)

    return Expression(text, tuple(parser.names), tuple(parser.numbers), evaluate, tuple(parser.limits))


class _Parser:
    """Recursive descent, one method a level of precedence; each returns a typed closure."""

    def __init__(self, tokens: list[_Token], types: Mapping[str, Type], slots: dict[str, int]) -> None:
        self._tokens = tokens
        self._types = types
        self._slots = slots
        self._next = 0
        self._depth = 0
        self.names: dict[str, None] = {}
        self.numbers: list[float] = []
        self.limits: list[Limit] = []

    def whole(self) -> _Node:
        node = self._or()
        token = self._peek()
        if token.kind != "end":
            word = _WORDS.get(token.text)
            hint = f"write {word}" if word else "an operator such as && belongs between two conditions"
            raise ExpressionError(token.position, f"did not expect {token.text!r}", hint)
        self._need(node, Type.TRUTH)
        return node

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *marks: str) -> _Token | None:
        token = self._peek()
        if token.kind == "mark" and token.text in marks:
            self._next += 1
            return token
        return None

    def _expect(self, mark: str) -> None:
        if self._take(mark) is None:
            token = self._peek()
            seen = token.text or "the end"
            raise ExpressionError(token.position, f"expected {mark!r}, found {seen!r}", "check the parentheses")

    def _need(self, node: _Node, wanted: Type) -> None:
        if node.type is wanted:
            return
        hint = "compare it with a number" if wanted is Type.TRUTH else "use a quantity or a number"
        raise ExpressionError(node.position, f"a {wanted} is needed here, not a {node.type}", hint)

    def _or(self) -> _Node:
        node = self._and()
        while token := self._take("||"):
            other = self._and()
            self._need(node, Type.TRUTH)
            self._need(other, Type.TRUTH)
            node = _Node(either(node.run, other.run), Type.TRUTH, token.position)
        return node

    def _and(self) -> _Node:
        node = self._comparison()
        while token := self._take("&&"):
            other = self._comparison()
            self._need(node, Type.TRUTH)
            self._need(other, Type.TRUTH)
            node = _Node(both(node.run, other.run), Type.TRUTH, token.position)
        return node

    def _comparison(self) -> _Node:
        node = self._sum()
        token = self._take("<", "<=", ">", ">=", "==", "!=")
        if token is None:
            return node
        other = self._sum()
        if token.text in ("==", "!="):
            self._need(other, node.type)
        else:
            self._need(node, Type.NUMBER)
            self._need(other, Type.NUMBER)
        again = self._take("<", "<=", ">", ">=", "==", "!=")
        if again is not None:
            raise ExpressionError(again.position, "comparisons do not chain", "join two comparisons with &&")
        self._limit(node, token.text, other)
        return _Node(binary(token.text, node.run, other.run), Type.TRUTH, token.position)

    def _limit(self, left: _Node, mark: str, right: _Node) -> None:
        """Note a name compared with a number, the name on the left."""
        if left.constant:
            left, mark, right = right, _MIRRORED[mark], left
        if left.name and left.type is Type.NUMBER and right.constant:
            number = right.run(())
            if number is not None:
                self.limits.append(Limit(left.name, mark, float(number)))

    def _sum(self) -> _Node:
        return self._arithmetic(self._product, "+", "-")

    def _product(self) -> _Node:
        return self._arithmetic(self._unary, "*", "/")

    def _arithmetic(self, operand: Callable[[], _Node], *marks: str) -> _Node:
        node = operand()
        while token := self._take(*marks):
            other = operand()
            self._need(node, Type.NUMBER)
            self._need(other, Type.NUMBER)
            run = binary(token.text, node.run, other.run)
            node = _Node(run, Type.NUMBER, token.position, constant=node.constant and other.constant)
        return node

    def _unary(self) -> _Node:
        token = self._take("!", "-")
        if token is None:
            return self._primary()
        self._enter(token)
        node = self._unary()
        self._depth -= 1
        if token.text == "!":
            self._need(node, Type.TRUTH)
            return _Node(negate(node.run), Type.TRUTH, token.position)
        self._need(node, Type.NUMBER)
        return _Node(minus(node.run), Type.NUMBER, token.position, constant=node.constant)

    def _enter(self, token: _Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(token.position, f"nested deeper than {MAX_DEPTH}", "split it into several rules")

    def _primary(self) -> _Node:
        token = self._peek()
        self._next += 1
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name":
            return self._name(token)
        if token.text == "(":
            self._enter(token)
            node = self._or()
            self._depth -= 1
            self._expect(")")
            return node
        if token.kind == "text":
            raise ExpressionError(token.position, "a text cannot be compared", "use a number or a name")
        seen = repr(token.text) if token.text else "the end"
        raise ExpressionError(token.position, f"expected a value, found {seen}", "something is missing before this")

    def _number(self, token: _Token) -> _Node:
        value = float(token.text.replace("_", "")) if len(token.text) <= 24 else math.inf
        if value > MAX_NUMBER:
            message = f"the number {token.text[:24]} is too large"
            raise ExpressionError(token.position, message, f"at most {MAX_NUMBER:g}")
        self.numbers.append(value)
        return _Node(lambda env: value, Type.NUMBER, token.position, constant=True)

    def _name(self, token: _Token) -> _Node:
        if token.text in ("true", "false"):
            value = token.text == "true"
            return _Node(lambda env: value, Type.TRUTH, token.position)
        if self._take("("):
            return self._call(token)
        if token.text not in self._types:
            near = _WORDS.get(token.text) or next(iter(get_close_matches(token.text, self._types, 1)), None)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(sorted(self._types))}"
            raise ExpressionError(token.position, f"unknown name {token.text!r}", hint)
        return _Node(self._read(token.text), self._types[token.text], token.position, token.text)

    def _read(self, name: str) -> Evaluate:
        self.names[name] = None
        slot = self._slots.setdefault(name, len(self._slots))
        return lambda env: env[slot]

    def _call(self, token: _Token) -> _Node:
        function = FUNCTIONS.get(token.text)
        if function is None:
            hint = f"functions known: {', '.join(sorted(FUNCTIONS))}"
            raise ExpressionError(token.position, f"unknown function {token.text!r}", hint)
        if function.apply is None:
            name = self._input_name(token.text, function)
            return _Node(self._read(f"{token.text}({name})"), function.result, token.position)
        self._enter(token)
        argument = self._or()
        self._depth -= 1
        self._expect(")")
        if function.takes is not None:
            self._need(argument, function.takes)
        return _Node(applied(function.apply, argument.run), function.result, token.position)

    def _input_name(self, function: str, wanted: Function) -> str:
        """The bare name in the parentheses of a function that looks at an input's history."""
        token = self._peek()
        if self._types.get(token.text) is not wanted.takes or self._tokens[self._next + 1].text != ")":
            raise ExpressionError(token.position, f"{function} takes the name of one input", "give a plain name")
        self._next += 2
        return token.text
