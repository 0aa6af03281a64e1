"""Training of the digits model on drawn digits: prior, damage, batches, resuming, export."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from digits_support import drawn_digits
from face_latents.cli.main import main
from face_latents.lab.data.digits import Balanced, damage_pictures, read_mnist
from face_latents.lab.evaluation.digits import figures as evaluation
from face_latents.lab.evaluation.digits.classifier import DigitClassifier, load_digit_classifier
from face_latents.lab.evaluation.digits.encoders import load_clean_digits
from face_latents.lab.evaluation.lsd.model import Digits, MeasuredModel
from face_latents.lab.training.digits import classifier as classifier_training
from face_latents.lab.training.digits import prior as prior_maths
from face_latents.lab.training.digits import train as training
from face_latents.lab.training.digits.export import code_statistics, stretch_labels
from face_latents.models.architectures import digits
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import load_face_model
from face_latents.models.files.tensors import load_tensors, read_header
from scipy import stats

STEPS = training.DigitsTraining(reader_steps=2, generator_steps=3, robust_steps=2)


class Trained(NamedTuple):
    model: Path
    figures: dict
    told: list


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "read_mnist", lambda *_, **__: drawn_digits())
    monkeypatch.setattr(training, "PER_CLASS", dict.fromkeys(training.PER_CLASS, 2))
    monkeypatch.setattr(training, "LOG_EVERY", 1)
    monkeypatch.setattr(training, "SAVE_EVERY", 2)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path, told = tmp_path_factory.mktemp("whole") / "m.safetensors", []
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_small(monkeypatch)
        figures = training.train_digits(
            path.parent, path, STEPS, progress=lambda *told_now: told.append(told_now)
        )
    return Trained(path, figures, told)


def test_progress_and_curve_tell_every_step(trained: Trained) -> None:
    assert trained.figures["steps"] == {"reader": 2, "generator": 3, "robust": 2}
    assert trained.told[0] == ("reader", 1, 2)
    assert trained.told[-1] == ("robust", 2, 2)
    assert len(trained.told) == 7
    rows = list(csv.DictReader(trained.model.with_suffix(".curve.csv").open(newline="")))
    assert [row["stage"] for row in rows] == ["reader"] * 2 + ["generator"] * 3 + ["robust"] * 2
    assert [int(row["step"]) for row in rows] == [1, 2, 1, 2, 3, 1, 2]


def test_a_stopped_run_ends_like_one_that_was_not(
    small: None, trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("generator", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train_digits(tmp_path, path, STEPS, progress=stop)
    resumed = training.train_digits(tmp_path, path, STEPS)
    assert resumed["model_id"] == trained.figures["model_id"]
    for name in ("m.safetensors", "m_clean_encoder.safetensors"):
        first = load_tensors(trained.model.with_name(name))[0]
        second = load_tensors(path.with_name(name))[0]
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_exported_files_are_a_model_and_its_clean_encoder(trained: Trained) -> None:
    model = load_face_model(trained.model)
    assert model.space.shape == (100,)
    assert model.template.whole
    assert json.loads(model.metadata["training"])["steps"]["robust"] == 2
    assert "LeCun" in model.metadata["attribution"]
    clean = load_clean_digits(model, trained.figures["clean_encoder"])
    pictures = drawn_digits()[0].float().expand(-1, 3, -1, -1) / 255
    assert not torch.equal(clean.encode(pictures), model.encode(pictures))
    assert trained.model.with_suffix(".curve.png").exists()
    assert trained.model.with_suffix(".samples.png").exists()


def test_measuring_works_on_any_digits_model(trained: Trained) -> None:
    pictures, labels = drawn_digits(20)
    split = Digits(pictures.float() / 255, labels)
    measured = MeasuredModel(load_face_model(trained.model), DigitClassifier().eval())
    figures = evaluation.measure(measured, split, split, seed=0, each=4)
    assert 0 < figures["reconstruction"]["psnr"] < 40
    assert 0 <= figures["turned"]["least"] <= figures["turned"]["mean"] <= 1
    assert set(figures["random_digits"]) == {"accuracy_psi_0.7", "accuracy_psi_1.0"}


def test_the_command_trains(small: None, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "out" / "d.safetensors"
    options = [f"{stage}_steps=1" for stage in training.STAGES]
    data = ["--data", str(tmp_path), "--output", str(path)]
    assert main(["train", "digits", *options, *data]) == 0
    assert json.loads(capsys.readouterr().out)["steps"]["generator"] == 1
    assert read_header(path).metadata["architecture"] == "digits"


def test_a_command_of_few_minutes_pauses(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    given = ["minutes=0", "--data", str(tmp_path), "--output", str(tmp_path / "d.safetensors")]
    assert main(["train", "digits", *given]) == 0
    assert "Paused in 'reader' after 0 steps" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir()] == ["d.state.safetensors"]


def test_missing_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(FaceLatentsError, match="MNIST was not found"):
        read_mnist(tmp_path, train=True, download=False)


def test_batches_are_balanced_reproducible_and_cover_everything() -> None:
    pictures, labels = drawn_digits(70)
    pictures[:, 0, 0, 0] = torch.arange(70, dtype=torch.uint8)  # tells each one apart
    batches = Balanced(pictures, labels, 3, seed=1)
    seen = []
    for step in range(7):
        drawn, told = batches.draw(step)
        assert torch.equal(torch.bincount(told), torch.full((10,), 3))
        numbers = (drawn[:, 0, 0, 0] * 255).round().long()
        assert torch.equal(labels[numbers], told)
        seen += numbers.tolist()
    assert sorted(seen) == sorted(list(range(70)) * 3)
    assert torch.equal(batches.draw(4)[0], Balanced(pictures, labels, 3, seed=1).draw(4)[0])
    with pytest.raises(FaceLatentsError, match="every digit"):
        Balanced(pictures[:5], labels[:5], 3, seed=1)


def test_the_prior_is_orthonormal_and_draws_its_label() -> None:
    prior = prior_maths.make_prior()
    torch.testing.assert_close(prior.rotation @ prior.rotation.T, torch.eye(100))
    assert prior.rotation[:10].abs().max() < 0.6  # no label lies on an axis of the code
    labels = torch.arange(10).repeat(400)
    frame = prior_maths.draw_points(prior, labels, torch.Generator().manual_seed(0))
    torch.testing.assert_close(prior.to_frame(prior.to_codes(frame)), frame, atol=1e-5, rtol=1e-5)
    assert torch.equal(frame[:, :10], prior_maths.RADIUS * prior_maths.one_hot(labels))
    torch.testing.assert_close(frame[:, 10:].std(0), prior.std, atol=0.06, rtol=0)
    assert float(frame.square().sum(1).mean()) == pytest.approx(100, abs=3)


def test_turned_is_a_rotation_in_the_plane_of_two_labels() -> None:
    generator = torch.Generator().manual_seed(1)
    frame = torch.randn(50, 100, generator=generator, dtype=torch.float64)
    source, target = torch.arange(50) % 10, (torch.arange(50) + 3) % 10
    angle = torch.rand(50, generator=generator, dtype=torch.float64) * math.pi
    turned = prior_maths.turn_labels(frame, source, target, angle)
    for row in range(50):
        matrix = torch.eye(100, dtype=torch.float64)
        i, j, a = int(source[row]), int(target[row]), float(angle[row])
        matrix[i, i] = matrix[j, j] = math.cos(a)
        matrix[i, j], matrix[j, i] = -math.sin(a), math.sin(a)
        torch.testing.assert_close(turned[row], matrix @ frame[row])


def test_truncated_keeps_one_label_the_length_and_the_largest_style() -> None:
    generator = torch.Generator().manual_seed(2)
    prior = prior_maths.make_prior()
    labels = torch.arange(100) % 10
    frame = prior_maths.draw_points(prior, labels, generator)
    cut = prior_maths.truncate_style(frame, labels, generator)
    torch.testing.assert_close(cut.norm(dim=1), frame.norm(dim=1))
    assert torch.equal(cut[:, :10] > 0, prior_maths.one_hot(labels) > 0)
    kept = cut[:, 10:] != 0
    assert len(kept.sum(1).unique()) > 20
    style = frame[:, 10:].abs()
    smallest_kept = torch.where(kept, style, torch.inf).amin(1)
    largest_lost = torch.where(kept, torch.zeros(()), style).amax(1)
    assert (smallest_kept >= largest_lost).all()


def test_style_loss_is_least_for_the_prior_itself() -> None:
    generator = torch.Generator().manual_seed(3)
    std = prior_maths.make_prior().std

    def loss(scale: float = 1.0, shift: float = 0.0, heavy: bool = False) -> float:
        white = torch.randn(10, 30, 90, generator=torch.Generator().manual_seed(4))
        white = white.pow(3) / 3.9 if heavy else white
        white = white * scale
        white[3] += shift
        return float(prior_maths.style_loss(white * std, std, generator))

    assert loss() < min(loss(0.7), loss(1.4), loss(shift=0.5), loss(heavy=True))


def test_quantiles_match_scipy() -> None:
    expected = stats.norm.ppf((torch.arange(1, 21).numpy() - 0.375) / 20.25)
    torch.testing.assert_close(
        prior_maths.quantiles(20).double(), torch.from_numpy(expected), atol=1e-5, rtol=1e-5
    )


def test_damage_leaves_some_clean_and_hurts_the_others() -> None:
    pictures = drawn_digits(400)[0].float() / 255
    before = pictures.clone()
    hurt = damage_pictures(pictures, torch.Generator().manual_seed(5))
    assert torch.equal(pictures, before)
    clean = (hurt == pictures).flatten(1).all(1).float().mean()
    assert 0.08 < float(clean) < 0.25
    outside = ((hurt < 0) | (hurt > 1)).flatten(1).any(1).float().mean()
    assert 0.15 < float(outside) < 0.45


def test_code_statistics_describe_the_codes() -> None:
    pictures, labels = drawn_digits(300)
    pictures = (torch.rand(300, 1, 28, 28, generator=torch.Generator().manual_seed(6)) * 255).to(
        torch.uint8
    )
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 6))
    found = code_statistics(encoder, pictures, labels, batch=64)
    codes = encoder(pictures.float() / 255).detach()
    torch.testing.assert_close(found.mean, codes.mean(0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.std, codes.std(0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.centres[4], codes[labels == 4].mean(0), atol=1e-5, rtol=1e-4)
    residual = codes - found.centres[labels]
    expected = residual.T @ residual / 300
    torch.testing.assert_close(found.spread.T @ found.spread, expected, atol=1e-5, rtol=1e-3)
    lengths = found.spread.norm(dim=1)
    assert (lengths[:-1] >= lengths[1:]).all()


def test_stretching_the_labels_changes_codes_and_no_picture() -> None:
    torch.manual_seed(7)
    encoder, generator = digits.DigitEncoder(), digits.DigitGenerator()
    prior = prior_maths.make_prior()
    pictures = drawn_digits(20)[0].float() / 255
    longer, again = stretch_labels(encoder, generator, prior, 1.5)
    before, after = prior.to_frame(encoder(pictures)), prior.to_frame(longer(pictures))
    torch.testing.assert_close(after[:, :10], 1.5 * before[:, :10], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after[:, 10:], before[:, 10:], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(again(longer(pictures)), generator(encoder(pictures)))


def test_a_classifier_learns_drawn_digits_and_survives_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(classifier_training, "read_mnist", lambda *_, **__: drawn_digits(200))
    monkeypatch.setattr(classifier_training, "_BATCH", 20)
    path = tmp_path / "classifier.safetensors"
    given = ["epochs=8", "--data", str(tmp_path), "--output", str(path)]
    assert main(["train", "digit_classifier", *given]) == 0
    classifier = load_digit_classifier(path)
    pictures, labels = drawn_digits(40)
    assert classifier_training.accuracy(classifier, pictures, labels) >= 0.8
    assert json.loads(read_header(path).metadata["metrics"])["test_accuracy"] >= 0.8
    colour = pictures.float().expand(-1, 3, -1, -1) / 255
    torch.testing.assert_close(classifier(colour), classifier(colour[:, :1]))
