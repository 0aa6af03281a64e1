"""Batches in which some photos show no face."""

from __future__ import annotations

import logging

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.errors import NoFaceError
from face_latents.models.files.values import load_latent, save_latent
from face_latents.nodes.model.no_face import LEAVE, list_numbers
from face_latents.nodes.sliders.panel import panel_of
from face_latents.nodes.sliders.preview.sessions import session_of
from nodes_support import SIZE, landmarks_for, mesh_face, photos, run, tiny_model

MODEL = tiny_model()
SMILE = MODEL.directions["smile"]
FACELESS = (1, 4, 5)  # of six photos


def encode_frames(image: torch.Tensor, faceless=FACELESS, **more):
    """Encode Face as the host runs it: what it shows and what it hands on."""
    landmarks = landmarks_for(image, mesh_face(55, 45, 60))
    landmarks["frames"] = [[] if i in faceless else f for i, f in enumerate(landmarks["frames"])]
    settings = {"faces": "largest", "index": 0, "min_score": 0.5, "no_face": LEAVE} | more
    with torch.inference_mode():
        return NODE_CLASS_MAPPINGS["FaceLatentsEncode"]().execute(
            image=image, face_model=MODEL, face_landmarks=landmarks, **settings
        )


def frames(image: torch.Tensor, **more):
    shown = encode_frames(image, **more)
    return shown["result"] if isinstance(shown, dict) else shown


def smile(latent):
    return run("FaceLatentsAddDirection", face_latent=latent, direction=SMILE, strength=2.0)[0]


def paste(latent, **more):
    return run("FaceLatentsPasteBack", face_model=MODEL, face_latent=latent, **more)[0]


@pytest.mark.parametrize("channels", [3, 4])
def test_the_others_are_edited_and_these_come_back_bit_for_bit(channels):
    image = photos(6, channels=channels)
    latent, aligned = frames(image)
    assert len(latent) == len(aligned) == 6
    assert latent.faces == [0, 2, 3]
    assert aligned.shape[1:] == (SIZE, SIZE, 3)
    result = paste(smile(latent))
    assert result.shape == image.shape
    same = [torch.equal(a, b) for a, b in zip(result, image, strict=True)]
    assert same == [i in FACELESS for i in range(6)]


def test_the_faces_are_those_of_a_batch_without_the_others():
    image = photos(6)
    latent, aligned = frames(image)
    alone, crops = encode_frames(image[[0, 2, 3]], faceless=())
    torch.testing.assert_close(latent.samples[[0, 2, 3]], alone.samples)
    assert torch.equal(aligned[[0, 2, 3]], crops)


def test_a_painted_face_or_a_blend_leaves_them_too():
    image = photos(6)
    latent, aligned = frames(image)
    for result in (paste(latent, face_image=aligned.flip(2)), paste(smile(latent), method="blend")):
        assert all(torch.equal(result[i], image[i]) for i in FACELESS)
        assert not torch.equal(result[0], image[0])


def test_the_node_and_the_log_say_which(caplog):
    with caplog.at_level(logging.WARNING):
        shown = encode_frames(photos(6))["ui"]["text"]
    assert shown == ["No face in photos 2 and 5 to 6 of 6: left as they are."]
    assert shown[0] in caplog.text
    assert isinstance(encode_frames(photos(2), faceless=()), tuple)  # nothing to say


def test_refusing_names_all_of_them():
    with pytest.raises(NoFaceError, match=r"(?s)photo 2.*2 and 5 to 6 of 6 show no.*no_face"):
        encode_frames(photos(6), no_face="refuse")
    with pytest.raises(NoFaceError, match=r"photo 2.*To go on without it") as caught:
        encode_frames(photos(3), faceless=(1,), no_face="refuse")
    assert "2 show" not in str(caught.value)  # read as: two of them
    with pytest.raises(NoFaceError, match="photo 1") as caught:
        encode_frames(photos(1), faceless=(0,), no_face="refuse")
    assert "go on without" not in str(caught.value)


def test_no_face_at_all_gives_back_the_photos():
    image = photos(2)
    latent, _ = frames(image, faceless=(0, 1))
    assert torch.equal(paste(smile(latent)), image)
    with pytest.raises(NoFaceError, match="no face was found in any"):
        run("FaceLatentsMean", face_latent=latent)


def test_what_sums_up_or_compares_leaves_them_out():
    image = photos(6)
    latent, _ = frames(image)
    faces = latent.take(latent.faces)
    mean, expected = (run("FaceLatentsMean", face_latent=x)[0] for x in (latent, faces))
    torch.testing.assert_close(mean.samples, expected.samples)
    table = run("FaceLatentsDistanceMatrix", face_latent=latent, metric="euclidean")[1]
    assert len(table.splitlines()) == 3
    number, text = run("FaceLatentsDistance", a=latent, b=smile(latent), metric="euclidean")
    lines = text.splitlines()
    assert [i for i, line in enumerate(lines) if line == "no face"] == list(FACELESS)
    assert number == pytest.approx(sum(float(lines[i]) for i in (0, 2, 3)) / 3, abs=1e-3)


def test_the_preview_shows_faces():
    latent, _ = frames(photos(6), faceless=(0, 1))
    session = session_of(MODEL, panel_of(MODEL, {}), latent, {})
    assert torch.equal(session.codes, latent.samples[2:].cpu())
    nothing, _ = frames(photos(2), faceless=(0, 1))
    assert session_of(MODEL, panel_of(MODEL, {}), nothing, {}).render({}, False).ndim == 3


def test_they_survive_a_file(tmp_path):
    image = photos(6)
    save_latent(tmp_path / "clip.safetensors", smile(frames(image)[0]))
    loaded = load_latent(tmp_path / "clip.safetensors")
    assert loaded.faces == [0, 2, 3]
    assert all(torch.equal(paste(loaded)[i], image[i]) for i in FACELESS)


def test_numbers_are_listed_as_people_count():
    assert list_numbers([0]) == "1"
    assert list_numbers([1, 4, 5, 6]) == "2 and 5 to 7"
    assert list_numbers([0, 2, 4]) == "1, 3 and 5"
    assert list_numbers(range(0, 60, 2)).endswith(", 23 and others")


def test_a_face_cut_by_the_border_is_told():
    image = photos(3)
    landmarks = landmarks_for(image)
    for mesh, cut in (
        (mesh_face(55, 45), ()),
        (mesh_face(55, 84), (1,)),
        (mesh_face(5, 45), (0, 1)),
    ):
        frames = [[mesh if i in cut or not cut else mesh_face(55, 45)] for i in range(3)]
        shown = NODE_CLASS_MAPPINGS["FaceLatentsEncode"]().execute(
            image=image,
            face_model=MODEL,
            faces="all",
            index=0,
            min_score=0.5,
            face_landmarks=landmarks | {"frames": frames},
        )
        (text,) = shown["ui"]["text"]  # small faces, too
        assert ("by the border" in text) == bool(cut)
        where = {(): "", (1,): "Faces in photo 2 are cut", (0, 1): "Faces in photos 1 to 2 are cut"}
        assert where[cut] in text
    with_one = encode_frames(photos(1), faceless=(0,))
    assert "by the border" not in with_one["ui"]["text"][0]  # no face, nothing cut


def large(image):
    return landmarks_for(image, mesh_face(120, 120, 100))


def test_a_small_face_is_told(caplog):
    image = photos(3, 240, 240)
    landmarks = large(image)
    settings = {"faces": "all", "index": 0, "min_score": 0.5, "face_model": MODEL}
    node = NODE_CLASS_MAPPINGS["FaceLatentsEncode"]()
    assert isinstance(node.execute(image=image, face_landmarks=landmarks, **settings), tuple)
    small, smaller = mesh_face(60, 60, 20), mesh_face(60, 160, 14)
    landmarks["frames"] = [[*landmarks["frames"][0], small], landmarks["frames"][1], [smaller]]
    with caplog.at_level(logging.WARNING):
        shown = node.execute(image=image, face_landmarks=landmarks, **settings)
    (text,) = shown["ui"]["text"]
    assert "photos 1 and 3 are under 60 pixels wide, the smallest" in text
    assert "Edits of so small a face are rough" in caplog.text
    assert len(shown["result"][0]) == 4
    alone = node.execute(
        image=image[:1], face_landmarks=landmarks_for(image[:1], smaller), **settings
    )
    assert alone["ui"]["text"][0].startswith("The face is only ")


def test_whole_and_aligned_pictures_are_never_small():
    image = photos(2, SIZE, SIZE)
    settings = {"faces": "all", "index": 0, "min_score": 0.5, "face_model": MODEL}
    node = NODE_CLASS_MAPPINGS["FaceLatentsEncode"]()
    assert isinstance(node.execute(image=image, already_aligned=True, **settings), tuple)
