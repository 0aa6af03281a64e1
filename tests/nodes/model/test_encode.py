"""Encode Face and Decode Face, with every kind of photo that may arrive."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from face_latents.models.errors import FaceLatentsError, NoFaceError, SpaceMismatchError
from face_latents.models.finder import checkpoint as finder
from face_latents.models.finder.faces import Face
from face_latents.models.geometry.similarity import transform_points
from face_latents.nodes import compute
from nodes_support import (
    CODES,
    SIZE,
    encode,
    landmarks_for,
    mesh_face,
    photos,
    random_latent,
    run,
    tiny_model,
)

MODEL = tiny_model()


def encode_found(image, **more):
    """Encode Face with the finder (replaced by the fixture below)."""
    settings = {"faces": "largest", "index": 0, "min_score": 0.5} | more
    return run("FaceLatentsEncode", image=image, face_model=MODEL, **settings)


@pytest.fixture
def found(monkeypatch):
    """Stands in for the face finder; its `faces` are what it finds in every photo."""

    class StandIn:
        faces: list[Face] = []
        calls: list[tuple] = []

        def find(self, photo, min_score=0.5, max_faces=None):
            self.calls.append((tuple(photo.shape), min_score))
            return self.faces

    stand_in = StandIn()
    stand_in.faces, stand_in.calls = [], []
    monkeypatch.setattr(finder, "load_finder", lambda: stand_in)
    return stand_in


def face_at(x: float, y: float, size: float = 20.0) -> Face:
    points = torch.tensor(
        [[-0.5, -0.4], [0.5, -0.4], [0, 0.2], [-0.35, 0.6], [0.35, 0.6]], dtype=torch.float64
    )
    centre = torch.tensor([x, y], dtype=torch.float64)
    box = torch.cat([centre - size, centre + size])
    return Face(box=box, landmarks=points * size + centre, score=0.9)


def test_each_photo_gives_a_code_an_aligned_crop_and_its_context():
    image = photos(2)
    latent, aligned = run(
        "FaceLatentsEncode",
        image=image,
        face_model=MODEL,
        faces="all",
        index=0,
        min_score=0.5,
        face_landmarks=landmarks_for(image),
    )
    assert latent.samples.shape == (2, CODES)
    assert aligned.shape == (2, SIZE, SIZE, 3)
    for number, context in enumerate(latent.contexts):
        assert torch.equal(context.photo, image[number])
        assert torch.equal(context.code, latent.samples[number])
        landed = transform_points(context.transform, context.landmarks)
        assert (landed - MODEL.template.pixels()).abs().max() < 4
    assert latent.contexts[0].photo_key != latent.contexts[1].photo_key
    torch.testing.assert_close(
        MODEL.encode(aligned.permute(0, 3, 1, 2)), latent.samples, atol=1e-5, rtol=0
    )


def test_landmarks_come_in_the_viewers_order_with_and_without_irises():
    image = photos()
    for points in (478, 468):
        context = encode(MODEL, image, mesh_face(50, 40, points=points)).contexts[0]
        expected = [[40, 32], [60, 32], [50, 44], [50 - 20 / 3, 52], [50 + 20 / 3, 52]]
        np.testing.assert_allclose(context.landmarks.numpy(), expected, atol=1e-4)


def test_all_largest_and_by_index():
    image = photos(2, 120, 160)
    small, large, middle = mesh_face(30, 40, 10), mesh_face(80, 60, 30), mesh_face(130, 60, 20)
    every = encode(MODEL, image, small, large, middle)
    assert len(every) == 6
    assert [c.face_index for c in every.contexts] == [0, 1, 2, 0, 1, 2]
    widths = [float(c.landmarks[1, 0] - c.landmarks[0, 0]) for c in every.contexts[:3]]
    assert widths == sorted(widths, reverse=True)
    assert every.contexts[0].photo_key == every.contexts[2].photo_key
    largest = encode(MODEL, image, small, large, middle, faces="largest")
    third = encode(MODEL, image, small, large, middle, faces="by index", index=2)
    torch.testing.assert_close(largest.samples, every.samples[[0, 3]])
    torch.testing.assert_close(third.samples, every.samples[[2, 5]])
    with pytest.raises(NoFaceError, match=r"Photo 1 has 3 face\(s\), numbered 0 to 2"):
        encode(MODEL, image, small, large, middle, faces="by index", index=3)


def test_thirty_faces():
    image = photos(1, 400, 500)
    faces = [mesh_face(40 + 45 * (i % 10), 60 + 120 * (i // 10), 8 + i / 4) for i in range(30)]
    latent = encode(MODEL, image, *faces)
    assert len(latent) == 30
    assert sorted(c.face_index for c in latent.contexts) == list(range(30))
    restored = run("FaceLatentsPasteBack", face_model=MODEL, face_latent=latent)[0]
    assert torch.equal(restored, image)


def test_the_finder_is_used_and_gets_min_score(found):
    found.faces = [face_at(60, 40)]
    latent, _ = encode_found(photos(3), min_score=0.25)
    assert len(latent) == 3
    assert found.calls == [((90, 110, 3), 0.25)] * 3


def test_no_face_says_which_photo_and_what_to_try(found):
    with pytest.raises(NoFaceError, match=r"(?s)photo 1 .*min_score.*crop.*MediaPipe"):
        encode_found(photos(2))
    image = photos(2)
    landmarks = landmarks_for(image)
    landmarks["frames"] = [landmarks["frames"][0], []]
    with pytest.raises(NoFaceError, match="No face was found in photo 2"):
        encode_found(image, face_landmarks=landmarks)


def test_one_pixel_photo(found):
    with pytest.raises(NoFaceError, match="only 1 x 1 pixels"):
        encode_found(torch.zeros(1, 1, 1, 3))
    assert found.calls == []


def test_mask_chooses_the_face(found):
    found.faces = [face_at(80, 60, 30), face_at(30, 40, 15)]
    image = photos(1, 120, 160)
    mask = torch.zeros(1, 120, 160)
    mask[:, 30:50, 20:40] = 1
    latent, _ = encode_found(image, mask=mask)
    assert latent.contexts[0].face_index == 1
    black = encode_found(image, mask=torch.zeros(1, 64, 64))[0]
    assert black.contexts[0].face_index == 0
    mask = torch.zeros(1, 120, 160)
    mask[:, :5, :5] = 1
    with pytest.raises(NoFaceError, match="white part of the mask"):
        encode_found(image, mask=mask)
    with pytest.raises(FaceLatentsError, match="photo's own size"):
        encode_found(image, mask=torch.ones(1, 10, 10))


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_rgba_photos_come_back_from_paste(channels):
    image = photos(2, channels=channels)
    latent = encode(MODEL, image)
    restored = run("FaceLatentsPasteBack", face_model=MODEL, face_latent=latent)[0]
    if channels == 4:
        assert torch.equal(restored, image)
        assert torch.equal(latent.contexts[0].alpha, image[0, ..., 3])
    else:
        assert torch.equal(restored, image.expand(-1, -1, -1, 3))


def test_8k_photo():
    image = torch.full((1, 4320, 7680, 3), 0.5)
    latent = encode(MODEL, image, mesh_face(7000, 4000, eyes=300))
    assert latent.samples.abs().max() < 1e-3  # a flat grey crop is the tiny model's zero
    assert latent.contexts[0].photo.data_ptr() == image.data_ptr()  # shared, not copied


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_broken_pixels_are_refused_with_their_place(value):
    image = photos(3)
    image[1, 20, 30, 2] = value
    with pytest.raises(FaceLatentsError, match=r"photo 2 has 1 pixels .* x = 30, y = 20"):
        encode(MODEL, image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(0, 64, 64, 3), "empty batch"),
        (torch.zeros(1, 0, 64, 3), "empty batch"),
        (torch.zeros(64, 64, 3), "shape"),
        (torch.zeros(1, 64, 64, 2), "shape"),
        (torch.zeros(1, 64, 64, 3, dtype=torch.uint8), "floating point"),
        (torch.full((1, 64, 64, 3), 255.0), "divide by 255"),
        ({"samples": torch.zeros(1, 4, 8, 8)}, "needs an IMAGE"),
        (None, "it got nothing"),
    ],
)
def test_wrong_images_are_refused(image, message):
    with pytest.raises(FaceLatentsError, match=message):
        encode_found(image)


def test_half_precision_photo_is_read():
    image = photos().half()
    latent = encode(MODEL, image)
    assert latent.samples.dtype == torch.float32
    assert torch.equal(latent.contexts[0].photo, image[0].float())


def test_aligned_crops_are_encoded_as_they_are(found):
    crops = photos(2, SIZE, SIZE)
    latent, aligned = encode_found(crops, already_aligned=True)
    assert torch.equal(aligned, crops)
    torch.testing.assert_close(latent.samples, MODEL.encode(crops.permute(0, 3, 1, 2)))
    assert found.calls == []
    large, resized = encode_found(photos(1, 100, 100), already_aligned=True)
    assert resized.shape == (1, SIZE, SIZE, 3)
    corner = transform_points(large.contexts[0].transform, torch.tensor([[-0.5, 99.5]]))
    np.testing.assert_allclose(corner.numpy(), [[-0.5, SIZE - 0.5]], atol=1e-9)
    with pytest.raises(FaceLatentsError, match=r"110 x 90 pixels.*square"):
        encode_found(photos(), already_aligned=True)


def test_landmarks_of_other_pictures_are_refused():
    image = photos(2)
    cases = (
        (landmarks_for(photos(2, 50, 60)), "made on pictures of 60 x 50"),
        (landmarks_for(image[:1]), "covers 1 photos"),
        ([[1, 2]], "it got a list"),
        (landmarks_for(image, {"landmarks_xy": np.zeros((5, 2))}), "468 or 478"),
    )
    for landmarks, message in cases:
        with pytest.raises(FaceLatentsError, match=message):
            encode_found(image, face_landmarks=landmarks)


def test_unknown_choices_and_numbers_are_refused():
    with pytest.raises(FaceLatentsError, match="'largest', 'all', 'by index'"):
        encode(MODEL, photos(), faces="smallest")
    with pytest.raises(FaceLatentsError, match="'index' must be between 0 and 999"):
        encode(MODEL, photos(), faces="by index", index=-1)


def test_input_is_not_changed():
    image = photos(2, channels=4)
    before = image.clone()
    encode(MODEL, image)
    assert torch.equal(image, before)


def test_same_photo_in_two_encoders_has_the_same_key():
    image = photos()
    keys = [encode(MODEL, each).contexts[0].photo_key for each in (image, image.clone())]
    assert keys[0] == keys[1]
    image[0, 0, 0, 0] += 0.01
    assert encode(MODEL, image).contexts[0].photo_key != keys[0]


def test_decode_gives_pictures_and_refuses_other_models():
    latent = random_latent(MODEL, 3)
    latent.samples.mul_(20)
    pictures = run("FaceLatentsDecode", face_model=MODEL, face_latent=latent)[0]
    assert pictures.shape == (3, SIZE, SIZE, 3)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    torch.testing.assert_close(
        pictures, MODEL.decode(latent.samples).clamp(0, 1).permute(0, 2, 3, 1)
    )
    with pytest.raises(SpaceMismatchError, match=r"'other'.*b{16}.*a{16}"):
        run("FaceLatentsDecode", face_model=tiny_model("b" * 16, "other"), face_latent=latent)


def test_many_faces_are_worked_on_in_batches(monkeypatch):
    for name in ("CPU_BATCH_PIXELS", "GPU_BATCH_PIXELS"):
        monkeypatch.setattr(compute, name, 32 * SIZE * SIZE)
    model = tiny_model()
    run("FaceLatentsDecode", face_model=model, face_latent=random_latent(model, 100))
    assert model.module.batches == [32, 32, 32, 4]


def test_running_out_of_memory_halves_the_batch(monkeypatch):
    model = tiny_model()
    decode = type(model.module).decode

    def greedy(self, codes):
        if len(codes) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return decode(self, codes)

    monkeypatch.setattr(type(model.module), "decode", greedy)
    latent = random_latent(model, 7)
    pictures = run("FaceLatentsDecode", face_model=model, face_latent=latent)[0]
    assert len(pictures) == 7
    assert max(model.module.batches) <= 2

    def hopeless(self, codes):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(type(model.module), "decode", hopeless)
    with pytest.raises(FaceLatentsError, match="not enough memory even for one face"):
        run("FaceLatentsDecode", face_model=model, face_latent=latent)


def test_other_errors_of_a_network_are_not_hidden(monkeypatch):
    model = tiny_model()

    def broken(self, codes):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(type(model.module), "decode", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        run("FaceLatentsDecode", face_model=model, face_latent=random_latent(model))
