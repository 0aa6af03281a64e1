"""Settings dataclasses are read from `name=value` texts by the types of their fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from face_latents.lab.commands import EVALUATIONS, TRAININGS
from face_latents.lab.settings import list_settings, read_settings
from face_latents.models.errors import FaceLatentsError


@dataclass(frozen=True)
class Baking:
    minutes: Annotated[float, "in the oven"] = 30.0
    loaves: Annotated[int, "at once"] = 1
    salted: Annotated[bool, "with salt"] = True
    oven: Annotated[str | None, "which one; null: the first"] = None
    tins: Annotated[tuple[tuple[str, int], ...], "shapes and numbers"] = (("round", 2),)
    shelf: Annotated[Path | None, "where it cools"] = None


def test_values_get_the_type_of_their_field() -> None:
    texts = ["minutes=40", "loaves=3", "salted=false", "oven=2", 'tins=[["long", 1]]', "shelf=a/b"]
    wanted = Baking(40.0, 3, False, "2", (("long", 1),), Path("a/b"))
    assert read_settings(Baking, texts, "bread") == wanted
    assert isinstance(wanted.minutes, float)
    assert read_settings(Baking, ["oven=null"], "bread") == Baking()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loaves", "Write name=value"),
        ("loaves=1.5", "loaves takes a whole number"),
        ("loaves=true", "loaves takes a whole number"),
        ("minutes=long", "minutes takes a number"),
        ("salted=1", "salted takes true or false"),
        ("tins=round", "tins takes a list such as"),
        ('tins=[["round"]]', "tins takes lists of 2"),
        ("sugar=1", "'bread' has no setting sugar"),
    ],
)
def test_what_cannot_be_is_told(text: str, message: str) -> None:
    with pytest.raises(FaceLatentsError, match=message):
        read_settings(Baking, [text], "bread")


def test_the_list_tells_default_and_help() -> None:
    assert "\n  minutes=30.0  in the oven\n" in list_settings(Baking)


def test_every_task_has_readable_settings_with_help() -> None:
    for name, task in {**TRAININGS, **EVALUATIONS}.items():
        assert read_settings(task.settings, [], name) == task.settings()
        assert all(line.count("  ") >= 2 for line in list_settings(task.settings).splitlines()[1:])
