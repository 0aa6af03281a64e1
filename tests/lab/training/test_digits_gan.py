"""Training of the digits GAN on drawn digits: losses, resuming, files, figures of quality."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from digits_support import drawn_digits
from face_latents.cli.main import main
from face_latents.lab.evaluation.digits.classifier import load_digit_classifier
from face_latents.lab.evaluation.digits.gan_encoders import load_gan_encoders, mean_encoder
from face_latents.lab.evaluation.digits.generator import frechet_distance, generator_quality
from face_latents.lab.training.digits_gan import run as training
from face_latents.lab.training.digits_gan import steps
from face_latents.models.architectures.digits import DigitEncoder, DigitGenerator
from face_latents.models.errors import FaceLatentsError, UnsupportedModelError
from face_latents.models.face_model import load_face_model
from face_latents.models.files.tensors import load_tensors, save_tensors
from scipy import linalg
from torch import nn

FEW = training.DigitsGanTraining(classifier_steps=2, gan_steps=5, encoder_steps=2)
STAGES = ("classifier", "gan", *steps.ENCODERS)


class Trained(NamedTuple):
    model: Path
    figures: dict


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "read_mnist", lambda *_, **__: drawn_digits())
    monkeypatch.setattr(training, "BATCH", dict.fromkeys(STAGES, 8))
    monkeypatch.setattr(training, "LOG_EVERY", 1)
    monkeypatch.setattr(training, "SAVE_EVERY", 2)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path = tmp_path_factory.mktemp("whole") / "g.safetensors"
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_small(monkeypatch)
        return Trained(path, training.train_digits_gan(path.parent, path, FEW))


def test_a_stopped_run_ends_like_one_that_was_not(
    small: None, trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "g.safetensors"

    def stop_in(name: str) -> Callable[[str, int, int], None]:
        def stop(stage: str, done: int, total: int) -> None:
            if (stage, done) == (name, 2):
                raise KeyboardInterrupt

        return stop

    for name in ("gan", "published"):
        with pytest.raises(KeyboardInterrupt):
            training.train_digits_gan(tmp_path, path, FEW, progress=stop_in(name))
    resumed = training.train_digits_gan(tmp_path, path, FEW)
    assert resumed["model_id"] == trained.figures["model_id"]
    first, second = (
        load_tensors(file.with_name("g_encoders.safetensors"))[0] for file in (trained.model, path)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_curve_holds_every_stage(trained: Trained) -> None:
    rows = list(csv.DictReader(trained.model.with_suffix(".curve.csv").open(newline="")))
    assert list(dict.fromkeys(row["stage"] for row in rows)) == list(STAGES)
    assert trained.figures["steps"] == {
        name: {"classifier": 2, "gan": 5}.get(name, 2) for name in STAGES
    }
    assert trained.model.with_suffix(".samples.png").exists()


def test_the_files_are_a_model_of_normal_codes_and_its_encoders(trained: Trained) -> None:
    model = load_face_model(trained.model)
    drawn = model.sample(400, seed=0)
    assert drawn.mean().abs() < 0.02
    assert abs(float(drawn.std()) - 1) < 0.02
    encoders = load_gan_encoders(trained.figures["encoders"], model)
    assert set(encoders) == set(steps.ENCODERS)
    pictures = drawn_digits()[0].float() / 255
    colour = pictures.expand(-1, 3, -1, -1)
    for name, encoder in encoders.items():
        mean, deviation = encoder.net(pictures).chunk(2, 1)
        torch.testing.assert_close(encoder.model.encode(colour), mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(encoder.deviations(pictures), deviation.exp())
        same = torch.equal(encoder.model.encode(colour), model.encode(colour))
        assert same == (name == "paper")
    assert json.loads(model.metadata["metrics"])["generated"]["confidence"] > 0


def test_encoders_of_another_model_are_refused(trained: Trained, tmp_path: Path) -> None:
    model = load_face_model(trained.model)
    other = tmp_path / "e.safetensors"
    tensors, metadata = load_tensors(trained.figures["encoders"])
    save_tensors(other, tensors, {**metadata, "model_id": "another"})
    with pytest.raises(UnsupportedModelError, match="belong to the model another"):
        load_gan_encoders(other, model)
    save_tensors(other, {"paper.stem.bias": torch.zeros(3)}, metadata)
    with pytest.raises(UnsupportedModelError, match="does not hold digit encoders"):
        load_gan_encoders(other, model)


def test_the_command_trains_and_pauses(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "out" / "g.safetensors"
    options = ["classifier_steps=1", "gan_steps=1", "encoder_steps=1"]
    given = ["train", "digits-gan", *options, "--data", str(tmp_path), "--output", str(path)]
    assert main([*given, "minutes=0"]) == 0
    assert "Paused in 'classifier' after 0 steps" in capsys.readouterr().out
    assert main(given) == 0
    assert json.loads(capsys.readouterr().out)["steps"]["gan"] == 1


def test_no_label_reaches_generator_or_discriminator(small: None) -> None:
    pictures, labels = drawn_digits()
    states = []
    for told in (labels, labels.flip(0)):
        networks = training.GanNetworks(0)
        (stage,) = (s for s in training._stages(networks, pictures, told, FEW) if s.name == "gan")
        stage.step(0, 0.0)
        states.append({**networks.generator.state_dict(), **networks.discriminator.state_dict()})
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_encoders_are_trained_with_everything_else_frozen(small: None) -> None:
    pictures, labels = drawn_digits()
    networks = training.GanNetworks(0)
    before = {name: _copy(net) for name, net in networks.modules.items()}
    stages = {s.name: s for s in training._stages(networks, pictures, labels, FEW)}
    stages["plain"].step(0, 0.0)
    changed = {
        name
        for name, net in networks.modules.items()
        if any(not torch.equal(t, before[name][key]) for key, t in net.state_dict().items())
    }
    assert changed == {"plain"}


def _copy(net: nn.Module) -> dict[str, torch.Tensor]:
    return {key: tensor.clone() for key, tensor in net.state_dict().items()}


def test_encoder_losses_against_their_definitions() -> None:
    torch.manual_seed(0)
    generator, classifier = DigitGenerator(100, hidden=8), DigitEncoder(10, 4, 4, 8)
    encoder = DigitEncoder(200, 4, 4, 8)
    pictures, labels = drawn_digits(6)
    pictures = pictures.float() / 255
    noise = torch.randn(6, 100)
    mean, deviation = encoder(pictures).chunk(2, 1)
    decoded = generator(mean + deviation.exp() * noise)
    normal = torch.distributions.Normal(mean, deviation.exp())
    divergence = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    divergence = divergence.sum(1).mean()
    read = nn.functional.cross_entropy(classifier(decoded), labels)
    a, b = 2 * decoded - 1, 2 * pictures - 1
    expected = {
        "paper": (a - b).square().sum() / 6 + 100 * read + divergence / 25,
        "published": (1 - a * b).clamp(min=0).mean() + 100 * read + divergence,
        "plain": (a - b).square().sum() / 6 + divergence / 25,
    }
    for name, weights in steps.ENCODERS.items():
        loss, parts = steps.encoder_step(
            encoder, generator, classifier, pictures, labels, noise, weights
        )
        torch.testing.assert_close(loss, expected[name])
        assert ("label" in parts) == (name != "plain")


def test_the_penalty_is_the_squared_gradient_on_real_pictures() -> None:
    weight = torch.linspace(-1, 1, 784).view(1, 28, 28)

    class Linear(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return (pictures * weight).sum((1, 2, 3))

    real = torch.rand(3, 1, 28, 28)
    losses = steps.discriminator_step(Linear(), real, real, penalise=True)
    expected = steps.PENALTY / 2 * steps.PENALTY_EVERY * weight.square().sum()
    torch.testing.assert_close(losses["penalty"], expected)
    assert "penalty" not in steps.discriminator_step(Linear(), real, real, penalise=False)


def test_batches_hold_every_picture_once_per_round() -> None:
    drawn = torch.cat([training.draw_batch(10, 3, step, seed=4) for step in range(3)])
    assert len(drawn.unique()) == 9
    assert torch.equal(training.draw_batch(10, 3, 5, 4), training.draw_batch(10, 3, 5, 4))
    assert len(training.draw_batch(2, 64, 7, 0)) == 2


def test_frechet_distance_against_scipy() -> None:
    generator = torch.Generator().manual_seed(1)
    a = torch.randn((80, 6), generator=generator, dtype=torch.float64)
    b = torch.randn((90, 6), generator=generator, dtype=torch.float64) * 2 + 1
    first, second = torch.cov(a.T), torch.cov(b.T)
    root = torch.from_numpy(linalg.sqrtm((first @ second).numpy()).real)
    expected = (a.mean(0) - b.mean(0)).square().sum() + (first + second - 2 * root).trace()
    assert frechet_distance(a, b) == pytest.approx(float(expected))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_quality_tells_one_digit_repeated_from_all_of_them() -> None:
    real = drawn_digits(200)[0].float() / 255
    noisy = (
        real + 0.05 * torch.rand(real.shape, generator=torch.Generator().manual_seed(2))
    ) / 1.05
    figures = generator_quality(
        noisy[:20].repeat(10, 1, 1, 1)[:20], noisy, noisy, load_digit_classifier()
    )
    one = generator_quality(noisy[:1].expand(20, -1, -1, -1), noisy, noisy, load_digit_classifier())
    assert figures["reference"]["coverage"] == 1
    assert figures["reference"]["frechet"] == pytest.approx(0, abs=1e-3)
    assert one["generated"]["coverage"] < figures["generated"]["coverage"]
    assert one["generated"]["frechet"] > figures["generated"]["frechet"]
    assert max(one["generated"]["classes"]) == 1


def test_the_mean_encoder_is_the_first_half() -> None:
    encoder = DigitEncoder(12, 4, 4, 8)
    pictures = drawn_digits(4)[0].float() / 255
    torch.testing.assert_close(mean_encoder(encoder)(pictures), encoder(pictures)[:, :6])


def test_missing_data_is_told(tmp_path: Path) -> None:
    settings = training.DigitsGanTraining(download=False)
    with pytest.raises(FaceLatentsError, match="MNIST was not found"):
        training.train_digits_gan(tmp_path, tmp_path / "g.safetensors", settings)
