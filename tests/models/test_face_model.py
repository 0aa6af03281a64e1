"""Loading face models, sampling, and the bundled model's quality."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from face_latents.models.errors import FaceLatentsError, UnsupportedModelError
from face_latents.models.face_model import (
    FaceModel,
    bundled_direction_names,
    bundled_face_model_path,
    direction_names,
    load_face_model,
    save_face_model,
)
from face_latents.models.files.tensors import load_tensors, save_tensors, tensors_hash
from face_latents.models.geometry.templates import TIGHT, WIDE
from face_latents.models.imaging.align import align
from face_latents.models.judge import load_judge, read
from face_latents.models.space import LatentSpace
from face_latents.models.values import Direction
from rendered_support import CONTROLS, SIZE, random_tensors
from rendered_support import COUNT as COMPONENTS

COUNT = COMPONENTS + CONTROLS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "tiny.safetensors"
    space = LatentSpace("z", (COUNT,), "any")
    directions = {
        name: Direction(torch.eye(COUNT)[i], space, name, "1 sd", (-2.0, 2.0), 0.9, "made up")
        for i, name in enumerate(("smile", "age"))
    }
    metadata = {"name": "Tiny", "licence": "MIT"}
    save_face_model(target, random_tensors(), metadata, WIDE.resized(SIZE), directions)
    return target


@pytest.fixture
def model(path: Path) -> FaceModel:
    return load_face_model(path)


def rewrite(path: Path, tensors: dict | None = None, metadata: dict | None = None) -> None:
    old_tensors, old_metadata = load_tensors(path)
    merged = {**old_tensors, **(tensors or {})}
    facts = {**old_metadata, **(metadata or {})}
    save_tensors(
        path,
        {name: t for name, t in merged.items() if t is not None},
        {name: value for name, value in facts.items() if value is not None},
    )


def test_round_trip(model: FaceModel, path: Path) -> None:
    assert model.name == "Tiny"
    assert model.metadata["licence"] == "MIT"
    assert model.template.name == "wide"
    assert model.template.size == SIZE
    assert torch.equal(model.template.points, WIDE.points)
    assert model.space.name == "z"
    assert model.space.shape == (COUNT,)
    assert model.space.model_id == tensors_hash(random_tensors())
    assert list(model.directions) == ["smile", "age"] == direction_names(path)
    smile = model.directions["smile"]
    assert torch.equal(smile.vector, torch.eye(COUNT)[0])
    assert smile.space is model.space
    assert (smile.unit, smile.safe_range, smile.accuracy) == ("1 sd", (-2.0, 2.0), 0.9)


def test_encode_and_decode(model: FaceModel) -> None:
    codes = model.sample(3, seed=1)
    crops = model.decode(codes)
    assert crops.shape == (3, 3, SIZE, SIZE)
    assert crops.dtype == torch.float32
    back = model.encode(crops.double())
    assert back.shape == codes.shape
    assert back.dtype == torch.float32
    torch.testing.assert_close(model.decode(codes.double()), crops)


def test_directions_do_not_enter_the_identity(path: Path, model: FaceModel) -> None:
    rewrite(path, {"directions.new": torch.ones(COUNT)})
    again = load_face_model(path)
    assert again.space.same_as(model.space)
    assert list(again.directions) == ["smile", "age", "new"]


def test_other_weights_are_another_space(tmp_path: Path, model: FaceModel) -> None:
    save_face_model(tmp_path / "b", random_tensors(seed=1), {}, TIGHT)
    other = load_face_model(tmp_path / "b")
    assert not other.space.same_as(model.space)
    assert other.name == "b"


def test_altered_weights_are_refused(path: Path) -> None:
    rewrite(path, {"linear.mean": torch.zeros(6, SIZE // 2, SIZE // 4)})
    with pytest.raises(UnsupportedModelError, match="do not match the identity"):
        load_face_model(path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "words"),
    [
        ({"linear.step": torch.ones(3)}, {}, r"linear.step: expected shape \[6\], got \[3\]"),
        ({"linear.step": torch.ones(COMPONENTS).half()}, {}, "expected type F32, got F16"),
        ({"linear.step": None}, {}, r"missing: linear\.step"),
        ({"linear.components": None}, {}, "not a face model known here"),
        ({"directions.smile": torch.ones(3)}, {}, "'smile' has shape"),
        ({}, {"directions": "{"}, "not valid JSON"),
        ({}, {"directions": '{"smile": {"safe_range": [1]}}'}, "'smile' is malformed"),
        ({}, {"template": '{"points": [[1, 2]]}'}, "alignment template|must have 5"),
    ],
)
def test_files_that_do_not_fit(path: Path, tensors: dict, metadata: dict, words: str) -> None:
    rewrite(path, tensors, {"model_id": None, **metadata})
    with pytest.raises(FaceLatentsError, match=words):
        load_face_model(path)


def test_unknown_model_shows_what_was_seen(tmp_path: Path) -> None:
    save_tensors(tmp_path / "x", {f"layer{i:02}.weight": torch.ones(2, i + 1) for i in range(12)})
    with pytest.raises(UnsupportedModelError) as caught:
        load_face_model(tmp_path / "x")
    message = str(caught.value)
    assert "layer00.weight [2, 1]" in message
    assert "layer07" in message
    assert "layer08" not in message
    assert "4 more" in message
    assert "rendered" in message


@pytest.mark.parametrize("shape", [(3, SIZE, SIZE), (1, 3, SIZE, 7), (1, 1, SIZE, SIZE)])
def test_wrong_crops(model: FaceModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceLatentsError, match=r"batch, 3, 16, 16"):
        model.encode(torch.rand(shape))


@pytest.mark.parametrize("shape", [(COUNT,), (1, COUNT - 1), (1, 1, COUNT)])
def test_wrong_codes(model: FaceModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceLatentsError, match=r"batch, 8"):
        model.decode(torch.rand(shape))


def test_bad_pixels(model: FaceModel) -> None:
    crops = torch.rand(1, 3, SIZE, SIZE)
    crops[0, 0, 0, 0] = float("nan")
    with pytest.raises(FaceLatentsError, match="not numbers"):
        model.encode(crops)


def test_sampling(model: FaceModel) -> None:
    codes = model.sample(400, seed=5)
    assert torch.equal(codes[:2], model.sample(2, seed=5))
    assert not torch.equal(codes[:2], model.sample(2, seed=6))
    assert abs(codes[:, :COMPONENTS].std().item() - 1) < 0.05
    assert not codes[:, COMPONENTS:].any()  # random faces are not edited
    torch.testing.assert_close(model.sample(2, 5, truncation_psi=0.5), codes[:2] * 0.5)
    assert model.sample(1, 5, truncation_psi=0.0).abs().max() == 0
    assert torch.equal(model.sample(1, seed=2**64 + 3), model.sample(1, seed=3))
    with pytest.raises(FaceLatentsError, match="1 or more"):
        model.sample(0, seed=0)


def test_sample_reference_value(model: FaceModel) -> None:
    expected = torch.randn(COUNT, generator=torch.Generator().manual_seed(9))
    sample_std = model.capabilities.sample_std
    assert torch.equal(model.sample(1, seed=9)[0], expected * sample_std)


def test_metadata_is_plain_text(path: Path) -> None:
    _, metadata = load_tensors(path)
    assert json.loads(metadata["template"])["size"] == SIZE


@pytest.fixture(scope="module")
def portrait(astronaut: torch.Tensor) -> torch.Tensor:
    """The aligned face `(1, 3, S, S)` of a public-domain portrait; landmarks set by hand."""
    points = [[203.5, 99.5], [246.5, 104.0], [223.0, 126.0], [202.5, 140.0], [240.0, 144.0]]
    return align(astronaut, torch.tensor(points, dtype=torch.float64), TIGHT)[0][None]


def test_bundled_model_is_what_its_metadata_says(face_model: FaceModel) -> None:
    assert face_model.metadata["model_id"] == face_model.space.model_id
    assert face_model.space.name == "z"
    assert face_model.template.name == "tight"
    assert torch.equal(face_model.template.points, TIGHT.points)
    assert face_model.space.shape[0] <= 1024
    for key in ("licence", "attribution", "training_data", "intended_use", "limits"):
        assert face_model.metadata[key]
    assert "CC BY 4.0" in face_model.metadata["attribution"]
    files = bundled_face_model_path().parent.glob("*.safetensors")
    assert sum(path.stat().st_size for path in files) <= 40_000_000  # all that a clone downloads


def test_bundled_reconstruction_is_recognisable(
    face_model: FaceModel, portrait: torch.Tensor
) -> None:
    def psnr(picture: torch.Tensor) -> float:
        return float(-10 * (picture.clamp(0, 1) - portrait).square().mean().log10())

    code = face_model.encode(portrait)
    assert psnr(face_model.decode(code)) >= 25.5
    assert psnr(face_model.decode(torch.zeros_like(code))) < 14  # the mean face is no answer
    assert (face_model.module.strengths(code) == 0).all()  # a photo is as it is
    linear = face_model.module.linear_picture(code)
    torch.testing.assert_close(face_model.encode(linear), code, atol=1e-4, rtol=0)
    # what is drawn on top hardly changes the code
    assert torch.cosine_similarity(face_model.encode(face_model.decode(code)), code) > 0.9


def test_bundled_samples_look_like_faces(face_model: FaceModel) -> None:
    pictures = face_model.decode(face_model.sample(16, seed=0, truncation_psi=0.7))
    inside = ((pictures > -0.1) & (pictures < 1.1)).float().mean()
    assert inside > 0.97
    luminance = pictures.mean(1)
    eyes, cheeks = luminance[:, 38:44], luminance[:, 64:72]
    assert (eyes[:, :, 36:92].mean((1, 2)) < cheeks[:, :, 36:92].mean((1, 2))).float().mean() > 0.8


def test_bundled_directions(face_model: FaceModel) -> None:
    required = {
        "smile",
        "age",
        "gender_expression",
        "glasses",
        "beard",
        "mouth_open",
        "light_left_right",
        "brightness",
        "head_turn",
    }
    assert required <= set(face_model.directions)
    assert bundled_direction_names() == list(face_model.directions)
    stack = torch.stack([d.vector for d in face_model.directions.values()])
    cosines = stack @ stack.T - torch.eye(len(stack))
    assert cosines.max() < 0.65
    assert cosines.min() > -0.75  # smile and mouth_open: each has a share of the other taken out
    for direction in face_model.directions.values():
        # one standard deviation of its score over codes of unit variance
        assert float(direction.vector.norm()) == pytest.approx(1, abs=1e-4)
        assert direction.safe_range[0] <= -1
        assert direction.safe_range[1] >= 1
        assert direction.accuracy is not None
        assert direction.unit
        assert direction.method


def test_bundled_directions_do_what_they_say(face_model: FaceModel) -> None:
    codes = face_model.sample(12, seed=1, truncation_psi=0.7)

    def decoded(name: str, strength: float) -> torch.Tensor:
        return face_model.decode(codes + strength * face_model.directions[name].vector)

    def lightness(pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean(1)

    low, high = lightness(decoded("brightness", -1)), lightness(decoded("brightness", 1))
    assert ((high - low).mean((1, 2)) > 0.05).all()

    def lean(pictures: torch.Tensor) -> torch.Tensor:
        left, right = lightness(pictures).chunk(2, dim=-1)
        return (right - left).mean((1, 2))

    assert (lean(decoded("light_left_right", 1)) > lean(decoded("light_left_right", -1))).all()

    # a smile widens the mouth and lifts its corners: what is shown there was further in and lower
    motion = face_model.motion(codes[0], codes[0] + 2 * face_model.directions["smile"].vector)
    assert motion is not None
    left, right = motion[:, 84:92, 38:46].mean((1, 2)), motion[:, 84:92, 82:90].mean((1, 2))
    assert left[0] > 0.002
    assert right[0] < -0.002
    assert left[1] > 0.002
    assert right[1] > 0.002


def test_the_bundled_model_says_how_it_moves_a_face(
    face_model: FaceModel, portrait: torch.Tensor
) -> None:
    code = face_model.encode(portrait)[0]
    turn, glasses = (face_model.directions[name].vector for name in ("head_turn", "glasses"))
    motion = face_model.motion(code, code + 2 * turn)
    assert motion is not None
    assert motion.shape == (2, 128, 128)
    across, down = motion.abs().amax((1, 2)) * 128
    assert 5 < across < 25  # pixels
    assert down < 0.5 * across
    assert motion[0, 60:80, 56:72].mean() < 0  # the nose moves right: what is shown was left of it
    back = face_model.motion(code + 2 * turn, code)
    assert back is not None
    torch.testing.assert_close(back.flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None], motion)
    still = face_model.motion(code, code + 2 * glasses)
    assert still is not None
    assert (still == 0).all()


def test_a_model_without_motion_says_nothing(digits_model: FaceModel) -> None:
    code = digits_model.sample(1, seed=0)[0]
    assert digits_model.motion(code, 2 * code) is None


def test_mirroring_keeps_symmetric_directions(face_model: FaceModel) -> None:
    parity = face_model.module.code_parity
    for name, direction in face_model.directions.items():
        sign = -1 if name in ("light_left_right", "head_turn") else 1
        assert torch.equal(direction.vector * parity, sign * direction.vector)


def test_an_independent_judge_sees_the_edits(face_model: FaceModel) -> None:
    judge = load_judge()
    codes = face_model.sample(12, seed=1, truncation_psi=0.7)

    def reading(name: str, strength: float) -> torch.Tensor:
        return read(
            judge, face_model.decode(codes + strength * face_model.directions[name].vector)
        )[name]

    for name, change in (
        ("smile", 0.8),
        ("glasses", 0.4),
        ("gender_expression", 0.7),
        ("beard", 0.2),
        ("mouth_open", 0.6),
        ("age", 15.0),
        ("head_turn", 0.1),
    ):
        difference = reading(name, 2.5) - reading(name, -2.5)
        assert (difference > 0).all(), name
        assert difference.mean() > change, name
