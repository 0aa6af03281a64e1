"""StyleGAN2 files: how they are told from others, checked, and made a network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import UnsupportedModelError
from ...files.networks import without_numbers
from ...files.tensors import TensorSpec
from .encoders import encoder_specs, load_encoder
from .encoders import layout_of as encoder_layout_of
from .layout import CLAMP, ENCODER_AVG, ENCODER_PREFIX, file_specs, layout_of
from .net import StyleGAN2Net

NAME = "stylegan2"


def _split(
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """The generator's shapes and the encoder's, the latter without their prefix."""
    own = {n: s for n, s in shapes.items() if not n.startswith(ENCODER_PREFIX)}
    encoder = {n.removeprefix(ENCODER_PREFIX): s for n, s in shapes.items() if n not in own}
    return own, encoder


def detect(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """True when the tensors are a StyleGAN2 generator's by their names and a sane size.

    Wrong shapes and single missing tensors are left to `expected`, whose comparison names them.
    """
    layout = layout_of(shapes)
    if layout is None:
        return False
    own, _ = _split(shapes)
    wanted = set(file_specs(layout, own))
    return len(wanted & set(own)) > 0.9 * len(wanted)


def expected(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorSpec]:
    """The specification that belongs to a file for which `detect` is true.

    Raises:
        UnsupportedModelError: an encoder that does not fit the generator.
    """
    layout = layout_of(shapes)
    if layout is None:
        raise UnsupportedModelError("These are not the tensors of a StyleGAN2 generator.")
    own, encoder = _split(shapes)
    specs = file_specs(layout, own)
    if encoder:
        encoder_sizes, wanted = encoder_layout_of(encoder), encoder_specs(encoder)
        if encoder_sizes is None or wanted is None:
            raise UnsupportedModelError(
                "The file's encoder is not one of the two kinds known here (e4e, pSp)."
            )
        sizes = (encoder_sizes.num_ws, encoder_sizes.w_dim)
        if sizes != (layout.num_ws, layout.w_dim):
            raise UnsupportedModelError(
                f"The file's encoder gives codes of {sizes[0]} x {sizes[1]} numbers, but its "
                f"generator takes {layout.num_ws} x {layout.w_dim}: they do not belong together."
            )
        specs |= {ENCODER_PREFIX + name: spec for name, spec in wanted.items()}
    return specs


def load(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> StyleGAN2Net:
    """Build the network from tensors whose names, shapes and types were checked.

    Args:
        tensors: by their names in the file.
        metadata: of the file; `encoder_type` ("e4e" or "psp") is needed where it has an encoder.

    Raises:
        UnsupportedModelError: not these tensors, or an encoder of unknown kind.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    layout = layout_of(shapes)
    if layout is None:
        raise UnsupportedModelError("These are not the tensors of a StyleGAN2 generator.")
    with without_numbers():
        net = StyleGAN2Net(layout)
    own = {n: t.float() for n, t in tensors.items() if not n.startswith(ENCODER_PREFIX)}
    encoder_avg, clamp = own.pop(ENCODER_AVG, None), own.pop(CLAMP, None)
    net.latent_avg = torch.empty_like(own["latent_avg"], device="meta")  # one for all, or each
    net.load_state_dict(own, assign=True)
    if clamp is not None:
        net.clamp = float(clamp)
        if net.clamp <= 0:
            raise UnsupportedModelError(f"{CLAMP} must be positive, got {net.clamp:g}.")
    encoder = {
        name.removeprefix(ENCODER_PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(ENCODER_PREFIX)
    }
    if encoder:
        net.encoder = load_encoder((metadata or {}).get("encoder_type", ""), encoder)
        net.encoder_avg = encoder_avg
    return net.eval().requires_grad_(False)
