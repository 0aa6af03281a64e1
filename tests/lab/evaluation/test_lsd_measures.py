"""Measures, damage and filters of the LSD evaluation, against independent references."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from face_latents.lab.evaluation.lsd.filters import FILTERS, median, require_skimage
from face_latents.lab.evaluation.lsd.noise import NOISES
from face_latents.lab.evaluation.lsd.run import LsdEvaluation, evaluate_lsd
from face_latents.lab.measures import correlation, psnr, slant, ssim, thickness
from face_latents.models.errors import FaceLatentsError
from lsd_support import bars, normal, uniform
from scipy.ndimage import median_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor


def test_ssim_and_psnr_agree_with_skimage() -> None:
    a, b = uniform(3, 1, 28, 28), uniform(3, 1, 28, 28, seed=1)
    b[1] = (a[1] + 0.1 * b[1]).clamp(0, 1)
    for i in range(3):
        one, other = a[i, 0].numpy(), b[i, 0].numpy()
        expected = structural_similarity(
            one.astype(np.float64),
            other.astype(np.float64),
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert ssim(a, b)[i].item() == pytest.approx(expected, abs=1e-6)
        expected = peak_signal_noise_ratio(one, other, data_range=1)
        assert psnr(a, b)[i].item() == pytest.approx(expected, abs=1e-4)
    assert ssim(a, a).tolist() == pytest.approx([1.0] * 3)


def test_ssim_refuses_pictures_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(torch.zeros(1, 1, 10, 28), torch.zeros(1, 1, 10, 28))


def stroke(angle: float, width: float, length: float = 70, side: int = 96) -> Tensor:
    """An anti-aliased straight stroke leaning `angle` degrees to the right of upright."""
    y, x = torch.meshgrid(*[torch.arange(side * 4) / 4 - side / 2 + 0.125] * 2, indexing="ij")
    t = math.radians(angle)
    along, across = x * math.sin(t) - y * math.cos(t), x * math.cos(t) + y * math.sin(t)
    inside = ((along.abs() <= length / 2) & (across.abs() <= width / 2)).float()
    return torch.nn.functional.avg_pool2d(inside[None, None], 4)


def test_slant_of_a_stroke_is_its_angle() -> None:
    for angle in (-40, -20, 0, 15, 35):
        assert slant(stroke(angle, 3)).item() == pytest.approx(angle, abs=0.7)


def test_thickness_of_a_stroke_is_its_width() -> None:
    for width in (3.0, 5.0, 8.0):
        # a stroke of finite length has an outline at its ends too
        expected = width * 70 / (70 + width)
        for angle in (0, 10, 20, 30, 45):
            assert thickness(stroke(angle, width)).item() == pytest.approx(expected, rel=0.04)


def test_thickness_does_not_depend_on_how_dark_the_ink_is() -> None:
    picture = stroke(10, 4)
    assert thickness(0.3 * picture).item() == pytest.approx(thickness(picture).item(), rel=1e-5)


def test_no_ink_has_no_slant_and_no_thickness() -> None:
    assert thickness(torch.zeros(2, 1, 28, 28)).tolist() == [0.0, 0.0]
    assert slant(torch.zeros(2, 1, 28, 28)).tolist() == [0.0, 0.0]


def test_correlation_agrees_with_numpy_and_is_zero_for_constants() -> None:
    a, b = normal(3, 50), normal(3, 50, seed=1)
    for i in range(3):
        expected = np.corrcoef(a[i].double().numpy(), b[i].double().numpy())[0, 1]
        assert correlation(a, b)[i].item() == pytest.approx(expected, abs=1e-6)
    almost = 3 + 1e-7 * normal(50, seed=2)
    assert correlation(almost, a[0]).item() == 0


def test_damage_is_repeatable_and_stays_within_a_picture() -> None:
    pictures = bars(8).pictures
    before = pictures.clone()
    for noise in NOISES:
        damaged = noise(pictures, 3)
        assert torch.equal(damaged, noise(pictures, 3)), noise
        assert not torch.equal(damaged, noise(pictures, 4)), noise
        assert torch.equal(pictures, before), noise
        assert damaged.min() >= 0, noise
        assert damaged.max() <= 1, noise


def test_damage_is_of_the_stated_size() -> None:
    by_name = {(noise.kind, noise.level): noise for noise in NOISES}
    grey = torch.full((20, 1, 28, 28), 0.5)
    free = by_name["gaussian", "0.3"](grey, 0, clipped=False)
    assert (free - grey).std().item() == pytest.approx(0.3, rel=0.03)
    peppered = by_name["salt_and_pepper", "30%"](grey, 0)
    assert (peppered != 0.5).double().mean().item() == pytest.approx(0.3, abs=0.01)
    assert (peppered == 1).double().mean().item() == pytest.approx(0.15, abs=0.01)
    hidden = by_name["occlusion", "8px"](grey, 0)
    assert (hidden == 0).flatten(1).sum(1).tolist() == [64] * 20
    corner = torch.zeros(1, 1, 28, 28)
    corner[..., 0, 27] = 1  # the only ink, so the square covers it
    assert by_name["occlusion", "8px"](corner, 0).sum() == 0


def test_median_agrees_with_scipy() -> None:
    pictures = uniform(2, 1, 20, 24)
    for size in (3, 5):
        for picture, found in zip(pictures[:, 0], median(pictures, size)[:, 0], strict=True):
            expected = median_filter(picture.numpy(), size=size, mode="mirror")
            assert np.array_equal(found.numpy(), expected)


def test_filters_remove_noise() -> None:
    clean = torch.zeros(2, 1, 28, 28)
    clean[..., 8:20, 8:20] = 1
    noisy = (clean + 0.2 * normal(2, 1, 28, 28)).clamp(0, 1)
    for family in FILTERS:
        best = max(psnr(family.apply(noisy, s), clean).min() for s in family.settings)
        assert best > psnr(noisy, clean).max() + 1, family.name


def test_missing_skimage_is_said_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(FaceLatentsError, match="pip install scikit-image"):
        require_skimage()
    with pytest.raises(FaceLatentsError, match="pip install scikit-image"):
        evaluate_lsd(tmp_path, LsdEvaluation())
