"""Can a rule's condition be true at all, and never together with its clearing? Tried around each number written."""

from itertools import islice, product

from edge_rules.rule import Rule
from gateway.core.quantities import QUANTITIES

MAX_POINTS = 20_000  # combinations tried; a rule with more inputs is only checked in part
NEAR = 0.01  # finer than any limit a person writes


def contradictions(rule: Rule) -> list[tuple[str, str, str]]:
    """(key, message, hint) for each contradiction found."""
    if rule.when is None:
        return []
    names = [*dict.fromkeys((*rule.when.names, *(rule.clear.names if rule.clear else ())))]
    slots = [rule.names.index(name) for name in names]
    env: list[float | bool | None] = [None] * len(rule.names)
    possible = False
    for values in islice(product(*(_points(name, rule) for name in names)), MAX_POINTS):
        for slot, value in zip(slots, values, strict=True):
            env[slot] = value
        if rule.when.evaluate(env) is not True:
            continue
        possible = True
        if rule.clear is not None and rule.clear.evaluate(env) is True:
            shown = ", ".join(f"{name} = {value:g}" for name, value in zip(names, values, strict=True))
            return [("clear", f"is true together with `when` ({shown})", "leave a distance between the two")]
    if possible:
        return []
    return [("when", "can never be true within the plausible range of its inputs", "check the numbers")]


def _points(name: str, rule: Rule) -> list[float | bool]:
    """The values of one name worth trying: its plausible range's ends, and each number written with its neighbours."""
    numbers = set(rule.when.numbers if rule.when else ()) | set(rule.clear.numbers if rule.clear else ())
    if name.startswith("age("):
        return sorted({0.0, *numbers, *(number + 0.01 for number in numbers)})
    if name not in rule.inputs:
        return [True, False]
    known = QUANTITIES[rule.inputs[name].quantity]
    near = {number + step for number in numbers for step in (-0.01, 0.0, 0.01)}
    near |= {-number for number in numbers}
    return sorted({known.low, known.high, *(number for number in near if known.low <= number <= known.high)})
