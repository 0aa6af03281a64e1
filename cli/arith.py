"""`face-latents arith`: a small calculator for latent vectors, exact in decimals.

Grammar::

    sum     = product { ("+" | "-") product }
    product = signed { "*" signed }
    signed  = ["+" | "-"] signed | number | vector | "(" sum ")" | name "(" sum { "," sum } ")"
    vector  = "[" number { [","] number } "]"

Sums, products and lerp are computed on decimals, as written; functions that need a root or an
angle go through `face_latents.latent_ops` in float64.
"""

from __future__ import annotations

import argparse
import re
from decimal import Context, Decimal, DecimalException, localcontext

from .arith_values import FUNCTIONS, ArithmeticMistake, Value, Vector, add, multiply
from .outputs import print_result

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>[+\-*(),\[\]]))"
)
_DEPTH = 100  # of parentheses
_PRECISION = 60  # decimal digits kept
_PLAIN = 20  # orders of magnitude written without an exponent


def run(args: argparse.Namespace) -> int:
    """Print the value of an expression."""
    text = " ".join(args.expression).strip()
    value = evaluate(text)
    plain = [float(item) for item in value] if isinstance(value, tuple) else float(value)
    print_result(args, [show(value)], value=plain)
    return 0


def evaluate(text: str) -> Value:
    """The value of an expression: a number or a vector.

    Raises:
        ArithmeticMistake: names what is wrong and where.
    """
    try:
        with localcontext(Context(prec=_PRECISION)):
            return _Parser(text).parse()
    except DecimalException as error:
        raise ArithmeticMistake("The numbers in the expression get too large or small.") from error


def show(value: Value) -> str:
    """A number or `[a b c]`, without superfluous zeros."""
    if isinstance(value, tuple):
        return "[" + " ".join(_show_number(item) for item in value) + "]"
    return _show_number(value)


def _show_number(number: Decimal) -> str:
    if number == 0:
        return "0"
    number = number.normalize()
    if abs(number.adjusted()) > _PLAIN:
        return f"{number:e}"
    return f"{number:f}"


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def parse(self) -> Value:
        value = self._sum()
        if self._peek() is not None:
            self._fail("does not belong there")
        return value

    def _peek(self) -> str | None:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else None

    def _take(self) -> str:
        token = self._peek()
        if token is None:
            raise ArithmeticMistake(f"The expression '{self._text}' is not complete.")
        self._next += 1
        return token

    def _expect(self, wanted: str) -> None:
        if self._peek() != wanted:
            self._fail(f"is where '{wanted}' should be")
        self._next += 1

    def _fail(self, why: str) -> None:
        if self._next >= len(self._tokens):
            raise ArithmeticMistake(f"The expression '{self._text}' is not complete.")
        token, place = self._tokens[self._next]
        raise ArithmeticMistake(f"'{token}' at character {place + 1} {why}: {self._text}")

    def _sum(self) -> Value:
        self._depth += 1
        if self._depth > _DEPTH:
            raise ArithmeticMistake("The expression has too many parentheses inside each other.")
        value = self._product()
        while self._peek() in ("+", "-"):
            sign = Decimal(1) if self._take() == "+" else Decimal(-1)
            value = add(value, multiply(self._product(), sign))
        self._depth -= 1
        return value

    def _product(self) -> Value:
        value = self._signed()
        while self._peek() == "*":
            self._take()
            value = multiply(value, self._signed())
        return value

    def _signed(self) -> Value:
        sign = Decimal(1)
        while self._peek() in ("+", "-"):
            if self._take() == "-":
                sign = -sign
        return multiply(self._single(), sign)

    def _single(self) -> Value:
        token = self._take()
        if token == "(":
            value = self._sum()
            self._expect(")")
            return value
        if token == "[":
            return self._vector()
        if token[0].isdigit() or token[0] == ".":
            return Decimal(token)
        if token in FUNCTIONS:
            return self._call(token)
        self._next -= 1
        if token[0].isalpha() or token[0] == "_":
            self._fail(f"is not a function; there are {', '.join(sorted(FUNCTIONS))}")
        self._fail("does not belong there")
        raise AssertionError

    def _vector(self) -> Vector:
        items: list[Decimal] = []
        while self._peek() != "]":
            if items and self._peek() == ",":
                self._take()
            sign = self._take() if self._peek() in ("+", "-") else "+"
            token = self._take()
            # A sign belongs to the number right after it: [1 - 2] could mean two things.
            spaced = sign != "+" and self._tokens[self._next - 1][1] != self._place(-2) + 1
            if not (token[0].isdigit() or token[0] == ".") or spaced:
                self._next -= 1
                self._fail("is not a number of a vector; write vectors like [1 -2.5 0]")
            items.append(Decimal(sign + token))
        self._take()
        if not items:
            raise ArithmeticMistake("A vector needs at least one number.")
        return tuple(items)

    def _place(self, back: int) -> int:
        return self._tokens[self._next + back][1]

    def _call(self, name: str) -> Value:
        arguments: list[Value] = []
        self._expect("(")
        while not arguments or self._peek() == ",":
            if arguments:
                self._take()
            arguments.append(self._sum())
        self._expect(")")
        function, kinds = FUNCTIONS[name]
        given = "".join("v" if isinstance(item, tuple) else "n" for item in arguments)
        if given != kinds:
            words = ", ".join("vector" if kind == "v" else "number" for kind in kinds)
            raise ArithmeticMistake(f"{name} takes ({words}).")
        return function(*arguments)


def _tokens(text: str) -> list[tuple[str, int]]:
    found = []
    place = 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            start = len(text) - len(text[place:].lstrip())
            raise ArithmeticMistake(
                f"'{text[start]}' at character {start + 1} is not understood: {text}"
            )
        kind = match.lastgroup or ""
        found.append((match[kind], match.start(kind)))
        place = match.end()
    return found
