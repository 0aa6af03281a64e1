"""Writes a trained digits model: float16 weights, the statistics of its codes, its metadata."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ....models.architectures.digits import STATISTICS, DigitEncoder, DigitGenerator, DigitNet
from ....models.architectures.statistics import CodeStatistics
from ....models.face_model import save_face_model
from ....models.files.tensors import save_tensors
from ....models.geometry.templates import WHOLE
from ...data.digits import ATTRIBUTION, LICENCE
from .prior import CLASSES, Prior


def code_statistics(
    encoder: nn.Module, pictures: Tensor, labels: Tensor, batch: int = 500
) -> CodeStatistics:
    """How the codes of labelled pictures are distributed.

    Args:
        encoder: (B, 1, 28, 28) in [0, 1] to (B, Z).
        pictures: (N, 1, 28, 28) uint8, every digit among them.
        labels: (N,) int64.

    Returns:
        float32; the rows of its `spread` (Z, Z) are the principal axes of the codes about their
        class's centre, each as long as its standard deviation, longest first.
    """
    with torch.no_grad():
        codes = torch.cat([encoder(part.float() / 255) for part in pictures.split(batch)]).double()
    centres = torch.stack([codes[labels == k].mean(0) for k in range(CLASSES)])
    residual = codes - centres[labels]
    variance, axes = torch.linalg.eigh(residual.T @ residual / len(codes))
    spread = (axes * variance.clamp_min(0).sqrt()).T.flip(0)
    values = (codes.mean(0), codes.std(0), centres, spread)
    return CodeStatistics(*(value.float().contiguous() for value in values))


def stretch_labels(
    encoder: DigitEncoder, generator: DigitGenerator, prior: Prior, gain: float
) -> tuple[DigitEncoder, DigitGenerator]:
    """Copies whose codes have label coordinates `gain` times as long; the pictures stay the same.

    The codes fill less of the style's variance than the prior grants them, so that with the radius
    of training they are shorter than normal codes of 100 numbers. Both networks touch the code with
    a linear layer, into which a change of scale goes without a trace elsewhere.
    """
    labels = prior.rotation[:CLASSES].double()
    plane = labels.T @ labels
    longer = torch.eye(plane.shape[0], dtype=torch.float64) + (gain - 1) * plane
    shorter = torch.eye(plane.shape[0], dtype=torch.float64) + (1 / gain - 1) * plane
    encoder, generator = copy.deepcopy(encoder), copy.deepcopy(generator)
    with torch.no_grad():
        encoder.code.weight.copy_(longer @ encoder.code.weight.double())
        encoder.code.bias.copy_(longer @ encoder.code.bias.double())
        generator.hidden.weight.copy_(generator.hidden.weight.double() @ shorter)
    return encoder, generator


def export_digits(path: Path, net: DigitNet, name: str, training: Mapping[str, object]) -> str:
    """Write the model file and return its model identity; weights become float16."""
    metadata = {
        "name": name,
        "training_data": "60,000 MNIST training digits with their labels: the labels shape the "
        "code space",
        "classes": json.dumps([str(k) for k in range(CLASSES)]),
        "training": json.dumps(training),
    }
    return save_digits(path, net, metadata)


def save_digits(path: Path, net: DigitNet, metadata: Mapping[str, str]) -> str:
    """Write a network trained on MNIST, its weights as float16, and return its model identity.

    Args:
        path: the model file.
        net: with its statistics.
        metadata: name, training_data and whatever else there is to tell.
    """
    tensors = {f"digits.{key}": _stored(key, value) for key, value in net.state_dict().items()}
    facts = {"architecture": "digits", "licence": LICENCE, "attribution": ATTRIBUTION}
    return save_face_model(path, tensors, {**facts, **metadata}, WHOLE)


def save_clean_encoder(path: str | Path, net: DigitNet, model_id: str) -> None:
    """Write encoder (float16) and statistics of `net`, which belong to the model `model_id`."""
    state = net.state_dict()
    metadata = {
        "name": "Clean encoder of the digits model",
        "licence": LICENCE,
        "attribution": ATTRIBUTION,
        "intended_use": "Measuring the digits model only.",
        "model_id": model_id,
    }
    kept = {k: _stored(k, v) for k, v in state.items() if not k.startswith("generator.")}
    save_tensors(path, kept, metadata)


def _stored(key: str, value: Tensor) -> Tensor:
    """Weights as float16; statistics as they are."""
    return (value if key in STATISTICS else value.half()).contiguous()
