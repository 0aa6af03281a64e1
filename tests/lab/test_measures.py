"""Measures of the evaluation, against independent references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from face_latents.lab.data.faces import FaceSet
from face_latents.lab.evaluation.face.recogniser import load_recogniser, measure_of
from face_latents.lab.measures import auc, correlation, identity_percentile, psnr, sharpness
from face_latents.lab.training.judge import JudgeTraining, disturb, train_judge
from face_latents.lab.training.loop import Session
from face_latents.models.errors import FaceLatentsError
from face_latents.models.imaging.features import gradient_descriptor
from face_latents.models.imaging.light import luminance
from face_latents.models.judge import Judge, age_group, load_judge, measure_light, read, save_judge
from scipy.ndimage import laplace
from skimage.metrics import peak_signal_noise_ratio
from sklearn.metrics import roc_auc_score


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
    assert identity_percentile(gradient_descriptor(changed), descriptors).min() == 1.0
    swapped = identity_percentile(descriptors.roll(1, 0), descriptors)
    assert swapped.max() < 1.0


def test_area_under_the_curve_agrees_with_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.rand(60, generator=generator)
    values = labels + 0.5 * torch.randn(60, generator=generator)
    expected = roc_auc_score(labels > 0.5, values)
    assert auc(values, labels) == pytest.approx(expected, abs=1e-9)
    assert auc(values, labels > 0.5) == auc(values, labels)
    assert auc(values, torch.zeros(60)) != auc(values, torch.zeros(60))  # not a number


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


def test_the_judge_reads_mirrored_and_darker_faces_alike() -> None:
    people, judge = crops(3), load_judge()
    plain, mirrored = read(judge, people), read(judge, people.flip(-1))
    for name in ("smile", "glasses", "beard", "mouth_open", "gender_expression", "age"):
        torch.testing.assert_close(plain[name], mirrored[name], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(plain["head_turn"], -mirrored["head_turn"], atol=1e-4, rtol=1e-4)
    darker = read(judge, people * 0.7)
    assert (darker["gender_expression"] - plain["gender_expression"]).abs().max() < 0.1
    assert (darker["brightness"] - 0.7 * plain["brightness"]).abs().max() < 1e-5


def test_the_judge_learns(tmp_path: Path) -> None:
    """Faces that are bright above when they smile, and bright on the side they turn to."""
    generator = torch.Generator().manual_seed(0)
    smile = torch.rand(48, generator=generator).round()
    turn = torch.rand(48, generator=generator) * 0.4 - 0.2
    pictures = 0.4 + 0.1 * torch.rand(48, 3, 128, 128, generator=generator)
    pictures[:, :, :64] += 0.3 * smile[:, None, None, None]
    pictures += turn[:, None, None, None] * torch.linspace(-1, 1, 128)
    rows = tuple(
        {
            **dict.fromkeys(("glasses", "beard", "mouth_open"), "0"),
            "smile": str(a),
            "yaw_proxy": str(b),
            "age_bin": "30-39",
            "gender": "female",
        }
        for a, b in zip(smile.tolist(), turn.tolist(), strict=True)
    )
    faces = FaceSet((pictures.clamp(0, 1) * 255).to(torch.uint8), rows)
    judge = train_judge(faces, JudgeTraining(steps=20, batch=12), tmp_path / "x", Session())
    readings = read(judge, faces.floats())
    assert auc(readings["smile"], smile) > 0.95
    assert correlation(readings["head_turn"], turn) > 0.8
    assert readings["glasses"].max() < 0.5


def test_what_the_judge_is_trained_on_stays_a_picture() -> None:
    people = torch.nn.functional.avg_pool2d(crops(6), 2)
    again = [disturb(people, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])
    assert again[0].shape == people.shape
    assert again[0].min() >= 0
    assert again[0].max() <= 1
    assert (again[0] - people).abs().mean() < 0.2


def test_recognisers() -> None:
    assert load_recogniser(None) is gradient_descriptor
    assert measure_of(load_recogniser(None)) == "gradient histograms"
    own = load_recogniser("face_latents.models.imaging.light:luminance")
    assert own is luminance
    assert measure_of(own) == "face_latents.models.imaging.light:luminance"
    assert load_recogniser(luminance) is luminance
    for wrong in ("no_such_module:embed", "json:nothing", "json", "json:__doc__", ":x", ""):
        with pytest.raises(FaceLatentsError, match="recogniser"):
            load_recogniser(wrong)
