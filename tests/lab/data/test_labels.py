"""Labels of the face table as numbers."""

from __future__ import annotations

import pytest
import torch
from face_latents.lab.data.faces import FaceSet
from face_latents.lab.data.labels import LABELS, label_values

ROWS = (
    {"gender": "male", "age_bin": "20-29", "beard": "0.35", "yaw_proxy": "-0.1", "smile": "0.8"},
    {"gender": "Female", "age_bin": "more than 70", "beard": "0.0", "yaw_proxy": "0.2",
     "smile": "0.1"},
)  # fmt: skip
FACES = FaceSet(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), ROWS)


def test_words_become_numbers() -> None:
    assert label_values(FACES, "gender_expression").tolist() == [1, 0]
    assert label_values(FACES, "age").tolist() == [25, 75]
    assert label_values(FACES, "smile").tolist() == pytest.approx([0.8, 0.1])
    assert label_values(FACES, "head_turn").tolist() == pytest.approx([-0.1, 0.2])


def test_half_of_a_beard_is_where_half_of_men_show_one() -> None:
    values = label_values(FACES, "beard")
    assert float(values[0]) == pytest.approx(0.5)
    assert float(values[1]) < 0.01


def test_only_sides_change_in_a_mirror() -> None:
    assert {name for name, label in LABELS.items() if label.parity < 0} == {
        "light_left_right",
        "head_turn",
    }
    with pytest.raises(KeyError):
        label_values(FACES, "nose")
