"""Photos mixed as their codes are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import FaceModel
from face_latents.models.geometry.similarity import transform_points
from face_latents.models.paste.face import PhotoFace
from face_latents.models.paste.morph import (
    FARTHEST,
    LEAST_WIDTH,
    PhotoMorph,
    photo_shares,
    portrait_view,
    view_of,
)
from face_latents.models.values import PhotoContext
from torch import Tensor

SIDE = 320


@pytest.fixture(scope="module")
def faces(face_model: FaceModel) -> list[PhotoFace]:
    """Two faces that the model draws, in photos that are larger than them, of one tone around."""
    generator = torch.Generator().manual_seed(3)
    codes = 0.6 * torch.randn(2, *face_model.space.shape, generator=generator)
    codes[:, face_model.capabilities.parts["pose"]] = 0
    size = face_model.template.size
    edge = (SIDE - size) // 2
    made = []
    for code, picture, tone in zip(
        codes, face_model.decode(codes).clamp(0, 1), (0.2, 0.8), strict=True
    ):
        photo = torch.full((SIDE, SIDE, 3), tone)
        photo[edge : edge + size, edge : edge + size] = picture.permute(1, 2, 0)
        to_crop = torch.tensor([[1.0, 0, -edge], [0, 1, -edge]], dtype=torch.float64)
        marks = face_model.template.pixels() + edge
        made.append(PhotoFace(PhotoContext(photo, to_crop, size, marks, code, str(tone), 0)))
    return made


def mixed(faces: list[PhotoFace], share: float) -> Tensor:
    return torch.lerp(faces[0].code, faces[1].code, share)


def test_shares_are_those_of_the_mixture() -> None:
    codes = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    shares = torch.tensor([0.1, 0.4, 0.0, 0.3, 0.2])
    mixed = shares @ codes
    for longer in (1.0, 1.8):  # as the mean or an arc
        found, mixture = photo_shares(codes, longer * mixed)
        torch.testing.assert_close(found, shares, atol=1e-5, rtol=0)
        torch.testing.assert_close(mixture, longer * mixed, atol=1e-4, rtol=0)
    beyond, _ = photo_shares(codes[:2], codes[1] + 0.5 * (codes[1] - codes[0]))
    torch.testing.assert_close(beyond, torch.tensor([0.0, 1.0]))
    same, mixture = photo_shares(codes[:1].repeat(3, 1), codes[0])
    torch.testing.assert_close(same, torch.full((3,), 1 / 3))
    torch.testing.assert_close(mixture, codes[0])
    one, mixture = photo_shares(codes[:1], codes[3])
    assert torch.equal(one, torch.ones(1))
    assert torch.equal(mixture, codes[0])
    opposite, _ = photo_shares(codes[:2], -codes[0] - codes[1])
    torch.testing.assert_close(opposite, torch.tensor([0.5, 0.5]))


def test_an_unmixed_photo_is_the_photo(face_model: FaceModel, faces: list[PhotoFace]) -> None:
    morph = PhotoMorph(face_model, faces, view_of(faces[0].context))
    for face, share in zip(faces, (0.0, 1.0), strict=True):
        shown = morph.draw(mixed(faces, share))
        torch.testing.assert_close(shown, face.context.photo, atol=2e-3, rtol=0)


def test_what_surrounds_dissolves_or_stays(face_model: FaceModel, faces: list[PhotoFace]) -> None:
    view, corner = view_of(faces[0].context), slice(0, 12)
    for dissolve, tone in ((True, 0.35), (False, 0.2)):
        morph = PhotoMorph(face_model, faces, view, dissolve=dissolve)
        shown = morph.draw(mixed(faces, 0.25))
        around = torch.full((12, 12, 3), tone)
        torch.testing.assert_close(shown[corner, corner], around, atol=5e-3, rtol=0)
        middle = shown[150:170, 150:170] - faces[0].context.photo[150:170, 150:170]
        assert middle.abs().mean() > 0.01


def test_shapes_meet_between(face_model: FaceModel, faces: list[PhotoFace]) -> None:
    """Half-way, each photo has moved to the same shape, as an edit of it alone would move it."""
    half = mixed(faces, 0.5)
    alone = []
    for face in faces:
        code = half.clone()
        look = face_model.capabilities.parts["appearance"]
        code[look] = face.code[look]
        morph = PhotoMorph(face_model, [face], view_of(face.context))
        alone.append(morph.draw(code))
    both = PhotoMorph(face_model, faces, view_of(faces[0].context)).draw(half)
    off = (both - (alone[0] + alone[1]) / 2)[16:-16, 16:-16].abs()
    assert off.max() < 0.25  # where fine contrast is given back
    assert off.mean() < 0.01


def test_an_edit_after_mixing_is_seen(face_model: FaceModel, faces: list[PhotoFace]) -> None:
    half, vector = mixed(faces, 0.5), face_model.directions["brightness"].vector
    morph = PhotoMorph(face_model, faces, view_of(faces[0].context))
    plain, lit = morph.draw(half), morph.draw(half + 2 * vector)
    assert (lit - plain)[140:180, 140:180].mean() > 0.02


def test_a_finer_photo_is_read_without_aliasing(
    face_model: FaceModel, faces: list[PhotoFace]
) -> None:
    face = faces[0]
    lines = (torch.arange(2 * SIDE) % 2).float()[:, None, None].expand(-1, 2 * SIDE, 3)
    context = face.context
    transform = context.transform @ torch.diag(torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64))
    fine = PhotoFace(replace(context, photo=lines.contiguous(), transform=transform))
    shown = PhotoMorph(face_model, [fine], view_of(context)).draw(face.code)
    inner = shown[16:-16, 16:-16]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("surroundings", [1.0, 1.3, 3.0])
def test_a_portrait_ends_where_a_photo_ends(faces: list[PhotoFace], surroundings: float) -> None:
    view = portrait_view(faces, 200, surroundings)
    assert (view.height, view.width) == (200, 200)
    size = faces[0].context.size
    corners = torch.tensor([[-0.5, -0.5], [199.5, 199.5]], dtype=torch.float64)
    low, high = (transform_points(view.transform, corners) + 0.5) / size - 0.5
    width = min(surroundings, SIDE / size)
    torch.testing.assert_close(high - low, torch.full((2,), width, dtype=torch.float64))
    assert low.min() >= -SIDE / size / 2 - 1e-6
    assert high.max() <= SIDE / size / 2 + 1e-6


def test_a_portrait_of_a_face_at_the_border_keeps_the_face(faces: list[PhotoFace]) -> None:
    context = faces[0].context
    shifted = context.transform + torch.tensor([[0, 0, -150.0], [0, 0, 0]], dtype=torch.float64)
    view = portrait_view([PhotoFace(replace(context, transform=shifted))], 100, 1.3)
    middle = torch.tensor([[49.5, 49.5]], dtype=torch.float64)
    (place,) = (transform_points(view.transform, middle) + 0.5) / context.size - 0.5
    assert place.abs().max() <= FARTHEST + 1e-6
    assert float(view.transform[0, 0]) * 100 / context.size >= LEAST_WIDTH - 1e-6


def test_a_model_that_moves_no_photos_is_refused(
    face_model: FaceModel, faces: list[PhotoFace]
) -> None:
    plain = replace(face_model, capabilities=replace(face_model.capabilities, editor=None))
    with pytest.raises(FaceLatentsError, match="does not move the pixels of photos"):
        PhotoMorph(plain, faces, view_of(faces[0].context))
