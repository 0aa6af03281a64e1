"""The operations of the vector calculator, on decimals."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from ..models.errors import FaceLatentsError

if TYPE_CHECKING:
    from torch import Tensor

Vector = tuple[Decimal, ...]
Value = Decimal | Vector


class ArithmeticMistake(FaceLatentsError):
    """The expression cannot be read, or its sizes do not fit."""


def add(a: Value, b: Value) -> Value:
    """a + b, of two numbers or two vectors of one length."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        _same_length(a, b)
        return tuple(x + y for x, y in zip(a, b, strict=True))
    if isinstance(a, tuple) or isinstance(b, tuple):
        raise ArithmeticMistake("A number cannot be added to a vector. Multiply a vector first.")
    return a + b


def multiply(a: Value, b: Value) -> Value:
    """a * b, at least one of them a number."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        raise ArithmeticMistake("Two vectors cannot be multiplied; only a number and a vector can.")
    if isinstance(b, tuple):
        a, b = b, a
    if isinstance(a, tuple):
        return tuple(x * b for x in a)  # type: ignore[operator]
    return a * b  # type: ignore[operator]


def _lerp(a: Vector, b: Vector, t: Decimal) -> Value:
    return add(multiply(a, 1 - t), multiply(b, t))


def _slerp(a: Vector, b: Vector, t: Decimal) -> Value:
    from .. import latent_ops

    first, second = _tensors(a, b)
    return tuple(_decimal(x) for x in latent_ops.slerp(first, second, float(t)).tolist())


def _dist(a: Vector, b: Vector) -> Value:
    from .. import latent_ops

    first, second = _tensors(a, b)
    return _decimal(float(latent_ops.distance(first, second, "euclidean")))


def _norm(a: Vector) -> Value:
    return _dist(a, tuple(Decimal(0) for _ in a))


def _tensors(a: Vector, b: Vector) -> list[Tensor]:
    import torch

    _same_length(a, b)
    return [torch.tensor([float(x) for x in item], dtype=torch.float64) for item in (a, b)]


def _decimal(number: float) -> Decimal:
    """The shortest decimal that agrees with `number` in 15 significant digits."""
    if not math.isfinite(number):
        raise ArithmeticMistake("The numbers in the expression get too large or small.")
    return Decimal(f"{number:.15g}")


def _same_length(a: Vector, b: Vector) -> None:
    if len(a) != len(b):
        raise ArithmeticMistake(
            f"The vectors have {len(a)} and {len(b)} numbers; they must have equally many."
        )


# name: (function, kinds of its arguments: v vector, n number)
FUNCTIONS: dict[str, tuple[Callable[..., Value], str]] = {
    "dist": (_dist, "vv"),
    "lerp": (_lerp, "vvn"),
    "norm": (_norm, "v"),
    "slerp": (_slerp, "vvn"),
}
