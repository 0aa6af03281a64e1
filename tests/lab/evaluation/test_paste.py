"""Measuring Paste Back on a folder of photos."""

from __future__ import annotations

from pathlib import Path

import pytest
from face_latents.lab.evaluation.paste import PasteEvaluation, evaluate_paste
from face_latents.models.errors import FaceLatentsError
from PIL import Image
from skimage import data


def test_figures_and_pictures_of_a_portrait(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    Image.fromarray(data.astronaut()).save(photos / "astronaut.png")
    edits = (("smile", 2.0), ("no such direction", 1.0))
    found = evaluate_paste(photos, PasteEvaluation(("warp", "blend"), edits, out))["paste"]
    assert isinstance(found, dict)
    assert found["photos"] == found["faces"] == 1
    assert found["sharpness_ratio"] >= 0.9
    assert found["seam_ratio"] == pytest.approx(1, abs=0.1)
    assert found["by_method"]["blend"]["sharpness_ratio"] < 0.5
    assert list(found["by_edit"]) == ["smile +2"]
    assert [file.name for file in out.iterdir()] == ["paste_smile_+2.jpg"]


def test_folder_without_photos_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaceLatentsError, match="no photos"):
        evaluate_paste(tmp_path, PasteEvaluation())


def test_photos_without_faces_are_reported(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "white").save(tmp_path / "blank.png")
    with pytest.raises(FaceLatentsError, match="No face"):
        evaluate_paste(tmp_path, PasteEvaluation())
