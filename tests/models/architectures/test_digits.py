"""The digits model: its architecture, its statistics, whole pictures, the bundled weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from digits_support import tiny_tensors
from face_latents.lab.evaluation.digits.classifier import load_digit_classifier
from face_latents.lab.evaluation.digits.encoders import load_clean_digits
from face_latents.lab.weights import lab_weights
from face_latents.models.architectures import digits
from face_latents.models.architectures.statistics import CodeStatistics
from face_latents.models.errors import FaceLatentsError, UnsupportedModelError
from face_latents.models.face_model import (
    FaceModel,
    bundled_digits_model_path,
    load_face_model,
    save_face_model,
)
from face_latents.models.files.tensors import load_tensors, save_tensors
from face_latents.models.files.values import load_latent, save_latent
from face_latents.models.geometry.similarity import fit_whole, transform_points
from face_latents.models.geometry.templates import WHOLE
from face_latents.models.imaging.align import align_with_transform
from face_latents.nodes.model import load as load_model
from nodes_support import run


def strokes(count: int = 1, size: int = 28) -> torch.Tensor:
    """White drawn ones: upright bars of different thickness, `(N, size, size, 3)`."""
    image = torch.zeros(count, size, size, 3)
    for number in range(count):
        width = (0.05 + 0.02 * (number % 4)) * size
        left = round(size / 2 - width)
        image[number, round(size * 0.18) : round(size * 0.82), left : left + round(2 * width)] = 1.0
    return image


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    path = tmp_path_factory.mktemp("digits") / "tiny.safetensors"
    save_face_model(path, tiny_tensors(), {"name": "Tiny digits"}, WHOLE)
    return load_face_model(path)


def test_detected_by_names_and_shapes_alone() -> None:
    shapes = {name: tuple(t.shape) for name, t in tiny_tensors().items()}
    assert digits.detect(shapes)
    without = {k: v for k, v in shapes.items() if k != "digits.mean"}
    assert not digits.detect(without)
    assert not digits.detect({**shapes, "linear.mean": (3,)})
    assert not digits.detect({**shapes, "digits.encoder.stem.weight": (10**6, 4, 3, 3)})
    assert not digits.detect({"digits.spread": (2, 2)})
    assert not digits.detect({})


def test_load_and_save_round_trip(tiny: FaceModel) -> None:
    """Stored as float16, computed in float32: exactly the stored values."""
    tensors = tiny_tensors()
    state = tiny.module.state_dict()
    assert {f"digits.{name}" for name in state} == set(tensors)
    for name, value in state.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, tensors[f"digits.{name}"].float())
    assert tiny.space.shape == (12,)
    assert tiny.template.whole
    assert tiny.template.size == 28
    assert torch.equal(tiny.space.mean, tensors["digits.mean"].float())
    assert torch.equal(tiny.space.std, tensors["digits.std"].float())
    assert not any(weight.requires_grad for weight in tiny.module.parameters())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digits.std": torch.zeros(12)}, "positive"),
        ({"digits.mean": torch.zeros(11)}, "digits.mean"),
        ({"digits.mean": None}, "not a face model known here"),
        ({"digits.centres": torch.zeros(10, 12, dtype=torch.int8)}, "digits.centres"),
    ],
)
def test_damaged_models_are_refused(tmp_path: Path, change: dict, words: str) -> None:
    tensors = {k: v for k, v in {**tiny_tensors(), **change}.items() if v is not None}
    save_tensors(tmp_path / "m.safetensors", tensors, {})
    with pytest.raises(UnsupportedModelError, match=words):
        load_face_model(tmp_path / "m.safetensors")


def test_a_code_does_not_depend_on_its_batch(digits_model: FaceModel) -> None:
    pictures = strokes(40).permute(0, 3, 1, 2)
    codes = digits_model.encode(pictures)
    assert codes.shape == (40, 100)
    for part in (slice(0, 1), slice(3, 20), slice(39, 40)):
        assert torch.equal(digits_model.encode(pictures[part]), codes[part])
        assert torch.equal(digits_model.decode(codes[part]), digits_model.decode(codes)[part])
    assert digits_model.encode(pictures[:0]).shape == (0, 100)


def test_colour_counts_as_luminance(tiny: FaceModel) -> None:
    colour = torch.rand(5, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    red, green, blue = colour.unbind(1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None].expand(-1, 3, -1, -1)
    torch.testing.assert_close(tiny.encode(colour), tiny.encode(grey), atol=1e-5, rtol=1e-5)
    decoded = tiny.decode(tiny.encode(colour))
    assert torch.equal(decoded[:, 0], decoded[:, 1])
    assert torch.equal(decoded[:, 0], decoded[:, 2])
    assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1


def test_mixture_samples_have_the_stated_moments() -> None:
    generator = torch.Generator().manual_seed(2)
    centres = 20 * torch.eye(3, 5)
    spread = torch.randn(4, 5, generator=generator)
    statistics = CodeStatistics(torch.zeros(5), torch.ones(5), centres, spread)
    codes = statistics.sample(6000, torch.Generator().manual_seed(3))
    label = codes[:, :3].argmax(1)
    assert torch.bincount(label).min() > 1850
    residual = (codes - centres[label]).double()
    covariance = residual.T @ residual / len(codes)
    expected = (spread.T @ spread).double()
    assert (covariance - expected).abs().max() < 0.08 * expected.abs().max()


def test_mixture_samples_are_reproducible_and_pulled_to_their_class(tiny: FaceModel) -> None:
    assert torch.equal(tiny.sample(5, 7)[:2], tiny.sample(2, 7))
    assert not torch.equal(tiny.sample(2, 8), tiny.sample(2, 7))
    still, half, full = (tiny.sample(6, 7, psi) for psi in (0.0, 0.5, 1.0))
    centres = tiny.capabilities.mixture.centres
    for code in still:
        assert (centres == code).all(1).any()
    torch.testing.assert_close(half, (still + full) / 2)
    with pytest.raises(FaceLatentsError, match="1 or more"):
        tiny.sample(0, 1)


@pytest.mark.parametrize(("height", "width"), [(56, 56), (28, 28), (10, 40), (100, 30)])
def test_whole_pictures_are_fitted_into_the_square(height: int, width: int) -> None:
    transform = fit_whole(height, width, 28)
    corners = torch.tensor([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    landed = transform_points(transform, corners)
    margins = landed[0] + 0.5, 27.5 - landed[1]
    torch.testing.assert_close(*margins)
    assert float(torch.stack(margins).min()) == pytest.approx(0, abs=1e-9)
    photo = torch.full((height, width, 3), 0.25)
    photo[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 1.0
    crop = align_with_transform(photo, transform, 28)
    assert crop.shape == (3, 28, 28)
    torch.testing.assert_close(crop[:, 0], torch.full((3, 28), 0.25))
    assert float(crop[:, 14, 14].min()) > 0.9


@pytest.mark.parametrize("already_aligned", [False, True])
def test_encode_takes_whole_pictures_and_looks_for_no_face(
    digits_model: FaceModel, already_aligned: bool
) -> None:
    image = strokes(2)
    latent, aligned = run(
        "FaceLatentsEncode", image=image, face_model=digits_model, faces="by index", index=3,
        min_score=0.9, already_aligned=already_aligned,
    )  # fmt: skip
    assert torch.equal(aligned, image)
    codes = digits_model.encode(image.permute(0, 3, 1, 2))
    torch.testing.assert_close(latent.samples, codes, atol=1e-5, rtol=0)
    assert latent.contexts[0].landmarks.shape == (0, 2)
    assert latent.contexts[0].photo_key != latent.contexts[1].photo_key


def test_encode_pads_pictures_that_are_not_square(digits_model: FaceModel) -> None:
    wide = torch.nn.functional.pad(strokes(1, 56), (0, 0, 40, 40))
    latent, aligned = run(
        "FaceLatentsEncode", image=wide, face_model=digits_model, faces="largest", index=0,
        min_score=0.5,
    )  # fmt: skip
    assert aligned.shape == (1, 28, 28, 3)
    assert float(aligned[0, :4].max()) < 0.05
    assert torch.isfinite(latent.samples).all()


@pytest.mark.parametrize("method", ["warp", "residual", "blend"])
def test_paste_back_edits_the_whole_picture(digits_model: FaceModel, method: str) -> None:
    """A drawn 1 becomes, at ten times the model's size, what the classifier calls the new one."""
    image = strokes(1, 280)
    latent = run(
        "FaceLatentsEncode", image=image, face_model=digits_model, faces="largest", index=0,
        min_score=0.5,
    )[0]  # fmt: skip
    unchanged = run(
        "FaceLatentsPasteBack",
        face_model=digits_model,
        face_latent=latent,
        strength=1.0,
        method=method,
    )[0]
    assert torch.equal(unchanged, image)
    edited = latent.with_samples(digits_model.capabilities.mixture.centres[[0]])
    pasted = run(
        "FaceLatentsPasteBack",
        face_model=digits_model,
        face_latent=edited,
        strength=1.0,
        method=method,
    )[0]
    assert pasted.shape == image.shape
    small = torch.nn.functional.interpolate(pasted.permute(0, 3, 1, 2), (28, 28), mode="area")
    assert int(load_digit_classifier()(small).argmax()) == 0


def test_a_latent_of_a_whole_picture_survives_its_file(
    digits_model: FaceModel, tmp_path: Path
) -> None:
    latent = run(
        "FaceLatentsEncode", image=strokes(1), face_model=digits_model, faces="largest", index=0,
        min_score=0.5,
    )[0]  # fmt: skip
    save_latent(tmp_path / "l.safetensors", latent)
    again = load_latent(tmp_path / "l.safetensors")
    assert torch.equal(again.samples, latent.samples)
    assert again.contexts[0].landmarks.shape == (0, 2)
    assert torch.equal(again.contexts[0].transform, latent.contexts[0].transform)


def test_load_face_model_lists_and_describes_it() -> None:
    model, info = run("FaceLatentsLoadModel", model=load_model.BUNDLED_DIGITS)
    assert "whole, no face is looked for" in info
    assert "Yann LeCun" in info
    assert "'z' (100)" in info
    picture = run(
        "FaceLatentsDecode",
        face_model=model,
        face_latent=run(
            "FaceLatentsSample", face_model=model, seed=1, truncation_psi=0.7, batch_size=3
        )[0],
    )[0]
    assert picture.shape == (3, 28, 28, 3)


def test_random_digits_show_their_label(digits_model: FaceModel) -> None:
    """200 digits of ten labels at psi 0.7, read by a network that took no part in training."""
    statistics = digits_model.capabilities.mixture
    labels = torch.arange(10).repeat_interleave(20)
    normal = torch.randn(200, len(statistics.spread), generator=torch.Generator().manual_seed(4))
    codes = statistics.centres[labels] + 0.7 * normal @ statistics.spread
    read = load_digit_classifier()(digits_model.decode(codes)).argmax(1)
    assert float((read == labels).float().mean()) >= 0.95


def test_a_drawn_stroke_comes_back(digits_model: FaceModel) -> None:
    pictures = strokes(4).permute(0, 3, 1, 2)
    decoded = digits_model.decode(digits_model.encode(pictures))
    assert load_digit_classifier()(decoded).argmax(1).tolist() == [1, 1, 1, 1]
    assert float((decoded - pictures).square().mean()) < 0.04
    ink = decoded.mean((1, 2, 3))
    assert float(ink[3]) > 1.3 * float(ink[0])  # thick strokes stay thicker than thin ones


def test_the_clean_encoder_shares_the_space(digits_model: FaceModel, tiny: FaceModel) -> None:
    clean = load_clean_digits(digits_model)
    assert clean.space.same_as(digits_model.space)
    pictures = strokes(3).permute(0, 3, 1, 2)
    codes = clean.encode(pictures)
    assert torch.equal(clean.decode(codes), digits_model.decode(codes))
    assert load_digit_classifier()(clean.decode(codes)).argmax(1).tolist() == [1, 1, 1]
    assert not torch.equal(codes, digits_model.encode(pictures))
    with pytest.raises(UnsupportedModelError):
        load_clean_digits(tiny)


def test_a_clean_encoder_of_another_run_is_refused(digits_model: FaceModel, tmp_path: Path) -> None:
    tensors, metadata = load_tensors(lab_weights("digits_clean_encoder.safetensors"))
    save_tensors(tmp_path / "c.safetensors", tensors, {**metadata, "model_id": "0" * 64})
    with pytest.raises(UnsupportedModelError, match="another digits model"):
        load_clean_digits(digits_model, tmp_path / "c.safetensors")


def test_bundled_files_are_small() -> None:
    assert bundled_digits_model_path().stat().st_size < 3_000_000
