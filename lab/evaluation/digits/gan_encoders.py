"""The encoders of a digits GAN: one file with all that were trained for one generator.

They are stochastic: of a picture they give mean and log deviation of its codes. The model's own
encoder is the mean of the one called "paper".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ....models.architectures.digits import STATISTICS, DigitEncoder, DigitNet, digit_net
from ....models.architectures.statistics import CodeStatistics
from ....models.errors import UnsupportedModelError
from ....models.face_model import FaceModel
from ....models.files.header import read_header
from ....models.files.tensors import load_tensors, save_tensors

MAIN = "paper"  # the one that is the model's own


@dataclass(frozen=True, eq=False)
class StochasticEncoder:
    """An encoder with the generator that it was trained for.

    Attributes:
        model: its encoder gives the mean code.
        net: `(B, 1, 28, 28)` in [0, 1] to mean and log deviation `(B, 2 d)`.
    """

    model: FaceModel
    net: DigitEncoder

    def deviations(self, pictures: Tensor) -> Tensor:
        """Deviation of each number of a code, `(N, d)`, of pictures `(N, 1, 28, 28)`."""
        with torch.no_grad():
            found = [self.net(part).chunk(2, 1)[1].exp() for part in pictures.split(500)]
        return torch.cat(found)


def mean_encoder(encoder: DigitEncoder) -> DigitEncoder:
    """The encoder `(B, d)` of mean codes of a stochastic one, `(B, 2 d)`."""
    half = encoder.code.out_features // 2
    mean = DigitEncoder(
        half, encoder.stem.out_channels, encoder.coarse.out_channels, encoder.hidden.out_features
    )
    state = encoder.state_dict()
    state |= {name: state[name][:half] for name in ("code.weight", "code.bias")}
    mean.load_state_dict(state)
    return mean


def save_gan_encoders(
    path: str | Path,
    encoders: Mapping[str, DigitEncoder],
    model_id: str,
    metadata: Mapping[str, str],
) -> None:
    """Write the encoders (float16) of the model `model_id`."""
    tensors = {
        f"{name}.{key}": tensor.half().contiguous()
        for name, encoder in encoders.items()
        for key, tensor in encoder.state_dict().items()
    }
    save_tensors(path, tensors, {**metadata, "model_id": model_id})


def load_gan_encoders(path: str | Path, model: FaceModel) -> dict[str, StochasticEncoder]:
    """The encoders of a file, by name.

    Args:
        path: of `face-latents train digits_gan`.
        model: the GAN.

    Raises:
        UnsupportedModelError: no such file, or its encoders belong to another model.
    """
    net = model.module
    if not isinstance(net, DigitNet):
        raise UnsupportedModelError(f"'{model.name}' is not a digits model.")
    if (owner := read_header(path).metadata.get("model_id")) != model.space.model_id:
        raise UnsupportedModelError(
            f"{path}: these encoders belong to the model {owner}, not to '{model.name}' "
            f"({model.space.describe()}). Use the files of one training run."
        )
    tensors, _ = load_tensors(path)
    statistics = CodeStatistics(*(getattr(net, name) for name in STATISTICS))
    found = {}
    for name in dict.fromkeys(key.partition(".")[0] for key in tensors):
        state = {
            key.removeprefix(f"{name}."): tensor.float()
            for key, tensor in tensors.items()
            if key.startswith(f"{name}.")
        }
        encoder = _encoder_of(state)
        own = digit_net(mean_encoder(encoder), net.generator, statistics).requires_grad_(False)
        found[name] = StochasticEncoder(
            replace(model, module=own, capabilities=own.capabilities()), encoder
        )
    return found


def _encoder_of(state: Mapping[str, Tensor]) -> DigitEncoder:
    try:
        encoder = DigitEncoder(
            len(state["code.bias"]), len(state["stem.bias"]), len(state["coarse.bias"]),
            len(state["hidden.bias"]),
        )  # fmt: skip
        encoder.load_state_dict(dict(state))
    except (KeyError, RuntimeError) as error:
        raise UnsupportedModelError(f"The file does not hold digit encoders: {error}") from error
    return encoder.eval().requires_grad_(False)
