"""Crop Face and Paste Edited Face: which crop goes into which photo, and what is said."""

from __future__ import annotations

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.errors import FaceLatentsError
from face_latents.models.values import join_latents
from nodes_support import encode, mesh_face, photos, random_latent, run, tiny_model

KEEP_PLACE = {"align": False, "match_colour": False}


def brighter(crops: torch.Tensor) -> torch.Tensor:
    return (crops * 0.8 + 0.15).clamp(0, 1)


def report(**inputs: object) -> str:
    node = NODE_CLASS_MAPPINGS["FaceLatentsPasteEdited"]()
    return node.execute(**inputs)["ui"]["text"][0]


def test_a_crop_is_as_large_as_wanted_and_comes_back_where_it_was():
    image = photos(2, 120, 200)
    latent = encode(tiny_model(), image, mesh_face(60, 60, 24), mesh_face(140, 60, 24))
    (crops,) = run("FaceLatentsCrop", face_latent=latent, size=96)
    assert crops.shape == (4, 96, 96, 3)
    same, mask = run("FaceLatentsPasteEdited", face_latent=latent, face_image=crops)
    assert torch.equal(same, image)
    assert mask.shape == image.shape[:3]
    pasted, mask = run(
        "FaceLatentsPasteEdited", face_latent=latent, face_image=brighter(crops), **KEEP_PLACE
    )
    assert torch.equal(pasted[mask == 0], image[mask == 0])
    for side in (slice(0, 100), slice(100, 200)):
        assert (pasted[:, :, side] != image[:, :, side]).flatten(1).any(1).all()


def test_a_part_that_is_kept_is_kept():
    image = photos(1, 120, 120)
    latent = encode(tiny_model(), image, mesh_face(60, 60, 24))
    (crops,) = run("FaceLatentsCrop", face_latent=latent, size=64)
    off = dict.fromkeys(("eyes", "brows", "nose", "skin"), False)
    given = {"face_latent": latent, "face_image": brighter(crops), **KEEP_PLACE}
    mouth, _ = run("FaceLatentsPasteEdited", **given, **off)
    face, _ = run("FaceLatentsPasteEdited", **given)
    changed = (mouth != image).any(-1).sum()
    assert 0 < changed < (face != image).any(-1).sum() / 2
    none, mask = run("FaceLatentsPasteEdited", **given, **off, mouth=False)
    assert torch.equal(none, image)
    assert not mask.any()


def test_a_picture_that_fits_no_crop_is_refused_by_its_number(encoded_astronaut):
    other = torch.rand(1, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(FaceLatentsError, match=r"Paste Edited Face, picture 1 of input 'face_im"):
        run("FaceLatentsPasteEdited", face_latent=encoded_astronaut, face_image=other)
    with pytest.raises(FaceLatentsError, match="square"):
        run("FaceLatentsPasteEdited", face_latent=encoded_astronaut, face_image=other[:, :, :100])
    pair = join_latents([encoded_astronaut] * 3)
    with pytest.raises(FaceLatentsError, match="2 pictures for 3 faces"):
        run("FaceLatentsPasteEdited", face_latent=pair, face_image=other.expand(2, -1, -1, -1))


def test_faces_without_a_photo_are_refused():
    latent = random_latent(tiny_model(), 2)
    with pytest.raises(FaceLatentsError, match="Crop Face: face 1 of 2 belongs to no photo"):
        run("FaceLatentsCrop", face_latent=latent, size=64)
    with pytest.raises(FaceLatentsError, match="Paste Edited Face: face 1 of 2 belongs to no"):
        run("FaceLatentsPasteEdited", face_latent=latent, face_image=photos(2, 64, 64))


def test_a_photo_without_a_face_stays_as_it_is(face_model, astronaut):
    photo = astronaut[:240, 110:350]
    empty = torch.full_like(photo, 0.5)
    image = torch.stack([photo, empty])
    settings = {"faces": "largest", "index": 0, "min_score": 0.5}
    latent = run(
        "FaceLatentsEncode",
        image=image,
        face_model=face_model,
        no_face="leave the photo as it is",
        **settings,
    )[0]
    (crops,) = run("FaceLatentsCrop", face_latent=latent, size=128)
    pasted, mask = run(
        "FaceLatentsPasteEdited", face_latent=latent, face_image=brighter(crops), **KEEP_PLACE
    )
    assert torch.equal(pasted[1], empty)
    assert not mask[1].any()
    assert not torch.equal(pasted[0], photo)


def test_the_node_says_how_the_picture_came(encoded_astronaut):
    (crop,) = run("FaceLatentsCrop", face_latent=encoded_astronaut, size=128)
    moved = torch.roll(crop, (3, -2), (1, 2))
    text = report(face_latent=encoded_astronaut, face_image=moved)
    assert text.startswith("The picture came shifted by -2.0, +3.0 px of 128, scaled by ")
