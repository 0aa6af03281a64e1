"""Network pickles of NVIDIA's StyleGAN2-ADA and of the StyleGAN2 networks of StyleGAN3.

Their values have the same meaning as those of the PyTorch port: they are renamed and reshaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..architectures.stylegan2.layout import CLAMP, EMBED
from .inert import Record, Refusal
from .plan import MAPPING_RATE, Plan
from .sources import described, tensors_in

_ROOT = "G_ema."
_FILTER = "resample_filter"
_REASONS = {
    "G": "the network in training; its average G_ema is kept",
    "D": "the discriminator, which only training needs",
    "augment_pipe": "augmentations, which only training needs",
}
Change = Callable[[Tensor], Tensor]


def is_nvidia(value: object) -> bool:
    """True for a pickle with the network "G_ema"."""
    return isinstance(value, dict) and isinstance(value.get("G_ema"), Record)


def plan_nvidia(value: object) -> Plan:
    """The plan for a pickle for which `is_nvidia` is true.

    Raises:
        Refusal: another network, or one with settings not known here.
    """
    network = value.get("G_ema") if isinstance(value, dict) else None
    if not isinstance(network, Record):
        raise Refusal(f"no network G_ema in it; {described(value)}.")
    plan = Plan("nvidia-ada", tensors_in(value))
    if f"{_ROOT}synthesis.b4.const" not in plan.left:
        seen = ", ".join(sorted(path for path in plan.left if path.startswith(_ROOT))[:6])
        raise Refusal(
            f"its network '{network.kind[:60]}' is not StyleGAN2 ('synthesis.b4.const' is "
            f"missing). StyleGAN3 networks are not known here. Its tensors: {seen or 'none'} ..."
        )
    clamp = _check_settings(network)
    for path in [path for path in plan.left if path.startswith(_ROOT)]:
        own = path.removeprefix(_ROOT)
        if own.endswith(_FILTER):
            plan.drop_kernel(path, 1.0)
        else:
            name, change = _rename(own)
            plan.take(path, name, change)
    if clamp is not None:
        plan.make(CLAMP, torch.tensor([clamp]), "the setting conv_clamp of the network")
    for path in list(plan.left):
        plan.drop(path, _REASONS.get(path.split(".")[0], "state of the training"))
    return plan


def _same(tensor: Tensor) -> Tensor:
    return tensor


_LAYER: Mapping[str, tuple[str, Change]] = {
    "weight": ("conv.weight", lambda t: t[None]),
    "affine.weight": ("conv.modulation.weight", _same),
    "affine.bias": ("conv.modulation.bias", _same),
    "bias": ("activate.bias", _same),
    "noise_strength": ("noise.weight", lambda t: t.reshape(1)),
}


def _rename(own: str) -> tuple[str, Change]:
    """The name in the new file, and the change of shape, of a tensor of the network.

    Raises:
        Refusal: an unknown name.
    """
    if own == "mapping.w_avg":
        return "latent_avg", _same
    if match := re.fullmatch(r"mapping\.fc(\d{1,2})\.(weight|bias)", own):
        return f"style.{int(match[1]) + 1}.{match[2]}", _same
    if match := re.fullmatch(r"mapping\.embed\.(weight|bias)", own):
        return f"{EMBED}{match[1]}", _same
    if own == "synthesis.b4.const":
        return "input.input", lambda t: t[None]
    match = re.fullmatch(r"synthesis\.b(\d{1,4})\.(conv0|conv1|torgb)\.(.+)", own)
    if match and int(match[1]).bit_count() == 1 and int(match[1]) >= 4:
        doublings = int(match[1]).bit_length() - 3  # 0 at 4 x 4
        part, rest = match[2], match[3]
        if part == "torgb":
            layer = f"to_rgbs.{doublings - 1}" if doublings else "to_rgb1"
            if rest == "bias":
                return f"{layer}.bias", lambda t: t.reshape(1, -1, 1, 1)
        else:
            number = 2 * doublings - (part == "conv0")  # of the layer with noise
            layer = f"convs.{number - 1}" if number else "conv1"
            if rest == "noise_const":
                return f"noises.noise_{number}", lambda t: t[None, None]
        if rest in _LAYER:
            name, change = _LAYER[rest]
            return f"{layer}.{name}", change
    raise Refusal(f"its network has a tensor '{own[:120]}' that StyleGAN2 does not have.")


def _check_settings(network: Record) -> float | None:
    """Check what tensors do not tell; the limit of activations, if there is one.

    Raises:
        Refusal: a setting that this project's network does not have.
    """
    synthesis, mapping = _part(network, "synthesis"), _part(network, "mapping")
    limits: set[float | None] = set()
    for name, block in _parts(synthesis):
        _require(f"{name}.architecture", block.state.get("architecture"), "skip")
        for part, layer in _parts(block):
            if part.startswith("conv"):
                _require(f"{name}.{part}.activation", layer.state.get("activation"), "lrelu")
            limits.add(_limit(layer.state.get("conv_clamp")))
    for name, layer in _parts(mapping):
        if name.startswith("fc"):
            _require(f"{name}.activation", layer.state.get("activation"), "lrelu")
            rate = layer.state.get("bias_gain")
            _require(f"{name}.bias_gain (the learning rate multiplier)", rate, MAPPING_RATE)
    if len(limits) > 1:
        raise Refusal("its layers are limited differently (conv_clamp), which is not known here.")
    return next(iter(limits), None)


def _limit(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or not 0 < value < 1e6:
        raise Refusal(f"its setting conv_clamp is {described(value)}, which is no limit.")
    return float(value)


def _require(name: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Refusal(
            f"its network has the setting {name} = {described(found)}; known here is {wanted!r}."
        )


def _part(network: Record, name: str) -> Record:
    for own, part in _parts(network):
        if own == name:
            return part
    raise Refusal(f"its network '{network.kind[:60]}' has no part '{name}'.")


def _parts(network: Record) -> list[tuple[str, Record]]:
    modules = network.state.get("_modules")
    items = modules.items() if isinstance(modules, dict) else ()
    return [(str(name), part) for name, part in items if isinstance(part, Record)]
