"""The bundled dense landmarks on a portrait they never saw."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import skimage.data
import torch
from face_latents.models.bundled import bundled_file
from face_latents.models.errors import FaceLatentsError, UnsupportedModelError
from face_latents.models.files.tensors import load_tensors, save_tensors
from face_latents.models.finder.dense_landmarks import DenseLandmarks, load_dense_landmarks
from face_latents.models.finder.landmarks_net import POINTS
from face_latents.models.geometry.similarity import (
    compose_transforms,
    similarity_transform,
    transform_points,
)
from face_latents.models.geometry.templates import WIDE
from face_latents.models.imaging.align import align_with_transform
from face_support import MIRROR, five_of

# Marked by eye in skimage.data.astronaut(): (x, y) of eyes, nose tip, corners of the mouth.
ASTRONAUT = torch.tensor(
    [[203.0, 98.0], [246.0, 103.0], [222.5, 127.0], [203.0, 141.0], [242.0, 144.0]],
    dtype=torch.float64,
)
SIZE = 224
EYES = 0.32  # sides between the eyes in template "wide"
CHIN, FOREHEAD = 152, 10


@pytest.fixture(scope="module")
def landmarks() -> DenseLandmarks:
    return load_dense_landmarks()


def placed(photo: torch.Tensor, x: float = 0, y: float = 0, degrees: float = 0, scale: float = 1):
    """The astronaut's crop `(1, 3, S, S)`, moved by shares of its side, turned and enlarged; and
    the transform `(2, 3)` of shares from the middle of the plain crop to those of this one."""
    plain = similarity_transform(ASTRONAUT, WIDE.resized(SIZE).pixels())
    angle, middle = math.radians(degrees), SIZE / 2 - 0.5
    linear = scale * torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )
    centre = torch.full((2,), middle, dtype=torch.float64)
    shift = torch.tensor([x, y], dtype=torch.float64)
    moved = torch.cat([linear, (centre - linear @ centre + SIZE * shift)[:, None]], 1)
    crop = align_with_transform(photo, compose_transforms(moved, plain), SIZE)[None]
    return crop, torch.cat([linear, shift[:, None]], 1)


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Mean distance in the picture, in distances between the eyes."""
    return float((found[..., :2] - expected[..., :2]).norm(dim=-1).mean() / EYES)


def test_points_lie_where_they_were_marked_by_eye(landmarks, astronaut) -> None:
    points, confidence = landmarks.find(placed(astronaut)[0])
    assert points.shape == (1, POINTS, 3)
    assert confidence.shape == (1,)
    assert error(five_of(points[0]).double(), WIDE.points - 0.5) < 0.1
    assert points[0, FOREHEAD, 1] < -0.1
    assert points[0, CHIN, 1] > 0.25
    assert points[0, 1, 2] < points[0, [234, 454], 2].min() - 0.1  # the nose is nearer


def test_confidence_tells_faces_from_other_things(landmarks, astronaut) -> None:
    cup = torch.from_numpy(skimage.data.coffee()[:224, 100:324].copy()).permute(2, 0, 1) / 255
    flat = torch.full((3, SIZE, SIZE), 0.5)
    noise = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    crops = torch.stack([placed(astronaut)[0][0], cup, flat, noise])
    face, *others = landmarks.find(crops)[1].tolist()
    assert face > 0.8
    assert max(others) < face
    assert sum(others) / len(others) < 0.5


@pytest.mark.parametrize(
    ("x", "y", "degrees", "scale"),
    [(0.004, 0.0, 0, 1), (0.0, -0.03, 0, 1), (0.05, 0.03, 0, 1), (0, 0, 15, 1), (0, 0, -20, 1),
     (0, 0, 0, 1.12), (0.02, 0.02, 8, 0.92)],
)  # fmt: skip
def test_points_go_along_with_the_face(landmarks, astronaut, x, y, degrees, scale) -> None:
    plain = landmarks.find(placed(astronaut)[0])[0][0]
    crop, moved = placed(astronaut, x, y, degrees, scale)
    found = landmarks.find(crop)[0][0]
    expected = transform_points(moved, plain[:, :2])
    assert error(found, expected) < 0.02
    depth = (found[:, 2] - scale * plain[:, 2]).abs().mean()
    assert depth < 0.03 * EYES


def test_a_mirrored_face_has_mirrored_points(landmarks, astronaut) -> None:
    crop = placed(astronaut)[0]
    plain, turned = landmarks.find(torch.cat([crop, crop.flip(-1)]))[0]
    assert error(turned[landmarks.mirrored] * MIRROR, plain) < 0.02
    assert torch.equal(landmarks.mirrored[landmarks.mirrored], torch.arange(POINTS))


def test_size_light_and_grain_hardly_matter(landmarks, astronaut) -> None:
    crop = placed(astronaut)[0]
    plain = landmarks.find(crop)[0]
    small = torch.nn.functional.interpolate(crop, size=(128, 128), mode="area")
    large = torch.nn.functional.interpolate(crop, size=(448, 448), mode="bicubic")
    noise = torch.randn(crop.shape, generator=torch.Generator().manual_seed(0))
    for other in (small, large, crop * 0.6, crop.mean(1, keepdim=True).expand_as(crop),
                  (crop + 0.02 * noise).clamp(0, 1)):  # fmt: skip
        assert error(landmarks.find(other)[0], plain) < 0.03


def test_faces_of_a_batch_do_not_touch_each_other(landmarks, astronaut) -> None:
    crops = torch.cat([placed(astronaut)[0], placed(astronaut, 0.04)[0]])
    points, confidence = landmarks.find(crops)
    for i in range(2):
        alone = landmarks.find(crops[i : i + 1])
        torch.testing.assert_close(points[i], alone[0][0], atol=1e-4, rtol=0)
        torch.testing.assert_close(confidence[i], alone[1][0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "finder"}, "names the architecture 'finder'"),
        ({"mirrored": "[0, 1, 2]"}, "in a mirrored picture"),
        ({"mirrored": json.dumps([0] * POINTS)}, "in a mirrored picture"),
        ({"mirrored": "{"}, "does not fit"),
        ({"mirrored": '["a"]'}, "does not fit"),
        ({"mirrored": None}, "does not fit"),
        ("refine.shape.bias", "does not fit"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: object, words: str) -> None:
    tensors, metadata = load_tensors(bundled_file("landmarks.safetensors"))
    if isinstance(change, dict):
        metadata = {k: v for k, v in (metadata | change).items() if v is not None}
    else:
        del tensors[change]
    save_tensors(tmp_path / "other.safetensors", tensors, metadata)
    with pytest.raises(UnsupportedModelError, match=words) as caught:
        load_dense_landmarks(tmp_path / "other.safetensors")
    assert "other.safetensors" in str(caught.value)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(bundled_file("landmarks.safetensors").read_bytes()[:-1000])
    with pytest.raises(FaceLatentsError, match="cut"):
        load_dense_landmarks(cut)
