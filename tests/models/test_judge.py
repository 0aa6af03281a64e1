"""The attribute judge reads the same off a face however its crop is framed."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.errors import FaceLatentsError
from face_latents.models.finder.checkpoint import load_finder
from face_latents.models.geometry.templates import FFHQ, TIGHT, WHOLE, WIDE
from face_latents.models.imaging.align import align, reframe
from face_latents.models.judge import OUTPUTS, load_judge, read
from torch import Tensor


@pytest.fixture(scope="module")
def landmarks(astronaut: Tensor) -> Tensor:
    return load_finder().find(astronaut)[0].landmarks


def test_readings_do_not_depend_on_the_framing(astronaut: Tensor, landmarks: Tensor) -> None:
    judge = load_judge()
    tight = read(judge, align(astronaut, landmarks, TIGHT)[0][None])
    for template in (WIDE.resized(224), FFHQ.resized(512)):
        crop = align(astronaut, landmarks, template)[0][None]
        found = read(judge, crop, template)
        for name in OUTPUTS[:5]:
            assert float(found[name]) == pytest.approx(float(tight[name]), abs=0.04), name
        assert float(found["age"]) == pytest.approx(float(tight["age"]), abs=1)
        assert float(found["brightness"]) == pytest.approx(float(tight["brightness"]), abs=0.01)
        wrong = read(judge, crop)
        assert abs(float(wrong["age"]) - float(tight["age"])) > 3


def test_crops_are_framed_as_another_template_wants(astronaut: Tensor, landmarks: Tensor) -> None:
    tight = align(astronaut, landmarks, TIGHT)[0][None]
    for template in (WIDE.resized(224), FFHQ.resized(256)):
        wide = align(astronaut, landmarks, template)[0]
        again = reframe(torch.stack([wide, wide]), template, TIGHT)
        assert again.shape == (2, 3, 128, 128)
        assert float((again[:1] - tight).abs().mean()) < 0.01
    assert torch.equal(reframe(tight, TIGHT, TIGHT), tight)
    assert reframe(tight[:0], WIDE, TIGHT).shape == (0, 3, 128, 128)
    with pytest.raises(FaceLatentsError, match="knows no landmarks"):
        reframe(tight, WHOLE, TIGHT)
    with pytest.raises(FaceLatentsError, match="whole pictures"):
        read(load_judge(), tight, WHOLE)
