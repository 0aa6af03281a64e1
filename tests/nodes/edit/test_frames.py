"""Strength Curve and Add Direction over Frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.cli.runner.execute import Executor
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.nodes import host
from nodes_support import encode, mesh_face, photos, random_latent, run, tiny_model

MODEL = tiny_model()
ADD = NODE_CLASS_MAPPINGS["FaceLatentsAddDirectionFrames"]


@pytest.fixture(autouse=True)
def temp_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path / "temp")


def curve(points: str, frames: int = 5, easing: str = "linear") -> list[float]:
    strengths, image = run("FaceLatentsStrengthCurve", points=points, frames=frames, easing=easing)
    assert image.shape[0] == 1
    assert image.shape[-1] == 3
    assert len(strengths) == frames
    return strengths


def add_frames(latent, strengths: list, **settings: float):
    """As the host calls a node that takes lists."""
    inputs = {"scale": 1.0, "offset": 0.0, "smooth": 0} | settings
    (result,) = ADD().execute(
        face_latent=[latent],
        direction=[MODEL.directions["smile"]],
        strengths=strengths,
        **{name: [value] for name, value in inputs.items()},
    )
    return result


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ("0, 2, 0", [0, 1, 2, 1, 0]),
        ("0 4", [0, 1, 2, 3, 4]),
        ("1.5", [1.5] * 5),
        ("1: 1, 3: -1", [1, 1, 0, -1, -1]),
        ("0: 0\n4: 2", [0, 0.5, 1, 1.5, 2]),
    ],
)
def test_curves_pass_through_their_points(points, expected):
    assert curve(points) == pytest.approx(expected, abs=1e-12)


def test_curves_ease():
    assert curve("0, 4", easing="hold") == [0, 0, 0, 0, 4]
    slow, fast = curve("0, 1", easing="ease_in"), curve("0, 1", easing="ease_out")
    assert slow[1] < 0.25 < fast[1]
    assert (slow[0], slow[-1], fast[0], fast[-1]) == (0, 1, 0, 1)
    assert curve("3, 1, 2", frames=1) == [3]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("", "points is empty"),
        (" ,; ", "points is empty"),
        ("a, b", "must be numbers"),
        ("nan", "finite"),
        ("0: 1, 9: 2", "frames 0 to 4 only"),
        ("-1: 1, 2: 2", "frames -1 to 2, but"),
        ("3: 1, 3: 2", "must rise"),
        ("1: 2: 3", "must be numbers"),
        ("1:", "not a frame and its value"),
    ],
)
def test_curves_refuse(points, message):
    with pytest.raises(FaceLatentsError, match=message):
        curve(points)


def test_faces_of_one_photo_share_the_strength_of_their_frame():
    image = photos(3, 120, 200)
    pair = encode(MODEL, image, mesh_face(50, 60), mesh_face(150, 60))
    numbers = [0.0, 1.0, -2.0]
    moved = add_frames(pair, numbers).samples - pair.samples
    expected = (
        torch.tensor(numbers).repeat_interleave(2)[:, None] * MODEL.directions["smile"].vector
    )
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)
    with pytest.raises(FaceLatentsError, match="4 strengths for 6 faces in 3 photos"):
        add_frames(pair, [0.0, 1.0, 2.0, 3.0])


def test_a_list_of_numbers_makes_frames_of_one_face():
    face = encode(MODEL, photos())
    numbers = [0.0, 1.0, -2.0]
    frames = add_frames(face, numbers)
    vector = MODEL.directions["smile"].vector
    expected = face.samples + torch.tensor(numbers)[:, None] * vector
    torch.testing.assert_close(frames.samples, expected)
    assert torch.equal(frames.samples[0], face.samples[0])  # zero is exactly zero
    assert frames.contexts == face.contexts * 3


@pytest.mark.parametrize(
    "wire",
    [
        [0.5, 1.0, 2.0],  # the host's own list
        [[0.5, 1.0, 2.0]],  # a Python list on one wire
        [(0.5, 1), 2],
        [np.array([0.5, 1.0, 2.0])],
        [torch.tensor([0.5, 1.0, 2.0])],
    ],
)
def test_every_kind_of_list_is_read(wire):
    face = random_latent(MODEL)
    assert torch.equal(add_frames(face, wire).samples, add_frames(face, [0.5, 1, 2]).samples)


def test_each_frame_of_a_batch_has_its_strength():
    frames = random_latent(MODEL, 4)
    moved = add_frames(frames, [0.0, 1.0, 2.0, 0.0])
    assert torch.equal(moved.samples[[0, 3]], frames.samples[[0, 3]])
    assert not torch.equal(moved.samples[1], frames.samples[1])
    assert len(add_frames(frames, [1.0])) == 4


def test_scale_offset_and_smooth():
    face = random_latent(MODEL)
    vector = MODEL.directions["smile"].vector
    moved = add_frames(face, [0.0, 0.0, 3.0, 0.0, 0.0], smooth=1, scale=2.0, offset=-1.0)
    along = (moved.samples - face.samples) @ vector / vector.square().sum()
    assert along.tolist() == pytest.approx([-1, 1, 1, 1, -1], abs=1e-5)
    still = add_frames(face, [1.0, 1.0], smooth=240)
    torch.testing.assert_close(still.samples, add_frames(face, [1.0, 1.0]).samples)


def test_strengths_that_make_no_frames():
    face = random_latent(MODEL)
    with pytest.raises(FaceLatentsError, match="empty"):
        add_frames(face, [[]])
    with pytest.raises(FaceLatentsError, match="needs a number; it got 'loud'"):
        add_frames(face, ["loud"])
    with pytest.raises(FaceLatentsError, match="not a usable number"):
        add_frames(face, [float("nan")])
    with pytest.raises(FaceLatentsError, match="3 strengths for 2 faces"):
        add_frames(random_latent(MODEL, 2), [1.0, 2.0, 3.0])
    with pytest.raises(FaceLatentsError, match="up to 4096 frames"):
        add_frames(face, [0.0] * 4097)
    with pytest.raises(SpaceMismatchError):
        add_frames(random_latent(tiny_model("b" * 16)), [1.0])


class Look:
    """Keeps what arrives."""

    RETURN_TYPES = ()
    FUNCTION = "look"
    OUTPUT_NODE = True
    seen: list = []

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"face_latent": ("FACE_LATENT", {})}}

    def look(self, face_latent):
        self.seen.append(face_latent)
        return {}


def node(kind: str, **inputs: object) -> dict:
    return {"class_type": kind, "inputs": inputs}


def test_a_curve_drives_frames_in_the_runner():
    face, smile = random_latent(MODEL), MODEL.directions["smile"]

    class Give:
        RETURN_TYPES = ("FACE_LATENT", "FACE_DIRECTION")
        FUNCTION = "give"

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {}}

        def give(self):
            return face, smile

    prompt = {
        "1": node("Give"),
        "2": node("FaceLatentsStrengthCurve", points="0, 2", frames=3, easing="linear"),
        "3": node(
            "FaceLatentsAddDirectionFrames",
            face_latent=["1", 0],
            direction=["1", 1],
            strengths=["2", 0],
            scale=1.0,
            offset=0.0,
            smooth=0,
        ),
        "4": node("Look", face_latent=["3", 0]),
    }
    Look.seen.clear()
    Executor({**NODE_CLASS_MAPPINGS, "Look": Look, "Give": Give}).run(prompt)
    (frames,) = Look.seen
    assert torch.equal(frames.samples, add_frames(face, [0.0, 1.0, 2.0]).samples)
