"""Large pictures are made in strips: the same as whole maps, wherever the strips end."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.architectures.stylegan2 import strips
from face_latents.models.architectures.stylegan2.file import load
from face_latents.models.architectures.stylegan2.net import StyleGAN2Net
from stylegan2_support import small_layout, small_tensors
from torch import Tensor


@pytest.fixture(scope="module")
def net() -> StyleGAN2Net:
    return load(small_tensors(small_layout(32, dim=16)))


@pytest.fixture(scope="module")
def code(net: StyleGAN2Net) -> Tensor:
    return net.sample_codes(1, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def whole(net: StyleGAN2Net, code: Tensor) -> Tensor:
    return net.synthesize(code)


def counted(monkeypatch: pytest.MonkeyPatch, rows: int) -> list[int]:
    """Strips of so many rows for every resolution; the list grows with each strip."""
    monkeypatch.setattr(strips, "SMALLEST", 0)
    monkeypatch.setattr(strips, "STRIP", 1)
    monkeypatch.setattr(strips, "FEWEST_ROWS", rows)
    seen: list[int] = []
    original = strips._doubled_rows

    def watched(x: Tensor, layer: object, top: int, bottom: int, limit: float | None) -> Tensor:
        seen.append(bottom - top)
        return original(x, layer, top, bottom, limit)

    monkeypatch.setattr(strips, "_doubled_rows", watched)
    return seen


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 31, 64])
def test_strips_of_any_height_give_the_same_picture(
    net: StyleGAN2Net, code: Tensor, whole: Tensor, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    seen = counted(monkeypatch, rows)
    picture = net.synthesize(code)
    assert len(seen) == sum(-(-side // rows) for side in (8, 16, 32))
    assert picture.shape == whole.shape
    torch.testing.assert_close(picture, whole, rtol=0, atol=1e-4 * float(whole.std()))


def test_limits_are_those_of_whole_maps(
    net: StyleGAN2Net, code: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net, "clamp", 0.8)
    expected = net.synthesize(code)
    assert counted(monkeypatch, 5) == []
    torch.testing.assert_close(net.synthesize(code), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_code_gives_one_picture_in_every_batch(
    net: StyleGAN2Net, code: Tensor, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    seen = counted(monkeypatch, 5)
    monkeypatch.setattr(net, "dtype", dtype)
    together = net.synthesize(torch.cat([code.flip(1), code]))
    assert torch.equal(together[1:], net.synthesize(code))
    assert seen


def test_gradients_go_through_whole_maps(
    net: StyleGAN2Net, code: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch, 5)
    wanted = code.clone().requires_grad_(True)
    net.synthesize(wanted).square().mean().backward()
    assert not seen
    assert wanted.grad is not None
    assert float(wanted.grad.abs().max()) > 0


def test_only_large_maps_are_cut(net: StyleGAN2Net, code: Tensor) -> None:
    up = net.convs[4]
    channels = up.energy.shape[0]
    side = int((strips.SMALLEST / (4 * channels)) ** 0.5)
    small = torch.empty(1, up.energy.shape[1], side, side)
    assert not strips.pays_off(small, up, code)
    large = torch.empty(1, up.energy.shape[1], 2 * side, 2 * side)
    assert strips.pays_off(large, up, code)
    assert not strips.pays_off(large.to("meta"), up, code)
