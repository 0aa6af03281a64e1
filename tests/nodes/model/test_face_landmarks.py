"""The host's FACE_LANDMARKS: what is read off them, what they do to a code, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from face_latents.models.errors import FaceLatentsError, NoFaceError
from face_latents.models.geometry.similarity import invert_transform, transform_points
from face_latents.nodes.model.clip import CLIP
from face_latents.nodes.model.face_landmarks import faces_from_landmarks
from face_latents.nodes.model.no_face import LEAVE
from face_support import face_model_of, random_codes, small_net
from nodes_support import landmarks_for, mesh_face, photos, run, tiny_model

NET = small_net()
MODEL = face_model_of(NET)
HEIGHT, WIDTH = 90, 110
ROLL, SIDE, MIDDLE = 25.0, 50.0, (60.0, 40.0)  # degrees, pixels, pixels: of faces in photos


def place_in_photo(shares: torch.Tensor) -> torch.Tensor:
    """Points `(478, 3)` in shares of a crop's side as pixels of a photo, centres at integers."""
    cos, sin = math.cos(math.radians(ROLL)), math.sin(math.radians(ROLL))
    turn = torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
    shares = shares.double()
    flat = SIDE * shares[:, :2] @ turn + torch.tensor(MIDDLE)
    return torch.cat([flat, SIDE * shares[:, 2:]], 1)


def host_face(points: torch.Tensor, depth: bool = True) -> dict[str, object]:
    """What the host gives for points in pixels: it saw them turned, in a crop of 192 pixels."""
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    seen = torch.cat([1.5 * points[:, :2] @ turn + 100, 1.5 * points[:, 2:]], 1)
    face = {"landmarks_xy": (points[:, :2] + 0.5).float().numpy(), "score": 0.9}
    return face | ({"landmarks_3d": seen.float().numpy()} if depth else {})


def encode(image: torch.Tensor, landmarks: object, model=MODEL, **more):
    settings = {"faces": "largest", "index": 0, "min_score": 0.5, "face_model": model} | more
    return run("FaceLatentsEncode", image=image, face_landmarks=landmarks, **settings)[0]


def read(face: object, height: int = HEIGHT, width: int = WIDTH):
    landmarks = {"frames": [[face]], "image_size": (height, width)}
    return faces_from_landmarks(landmarks, 0, height, width)[0]


def test_pixels_and_depth_are_read_as_the_host_writes_them():
    points = place_in_photo(NET.points(random_codes(1))[0])
    face = read(host_face(points))
    torch.testing.assert_close(face.points, points, atol=1e-3, rtol=0)
    torch.testing.assert_close(
        face.landmarks, points[[468, 473, 1, 61, 291], :2], atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("spoil", ["missing", "count", "nan", "elsewhere"])
def test_depth_that_does_not_belong_to_the_face_is_not_known(spoil: str):
    points = place_in_photo(NET.points(random_codes(1))[0])
    face = host_face(points, depth=spoil != "missing")
    if spoil == "count":
        face["landmarks_3d"] = face["landmarks_3d"][:5]
    elif spoil == "nan":
        face["landmarks_3d"][3, 2] = math.nan
    elif spoil == "elsewhere":
        face["landmarks_3d"] = np.random.default_rng(0).random((478, 3))
    found = read(face).points
    assert found[:, 2].isnan().all()
    torch.testing.assert_close(found[:, :2], points[:, :2], atol=1e-3, rtol=0)


def test_a_mesh_without_irises_only_aligns():
    assert read(mesh_face(50, 40, points=468)).points is None


@pytest.mark.parametrize("mode", ["separate photos", CLIP])
def test_pose_and_shape_are_those_of_the_wire(mode: str):
    """Wherever the face is, however it is turned, and whatever the photo shows."""
    image = photos(3, HEIGHT, WIDTH)
    points = [place_in_photo(each) for each in NET.points(random_codes(3, scale=0.5))]
    if mode == CLIP:
        points = points[:1] * 3
    landmarks = landmarks_for(image)
    landmarks["frames"] = [[host_face(each)] for each in points]
    latent = encode(image, landmarks, batch=mode)
    for code, context, wired in zip(latent.samples, latent.contexts, points, strict=True):
        found = NET.points(code[None])[0]
        in_crop = (found[:, :2] + 0.5) * MODEL.template.size - 0.5
        flat = transform_points(invert_transform(context.transform), in_crop)
        torch.testing.assert_close(flat, wired[:, :2], atol=0.05, rtol=0)
        depth = (found[:, 2] - found[1, 2]) * SIDE / (found[10] - found[152])[:2].norm()
        true = (wired[:, 2] - wired[1, 2]) * SIDE / (wired[10] - wired[152])[:2].norm()
        torch.testing.assert_close(depth.double(), true, atol=0.1, rtol=0)


def test_what_is_not_known_is_found_in_the_photo():
    crops = photos(2, 64, 64).permute(0, 3, 1, 2)[..., :32, :32].contiguous()
    nothing = torch.full((2, 478, 3), math.nan)
    torch.testing.assert_close(MODEL.encode(crops, nothing), MODEL.encode(crops))
    found = NET.landmarks.find(crops)[0]
    flat = NET.points(random_codes(2))
    flat[..., 2] = math.nan
    both = torch.cat([flat[..., :2], found[..., 2:]], -1)
    torch.testing.assert_close(MODEL.encode(crops, flat), NET.encode_points(crops, both))


def test_models_without_landmarks_are_aligned_by_them_as_before():
    image, tiny = photos(1, HEIGHT, WIDTH), tiny_model()
    dense, few = mesh_face(55, 45), mesh_face(55, 45, points=468)
    codes = [encode(image, landmarks_for(image, face), tiny).samples for face in (dense, few)]
    assert torch.equal(*codes)


def spoilt(**change) -> dict[str, object]:
    return mesh_face(55, 45) | change


XY = mesh_face(55, 45)["landmarks_xy"]
SHAKEN = np.random.default_rng(2).random((478, 2)).astype(np.float32) * 80


@pytest.mark.parametrize(
    ("face", "message"),
    [
        (spoilt(landmarks_xy=np.where(np.arange(478)[:, None] == 9, np.nan, XY)), "not numbers"),
        (spoilt(landmarks_xy=XY + np.array([200, 0])), "x = 255, y = 47, outside of the photo"),
        (spoilt(landmarks_xy=XY / 100), "within 0.4 pixels; expected pixels of the photo"),
        (spoilt(landmarks_xy=XY * np.array([-1, 1]) + np.array([WIDTH, 0])), "mirrored photo"),
        (spoilt(landmarks_xy=SHAKEN), "do not form a face"),
        (spoilt(landmarks_xy=np.where(np.arange(478)[:, None] == 9, 0, XY * 0 + 50)), "one place"),
    ],
)
def test_landmarks_of_no_face_say_what_is_wrong(face, message: str):
    with pytest.raises(NoFaceError, match=f"(?s)photo 1: .*{message}.*Connect the same images"):
        read(face)


def test_a_photo_whose_landmarks_are_wrong_can_be_left_as_it_is():
    image, tiny = photos(2, HEIGHT, WIDTH), tiny_model()
    landmarks = landmarks_for(image)
    landmarks["frames"] = [landmarks["frames"][0], [spoilt(landmarks_xy=XY + np.array([200, 0]))]]
    assert encode(image, landmarks, tiny, no_face=LEAVE).faces == [0]


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        ({"frames": [[{"score": 1.0}]]}, "face without landmarks"),
        ({"frames": [[["a", "b"]]]}, "face without landmarks"),
        ({"frames": [[{"landmarks_xy": "here"}]]}, "468 or 478"),
        ({"frames": [[{"landmarks_xy": np.zeros((477, 2))}]]}, r"\(477, 2\) points"),
        ({"frames": 3}, "needs the output of"),
        ({"faces": []}, "needs the output of"),
    ],
)
def test_what_is_no_face_landmarks_is_refused(landmarks, message: str):
    with pytest.raises(FaceLatentsError, match=message):
        faces_from_landmarks(landmarks, 0, HEIGHT, WIDTH)
