"""Morph Photos: which photos are mixed, and what of them is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.face_model import FaceModel
from face_latents.models.values import FaceLatent, join_latents
from face_latents.nodes.mix import photos as node
from nodes_support import encode, mesh_face, random_latent, run, tiny_model
from nodes_support import photos as make_photos


@pytest.fixture(scope="module")
def faces(face_model: FaceModel) -> FaceLatent:
    """A photo's and a drawn one."""
    image = make_photos(1, 150, 200)
    drawn = run("FaceLatentsSample", face_model=face_model, seed=4)[0]
    return join_latents([encode(face_model, image, mesh_face(100, 75, 30)), drawn])


def morph(model: FaceModel, mixed: FaceLatent, faces: FaceLatent, **more: object) -> torch.Tensor:
    given = {"face_model": model, "face_latent": mixed, "photos": faces, "size": 96} | more
    return run("FaceLatentsMorphPhotos", **given)[0]


def test_a_morph_goes_from_the_photo_to_the_drawn_face(
    face_model: FaceModel, faces: FaceLatent
) -> None:
    frames = run("FaceLatentsMorph", face_latent=faces, frames=3, path="lerp", loop=False)[0]
    shown = morph(face_model, frames, faces)
    assert shown.shape == (3, 96, 96, 3)
    assert 0 <= shown.min() <= shown.max() <= 1
    first, middle, last = shown
    assert (first - last).abs().mean() > 0.05
    tones = shown[:, 32:64, 32:64].mean((1, 2))
    torch.testing.assert_close(tones[1], (tones[0] + tones[2]) / 2, atol=0.05, rtol=0)
    assert min((middle - first).abs().mean(), (middle - last).abs().mean()) > 0.05
    whole = morph(face_model, frames, faces, view="first photo")
    assert whole.shape == (3, 150, 200, 3)
    photo = faces.contexts[0].photo
    torch.testing.assert_close(whole[0], photo, atol=2e-3, rtol=0)


def test_the_background_can_stay(face_model: FaceModel, faces: FaceLatent) -> None:
    other = faces.take([1])
    kept = morph(face_model, other, faces, view="first photo", background="first photo")[0]
    photo = faces.contexts[0].photo
    torch.testing.assert_close(kept[:20, :20], photo[:20, :20], atol=2e-3, rtol=0)
    assert (kept - photo)[60:90, 85:115].abs().mean() > 0.02


def test_a_photo_counts_once(face_model: FaceModel, faces: FaceLatent) -> None:
    twice = faces.take([0, 0, 1])
    mean = run("FaceLatentsLerp", a=faces.take([0]), b=faces.take([1]), t=0.5)[0]
    torch.testing.assert_close(
        morph(face_model, mean, twice), morph(face_model, mean, faces), atol=1e-4, rtol=0
    )


def test_photos_without_a_face_are_left_out(face_model: FaceModel, faces: FaceLatent) -> None:
    context = faces.contexts[0]
    none = replace(
        faces.take([0]), contexts=(replace(context, has_face=False, landmarks=torch.zeros(0, 2)),)
    )
    shown = morph(face_model, faces.take([0]), join_latents([none, faces]))
    torch.testing.assert_close(shown, morph(face_model, faces.take([0]), faces))
    with pytest.raises(FaceLatentsError, match="none of the photos shows a face"):
        morph(face_model, faces.take([0]), none)


def test_what_cannot_be_drawn_is_refused(
    face_model: FaceModel, faces: FaceLatent, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_model()
    with pytest.raises(SpaceMismatchError, match="Morph Photos"):
        morph(face_model, random_latent(tiny), faces)
    with pytest.raises(SpaceMismatchError, match="Morph Photos"):
        morph(face_model, faces, random_latent(tiny))
    monkeypatch.setattr(node, "LARGEST", 150 * 200 - 1)
    with pytest.raises(FaceLatentsError, match="the first photo has 200 x 150 pixels"):
        morph(face_model, faces, faces, view="first photo")
    monkeypatch.setattr(node, "MOST_PIXELS", 1000)
    with pytest.raises(FaceLatentsError, match="do not fit into memory"):
        morph(face_model, faces, faces)
