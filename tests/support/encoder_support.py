"""A narrow e4e or pSp encoder with random weights, for tests."""

from __future__ import annotations

import torch
from face_latents.models.architectures.stylegan2.encoders import EncoderLayout, StyleEncoder
from face_latents.models.architectures.stylegan2.ir_se50 import Widths
from torch import Tensor


def small_encoder(
    num_ws: int = 10, w_dim: int = 32, width: int = 4, seed: int = 0, gain: float = 1.0
) -> dict[str, Tensor]:
    """Its tensors, names without a prefix; the last stage of the features is as wide as a code.

    Args:
        num_ws: layers of a w+ code: 10 for 64 pixels.
        w_dim: numbers of a layer.
        width: channels of the first stages.
        seed: which weights.
        gain: how strongly the codes differ between pictures.
    """
    widths = Widths(width, (width, width, 2 * width, w_dim), (2, 2, 2, 2))
    with torch.device("meta"):
        state = StyleEncoder("psp", EncoderLayout(widths, w_dim, num_ws)).state_dict()
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name in sorted(state):
        shape = state[name].shape
        value = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var"):
            value = 0.5 + value.square() / 2
        elif name.endswith(".linear.weight"):
            value = value * gain
        elif len(shape) > 1:
            value = value * (2 / shape[1:].numel()) ** 0.5
        elif name.endswith("weight"):  # batch normalisation and the slopes of the activations
            value = 0.25 + 0.05 * value
        else:
            value = 0.1 * value
        tensors[name] = value
    return tensors
