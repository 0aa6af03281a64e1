"""The digits model's other encoder: trained on clean digits only, kept for comparison.

The bundled model reads damaged digits too; what that training changes can only be told beside the
encoder from which it began. Both belong to the same generator, and so to the same space.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ....models.architectures.digits import STATISTICS, DigitNet, digit_net
from ....models.architectures.statistics import CodeStatistics
from ....models.errors import UnsupportedModelError
from ....models.face_model import FaceModel, bundled_digits_model_path, load_face_model
from ....models.files.tensors import TensorSpec, load_tensors
from ...weights import lab_weights


def load_clean_digits(model: FaceModel | None = None, path: str | Path | None = None) -> FaceModel:
    """The digits model with the encoder that was trained on clean digits only.

    Args:
        model: the digits model; None loads the bundled one.
        path: the encoder's file; None takes the bundled one.

    Returns:
        A model of the same space, so that codes of both may be compared and decoded by either.

    Raises:
        UnsupportedModelError: no such file, or the encoder belongs to another model.
    """
    model = load_face_model(bundled_digits_model_path()) if model is None else model
    path = lab_weights("digits_clean_encoder.safetensors") if path is None else path
    net = model.module
    if not isinstance(net, DigitNet):
        raise UnsupportedModelError(f"'{model.name}' is not a digits model.")
    expect = {
        name: TensorSpec(tuple(tensor.shape))
        for name, tensor in net.state_dict().items()
        if not name.startswith("generator.")
    }
    tensors, metadata = load_tensors(path, expect=expect)
    if metadata.get("model_id") != model.space.model_id:
        raise UnsupportedModelError(
            f"{path}: this encoder belongs to another digits model than '{model.name}' "
            f"({model.space.describe()}). Use the files of one training run."
        )
    with torch.inference_mode(False):
        clean = _with_encoder(net, tensors)
    able = clean.capabilities()
    space = replace(model.space, mean=able.code_mean, std=able.code_std)
    return replace(model, module=clean, capabilities=able, space=space)


def _with_encoder(net: DigitNet, tensors: dict[str, Tensor]) -> DigitNet:
    encoder = type(net.encoder)(
        net.encoder.code.out_features, net.encoder.stem.out_channels,
        net.encoder.coarse.out_channels, net.encoder.hidden.out_features,
    )  # fmt: skip
    prefix = "encoder."
    encoder.load_state_dict(
        {n.removeprefix(prefix): t.float() for n, t in tensors.items() if n.startswith(prefix)}
    )
    statistics = CodeStatistics(*(tensors[name].float() for name in STATISTICS))
    return digit_net(encoder, net.generator, statistics).requires_grad_(False)
