"""Training of the mouth painter: which mouths are learnt from, and that it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from face_latents.lab.data.canonical import CanonicalFaces
from face_latents.lab.training.face.mouth import MouthTraining, draw_mouths, mouths_to_learn
from face_latents.lab.training.loop import Session
from face_latents.models.architectures.face.mouth import MouthPainter
from face_latents.models.errors import FaceLatentsError
from face_support import SIZE, geometry, random_faces
from PIL import Image


def sharp_and_soft(count: int) -> CanonicalFaces:
    """Faces of which those of the second half are without any detail."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=generator).to(torch.uint8)
    pictures[count // 2 :] = 120
    return CanonicalFaces(pictures, random_faces(count), ({},) * count)


@pytest.fixture
def painter() -> MouthPainter:
    torch.manual_seed(0)
    painter = MouthPainter(SIZE, 8)
    painter.prepare(geometry()["canon"])
    return painter


def test_open_and_sharp_mouths_are_learnt_from(painter: MouthPainter) -> None:
    faces = sharp_and_soft(40)
    mean = geometry()["shape.mean"]
    mouths, shapes = mouths_to_learn(painter, faces, sharp_and_soft(2), mean)
    assert 0 < len(mouths) < 40
    assert len(mouths) == len(shapes)
    assert mouths.shape[1:] == (3, *painter.mask.shape[1:])
    assert (mouths.float().std((1, 2, 3)) > 1).all()  # none of the blank ones


def test_faces_with_closed_mouths_teach_nothing(painter: MouthPainter) -> None:
    faces = sharp_and_soft(4)
    faces.points[:, 14] = faces.points[:, 13]
    with pytest.raises(FaceLatentsError, match="open mouth"):
        mouths_to_learn(painter, faces, faces, geometry()["shape.mean"])


def test_a_painter_learns_the_colour_of_teeth(painter: MouthPainter, tmp_path: Path) -> None:
    mask = painter.mask
    mouths = (255 * (0.3 + 0.6 * mask)).expand(8, 3, -1, -1).to(torch.uint8)
    training = MouthTraining(painter, mouths, torch.zeros(8, 3), 200, 4, 0)

    @torch.no_grad()
    def error() -> float:
        seen = mouths.float() / 255
        shown = training.painter(painter.around(seen), torch.zeros(8, 3))
        return float(((shown - seen) * mask).abs().mean() / mask.mean())

    before = error()
    training.run(tmp_path / "mouth", Session(), lambda: None)
    assert error() < 0.7 * before
    draw_mouths(training, tmp_path / "samples.png")
    assert Image.open(tmp_path / "samples.png").width > 6 * mask.shape[2]
    assert (tmp_path / "mouth.curve.csv").is_file()
