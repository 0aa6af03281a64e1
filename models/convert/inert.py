"""What stands for the objects of a pickle: values without any code, and why a file is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import UnsupportedModelError

Builder = Callable[[tuple[object, ...]], object]  # makes a value from the arguments of a call
MAX_STEPS = 250_000  # instructions; training checkpoints of the largest networks have 100,000


class Refusal(UnsupportedModelError):
    """Why a file is not converted; the caller puts its path in front."""


@dataclass(frozen=True, eq=False)
class Name:
    """Something of a library that a pickle names; `build` is None where it cannot be called."""

    full: str
    build: Builder | None


@dataclass(eq=False)
class Record:
    """The fields of an object, without its class's code.

    Attributes:
        kind: name of the class.
        state: its fields.
    """

    kind: str
    state: dict[object, object]


@dataclass(frozen=True, eq=False)
class Opaque:
    """An allowed value whose content does not matter here."""

    kind: str


class Budget:
    """Instructions left, shared by a pickle and those inside it."""

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps
