"""Loading face models, sampling, and the bundled model's quality."""

from __future__ import annotations

import json
from dataclasses import replace
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
from face_latents.models.face_model.file import model_identity
from face_latents.models.files.tensors import load_tensors, save_tensors
from face_latents.models.geometry.templates import TIGHT, WIDE
from face_latents.models.imaging.align import align
from face_latents.models.space import LatentSpace
from face_latents.models.values import Direction, Reading
from face_support import COUNT, LOOKS, SIZE, random_tensors


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
    assert model.space.model_id == model_identity(random_tensors())
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
    rewrite(path, {"appearance.mean": torch.zeros(6, SIZE // 4, SIZE // 8)})
    with pytest.raises(UnsupportedModelError, match="do not match the identity"):
        load_face_model(path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "words"),
    [
        ({"appearance.step": torch.ones(3)}, {}, r"step: expected shape \[8\], got \[3\]"),
        ({"appearance.step": torch.ones(LOOKS).half()}, {}, "expected type F32, got F16"),
        ({"appearance.step": None}, {}, r"missing: appearance\.step"),
        ({"appearance.components": None}, {}, "not a face model known here"),
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
    assert "shape_appearance" in message


@pytest.mark.parametrize("shape", [(3, SIZE, SIZE), (1, 3, SIZE, 7), (1, 1, SIZE, SIZE)])
def test_wrong_crops(model: FaceModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceLatentsError, match=r"batch, 3, 32, 32"):
        model.encode(torch.rand(shape))


@pytest.mark.parametrize("shape", [(COUNT,), (1, COUNT - 1), (1, 1, COUNT)])
def test_wrong_codes(model: FaceModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceLatentsError, match=r"batch, 20"):
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
    expected = model.capabilities.sample_std
    assert expected is not None
    torch.testing.assert_close(codes.std(0), expected, atol=0.15, rtol=0)
    torch.testing.assert_close(model.sample(2, 5, truncation_psi=0.5), codes[:2] * 0.5)
    assert model.sample(1, 5, truncation_psi=0.0).abs().max() == 0
    assert torch.equal(model.sample(1, seed=2**64 + 3), model.sample(1, seed=3))
    assert not torch.equal(model.sample(1, seed=2**32 + 3), model.sample(1, seed=3))
    with pytest.raises(FaceLatentsError, match="1 or more"):
        model.sample(0, seed=0)


def test_sample_reference_value(model: FaceModel) -> None:
    expected = torch.randn(COUNT, generator=torch.Generator().manual_seed(9))
    sample_std = model.capabilities.sample_std
    assert torch.equal(model.sample(1, seed=9)[0], expected * sample_std)


def test_metadata_is_plain_text(path: Path) -> None:
    _, metadata = load_tensors(path)
    assert json.loads(metadata["template"])["size"] == SIZE


def test_bundled_model_is_what_its_metadata_says(face_model: FaceModel) -> None:
    assert face_model.metadata["model_id"] == face_model.space.model_id
    assert face_model.space.name == "z"
    assert face_model.template.name == "wide"
    assert torch.equal(face_model.template.points, WIDE.points)
    assert 600 <= face_model.space.shape[0] <= 1000
    for key in ("licence", "attribution", "training_data", "intended_use", "limits", "settings"):
        assert face_model.metadata[key]
    assert "CC BY 4.0" in face_model.metadata["attribution"]
    assert "figshare.5047666" in face_model.metadata["attribution"]  # the London set
    files = bundled_face_model_path().parent.glob("*.safetensors")
    assert sum(path.stat().st_size for path in files) <= 32_000_000  # all that a clone downloads


@pytest.fixture(scope="module")
def portrait(face_model: FaceModel, astronaut: torch.Tensor) -> torch.Tensor:
    """The aligned face `(1, 3, S, S)` of a public-domain portrait; landmarks set by hand."""
    points = [[203.5, 99.5], [246.5, 104.0], [223.0, 126.0], [202.5, 140.0], [240.0, 144.0]]
    return align(astronaut, torch.tensor(points, dtype=torch.float64), face_model.template)[0][None]


def test_bundled_reconstruction_is_recognisable(
    face_model: FaceModel, portrait: torch.Tensor
) -> None:
    code = face_model.encode(portrait)
    face = slice(face_model.template.size // 4, -face_model.template.size // 4)

    def psnr(picture: torch.Tensor) -> float:
        error = (picture.clamp(0, 1) - portrait)[..., face, face]
        return float(-10 * error.square().mean().log10())

    drawn = face_model.decode(code)
    assert psnr(drawn) >= 22
    assert psnr(drawn) > psnr(face_model.decode(torch.zeros_like(code))) + 5  # the mean face
    # read again, the drawing is the same face
    again = face_model.encode(drawn.clamp(0, 1))
    assert torch.cosine_similarity(again, code) > 0.8


def test_bundled_pose_is_in_degrees(face_model: FaceModel, portrait: torch.Tensor) -> None:
    net, turned = face_model.module, face_model.encode(portrait.flip(-1))
    codes = torch.cat([face_model.encode(portrait), turned])
    yaw, pitch, roll = net.shape.pose(net.split(codes)[0])[:, :3].unbind(1)
    assert pitch.abs().max() < 25
    assert (yaw[0] + yaw[1]).abs() < 6
    assert (roll[0] + roll[1]).abs() < 4


def test_bundled_samples_look_like_faces(face_model: FaceModel) -> None:
    codes = face_model.sample(8, seed=0, truncation_psi=0.7)
    pictures = face_model.decode(codes)
    inside = ((pictures > -0.1) & (pictures < 1.1)).float().mean()
    assert inside > 0.97
    points, confidence = face_model.module.landmarks.find(pictures.clamp(0, 1))
    assert (confidence > 0.5).float().mean() >= 0.75
    expected = face_model.module.points(codes)
    distance = (points - expected)[..., :2].norm(dim=-1).mean(1) / 0.32  # eye distances
    assert distance.median() < 0.06


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
    assert len(face_model.directions) > 30
    stack = torch.stack([d.vector for d in face_model.directions.values()])
    cosines = torch.nn.functional.normalize(stack, dim=1)
    cosines = cosines @ cosines.T - torch.eye(len(stack))
    assert cosines.abs().max() < 0.98  # no two are the same
    for name, direction in face_model.directions.items():
        assert direction.vector.norm() > 0.05, name
        assert direction.safe_range[0] < 0 < direction.safe_range[1], name
        assert direction.group, name
        assert direction.unit.startswith("plus: "), name
        assert direction.method, name


def test_bundled_directions_do_what_they_say(face_model: FaceModel) -> None:
    codes = face_model.sample(6, seed=1, truncation_psi=0.7)
    net = face_model.module

    def points(name: str, strength: float) -> torch.Tensor:
        return net.points(codes + strength * face_model.directions[name].vector)

    def moved(name: str) -> torch.Tensor:
        """How each point `(6, 478, 3)` moves from strength -1 to 1."""
        return points(name, 1) - points(name, -1)

    def apart(name: str, first: int, second: int, axis: int) -> torch.Tensor:
        change = moved(name)[:, [first, second], axis]
        return change[:, 1] - change[:, 0]

    assert (moved("head_turn")[:, 1, 0] > 0.005).all()  # the nose goes to the right
    assert (moved("head_nod")[:, 1, 1] > 0.005).all()
    assert (apart("head_tilt", 234, 454, 1) > 0.005).all()
    assert (apart("smile", 61, 291, 0) > 0.005).all()  # wider
    assert (moved("smile")[:, [61, 291], 1].mean(1) < moved("smile")[:, [13, 14], 1].mean(1)).all()
    assert (apart("mouth_open", 13, 14, 1) > 0.003).all()
    assert (apart("blink", 159, 145, 1) < -0.003).all()
    assert (apart("blink", 386, 374, 1) < -0.003).all()
    assert (moved("gaze_left_right")[:, [468, 473], 0] > 0.001).all()
    assert (apart("face_width", 234, 454, 0) > 0.003).all()
    left, right = moved("brow_left"), moved("brow_right")
    for change, own, other in ((left, 105, 334), (right, 334, 105)):
        assert (change[:, own, 1] < -0.003).all()
        assert (change[:, other, 1].abs() < 0.5 * change[:, own, 1].abs()).all()


def test_bundled_blink_closes_eyes_and_winks_one(face_model: FaceModel) -> None:
    net, codes = face_model.module, face_model.sample(40, seed=0, truncation_psi=0.7)

    def heights(name: str) -> torch.Tensor:
        """Of both eyes, at strength 2 over those at 0."""
        before, after = (
            net.shape.frontal(c[:, face_model.module.parts["shape"]])
            for c in (codes, codes + 2 * face_model.directions[name].vector)
        )
        eyes = [(145, 159), (374, 386)]
        return torch.stack(
            [(after[:, low, 1] - after[:, up, 1]) / (before[:, low, 1] - before[:, up, 1])
             for low, up in eyes], 1
        )  # fmt: skip

    assert (heights("blink") < 0.25).float().mean() >= 0.9
    for name, own in (("wink_left", 0), ("wink_right", 1)):
        eyes = heights(name)
        assert (eyes[:, own] < 0.25).float().mean() >= 0.9
        assert eyes[:, 1 - own].median() > 0.75


def test_nothing_is_taken_away_that_is_not_there(model: FaceModel) -> None:
    reading = Reading(torch.eye(COUNT)[0] * 0.5, 0.0, "shares", 0.0)
    smile = replace(model.directions["smile"], reading=reading)
    model = replace(model, directions={**model.directions, "smile": smile})
    before = torch.zeros(3, COUNT)
    before[:, 0] = torch.tensor([2.0, 0.2, -1.0])
    after = before - 3 * smile.vector + 2 * model.directions["age"].vector
    kept = model.possible(before, after)
    torch.testing.assert_close(kept[:, 0], torch.tensor([0.0, 0.0, -1.0]))
    assert torch.equal(kept[:, 1:], after[:, 1:])
    more = before + smile.vector
    assert torch.equal(model.possible(before, more), more)
    with_none = replace(model, directions={"age": model.directions["age"]})
    assert torch.equal(with_none.possible(before, after), after)


def test_bundled_faces_without_glasses_or_beard_lose_none(face_model: FaceModel) -> None:
    codes = face_model.sample(40, seed=0, truncation_psi=0.7)
    for name in ("glasses", "beard"):
        direction = face_model.directions[name]
        reading = direction.reading
        assert reading is not None
        assert reading.least == 0
        taken, given = (
            reading.of(face_model.possible(codes, codes + s * direction.vector)) for s in (-2, 2)
        )
        before = reading.of(codes)
        torch.testing.assert_close(
            taken,
            before.clamp(max=0).maximum(
                before - 2 * (reading.of(direction.vector[None]) - reading.zero)
            ),
            atol=1e-4,
            rtol=0,
        )
        assert ((given - before) > 0.4).all()


def test_bundled_looks_are_lit_as_they_say(face_model: FaceModel) -> None:
    net = face_model.module
    codes = face_model.sample(4, seed=1, truncation_psi=0.7)

    def canonical(name: str, strength: float) -> torch.Tensor:
        edited = codes + strength * face_model.directions[name].vector
        return net.base(net.split(edited)[2]).mean(1) * net.face_mask

    low, high = canonical("brightness", -1), canonical("brightness", 1)
    assert ((high - low).sum((1, 2)) / net.face_mask.sum() > 0.03).all()

    def lean(pictures: torch.Tensor) -> torch.Tensor:
        left, right = pictures.chunk(2, dim=-1)
        return (right - left).mean((1, 2))

    assert (lean(canonical("light_left_right", 1)) > lean(canonical("light_left_right", -1))).all()


def test_mirroring_keeps_symmetric_directions(face_model: FaceModel) -> None:
    mirror = face_model.capabilities.mirror
    assert mirror is not None
    for name, direction in face_model.directions.items():
        turned = mirror(direction.vector[None])[0]
        if name.endswith("left_right") or name in ("head_turn", "head_tilt"):
            assert torch.equal(turned, -direction.vector), name
        elif name.endswith("_left"):
            other = face_model.directions[name.replace("_left", "_right")].vector
            torch.testing.assert_close(turned, other, atol=2e-2, rtol=0, msg=name)
        elif not name.endswith("_right"):
            assert torch.equal(turned, direction.vector), name


def test_models_share_no_network() -> None:
    """Devices are managed model by model."""
    first, second = (load_face_model(bundled_face_model_path()) for _ in range(2))
    assert first.module.landmarks is not second.module.landmarks
    own = {tensor.data_ptr() for tensor in first.module.state_dict().values()}
    assert not own & {tensor.data_ptr() for tensor in second.module.state_dict().values()}


def test_only_editors_edit_photos(face_model: FaceModel, digits_model: FaceModel) -> None:
    code = digits_model.sample(1, seed=0)
    with pytest.raises(FaceLatentsError, match="does not apply edits to photos"):
        digits_model.edit_photos(digits_model.decode(code), code, 2 * code)
    assert face_model.capabilities.editor is not None


def test_what_codes_do_not_depend_on_leaves_the_identity() -> None:
    tensors = random_tensors()
    before = model_identity(tensors)
    tensors["painter.leave.bias"] = tensors["painter.leave.bias"] + 1
    assert model_identity(tensors) == before
    tensors["renderer.leave.bias"] = tensors["renderer.leave.bias"] + 1
    assert model_identity(tensors) != before
