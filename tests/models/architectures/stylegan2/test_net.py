"""The StyleGAN2 generator: golden values, spaces, truncation, noise, precision, batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from face_latents.models.architectures.stylegan2 import layers
from face_latents.models.architectures.stylegan2.file import load
from face_latents.models.architectures.stylegan2.net import StyleGAN2Net
from face_latents.models.errors import FaceLatentsError
from face_latents.models.files.tensors import load_tensors
from stylegan2_support import small_layout, small_tensors
from torch import Tensor

GOLDEN = Path(__file__).parents[3] / "golden" / "stylegan2.safetensors"
LIMIT = 1e-4  # of the range of the reference's output


@pytest.fixture(scope="module")
def net() -> StyleGAN2Net:
    return load(small_tensors(small_layout(64, dim=32)))


@pytest.fixture(scope="module")
def labelled() -> StyleGAN2Net:
    return load(small_tensors(small_layout(32, dim=16, classes=4)))


def codes_of(net: StyleGAN2Net, count: int, seed: int = 0) -> Tensor:
    return net.sample_codes(count, torch.Generator().manual_seed(seed))


def far(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference as a fraction of the range."""
    return float((ours - theirs).abs().max() / (theirs.max() - theirs.min()))


# --- against the references ------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_tensors(GOLDEN)[0]


def golden_net(golden: dict[str, Tensor], kind: str) -> StyleGAN2Net:
    return load(
        {n.removeprefix(f"{kind}."): t for n, t in golden.items() if n.startswith(f"{kind}.")}
    )


@pytest.mark.parametrize("kind", ["rosinality", "nvidia"])
def test_pictures_of_w_plus_codes_are_those_of_the_reference(
    golden: dict[str, Tensor], kind: str
) -> None:
    pictures = golden_net(golden, kind).synthesize(golden["codes"])
    assert far(pictures, golden[f"{kind}_w_plus"]) < LIMIT


def test_mapping_and_truncation_are_those_of_the_reference(golden: dict[str, Tensor]) -> None:
    net = golden_net(golden, "rosinality")
    codes = net.truncate(net.broadcast(net.map(golden["z"])), 0.7)
    assert far(net.synthesize(codes), golden["rosinality_z"]) < LIMIT


def test_classes_clamp_and_cutoff_are_those_of_the_reference(golden: dict[str, Tensor]) -> None:
    net = golden_net(golden, "nvidia")
    codes = net.truncate(net.broadcast(net.map(golden["z"], golden["labels"])), 0.7, 3)
    assert far(net.synthesize(codes), golden["nvidia_z"]) < LIMIT
    net.clamp = None
    assert far(net.synthesize(codes), golden["nvidia_z"]) > 0.01


def test_weights_and_activations_take_the_style_alike(
    net: StyleGAN2Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = codes_of(net, 1)
    with_weights = net.synthesize(codes)
    code = codes.clone().requires_grad_(True)
    with_activations = net.synthesize(code)  # the way of gradients
    assert with_activations.requires_grad
    with_activations = with_activations.detach()
    assert not torch.equal(with_weights, with_activations)  # both ways were taken
    assert far(with_activations, with_weights) < 1e-5
    monkeypatch.setattr(layers.StyledConv, "_numbers_out", lambda *_: 1 << 40)
    assert far(net.synthesize(codes), with_activations) < 1e-5


def test_doubling_is_the_filter_of_the_paper() -> None:
    picture = torch.randn(1, 3, 5, 6, dtype=torch.float64)
    spread = torch.zeros(1, 3, 10, 12, dtype=torch.float64)
    spread[..., ::2, ::2] = picture
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4
    kernel = torch.outer(row, row).expand(3, 1, 4, 4)
    expected = F.conv2d(F.pad(spread, (2, 1, 2, 1)), kernel, groups=3)
    torch.testing.assert_close(layers.double_size(picture), expected)


def test_gradients_of_pictures_are_exact() -> None:
    net = load(small_tensors(small_layout(32, dim=6, width=2))).double()
    net.dtype = torch.float64
    ws = torch.randn(1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, net.convs[2].energy.shape[1], 8, 8, dtype=torch.float64)
    noise = torch.randn(1, 1, 16, 16, dtype=torch.float64)

    def drawn(w: Tensor) -> Tensor:
        return net.convs[2](x, w, noise).square().mean((2, 3))

    assert torch.autograd.gradcheck(drawn, (ws.requires_grad_(True),))


# --- batches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_code_gives_one_picture_in_every_batch(net: StyleGAN2Net, dtype: torch.dtype) -> None:
    codes = codes_of(net, 3)
    net.dtype = dtype
    try:
        together = net.decode(codes)
        for i in range(3):
            assert torch.equal(net.decode(codes[i : i + 1])[0], together[i])
        assert torch.equal(net.decode(codes.flip(0)).flip(0), together)
    finally:
        net.dtype = torch.float32


@pytest.mark.parametrize("count", [1, 5, 16, 21])
def test_mapping_does_not_depend_on_the_batch(net: StyleGAN2Net, count: int) -> None:
    z = torch.randn(40, net.z_dim)
    whole = net.map(z)
    assert torch.equal(net.map(z[7 : 7 + count]), whole[7 : 7 + count])


def test_no_codes_give_no_pictures(net: StyleGAN2Net) -> None:
    assert net.synthesize(torch.zeros(0, net.num_ws, net.w_dim)).shape == (0, 3, 64, 64)
    assert net.map(torch.zeros(0, net.z_dim)).shape == (0, net.w_dim)


# --- precision ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 0.01), (torch.float16, 0.001)])
def test_half_precision_is_close(net: StyleGAN2Net, dtype: torch.dtype, limit: float) -> None:
    codes = codes_of(net, 2)
    exact = net.synthesize(codes)
    net.dtype = dtype
    try:
        rough = net.synthesize(codes)
    finally:
        net.dtype = torch.float32
    assert rough.dtype == torch.float32
    assert 0 < float((rough - exact).square().mean().sqrt()) < limit * float(exact.std()) * 2
    assert torch.equal(net.synthesize(codes), exact)  # and back again, nothing is lost


def test_float16_does_not_run_over() -> None:
    loud = load(small_tensors(small_layout(32, dim=16)))
    loud.conv1.activate.bias.fill_(1e6)
    code = codes_of(loud, 1)
    loud.dtype = torch.float16
    assert bool(torch.isfinite(loud.synthesize(code)).all())


# --- codes -------------------------------------------------------------------------------------


def test_truncation(net: StyleGAN2Net) -> None:
    codes, mean = codes_of(net, 2), net.mean_code()
    torch.testing.assert_close(net.truncate(codes, 1.0), codes)
    torch.testing.assert_close(net.truncate(codes, 0.0), mean.expand_as(codes))
    torch.testing.assert_close(net.truncate(codes, 0.5) - mean, (codes - mean) / 2)
    partly = net.truncate(codes, 0.5, 3)
    assert torch.equal(partly[:, 3:], codes[:, 3:])
    assert torch.equal(partly[:, :3], net.truncate(codes, 0.5)[:, :3])
    assert torch.equal(net.truncate(codes, 0.5, 99), net.truncate(codes, 0.5))
    assert torch.equal(net.truncate(codes, 0.5, 0), codes)


def test_a_mean_for_each_layer() -> None:
    tensors = small_tensors(small_layout(32, dim=16))
    tensors["latent_avg"] = torch.randn(8, 16)
    each = load(tensors)
    assert torch.equal(each.mean_code(), tensors["latent_avg"])
    torch.testing.assert_close(each.truncate(codes_of(each, 1), 0.0)[0], tensors["latent_avg"])


def test_only_the_direction_of_z_counts(net: StyleGAN2Net) -> None:
    z = torch.randn(3, net.z_dim)
    torch.testing.assert_close(net.map(z), net.map(5 * z))
    assert far(net.map(z), net.map(-z)) > 0.1


def test_first_codes_of_a_larger_batch_are_those_of_a_smaller_one(labelled: StyleGAN2Net) -> None:
    assert torch.equal(codes_of(labelled, 2, 9), codes_of(labelled, 5, 9)[:2])


def test_classes(labelled: StyleGAN2Net, net: StyleGAN2Net) -> None:
    z = torch.randn(4, 16)
    first, third = labelled.map(z, 0), labelled.map(z, 2)
    assert far(first, third) > 0.01
    mixed = labelled.map(z, torch.tensor([0, 2, 2, 0]))
    assert torch.equal(mixed, torch.stack([first[0], third[1], third[2], first[3]]))
    drawn = codes_of(labelled, 6)
    generator = torch.Generator().manual_seed(0)
    assert far(labelled.sample_codes(6, generator, class_index=1), drawn) > 0.01
    for wrong in (None, 4, -1):
        with pytest.raises(FaceLatentsError, match="0 to 3"):
            labelled.map(z, wrong)
    with pytest.raises(FaceLatentsError, match="no classes"):
        net.map(torch.randn(1, net.z_dim), 0)


def test_style_weight(net: StyleGAN2Net) -> None:
    modules = [net.conv1, *net.convs]
    whole = net.style_weight()
    rows = sum(module.conv.modulation.weight.shape[0] for module in modules)
    assert whole.shape == (rows, net.w_dim)
    part = net.style_weight([2, 1, 1])
    expected = [modules[i].conv.modulation.weight for i in (1, 2)]
    assert torch.equal(part, torch.cat(expected))
    last = net.style_weight([net.num_ws - 1])
    assert torch.equal(last, net.to_rgbs[-1].conv.modulation.weight)
    for wrong in ([], [-1], [net.num_ws]):
        with pytest.raises(FaceLatentsError, match="0 to 9"):
            net.style_weight(wrong)


def test_the_spread_of_codes_is_that_of_random_ones(net: StyleGAN2Net) -> None:
    std = net.code_std()
    assert std.shape == net.code_shape
    codes = codes_of(net, 400, seed=3)[:, 0]
    np.testing.assert_allclose(std[0].numpy(), codes.std(0).numpy(), rtol=0.4)


def test_layouts_of_every_size() -> None:
    for size in (32, 128, 512):
        layout = replace(small_layout(size, dim=8, width=2), mapping_layers=3)
        with torch.device("meta"):
            net = StyleGAN2Net(layout)
        assert (net.size, net.num_ws) == (size, 2 * size.bit_length() - 4)
        assert len(net.to_rgbs) == layout.num_ws // 2 - 1


def test_the_host_may_write_its_own_attributes(net: StyleGAN2Net) -> None:
    net.device = torch.device("cpu")  # as its memory management does
    assert net.synthesize(codes_of(net, 1)).shape == (1, 3, 64, 64)
