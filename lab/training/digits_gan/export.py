"""Writes a trained digits GAN: model, encoders, a sheet of what it draws, figures of quality."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ....models.architectures.digits import DigitEncoder, DigitGenerator, digit_net
from ....models.architectures.statistics import CodeStatistics
from ....models.charts import picture_grid
from ....models.face_model import FaceModel, load_face_model
from ...data.digits import ATTRIBUTION, LICENCE
from ...evaluation.digits.classifier import load_digit_classifier
from ...evaluation.digits.gan_encoders import (
    MAIN,
    load_gan_encoders,
    mean_encoder,
    save_gan_encoders,
)
from ...evaluation.digits.generator import generator_quality
from ..digits.export import code_statistics, save_digits
from ..digits.prior import CLASSES
from .steps import LATENT

MEASURED = 2000  # digits of each kind for the figures of quality
QUALITY_SEED = 11
SHOWN = 16  # columns of the sheet


def export_gan(
    out_file: Path,
    generator: DigitGenerator,
    encoders: Mapping[str, DigitEncoder],
    train: tuple[Tensor, Tensor],
    unseen: Tensor,
    facts: Mapping[str, object],
) -> dict[str, object]:
    """Write the model S.safetensors, S_encoders.safetensors and S.samples.png.

    Args:
        out_file: the model's.
        generator: codes to pictures.
        encoders: by name, one of them `MAIN`.
        train: pictures (N, 1, 28, 28) uint8 and labels.
        unseen: pictures that took no part in training, (M, 1, 28, 28) uint8.
        facts: of the training, kept in the file.

    Returns:
        `model`, `encoders`: the files; `model_id`; `quality`, see `generator_quality`.
    """
    pictures, labels = train
    own = mean_encoder(encoders[MAIN])
    found = code_statistics(own, pictures, labels)
    # whatever class is drawn, its codes are the prior's: this model knows no classes
    prior = CodeStatistics(found.mean, found.std, torch.zeros(CLASSES, LATENT), torch.eye(LATENT))
    quality = measure_generator(generator, pictures, unseen)
    model_id = save_digits(
        out_file,
        digit_net(own, generator, prior),
        {
            "name": "Digits GAN",
            "training_data": "60,000 MNIST training digits; their labels trained the encoder, "
            "not the generator",
            "training": json.dumps(facts),
            "metrics": json.dumps(quality),
        },
    )
    file = out_file.with_name(f"{out_file.stem}_encoders.safetensors")
    told = {
        "name": "Encoders of the digits GAN",
        "licence": LICENCE,
        "attribution": ATTRIBUTION,
        "intended_use": "Measuring the digits GAN only.",
    }
    save_gan_encoders(file, encoders, model_id, told)
    draw_gan(load_face_model(out_file), file, unseen).save(out_file.with_suffix(".samples.png"))
    return {"model": out_file, "encoders": file, "model_id": model_id, "quality": quality}


def measure_generator(
    generator: DigitGenerator, pictures: Tensor, unseen: Tensor
) -> dict[str, object]:
    """`generator_quality` of random digits beside as many unseen and training digits."""
    count = min(MEASURED, len(pictures), len(unseen))
    noise = torch.Generator().manual_seed(QUALITY_SEED)
    with torch.no_grad():
        codes = torch.randn((count, LATENT), generator=noise)
        drawn = torch.cat([generator(part) for part in codes.split(500)])
    real, reference = (each[:count].float() / 255 for each in (unseen, pictures))
    return generator_quality(drawn, real, reference, load_digit_classifier())


def draw_gan(model: FaceModel, encoders: Path, unseen: Tensor, seed: int = 0) -> Image.Image:
    """A sheet: random digits, unseen digits, and their decodes by every encoder's mean code."""
    shown = (unseen[:SHOWN].float() / 255).expand(-1, 3, -1, -1)
    rows = [*model.decode(model.sample(4 * SHOWN, seed)).split(SHOWN), shown]
    names = ["random"] * 4 + ["digits"]
    for name, each in load_gan_encoders(encoders, model).items():
        rows.append(model.decode(each.model.encode(shown)))
        names.append(name)
    return picture_grid([row.cpu() for row in rows], names, [], "Digits GAN", cell=56)
