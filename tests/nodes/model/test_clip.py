"""Encode Face on the frames of a clip: who is followed, what is interpolated, how steady it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.errors import NoFaceError
from face_latents.models.geometry.similarity import transform_points
from face_latents.models.values import join_latents
from face_latents.nodes.model import encode as encode_node
from face_latents.nodes.model.clip import CLIP
from face_latents.nodes.model.no_face import LEAVE
from nodes_support import SIZE, mesh_face, photos, run, tiny_model

MODEL = tiny_model()
HEIGHT, WIDTH = 120, 200


def still(count: int) -> torch.Tensor:
    """Frames of one scene."""
    return photos(1, HEIGHT, WIDTH).expand(count, -1, -1, -1).contiguous()


def encode_clip(image: torch.Tensor, *frames: list, **more):
    """Latent, crops and text of a clip whose faces in each frame are known."""
    landmarks = {"frames": list(frames), "image_size": tuple(image.shape[1:3])}
    settings = {"faces": "largest", "index": 0, "min_score": 0.5, "batch": CLIP}
    settings |= {"face_model": MODEL} | more
    with torch.inference_mode():
        shown = NODE_CLASS_MAPPINGS["FaceLatentsEncode"]().execute(
            image=image, face_landmarks=landmarks, **settings
        )
    if isinstance(shown, dict):
        return *shown["result"], shown["ui"]["text"][0]
    return *shown, ""


def centre(context) -> list[float]:
    return context.landmarks.mean(0).tolist()


def test_index_is_the_same_person_in_every_frame():
    """By size alone, the two would change places in the middle."""
    frames = [[mesh_face(50 + t, 60, 20 + t), mesh_face(150 - t, 60, 24 - t)] for t in range(6)]
    for index, start, step in ((0, 50, 1), (1, 150, -1)):
        latent, crops, _ = encode_clip(still(6), *frames, faces="by index", index=index)
        assert len(latent) == len(crops) == 6
        assert [c.face_index for c in latent.contexts] == [index] * 6
        for t, context in enumerate(latent.contexts):
            assert centre(context)[0] == pytest.approx(start + step * t, abs=0.01)
    both, _, _ = encode_clip(still(6), *frames, faces="all")
    assert [c.face_index for c in both.contexts] == [0, 1] * 6
    apart, _, _ = encode_clip(still(6), *frames, faces="by index", batch="separate photos")
    assert centre(apart.contexts[5])[0] != pytest.approx(centre(apart.contexts[0])[0] + 5, abs=9)


def test_missing_frames_are_interpolated_and_named():
    frames = [[] if t in (2, 3) else [mesh_face(80 + 2 * t, 60)] for t in range(8)]
    image = still(8)
    latent, _, text = encode_clip(image, *frames)
    assert "not seen in photos 3 to 4: its place is interpolated" in text
    assert latent.faces == list(range(8))
    for t, context in enumerate(latent.contexts):
        assert centre(context)[0] == pytest.approx(80 + 2 * t, abs=0.01)
    edited = run(
        "FaceLatentsAddDirection",
        face_latent=latent,
        direction=MODEL.directions["smile"],
        strength=2.0,
    )[0]
    result = run("FaceLatentsPasteBack", face_model=MODEL, face_latent=edited)[0]
    assert all(not torch.equal(a, b) for a, b in zip(result, image, strict=True))
    untouched = run("FaceLatentsPasteBack", face_model=MODEL, face_latent=latent)[0]
    assert torch.equal(untouched, image)


def test_longer_gaps_are_left_as_they_are_or_refused():
    frames = [[] if 2 <= t < 20 else [mesh_face(80, 60)] for t in range(22)]
    with pytest.raises(NoFaceError, match=r"photo 3, nor.*Photos 3 to 20 of 22 show"):
        encode_clip(still(22), *frames)
    latent, _, text = encode_clip(still(22), *frames, no_face=LEAVE)
    assert text.startswith("No face in photos 3 to 20 of 22: left as they are.")
    assert latent.faces == [0, 1, 20, 21]


def test_nothing_is_followed_across_a_cut():
    image = torch.cat([photos(2, HEIGHT, WIDTH)[:1].expand(4, -1, -1, -1),
                       photos(2, HEIGHT, WIDTH)[1:].expand(4, -1, -1, -1)])  # fmt: skip
    assert not torch.equal(image[3], image[4])
    first = [[mesh_face(60, 60, 32), mesh_face(150, 60, 20)]] * 4
    second = [[mesh_face(60, 60, 22), mesh_face(150, 60, 28)]] * 4
    latent, _, _ = encode_clip(image, *first, *second)
    found = [round(centre(context)[0]) for context in latent.contexts]
    assert found == [60] * 4 + [150] * 4
    # in one shot the same faces keep their numbers
    latent, _, _ = encode_clip(still(8), *first, *second)
    assert {round(centre(context)[0]) for context in latent.contexts} == {60}


def test_codes_and_places_are_smoothed_along_a_track():
    generator = torch.Generator().manual_seed(0)
    shake = torch.randn(30, generator=generator) * 0.7
    frames = [[mesh_face(100 + float(s), 60, 40)] for s in shake]
    image = still(30)
    rough, _, _ = encode_clip(image, *frames, batch="separate photos")
    steady, crops, _ = encode_clip(image, *frames)

    def tremble(latent) -> tuple[float, float]:
        places = torch.tensor([centre(context)[0] for context in latent.contexts])
        return float(places.diff().std()), float(latent.samples.diff(dim=0).std())

    for after, before in zip(tremble(steady), tremble(rough), strict=True):
        assert after < 0.45 * before
    for context, code, crop in zip(steady.contexts, steady.samples, crops, strict=True):
        assert torch.equal(context.code, code)  # nothing is edited yet
        landed = transform_points(context.transform, context.landmarks)
        assert (landed - MODEL.template.pixels()).abs().max() < 4
        assert crop.shape == (SIZE, SIZE, 3)


def test_a_mask_counts_where_a_face_is_first_seen():
    frames = [[mesh_face(40 + 4 * t, 60, 20), mesh_face(160, 60, 24)] for t in range(8)]
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[:, :, :60] = 1
    latent, _, _ = encode_clip(still(8), *frames, mask=mask)
    assert centre(latent.contexts[-1])[0] == pytest.approx(68, abs=0.1)
    with pytest.raises(NoFaceError, match="none has its centre in the white part"):
        encode_clip(still(2), *[[mesh_face(160, 60)]] * 2, mask=mask)


def test_pictures_that_are_aligned_already_are_smoothed_only():
    crops = photos(6, SIZE, SIZE)
    crops[1:] = crops[:1] + 0.01 * crops[1:]
    settings = {"faces": "largest", "index": 0, "min_score": 0.5, "already_aligned": True}
    inputs = {"image": crops, "face_model": MODEL, **settings}
    rough, _ = run("FaceLatentsEncode", **inputs)
    steady, same = run("FaceLatentsEncode", **inputs, batch=CLIP)
    assert torch.equal(same, crops.clamp(0, 1))
    assert steady.samples.diff(dim=0).std() < 0.7 * rough.samples.diff(dim=0).std()


def test_one_frame_is_what_it_is_as_a_photo():
    image = still(1)
    clip, _, _ = encode_clip(image, [mesh_face(100, 60)])
    photo, _, _ = encode_clip(image, [mesh_face(100, 60)], batch="separate photos")
    assert torch.equal(clip.samples, photo.samples)


def test_frames_are_worked_on_in_parts_with_the_same_result(monkeypatch):
    frames = [[mesh_face(80 + t, 60)] for t in range(7)]
    whole, crops, _ = encode_clip(still(7), *frames)
    monkeypatch.setattr(encode_node, "ENCODED_PIXELS", 3 * SIZE**2)
    MODEL.module.batches.clear()
    parts, same, _ = encode_clip(still(7), *frames)
    assert MODEL.module.batches == [3, 3, 1]
    assert torch.equal(same, crops)
    torch.testing.assert_close(parts.samples, whole.samples)


def test_the_model_is_asked_about_each_person_of_a_clip_now_and_then(monkeypatch):
    able = replace(MODEL.capabilities, doubts=lambda _, codes: ["the head is turned"] * len(codes))
    monkeypatch.setattr(encode_node, "ASKED_EVERY", 3)
    pair = [mesh_face(50, 60, 30), mesh_face(150, 60, 20)]
    model = replace(MODEL, capabilities=able)
    frames = [[], *[pair] * 5]
    _, _, text = encode_clip(still(6), *frames, faces="all", no_face=LEAVE, face_model=model)
    assert "Faces 2 to 3 and 8 to 9: the head is turned." in text


def test_a_clip_of_the_bundled_model(face_model, astronaut):
    """The finder follows a face that moves by a pixel a frame and is covered in one."""
    frames = torch.stack([astronaut[:, t : 480 + t] for t in range(5)])
    frames[2, 40:200, 160:300] = 0.5
    latent, _ = run(
        "FaceLatentsEncode",
        image=frames,
        face_model=face_model,
        faces="largest",
        index=0,
        min_score=0.5,
        batch=CLIP,
    )
    assert latent.faces == [0, 1, 2, 3, 4]
    steps = torch.tensor([centre(context)[0] for context in latent.contexts]).diff()
    torch.testing.assert_close(steps, torch.full((4,), -1.0), atol=0.1, rtol=0)
    assert latent.samples.std(0).mean() < 0.1  # the cover is in no code


def test_a_driving_clip_moves_a_photo_and_another_clip(face_model, encoded_astronaut):
    smile = face_model.directions["smile"]
    driving = encoded_astronaut.with_samples(
        encoded_astronaut.samples + torch.tensor([[0.0], [1.0], [2.0]]) * smile.vector
    )
    still = join_latents([encoded_astronaut] * 3)
    results = []
    for driven in (encoded_astronaut, still):
        (moved,) = run(
            "FaceLatentsCopyExpression",
            face_latent=driven,
            expression_of=driving,
            face_model=face_model,
            parts="expression",
            strength=1.0,
        )
        assert len(moved) == 3
        assert all(context is encoded_astronaut.contexts[0] for context in moved.contexts)
        smiles = (moved.samples - encoded_astronaut.samples) @ smile.vector
        assert smiles[0] < smiles[1] < smiles[2]
        results.append(run("FaceLatentsPasteBack", face_model=face_model, face_latent=moved)[0])
    assert len(results[0]) == 3
    assert torch.equal(*results)
    assert not torch.equal(results[0][1], results[0][2])
