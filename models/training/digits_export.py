"""Writes a trained digits model: float16 weights, the statistics of its codes, its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..align import WHOLE
from ..architectures.digits import DigitEncoder, DigitGenerator, DigitNet
from ..face_model import save_face_model
from .digits_prior import CLASSES

ATTRIBUTION = (
    "MNIST database of handwritten digits: Yann LeCun, Corinna Cortes, Christopher J.C. Burges."
)


def code_statistics(
    encoder: nn.Module, pictures: Tensor, labels: Tensor, batch: int = 500
) -> dict[str, Tensor]:
    """`mean`, `std`, `centres` and `spread` of the codes of labelled pictures.

    Args:
        encoder: (B, 1, 28, 28) in [0, 1] to (B, Z).
        pictures: (N, 1, 28, 28) uint8, every digit among them.
        labels: (N,) int64.

    Returns:
        float32; the rows of `spread` (Z, Z) are the principal axes of the codes about their
        class's centre, each as long as its standard deviation, longest first.
    """
    with torch.no_grad():
        codes = torch.cat([encoder(part.float() / 255) for part in pictures.split(batch)]).double()
    centres = torch.stack([codes[labels == k].mean(0) for k in range(CLASSES)])
    residual = codes - centres[labels]
    variance, axes = torch.linalg.eigh(residual.T @ residual / len(codes))
    spread = (axes * variance.clamp_min(0).sqrt()).T.flip(0)
    result = {"mean": codes.mean(0), "std": codes.std(0), "centres": centres, "spread": spread}
    return {name: value.float().contiguous() for name, value in result.items()}


def digit_net(
    encoder: DigitEncoder, generator: DigitGenerator, statistics: Mapping[str, Tensor]
) -> DigitNet:
    """Encoder, generator and statistics as one network, in evaluation mode."""
    net = DigitNet(encoder, generator, len(statistics["spread"])).eval()
    for name, value in statistics.items():
        getattr(net, name).copy_(value)
    return net


def export_digits(
    path: Path, net: DigitNet, name: str, training: Mapping[str, object],
    metrics: Mapping[str, float],
) -> str:  # fmt: skip
    """Write the model file and return its model identity; weights become float16."""
    tensors = {
        f"digits.{key}": (value if _is_statistic(key) else value.half()).contiguous()
        for key, value in net.state_dict().items()
    }
    metadata = {
        "name": name,
        "architecture": "digits",
        "licence": "MIT for the weights; MNIST is by its authors, see attribution",
        "attribution": ATTRIBUTION,
        "training_data": "60,000 MNIST training digits with their labels: the labels shape the "
        "code space",
        "classes": json.dumps([str(k) for k in range(CLASSES)]),
        "training": json.dumps(training),
        "metrics": json.dumps({key: round(value, 5) for key, value in metrics.items()}),
    }
    return save_face_model(path, tensors, metadata, WHOLE)


def _is_statistic(key: str) -> bool:
    return key in ("mean", "std", "centres", "spread")
