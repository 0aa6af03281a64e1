"""Crops that an edit model drew anew: where they lay, their colours, and what of them is taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from face_latents.models.errors import FaceLatentsError
from face_latents.models.geometry.similarity import transform_points
from face_latents.models.imaging.align import warp_affine
from face_latents.models.paste.crop_edit import match_colours, paste_crop, plan_crop_edit
from face_latents.models.paste.face import cut_face
from face_latents.models.paste.region import PARTS, SURROUNDINGS, find_points, region_mask
from face_latents.models.paste.registration import lay_onto, register
from face_latents.models.values import PhotoContext
from loop_support import case
from torch import Tensor

FACE = PARTS[:-1]
TINT = torch.tensor([1.05, 0.97, 0.9])[:, None, None]


def moved(side: int, scale: float, degrees: float, x: float, y: float) -> Tensor:
    """A similarity about the middle of a picture, then a shift in pixels."""
    angle, middle = math.radians(degrees), (side - 1) / 2
    a, b = scale * math.cos(angle), scale * math.sin(angle)
    matrix = torch.tensor([[a, -b], [b, a]], dtype=torch.float64)
    shift = torch.tensor([x, y]) + middle - matrix @ torch.full((2,), middle, dtype=torch.float64)
    return torch.cat([matrix, shift[:, None]], 1)


def stand_in(crop: Tensor, transform: Tensor, tint: bool = True) -> Tensor:
    """What an edit model that changes nothing on purpose returns of a crop `(3, N, N)`."""
    picture = warp_affine(crop[None], transform, (crop.shape[-1],) * 2, mode="bicubic")[0]
    return (picture * TINT + 0.02 if tint else picture).clamp(0, 1)


def worst(found: Tensor, true: Tensor, side: int) -> float:
    """How far the registration is off within the crop, in pixels."""
    shares = torch.tensor([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]], dtype=torch.float64)
    places = shares * side
    apart = transform_points(found, places) - transform_points(true, places)
    return float(apart.norm(dim=1).max())


@pytest.fixture(scope="module")
def contexts(encoded_astronaut, face_model) -> list[PhotoContext]:
    """A photo, the same in a mirror, and two invented faces, each with its place."""
    (own,) = encoded_astronaut.contexts
    width = own.photo.shape[1]
    swapped = own.landmarks[[1, 0, 2, 4, 3]].clone()
    swapped[:, 0] = width - 1 - swapped[:, 0]
    flip = torch.tensor([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    turn = torch.tensor([[-1.0, 0, own.size - 1], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    square = torch.cat([own.transform, torch.tensor([[0.0, 0, 1]], dtype=torch.float64)])
    mirrored = replace(
        own,
        photo=own.photo.flip(1),
        landmarks=swapped,
        transform=(turn @ square @ flip)[:2],
        photo_key="mirrored",
    )
    invented = [
        replace(
            own,
            photo=picture.permute(1, 2, 0).contiguous(),
            transform=torch.eye(2, 3, dtype=torch.float64),
            landmarks=face_model.template.pixels(),
        )
        for picture in face_model.decode(face_model.sample(2, seed=3)).clamp(0, 1)
    ]
    return [own, mirrored, *invented]


def test_shift_scale_turn_and_tint_are_found_to_a_part_of_a_pixel(contexts):
    side = 256
    motions = [(1.02, 0.0, 6.0, 0.0), (0.97, 1.5, -6.0, 4.5), (1.0, 0.0, 0.3, -0.4)]
    for number, context in enumerate(contexts):
        crop = cut_face(context.photo, context, side)
        for motion in motions[: 3 if number == 0 else 1]:
            with case(photo=number, motion=motion):
                true = moved(side, *motion)
                found = register(crop, stand_in(crop, true))
                assert worst(found.transform, true, side) <= 0.5
                laid, seen = lay_onto(stand_in(crop, true, tint=False), found)
                assert ((laid - crop).abs().mean(0) * seen).mean() < 0.01


def test_what_was_asked_for_does_not_move_the_rest(contexts):
    """A region that was painted over and shifted by itself counts little."""
    side = 256
    crop = cut_face(contexts[0].photo, contexts[0], side)
    region = region_mask(find_points(contexts[0]), FACE, 0.06, side)
    other = warp_affine(crop[None], moved(side, 1.0, 0, 7, 0), (side, side))[0]
    true = moved(side, 1.02, 0, 3, 1)
    edited = stand_in(crop + region * (other - crop), true)
    assert worst(register(crop, edited, region).transform, true, side) <= 0.5


def test_larger_shifts_and_other_pictures_are_refused_in_words(contexts):
    side = 256
    crop, other = (cut_face(each.photo, each, side) for each in (contexts[0], contexts[2]))
    for motion, words in (
        ((1.0, 0, 0.14 * side, 0), r"shifted by \+3\d\.\d, .* Up to 8% of the side"),
        ((1.16, 0, 0, 0), r"scaled by \+16\.\d%"),
        ((1.0, 8.5, 0, 0), r"turned by \+8\.\d degrees"),
    ):
        with case(motion=motion), pytest.raises(FaceLatentsError, match=words):
            register(crop, stand_in(crop, moved(side, *motion)))
    with pytest.raises(FaceLatentsError, match="does not show the crop"):
        register(crop, other)
    with pytest.raises(FaceLatentsError):
        register(crop, torch.full_like(crop, 0.5))


@pytest.mark.parametrize("parts", [FACE, ("mouth",), (SURROUNDINGS,)])
def test_outside_of_the_region_the_photo_is_the_same_to_the_last_bit(contexts, parts):
    """The edit model of the issue: 6 px, 2%, a tint."""
    for number, context in enumerate(contexts[:2]):
        with case(photo=number):
            side = 256
            crop = cut_face(context.photo, context, side)
            edit = plan_crop_edit(
                context, stand_in(crop, moved(side, 1.02, 0, 6, 0)), parts, feather=0.06
            )
            assert worst(edit.found.transform, moved(side, 1.02, 0, 6, 0), side) <= 0.5
            pasted, reached = paste_crop(context.photo, context, edit)
            outside = reached == 0
            assert torch.equal(pasted[outside], context.photo[outside])
            assert 0.002 < (~outside).float().mean() < 0.9
            inside = (pasted - context.photo).abs()[~outside]
            assert inside.mean() < 0.01  # the model changed nothing on purpose
            assert inside.max() > 0


def test_only_the_parts_asked_for_change(contexts):
    context = contexts[0]
    points = find_points(context)
    masks = {part: region_mask(points, (part,), 0.04, 256) for part in PARTS}
    face = context.landmarks
    pixels = transform_points(context.transform, face)
    where = ((pixels + 0.5) / context.size * 256).long()
    left_eye, right_eye, nose, left_mouth, right_mouth = where.tolist()
    inside = {"eyes": [left_eye, right_eye], "nose": [nose], "mouth": [left_mouth, right_mouth]}
    for part, mask in masks.items():
        with case(part=part):
            assert mask.shape == (256, 256)
            assert 0 <= mask.min() <= mask.max() <= 1
            assert not mask[0].any()
            assert not mask[:, -1].any()
            for owner, places in inside.items():
                for x, y in places:
                    assert (mask[y, x] > 0.9) == (owner == part)
    whole = region_mask(points, PARTS, 0.0, 256)
    assert whole[64:192, 64:192].min() > 0.99
    assert not region_mask(points, (), 0.05, 256).any()


def test_a_crop_that_went_straight_through_leaves_the_photo_as_it_was(contexts):
    context = contexts[0]
    edit = plan_crop_edit(context, cut_face(context.photo, context, 200), PARTS, feather=0.1)
    pasted, reached = paste_crop(context.photo, context, edit)
    assert torch.equal(pasted, context.photo)
    assert reached.any()
    assert edit.found.shift == (0, 0)


def test_a_tint_is_matched_by_what_is_kept_and_an_edit_of_colour_stays(contexts):
    context = contexts[0]
    crop = cut_face(context.photo, context, 224)
    region = region_mask(find_points(context), ("mouth",), 0.04, 224)
    red = torch.tensor([0.8, 0.1, 0.1])[:, None, None]
    wanted = crop + region * (red - crop)
    tinted = (wanted * 0.9 * TINT + 0.03).clamp(0, 1)
    gain, offset = match_colours(tinted, crop, torch.ones(224, 224), region)
    torch.testing.assert_close(gain, 1 / (0.9 * TINT), atol=0.01, rtol=0)
    error = (tinted * gain + offset - wanted).abs()
    assert (error * region).sum() / region.sum() / 3 < 0.01
    even = torch.full((3, 64, 64), 0.4)
    gain, offset = match_colours(even + 0.1, even, torch.ones(64, 64), torch.zeros(64, 64))
    torch.testing.assert_close((even + 0.1) * gain + offset, even, atol=1e-4, rtol=0)


def shifted(context: PhotoContext) -> Tensor:
    """The crop, brighter by 0.1."""
    return (cut_face(context.photo, context, 128) * 0.8 + 0.1).clamp(0, 1)


@pytest.mark.parametrize("change", [shifted])
def test_strength_mask_alpha_and_range(contexts, change: Callable[[PhotoContext], Tensor]):
    context = contexts[0]
    edit = plan_crop_edit(
        context, change(context), FACE, feather=0.05, align=False, match_colour=False
    )
    full, reached = paste_crop(context.photo, context, edit)
    half, _ = paste_crop(context.photo, context, edit, strength=0.5)
    none, nowhere = paste_crop(context.photo, context, edit, strength=0)
    assert torch.equal(none, context.photo)
    assert not nowhere.any()
    torch.testing.assert_close(half - context.photo, (full - context.photo) / 2, atol=1e-6, rtol=0)
    assert 0 <= full.min() <= full.max() <= 1
    mask = torch.zeros(context.photo.shape[:2])
    mask[:, :230] = 1
    partly, seen = paste_crop(context.photo, context, edit, mask=mask)
    assert torch.equal(partly[:, 230:], context.photo[:, 230:])
    assert torch.equal(partly[:, :230], full[:, :230])
    assert torch.equal(seen, reached * mask)
    alpha = torch.rand(*context.photo.shape[:2], 1)
    with_alpha, _ = paste_crop(torch.cat([context.photo, alpha], -1), context, edit)
    assert torch.equal(with_alpha, torch.cat([full, alpha], -1))


def test_pixels_that_are_no_numbers_are_refused_on_the_face_alone(contexts):
    context = contexts[0]
    edit = plan_crop_edit(
        context, shifted(context), FACE, feather=0.0, align=False, match_colour=False
    )
    broken = context.photo.clone()
    broken[0, 0] = math.nan
    paste_crop(broken, context, edit)
    x, y = context.landmarks[2].round().long().tolist()
    broken[y, x] = math.nan
    with pytest.raises(FaceLatentsError, match="not numbers"):
        paste_crop(broken, context, edit)


def test_parts_of_a_whole_picture_are_not_known(contexts):
    whole = replace(contexts[0], landmarks=torch.zeros(0, 2))
    with pytest.raises(FaceLatentsError, match="whole pictures"):
        find_points(whole)
