"""Paste Back: which photo each face goes into, and what stays untouched."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.values import FaceLatent, join_latents
from face_latents.nodes.model import paste_back
from nodes_support import SIZE, encode, mesh_face, photos, random_latent, run, tiny_model

MODEL = tiny_model()
SMILE = MODEL.directions["smile"]


def paste(latent: FaceLatent, **more: object) -> torch.Tensor:
    return run("FaceLatentsPasteBack", face_model=MODEL, face_latent=latent, **more)[0]


def smile(latent: FaceLatent, strength: float = 1.0) -> FaceLatent:
    return run("FaceLatentsAddDirection", face_latent=latent, direction=SMILE, strength=strength)[0]


def test_unedited_faces_give_back_the_photos_bit_for_bit():
    image = photos(3)
    assert torch.equal(paste(encode(MODEL, image)), image)
    assert torch.equal(paste(smile(encode(MODEL, image), 0.0)), image)


def test_an_edit_changes_the_face_and_nothing_else():
    image = photos(2, 120, 160)
    result = paste(smile(encode(MODEL, image, mesh_face(80, 60, 20))))
    assert result.shape == image.shape
    changed = (result != image).any(-1)
    assert changed.any(-1).any(-1).all()
    rows, columns = changed.any(0).nonzero(as_tuple=True)
    assert rows.min() > 20
    assert rows.max() < 110
    assert columns.min() > 40
    assert columns.max() < 120
    assert -1e-6 <= result.min() <= result.max() <= 1 + 1e-6


def test_strength_zero_gives_the_photo():
    image = photos()
    edited = smile(encode(MODEL, image))
    assert torch.equal(paste(edited, strength=0.0), image)
    half, full = ((paste(edited, strength=s) - image).abs().sum() for s in (0.5, 1.0))
    assert 0 < half < full


def test_faces_of_one_photo_share_an_output():
    image = photos(2, 120, 200)
    latent = smile(encode(MODEL, image, mesh_face(50, 60), mesh_face(150, 60)))
    result = paste(latent)
    assert result.shape == image.shape
    for side in (slice(0, 100), slice(100, 200)):
        assert (result[:, :, side] != image[:, :, side]).flatten(1).any(1).all()


def test_frames_of_a_morph_get_an_output_each():
    image = photos(2)
    latent = encode(MODEL, image)
    frames = run("FaceLatentsMorph", face_latent=latent, frames=6, path="lerp", loop=False)[0]
    result = paste(frames)
    assert result.shape == (6, *image.shape[1:])
    assert torch.equal(result[0], image[0])
    changes = (result - image[0]).abs().flatten(1).sum(1)
    assert (changes[1:] > changes[:-1]).all()


def test_frames_of_two_faces_of_one_photo_meet_in_the_same_output():
    image = photos(1, 120, 200)
    both = encode(MODEL, image, mesh_face(50, 60), mesh_face(150, 60))
    left, right = (run("FaceLatentsSelect", face_latent=both, index=i)[0] for i in (0, 1))
    frames = [join_latents([smile(face, s) for s in (1.0, 2.0, 3.0)]) for face in (left, right)]
    result = paste(join_latents(frames))
    assert len(result) == 3
    for picture in result:
        assert (picture[:, :100] != image[0, :, :100]).any()
        assert (picture[:, 100:] != image[0, :, 100:]).any()


def test_face_image_replaces_the_decode_at_any_size():
    image = photos()
    latent = encode(MODEL, image)
    decoded = run("FaceLatentsDecode", face_model=MODEL, face_latent=latent)[0]
    for size in (SIZE, 3 * SIZE):
        brighter = torch.nn.functional.interpolate(
            decoded.permute(0, 3, 1, 2), size=(size, size), mode="bicubic", antialias=True
        ).permute(0, 2, 3, 1)
        result = paste(latent, face_image=(brighter + 0.2).clamp(0, 1))
        assert result.mean() > image.mean()
    with pytest.raises(FaceLatentsError, match="square"):
        paste(latent, face_image=photos())
    with pytest.raises(FaceLatentsError, match="2 pictures for 1 faces"):
        paste(latent, face_image=photos(2, SIZE, SIZE))


def test_long_batches_are_worked_on_in_parts_with_the_same_result(monkeypatch):
    image = photos(5)
    edited = smile(encode(MODEL, image, mesh_face(40, 45), mesh_face(70, 45)))
    whole = paste(edited)
    brighter = run("FaceLatentsDecode", face_model=MODEL, face_latent=edited)[0] + 0.1
    painted = paste(edited, face_image=brighter)
    monkeypatch.setattr(paste_back, "PLANNED_PIXELS", 3 * SIZE**2)
    MODEL.module.batches.clear()
    close = partial(torch.testing.assert_close, atol=1e-3, rtol=0)  # of batches of other sizes
    close(paste(edited), whole)
    assert max(MODEL.module.batches) == 3
    close(paste(edited, face_image=brighter), painted)
    frames = run(
        "FaceLatentsMorph",
        face_latent=encode(MODEL, photos(2)),
        frames=9,
        path="lerp",
        loop=False,
    )[0]
    MODEL.module.batches.clear()
    paste(frames)
    assert sum(MODEL.module.batches) == 8 + 1  # frames share the face before the edit


def test_mask_protects_the_photo():
    image = photos(1, 120, 160)
    edited = smile(encode(MODEL, image, mesh_face(80, 60)))
    mask = torch.zeros(1, 120, 160)
    mask[:, :, :80] = 1
    result = paste(edited, mask=mask)
    assert torch.equal(result[:, :, 80:], image[:, :, 80:])
    assert (result[:, :, :80] != image[:, :, :80]).any()


def test_transparency_is_carried_through():
    image = photos(1, channels=4)
    result = paste(smile(encode(MODEL, image)))
    assert torch.equal(result[..., 3], image[..., 3])
    assert (result[..., :3] != image[..., :3]).any()
    both = join_latents([encode(MODEL, photos()), encode(MODEL, image)])
    mixed = paste(both)
    assert mixed.shape[-1] == 4
    assert (mixed[0, ..., 3] == 1).all()


def test_faces_without_a_photo_are_refused_with_advice():
    with pytest.raises(FaceLatentsError, match=r"face 1 of 1 belongs to no photo.*Decode Face"):
        paste(random_latent(MODEL))
    mixed = join_latents([encode(MODEL, photos()), random_latent(MODEL)])
    with pytest.raises(FaceLatentsError, match="face 2 of 2"):
        paste(mixed)


def test_photos_of_different_sizes_are_refused_with_advice():
    both = join_latents([encode(MODEL, photos(1, 90, 110)), encode(MODEL, photos(1, 100, 120))])
    with pytest.raises(FaceLatentsError, match=r"110 x 90, 120 x 100.*Select Face Latent"):
        paste(both)


def test_other_model_is_refused():
    latent = encode(MODEL, photos())
    other = tiny_model("c" * 16, "other")
    with pytest.raises(SpaceMismatchError, match="'other'"):
        run("FaceLatentsPasteBack", face_model=other, face_latent=latent)


def test_inputs_stay_as_they_were():
    image = photos()
    latent = smile(encode(MODEL, image))
    photo, samples = image.clone(), latent.samples.clone()
    paste(latent)
    assert torch.equal(latent.contexts[0].photo, photo[0])
    assert torch.equal(latent.samples, samples)


def test_codes_out_of_range_do_not_leave_the_picture_range():
    latent = encode(MODEL, photos())
    wild = replace(latent, samples=latent.samples + 500)
    result = paste(wild)
    assert torch.isfinite(result).all()
    assert -1e-6 <= result.min() <= result.max() <= 1 + 1e-6


def test_a_lying_face_is_edited_as_an_upright_one(face_model, astronaut):
    direction = face_model.directions["smile"]
    results = []
    for quarters in (0, 1, 2, 3):
        photo = astronaut.rot90(quarters).contiguous()
        latent, _ = run(
            "FaceLatentsEncode",
            image=photo[None],
            face_model=face_model,
            faces="largest",
            index=0,
            min_score=0.5,
        )
        moved = run(
            "FaceLatentsAddDirection", face_latent=latent, direction=direction, strength=2.0
        )[0]
        pasted = run("FaceLatentsPasteBack", face_model=face_model, face_latent=moved)[0]
        results.append((pasted[0] - photo).rot90(-quarters))
    upright = results[0]
    assert upright.abs().max() > 0.1
    for turned in results[1:]:
        assert (turned - upright).abs().mean() < 0.1 * upright.abs().mean()
