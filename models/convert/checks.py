"""Checks a plan before anything is written, and tells what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from ..architectures.stylegan2 import file as stylegan2_file
from ..architectures.stylegan2.layout import (
    CLAMP,
    EMBED,
    ENCODER_PREFIX,
    SIZES,
    Layout,
    generator_specs,
    layout_of,
)
from ..files.header import DTYPE_NAMES, Header, TensorInfo
from ..files.tensors import TensorSpec, check_expected, check_finite
from .inert import Refusal
from .plan import DRAWN_MEAN, Plan, drawn_mean

_SHOWN = 8  # names in a message


def check_plan(plan: Plan, path: Path, file_size: int) -> Layout:
    """Check names, shapes, types and values of what will be written; add a missing mean code.

    Args:
        plan: completed by this.
        path: of the old file, for messages.
        file_size: of the old file, in bytes.

    Raises:
        UnsupportedModelError: what is wrong with them.
    """
    if plan.left:
        raise Refusal(f"it holds tensors that are not known here: {_some(plan.left)}.")
    generator = {n: t for n, t in plan.tensors.items() if not n.startswith(ENCODER_PREFIX)}
    layout = layout_of(_shapes(generator))
    if layout is None:
        raise Refusal(_no_generator(_shapes(generator)))
    if "latent_avg" not in generator and not layout.classes:
        specs = generator_specs(layout)
        _expect(path, generator, specs, generator.keys() - {CLAMP})
        plan.make("latent_avg", drawn_mean(generator, layout), DRAWN_MEAN)
    _expect(path, plan.tensors, stylegan2_file.expected(_shapes(plan.tensors)))
    if sum(plan.tensors[name].nbytes for name in plan.taken) > file_size:
        raise Refusal("several of its tensors share the same numbers, as in no trained network.")
    for name, tensor in plan.tensors.items():
        check_finite(name, tensor, str(path))
        if name.endswith(".running_var") and bool((tensor < 0).any()):
            raise Refusal(f"tensor '{plan.taken[name]}' holds variances below 0; it is damaged.")
    return layout


def summary(plan: Plan, layout: Layout) -> tuple[str, ...]:
    """What a checked plan holds, for the report."""
    channels = layout.channels
    found = [
        f"StyleGAN2 generator ({plan.source_format}), {layout.size} x {layout.size} pixels",
        f"{layout.num_ws} layers of {layout.w_dim} numbers, {channels[0]} to {channels[-1]} "
        f"channels, mapping of {layout.mapping_layers} layers from {layout.z_dim} numbers",
    ]
    if layout.classes:
        found.append(f"{layout.classes} classes")
    if CLAMP in plan.tensors:
        found.append(f"activations limited to {float(plan.tensors[CLAMP]):g}")
    if plan.encoder_type is not None:
        found.append(f"{plan.encoder_type} encoder")
    else:
        found.append("no encoder: it draws faces, and takes in photos by refinement only")
    return tuple(found)


def _no_generator(shapes: Mapping[str, tuple[int, ...]]) -> str:
    layers = 0
    while f"style.{layers + 1}.weight" in shapes:
        layers += 1
    blocks = 0
    while f"to_rgbs.{blocks}.bias" in shapes:
        blocks += 1
    first = shapes.get("style.1.weight", ())
    if f"{EMBED}weight" not in shapes and len(first) == 2 and 0 < first[0] < first[1]:
        reason = (
            f"its mapping takes {first[1]} numbers where a code has {first[0]}: the network is one "
            "with classes, and its class embedding ('mapping.embed') is missing. Export it as well"
        )
    elif layers == 1:
        reason = "its mapping network has one layer, which is none"
    elif layers and "input.input" in shapes and 4 << min(blocks, 20) not in SIZES:
        reason = f"its pictures would have {4 << min(blocks, 20)} pixels; known are {list(SIZES)}"
    else:
        reason = "its tensors are not those of a StyleGAN2 generator"
    names = [name for name in shapes if not name.startswith(EMBED)]
    return f"{reason}. It holds: {_some(names) or 'none'}."


def _expect(
    path: Path,
    tensors: Mapping[str, Tensor],
    specs: Mapping[str, TensorSpec],
    names: Iterable[str] | None = None,
) -> None:
    infos = {
        name: TensorInfo(DTYPE_NAMES.get(t.dtype, str(t.dtype)), tuple(t.shape), 0, 0)
        for name, t in tensors.items()
    }
    check_expected(Header(path, infos, {}), specs, names)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(name[:80] for name in listed[:_SHOWN]) + (
        f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    )
