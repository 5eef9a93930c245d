"""Three truth values: what predicates are made of, with None for unknown (Kleene's strong logic)."""

import math
from collections.abc import Callable, Mapping, Sequence

Value = float | bool | None
Env = Sequence[Value]
Evaluate = Callable[[Env], Value]


def both(left: Evaluate, right: Evaluate) -> Evaluate:
    def run(env: Env) -> Value:
        first = left(env)
        if first is False:
            return False
        second = right(env)
        if second is False:
            return False
        return None if first is None or second is None else True

    return run


def either(left: Evaluate, right: Evaluate) -> Evaluate:
    def run(env: Env) -> Value:
        first = left(env)
        if first is True:
            return True
        second = right(env)
        if second is True:
            return True
        return None if first is None or second is None else False

    return run


def negate(inner: Evaluate) -> Evaluate:
    def run(env: Env) -> Value:
        value = inner(env)
        return None if value is None else not value

    return run


def minus(inner: Evaluate) -> Evaluate:
    def run(env: Env) -> Value:
        value = inner(env)
        return None if value is None else -value

    return run


def applied(function: Callable[[Value], Value], inner: Evaluate) -> Evaluate:
    return lambda env: function(inner(env))


def _quotient(a: float, b: float) -> float | None:
    return a / b if b else None


OPERATORS: Mapping[str, Callable[[float, float], Value]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
}


def binary(mark: str, left: Evaluate, right: Evaluate) -> Evaluate:
    operator = OPERATORS[mark]

    def run(env: Env) -> Value:
        a, b = left(env), right(env)
        if a is None or b is None:
            return None
        value = operator(a, b)
        return value if value is None or math.isfinite(value) else None

    return run
