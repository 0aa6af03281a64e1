"""The nodes with the bundled model and finder on a real photo that scikit-image ships."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.errors import NoFaceError
from face_latents.nodes.model.load import BUNDLED
from nodes_support import run
from skimage import data


@pytest.fixture(scope="module")
def model():
    return run("FaceLatentsLoadModel", model=BUNDLED)[0]


@pytest.fixture(scope="module")
def portrait():
    return torch.from_numpy(data.astronaut()).float()[None] / 255


def encode(model, image, **more):
    settings = {"faces": "largest", "index": 0, "min_score": 0.5} | more
    return run("FaceLatentsEncode", image=image, face_model=model, **settings)


def test_smile_on_a_real_photo(model, portrait):
    latent, aligned = encode(model, portrait)
    context = latent.contexts[0]
    left_eye, right_eye = context.landmarks[0], context.landmarks[1]
    assert (left_eye - torch.tensor([204.0, 110.0])).norm() < 12  # where they are in the photo
    assert (right_eye - torch.tensor([245.0, 110.0])).norm() < 12
    decoded = run("FaceLatentsDecode", face_model=model, face_latent=latent)[0]
    inner = slice(aligned.shape[1] // 4, -aligned.shape[1] // 4)
    assert (decoded - aligned)[:, inner, inner].abs().mean() < 0.06
    untouched = run("FaceLatentsPasteBack", face_model=model, face_latent=latent)[0]
    assert torch.equal(untouched, portrait)

    direction, _ = run("FaceLatentsLoadDirection", face_model=model, direction="smile")
    edited = run("FaceLatentsAddDirection", face_latent=latent, direction=direction, strength=-2.0)
    pasted = run("FaceLatentsPasteBack", face_model=model, face_latent=edited[0])[0]
    change = (pasted - portrait).abs().amax(-1)[0]
    assert change.max() > 0.02
    rows, columns = change.nonzero(as_tuple=True)
    assert rows.max() < 260  # what surrounds the face moves along, not the rest
    assert columns.min() > 80
    assert columns.max() < 370
    face = change[60:190, 160:290]
    assert face.sum() > 0.8 * change.sum()


def test_several_photos_and_faces(model, portrait):
    pair = torch.cat([portrait, portrait.flip(2)], dim=2)
    latent, _ = encode(model, torch.cat([pair, pair.flip(2)]), faces="all")
    assert len(latent) == 4
    assert [context.face_index for context in latent.contexts] == [0, 1, 0, 1]
    restored = run("FaceLatentsPasteBack", face_model=model, face_latent=latent)[0]
    assert restored.shape == (2, 512, 1024, 3)


@pytest.mark.parametrize("kind", ["flat", "noise", "clouds"])
def test_pictures_without_a_face(model, kind):
    generator = torch.Generator().manual_seed(0)
    image = {
        "flat": torch.full((1, 200, 300, 3), 0.4),
        "noise": torch.rand(1, 200, 300, 3, generator=generator),
        "clouds": torch.nn.functional.interpolate(
            torch.rand(1, 3, 6, 9, generator=generator), (200, 300), mode="bicubic"
        )
        .permute(0, 2, 3, 1)
        .clamp(0, 1),
    }[kind]
    with pytest.raises(NoFaceError, match="No face was found in photo 1"):
        encode(model, image)
