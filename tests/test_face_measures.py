"""Measures of the evaluation, against independent references."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from face_latents.models.evaluation.face import record_evaluation
from face_latents.models.evaluation.face_measures import (
    gradient_descriptor,
    own_percentile,
    psnr,
    sharpness,
)
from face_latents.models.evaluation.judge import (
    Judge,
    age_group,
    descriptor_of,
    features,
    load_judge,
    measure_light,
    read,
    save_judge,
)
from face_latents.models.evaluation.sheets import contact_sheet
from face_latents.models.safefile import load_tensors, save_tensors
from scipy.ndimage import laplace
from skimage.metrics import peak_signal_noise_ratio


def crops(count: int, seed: int = 0, size: int = 128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)


def test_psnr_agrees_with_skimage() -> None:
    a, b = crops(2, 0), crops(2, 1)
    for i in range(2):
        expected = peak_signal_noise_ratio(a[i].numpy(), b[i].numpy(), data_range=1)
        assert psnr(a, b)[i].item() == pytest.approx(expected, abs=1e-4)
    assert psnr(a, a).tolist() == pytest.approx([99.0, 99.0])


def test_sharpness_agrees_with_scipy() -> None:
    picture = crops(1)
    gray = (picture[0].double() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    inner = laplace(gray.numpy() * 255)[1:-1, 1:-1]
    assert sharpness(picture).item() == pytest.approx(inner.var(ddof=1), rel=1e-4)
    noisy = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(noisy, 3, 1, 1)
    assert sharpness(blurred).item() < 0.5 * sharpness(noisy).item()


def test_descriptor_tells_pictures_apart() -> None:
    people = crops(20)
    descriptors = gradient_descriptor(people)
    assert torch.allclose(descriptors.norm(dim=1), torch.ones(20), atol=1e-5)
    changed = (people * 0.8 + 0.1 + 0.02 * torch.randn_like(people)).clamp(0, 1)
    assert own_percentile(gradient_descriptor(changed), descriptors).min() == 1.0
    swapped = own_percentile(descriptors.roll(1, 0), descriptors)
    assert swapped.max() < 1.0


def test_light_by_hand() -> None:
    picture = torch.full((1, 3, 128, 128), 0.25)
    picture[..., 64:] = 0.75
    light = measure_light(picture)
    assert light["brightness"].item() == pytest.approx(0.5)
    assert light["light_left_right"].item() == pytest.approx(0.5)
    assert light["contrast"].item() == pytest.approx(0.25 * 255, rel=1e-3)
    mirrored = measure_light(picture.flip(-1))
    assert mirrored["light_left_right"].item() == pytest.approx(-0.5)


def test_age_groups() -> None:
    years = torch.tensor([20.0, 39.9, 41.0, 59.0, 61.0])
    assert age_group(years).tolist() == [0, 0, 1, 1, 2]


def test_judge_round_trip(tmp_path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    judge = Judge().eval()
    save_judge(tmp_path / "judge.safetensors", judge, {})
    loaded = load_judge(tmp_path / "judge.safetensors")
    before, after = read(judge, crops(3)), read(loaded, crops(3))
    for name, values in before.items():
        scale = max(1.0, float(np.abs(values.numpy()).max()))
        assert torch.allclose(values, after[name], atol=5e-3 * scale)


def test_contact_sheet() -> None:
    sheet = contact_sheet([crops(2), torch.ones(3, 3, 128, 128) * 2], ["a", "b"])
    assert sheet.size[0] == 3 * 128
    assert sheet.getpixel((380, sheet.size[1] - 1)) == (255, 255, 255)


def test_features_hold_the_descriptor() -> None:
    people = crops(2)
    torch.testing.assert_close(descriptor_of(features(people)), gradient_descriptor(people))
    judge = load_judge()
    plain, reused = read(judge, people), read(judge, people, features(people))
    for name, values in plain.items():
        torch.testing.assert_close(values, reused[name])


def test_figures_are_recorded_in_the_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "m.safetensors"
    save_tensors(path, {"a": torch.arange(3.0)}, {"name": "x"})
    record_evaluation(path, {"recon": {"psnr": 27.0}})
    tensors, metadata = load_tensors(path)
    assert torch.equal(tensors["a"], torch.arange(3.0))
    assert metadata["name"] == "x"
    assert json.loads(metadata["evaluation"]) == {"recon": {"psnr": 27.0}}
