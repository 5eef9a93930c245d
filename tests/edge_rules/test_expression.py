"""Predicates: three truth values, CEL's precedence, and nothing but what is declared."""

import itertools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rules.expression import MAX_DEPTH, ExpressionError, Type, compile_expression
from edge_rules.kleene import Value

TYPES = {"a": Type.TRUTH, "b": Type.TRUTH, "c": Type.TRUTH, "x": Type.NUMBER, "y": Type.NUMBER, "hr": Type.NUMBER}
TRUTHS: tuple[bool | None, ...] = (True, False, None)


def run(text: str, **values: Value) -> bool | None:
    slots: dict[str, int] = {}
    expression = compile_expression(text, TYPES, slots)
    return expression.evaluate([values.get(name) for name in slots])


def refusal(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, TYPES, {})
    return caught.value


def kleene_and(a: bool | None, b: bool | None) -> bool | None:
    return False if a is False or b is False else None if a is None or b is None else True


def kleene_or(a: bool | None, b: bool | None) -> bool | None:
    return True if a is True or b is True else None if a is None or b is None else False


@pytest.mark.parametrize(("a", "b"), list(itertools.product(TRUTHS, TRUTHS)))
def test_and_or_follow_the_tables_of_kleene(a: bool | None, b: bool | None) -> None:
    assert run("a && b", a=a, b=b) is kleene_and(a, b)
    assert run("a || b", a=a, b=b) is kleene_or(a, b)


@pytest.mark.parametrize(("a", "wanted"), [(True, False), (False, True), (None, None)])
def test_not_unknown_is_unknown(a: bool | None, wanted: bool | None) -> None:
    assert run("!a", a=a) is wanted


@pytest.mark.parametrize("mark", ["<", "<=", ">", ">=", "==", "!="])
def test_a_comparison_with_an_unknown_side_is_unknown(mark: str) -> None:
    assert run(f"x {mark} 5") is None
    assert run(f"x {mark} y", x=1.0) is None
    python = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
    for x in (4.0, 5.0, 6.0):
        assert run(f"x {mark} 5", x=x) is python.get(mark, operator.ne)(x, 5)


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    for a, b, c in itertools.product(TRUTHS, repeat=3):
        assert run("a || b && c", a=a, b=b, c=c) is kleene_or(a, kleene_and(b, c))
        assert run("(a || b) && c", a=a, b=b, c=c) is kleene_and(kleene_or(a, b), c)
    assert run("!a && b", a=False, b=True) is True


def test_arithmetic_has_the_usual_precedence_and_minus_is_left_associative() -> None:
    assert run("x - 2 - 3 == 5", x=10.0) is True
    assert run("2 + x * 3 == 17", x=5.0) is True
    assert run("-x < -4", x=5.0) is True
    assert run("8 / x / 2 == 2", x=2.0) is True


def test_a_division_by_zero_is_unknown_and_not_an_error() -> None:
    assert run("x / y > 1", x=1.0, y=0.0) is None
    assert run("x / y > 1 || a", x=1.0, y=0.0, a=True) is True


def test_known_tells_whether_there_is_a_value_and_is_never_unknown() -> None:
    assert run("known(x)") is False
    assert run("known(x)", x=1.0) is True
    assert run("known(a) && !a", a=False) is True
    assert run("abs(x) > 3", x=-4.0) is True
    assert run("abs(x) > 3") is None


def test_age_reads_a_source_of_its_own() -> None:
    slots: dict[str, int] = {}
    expression = compile_expression("age(hr) > 60 && hr > 10", TYPES, slots)
    assert slots == {"age(hr)": 0, "hr": 1}
    assert expression.evaluate([61.0, 20.0]) is True
    assert refusal("age(hr + 1) > 60").hint == "give a plain name"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "hr.__class__ > 1", "(lambda: 1)()", "hr[0] > 1", "[x for x in y]", "x := 5",
        "eval('1')", "a if b else c", "a; b", "x > 1 # note", "`id`", "{1: 2}", "x ** 9 > 1", "a & b", "a | b", "a = b",
        "x in y", "'text' == 'text'", "\\x", "x\n> \x00", "é > 1", "a ? b : c", "x % 2 == 0", "~x > 1",
    ],
)  # fmt: skip
def test_what_is_not_a_predicate_is_refused(text: str) -> None:
    error = refusal(text)
    assert 0 <= error.position <= len(text)
    assert error.hint


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("hhr > 120", 0, "did you mean hr?"),
        ("hr > 120 and a", 9, "write &&"),
        ("a or b", 2, "write ||"),
        ("hr = 5", 3, "compare with =="),
        ("slope(hr) > 2", 0, "functions known: abs, age, known"),
        ("hr > 120 &&", 11, "something is missing before this"),
        ("(hr > 120", 9, "check the parentheses"),
        ("1 < hr < 9", 7, "join two comparisons with &&"),
        ("hr", 0, "compare it with a number"),
        ("a > 3", 0, "use a quantity or a number"),
        ("hr && a", 0, "compare it with a number"),
        ("True && a", 0, "did you mean true?"),
        ("hr > 1e400", 5, "at most 1e+09"),
        ("hr > 1" + "0" * 400, 5, "at most 1e+09"),
    ],
)
def test_a_refusal_names_the_place_and_what_to_write(text: str, position: int, hint: str) -> None:
    error = refusal(text)
    assert (error.position, error.hint) == (position, hint)


@pytest.mark.parametrize("mark", ["(", "!", "-", "abs("])
def test_deep_nesting_is_refused_and_does_not_exhaust_the_stack(mark: str) -> None:
    assert "nested deeper" in str(refusal(mark * (MAX_DEPTH + 1) + "x"))
    assert "characters" in str(refusal("(" * 100_000))


def _longer(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, st.sampled_from(["&&", "||"]), inner)
    return st.one_of(inner.map(lambda text: f"!({text})"), pairs.map(lambda pair: f"({' '.join(pair)})"))


FORMULAS = st.recursive(st.sampled_from(["a", "b", "c", "true", "false"]), _longer, max_leaves=8)


@given(FORMULAS, st.tuples(*[st.sampled_from(TRUTHS)] * 3))
def test_an_answer_is_the_one_that_every_completion_of_the_unknowns_allows(
    text: str, truths: tuple[bool | None, ...]
) -> None:
    """Kleene's logic never says true or false where a completion of the unknowns says otherwise."""
    values = dict(zip("abc", truths, strict=True))
    answer = run(text, **values)
    choices = [(True, False) if value is None else (value,) for value in values.values()]
    completions = {run(text, **dict(zip("abc", full, strict=True))) for full in itertools.product(*choices)}
    assert None not in completions
    if answer is not None:
        assert completions == {answer}


@given(st.text(max_size=60))
def test_any_text_is_compiled_or_refused_with_a_hint(text: str) -> None:
    hint = "compiled"
    try:
        compile_expression(text, TYPES, {})
    except ExpressionError as error:
        hint = error.hint
    assert hint
