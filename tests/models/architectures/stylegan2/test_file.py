"""StyleGAN2 model files: what is loaded, what is refused, and the model's spaces."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from encoder_support import small_encoder
from face_latents.models.architectures.stylegan2.file import load
from face_latents.models.architectures.stylegan2.layout import (
    Layout,
    file_specs,
    layout_of,
    usual_channels,
)
from face_latents.models.architectures.stylegan2.net import StyleGAN2Net
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError, UnsupportedModelError
from face_latents.models.face_model import FaceModel, load_face_model, save_face_model
from face_latents.models.files.tensors import load_tensors, save_tensors
from face_latents.models.space import LatentSpace
from stylegan2_support import small_layout, small_model_file, small_tensors
from torch import Tensor

DIM = 32


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model_file(tmp_path_factory.mktemp("stylegan2") / "small.safetensors", dim=DIM)


@pytest.fixture(scope="module")
def model(file: Path) -> FaceModel:
    return load_face_model(file)


def encoder_tensors(num_ws: int) -> dict[str, Tensor]:
    return {f"encoder.{n}": t for n, t in small_encoder(num_ws, DIM).items()}


# --- loading -----------------------------------------------------------------------------------


def test_a_file_becomes_a_model(model: FaceModel) -> None:
    assert isinstance(model.module, StyleGAN2Net)
    assert model.space.name == "w_plus"
    assert model.space.shape == (10, DIM)
    assert (model.template.name, model.template.size) == ("ffhq", 64)
    assert model.metadata["licence"] == "random weights, free of rights"
    pictures = model.decode(model.sample(2, seed=1))
    assert pictures.shape == (2, 3, 64, 64)
    assert pictures.dtype == torch.float32
    assert float(pictures.std()) > 0.05


def test_names_and_values_survive_a_round_trip(file: Path, tmp_path: Path) -> None:
    tensors, _ = load_tensors(file)
    state = load(tensors).state_dict()
    assert {name: tuple(t.shape) for name, t in state.items()} == {
        name: tuple(t.shape) for name, t in tensors.items()
    }
    assert all(torch.equal(state[name], tensors[name]) for name in tensors)
    save_tensors(tmp_path / "again.safetensors", state)
    again = load_face_model(tmp_path / "again.safetensors")
    codes = again.sample(1, 0)
    assert torch.equal(again.decode(codes), load_face_model(file).decode(codes))


def test_half_precision_storage_is_read(tmp_path: Path) -> None:
    whole = load_face_model(small_model_file(tmp_path / "whole.safetensors", dim=DIM))
    half = load_face_model(
        small_model_file(tmp_path / "half.safetensors", dim=DIM, dtype=torch.float16)
    )
    assert half.space.model_id != whole.space.model_id
    assert next(half.module.parameters()).dtype == torch.float32
    codes = whole.sample(1, 0)
    difference = (half.decode(codes) - whole.decode(codes)).square().mean().sqrt()
    assert 0 < float(difference) < 0.02


def test_the_published_layout_has_the_published_number_of_tensors() -> None:
    specs = file_specs(Layout(1024, 512, 512, 8, 0, usual_channels(1024)), {})
    del specs["latent_avg"]
    numbers = {
        name: torch.Size([n or 0 for n in spec.shape]).numel()
        for name, spec in specs.items()
        if not name.startswith("noises.")
    }
    assert sum(numbers.values()) == 30_370_060
    assert usual_channels(256, 1) == (512, 512, 512, 512, 256, 128, 64)


@pytest.mark.parametrize(
    "layout",
    [
        small_layout(32, dim=8),
        small_layout(1024, dim=8, width=2, mapping_layers=8),
        small_layout(256, dim=8, classes=5),
        Layout(64, 12, 8, 3, 2, (9, 7, 5, 3, 1)),
    ],
)
def test_sizes_are_read_from_shapes(layout: Layout) -> None:
    shapes = {
        name: tuple(int(n or 0) for n in spec.shape)
        for name, spec in file_specs(layout, {}).items()
    }
    assert layout_of(shapes) == layout


# --- refusals ----------------------------------------------------------------------------------


def damaged(tmp_path: Path, tensors: dict[str, Tensor]) -> Path:
    save_tensors(tmp_path / "damaged.safetensors", tensors)
    return tmp_path / "damaged.safetensors"


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    tensors = small_tensors(small_layout(32, dim=8))
    del tensors["convs.1.noise.weight"]
    with pytest.raises(UnsupportedModelError, match=r"missing: convs\.1\.noise\.weight"):
        load_face_model(damaged(tmp_path, tensors))


def test_an_unexpected_tensor_is_named(tmp_path: Path) -> None:
    tensors = small_tensors(small_layout(32, dim=8)) | {"convs.99.surprise": torch.ones(1)}
    with pytest.raises(UnsupportedModelError, match=r"unexpected: convs\.99\.surprise"):
        load_face_model(damaged(tmp_path, tensors))


def test_a_wrong_shape_is_named(tmp_path: Path) -> None:
    tensors = small_tensors(small_layout(32, dim=8))
    tensors["convs.2.conv.weight"] = torch.ones(1, 3, 3, 3, 3)
    with pytest.raises(UnsupportedModelError, match=r"convs\.2\.conv\.weight: expected shape"):
        load_face_model(damaged(tmp_path, tensors))


@pytest.mark.parametrize("name", ["latent_avg", "style.1.weight", "noises.noise_0"])
def test_values_that_are_not_numbers_are_refused(tmp_path: Path, name: str) -> None:
    tensors = small_tensors(small_layout(32, dim=8))
    tensors[name].view(-1)[0] = float("nan")
    from safetensors.torch import save_file  # this project's own writer refuses them too

    save_file(tensors, tmp_path / "nan.safetensors")
    with pytest.raises(UnsupportedModelError, match=name):
        load_face_model(tmp_path / "nan.safetensors")


def test_a_mapping_of_one_layer_is_refused(tmp_path: Path) -> None:
    tensors = small_tensors(small_layout(32, dim=8, mapping_layers=1))
    with pytest.raises(UnsupportedModelError, match="not a face model known here"):
        load_face_model(damaged(tmp_path, tensors))


def test_a_limit_that_is_not_positive_is_refused(tmp_path: Path) -> None:
    path = small_model_file(tmp_path / "clamp.safetensors", 32, dim=8, clamp=-1.0)
    with pytest.raises(UnsupportedModelError, match="conv_clamp"):
        load_face_model(path)


def test_no_other_model_is_taken_for_one() -> None:
    assert layout_of({}) is None
    assert layout_of({"style.1.weight": (4,), "input.input": (1, 2, 4, 4)}) is None
    assert layout_of({"style.1.weight": (4, 4), "input.input": (1, 10**9, 4, 4)}) is None


# --- spaces ------------------------------------------------------------------------------------


def test_z_and_w_codes_become_w_plus(model: FaceModel) -> None:
    net = model.module
    assert isinstance(net, StyleGAN2Net)
    assert {name: space.shape for name, space in model.spaces.items()} == {
        "z": (DIM,),
        "w": (DIM,),
        "w_plus": (10, DIM),
    }
    z = torch.randn(2, DIM)
    w = net.map(z)
    codes = model.to_decodable(z, model.spaces["z"])
    assert torch.equal(codes, model.to_decodable(w, model.spaces["w"]))
    assert torch.equal(codes, w[:, None].expand(2, 10, DIM))
    assert torch.equal(model.to_decodable(codes, model.space), codes)


def test_codes_of_another_model_are_refused(model: FaceModel) -> None:
    foreign = LatentSpace("w", (DIM,), "another model")
    with pytest.raises(SpaceMismatchError, match="another model"):
        model.to_decodable(torch.zeros(1, DIM), foreign)
    odd = LatentSpace("vae", (DIM,), model.space.model_id)
    with pytest.raises(SpaceMismatchError, match="same model"):
        model.to_decodable(torch.zeros(1, DIM), odd)


def test_statistics_of_the_spaces(model: FaceModel, file: Path) -> None:
    average = load_tensors(file)[0]["latent_avg"]
    assert model.space.mean is not None
    assert torch.equal(model.space.mean, average.expand(10, DIM))
    mean, std = model.spaces["w"].mean, model.spaces["w"].std
    assert mean is not None
    assert std is not None
    torch.testing.assert_close(mean, average)
    codes = model.sample(400, seed=4)
    torch.testing.assert_close(codes[:, 0].std(0), std, rtol=0.4, atol=0.0)


def test_samples_repeat_and_can_be_truncated(model: FaceModel) -> None:
    drawn = model.sample(3, seed=7)
    assert torch.equal(model.sample(5, seed=7)[:3], drawn)
    assert not torch.equal(model.sample(3, seed=8), drawn)
    mean = model.space.mean
    assert mean is not None
    torch.testing.assert_close(model.sample(3, 7, 0.5) - mean, (drawn - mean) / 2)
    coarse = model.sample(3, 7, 0.5, cutoff=4)
    assert torch.equal(coarse[:, 4:], drawn[:, 4:])
    assert not torch.equal(coarse[:, :4], drawn[:, :4])
    with pytest.raises(FaceLatentsError, match="no classes"):
        model.sample(1, 0, class_index=2)


def test_models_without_layers_refuse_a_cutoff(digits_model: FaceModel) -> None:
    digits = digits_model
    assert list(digits.spaces.values()) == [digits.space]
    with pytest.raises(FaceLatentsError, match="no layers"):
        digits.sample(1, 0, cutoff=2)
    with pytest.raises(FaceLatentsError, match="no classes"):
        digits.sample(1, 0, class_index=2)


def test_z_codes_of_a_model_with_classes_are_refused(tmp_path: Path) -> None:
    model = load_face_model(small_model_file(tmp_path / "c.safetensors", 32, dim=8, classes=3))
    assert model.sample(2, 0, class_index=1).shape == (2, 8, 8)
    with pytest.raises(FaceLatentsError, match="3 classes"):
        model.to_decodable(torch.zeros(1, 8), model.spaces["z"])


# --- encoders ----------------------------------------------------------------------------------


def test_without_an_encoder_photos_are_refused(model: FaceModel) -> None:
    with pytest.raises(FaceLatentsError, match="no encoder"):
        model.encode(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize("own_average", [False, True])
def test_an_encoder_in_the_file_reads_photos(tmp_path: Path, own_average: bool) -> None:
    extra = encoder_tensors(8)
    if own_average:
        extra["encoder_avg"] = torch.randn(8, DIM)
    path = small_model_file(
        tmp_path / "e.safetensors", 32, dim=DIM, metadata={"encoder_type": "e4e"}, extra=extra
    )
    model = load_face_model(path)
    crops = torch.rand(2, 3, 32, 32)
    codes = model.encode(crops)
    assert codes.shape == (2, 8, DIM)
    assert torch.equal(model.encode(crops[1:])[0], codes[1])
    # the second average shifts the codes by the difference of both
    plain = small_model_file(
        tmp_path / "p.safetensors",
        32,
        dim=DIM,
        metadata={"encoder_type": "e4e"},
        extra=encoder_tensors(8),
    )
    reference = load_face_model(plain)
    shift = extra.get("encoder_avg", torch.zeros(8, DIM))
    base = reference.module.latent_avg if own_average else torch.zeros(DIM)
    torch.testing.assert_close(codes, reference.encode(crops) + shift - base)


@pytest.mark.parametrize(
    ("num_ws", "kind", "words"),
    [(10, "e4e", "do not belong together"), (8, "", "e4e"), (8, "restyle", "restyle")],
)
def test_an_encoder_that_does_not_fit_is_refused(
    tmp_path: Path, num_ws: int, kind: str, words: str
) -> None:
    path = small_model_file(
        tmp_path / "e.safetensors",
        32,
        dim=DIM,
        metadata={"encoder_type": kind},
        extra=encoder_tensors(num_ws),
    )
    with pytest.raises(UnsupportedModelError, match=words):
        load_face_model(path)


def test_another_template_of_the_file_is_kept(tmp_path: Path) -> None:
    from face_latents.models.geometry.templates import WIDE

    tensors = small_tensors(small_layout(32, dim=8))
    save_face_model(tmp_path / "wide.safetensors", tensors, {}, WIDE)
    template = load_face_model(tmp_path / "wide.safetensors").template
    assert (template.name, template.size) == ("wide", 32)


def test_the_ffhq_template_is_a_fixed_point_of_the_ffhq_crop_rule() -> None:
    from face_latents.models.geometry.templates import FFHQ

    left, right, _, mouth_left, mouth_right = FFHQ.points
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    down = mouth - eyes
    side = 2 * max(2 * float((right - left).norm()), 1.8 * float(down.norm()))
    assert abs(side - 1) < 1e-3
    torch.testing.assert_close(eyes + 0.1 * down, torch.full_like(eyes, 0.5), rtol=0, atol=1e-3)
