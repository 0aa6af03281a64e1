"""The vector calculator: the worked examples, exactness, and what it refuses."""

from decimal import Decimal

import numpy as np
import pytest
from face_latents.cli.arith import evaluate, show
from face_latents.cli.arith_values import ArithmeticMistake
from face_latents.cli.main import main
from hypothesis import given, settings
from hypothesis import strategies as st

numbers = st.decimals(-1000, 1000, places=3)
vectors = st.lists(numbers, min_size=1, max_size=6)


def text(values):
    return "[" + " ".join(f"{value:f}" for value in values) + "]"


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("[2.5 -1.3 0.8 4.1] + [0 0 0.5 0.2]", "[2.5 -1.3 1.3 4.3]"),
        ("[2.5, -1.3, 0.8, 4.1] - [0, 0, .5, .2]", "[2.5 -1.3 0.3 3.9]"),
        ("dist([1 2],[4 6])", "5"),
        ("norm([3 -4])", "5"),
        ("0.1 + 0.2", "0.3"),
        ("[0.1] * 3", "[0.3]"),
        ("3 * [0.1]", "[0.3]"),
        ("2 * 3 - 4 * -1", "10"),
        ("-([1 2] - 2 * [0.5 1])", "[0 0]"),
        ("--2", "2"),
        ("2 - -2", "4"),
        ("(1 + 2) * 3", "9"),
        ("lerp([0 10], [1 20], 0.25)", "[0.25 12.5]"),
        ("lerp([0.1], [0.2], 0.5)", "[0.15]"),
        ("slerp([1 0], [0 1], 0)", "[1 0]"),
        ("slerp([2 0], [0 2], 1)", "[0 2]"),
        ("1e3", "1000"),
        ("[1e-3 1E2]", "[0.001 100]"),
        ("100", "100"),
        ("1e30", "1e+30"),
        ("[-0.0]", "[0]"),
        ("[1\n2]", "[1 2]"),
        ("[1 +2]", "[1 2]"),
    ],
)
def test_values(expression, result):
    assert show(evaluate(expression)) == result


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "not complete"),
        ("[1 2", "not complete"),
        ("[]", "at least one number"),
        ("[1 - 2]", "not a number of a vector"),
        ("[1 [2]]", "not a number of a vector"),
        ("[1,,2]", "not a number of a vector"),
        ("[1 2] + [1 2 3]", "2 and 3 numbers"),
        ("[1] + 1", "cannot be added to a vector"),
        ("[1] * [1]", "cannot be multiplied"),
        ("1 / 2", "'/' at character 3 is not understood"),
        ("__import__('os')", "'\\('|not understood|is not a function"),
        ("open", "is not a function"),
        ("dist([1])", r"dist takes \(vector, vector\)"),
        ("dist([1], [1 2])", "1 and 2 numbers"),
        ("lerp([1], [2], [3])", r"lerp takes \(vector, vector, number\)"),
        ("1 2", "does not belong there"),
        ("1 +", "not complete"),
        (")", "does not belong there"),
        ("(1", "not complete|should be"),
        ("1e9999 * 1e9999", "too large or small|"),
        ("dist([1e9999], [0])", "too large or small"),
        ("(" * 5000 + "1", "too many parentheses"),
        ("9" * 10 + "e99999", "not|does not belong"),
    ],
)
def test_refusals(expression, why):
    if why.endswith("|"):
        evaluate(expression)
        return
    with pytest.raises(ArithmeticMistake, match=why):
        evaluate(expression)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_sums_and_differences_are_exact(data):
    a = data.draw(vectors)
    b = data.draw(st.lists(numbers, min_size=len(a), max_size=len(a)))
    assert evaluate(f"{text(a)} + {text(b)}") == tuple(x + y for x, y in zip(a, b, strict=True))
    assert evaluate(f"{text(a)} + {text(b)} - {text(b)}") == tuple(a)


@settings(deadline=None, max_examples=60)
@given(vectors, numbers)
def test_scaling_is_exact_and_commutes(a, s):
    expected = tuple(x * s for x in a)
    assert evaluate(f"{text(a)} * {s:f}") == expected
    assert evaluate(f"{s:f} * {text(a)}") == expected


@settings(deadline=None, max_examples=60)
@given(vectors)
def test_what_is_printed_reads_back_the_same(a):
    value = evaluate(text(a))
    assert evaluate(show(value)) == value


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_dist_against_numpy(data):
    a = data.draw(vectors)
    b = data.draw(st.lists(numbers, min_size=len(a), max_size=len(a)))
    expected = np.linalg.norm(np.array(a, dtype=float) - np.array(b, dtype=float))
    assert float(evaluate(f"dist({text(a)}, {text(b)})")) == pytest.approx(expected, rel=1e-12)


def test_slerp_keeps_the_norm():
    halfway = evaluate("slerp([3 0 0], [0 3 0], 0.5)")
    assert isinstance(halfway[0], Decimal)
    assert float(sum(x * x for x in halfway)) == pytest.approx(9)


def test_the_command(capsys):
    assert main(["arith", "[2.5 -1.3 0.8 4.1] + [0 0 0.5 0.2]"]) == 0
    assert capsys.readouterr().out == "[2.5 -1.3 1.3 4.3]\n"
    assert main(["arith", "-1", "*", "[-2", "-3]"]) == 0
    assert capsys.readouterr().out == "[2 3]\n"
    assert main(["arith", "--json", "[2.5 -1.3 0.8 4.1] + [0 0 0.5 0.2]"]) == 0
    assert capsys.readouterr().out == '{"value": [2.5, -1.3, 1.3, 4.3]}\n'
    assert main(["arith", "--json", "norm([3 4])"]) == 0
    assert capsys.readouterr().out == '{"value": 5.0}\n'


def test_a_mistake_is_one_line_on_stderr(capsys):
    assert main(["arith", "[1] + [1 2]"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("face-latents: The vectors have 1 and 2 numbers")
    assert captured.err.count("\n") == 1
