"""Build Quasi-Eigen Basis: from labelled batches of codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.space import require_same_space
from ...models.spectral.accuracy import held_out_accuracy
from ...models.spectral.basis import LatentBasis
from ...models.spectral.build import CENTRES, ORIGIN, build_basis
from ...models.values import FaceLatent, join_latents
from .. import host, validate, widgets
from .basis_files import describe_basis

GROUPS = tuple(f"group_{number}" for number in range(1, 11))
FEW = 10  # codes per label, below which the info says so
_LARGEST_SEED = 0xFFFFFFFFFFFFFFFF


def build_inputs(centre: str = ORIGIN) -> dict[str, widgets.InputSpec]:
    """The inputs that all nodes that build a basis share, with this default centre."""
    return {
        "method": widgets.choice(
            latent_ops.BASIS_METHODS,
            "symmetric: all labels are treated alike, each vector stays as near to its label's "
            "mean as it can. gram_schmidt: the paper's; the first label keeps its mean, each "
            "later one loses what it shares with those before it.",
        ),
        "completion": widgets.choice(
            latent_ops.COMPLETIONS,
            "Where the vectors after the labels come from. principal: the main ways in which the "
            "given codes differ, largest first. random: drawn with the seed.",
        ),
        "size": widgets.integer(
            0,
            0,
            65536,
            "How many vectors the basis has. 0: as many as a code has numbers, so that nothing is "
            "lost (for large VAE latents: as many as the codes determine).",
        ),
        "centre": widgets.choice(
            CENTRES,
            "The point about which codes are decomposed. origin: for models whose codes are "
            "centred (both bundled ones). mean of the groups: for your own photos and for VAE "
            "latents. model mean: for spaces such as w, whose mean is not 0.",
            centre,
        ),
        "seed": widgets.integer(0, 0, _LARGEST_SEED, "Seed of the random vectors."),
        "name": widgets.text("my basis", "What the basis is called."),
    }


class BuildBasis:
    """A basis from batches of codes, one per label."""

    CATEGORY = widgets.SPECTRUM
    DESCRIPTION = (
        "Makes a quasi-eigen basis of your own labels: connect a batch of faces per label. Each "
        "label becomes one vector; further vectors complete the basis. Works in any latent space, "
        "VAE latents too."
    )
    SEARCH_ALIASES = ["lsd", "quasi-eigenvectors", "label basis", "class means", "train basis"]
    RETURN_TYPES = (widgets.LATENT_BASIS, "STRING")
    RETURN_NAMES = ("basis", "info")
    OUTPUT_TOOLTIPS = (
        "The basis, for the LSD nodes, Anomaly Map and Save Basis.",
        "How good it is: independence of the labels, accuracy on codes it has not seen, warnings.",
    )
    FUNCTION = "build"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        first, *rest = GROUPS
        tooltip = "All examples of one label (see Join Face Latents)."
        return {
            "required": {
                first: widgets.wire(widgets.FACE_LATENT, tooltip),
                "labels": widgets.text(
                    "",
                    "The names of the groups, separated by commas, in their order. Empty: "
                    "'group 1', 'group 2', ...",
                ),
                **build_inputs(),
            },
            "optional": {name: widgets.wire(widgets.FACE_LATENT, tooltip) for name in rest},
        }

    def build(
        self,
        labels: str,
        method: str,
        completion: str,
        size: int,
        centre: str,
        seed: int,
        name: str,
        **groups: FaceLatent | None,
    ) -> tuple[LatentBasis, str]:
        given = {
            key: validate.face_latent(groups.get(key), key)
            for key in GROUPS
            if groups.get(key) is not None or key == GROUPS[0]
        }
        names = _names(labels, list(given))
        return build_from_groups(
            dict(zip(names, given.values(), strict=True)),
            (method, completion, size, centre, seed, name),
            "Build Quasi-Eigen Basis",
        )


def build_from_groups(
    groups: Mapping[str, FaceLatent],
    settings: tuple[str, str, int, str, int, str],
    node: str,
) -> tuple[LatentBasis, str]:
    """A basis and what to know of it.

    Args:
        groups: label -> its codes.
        settings: the values of :func:`build_inputs`, in their order.
        node: what the node is called, for messages.

    Raises:
        FaceLatentsError: groups of different spaces, or such that make no basis.
    """
    method, completion, size, centre, seed, name = settings
    validate.one_of(method, latent_ops.BASIS_METHODS, "method")
    validate.one_of(completion, latent_ops.COMPLETIONS, "completion")
    validate.one_of(centre, CENTRES, "centre")
    number = validate.whole(size, "size", 0)
    names, latents = list(groups), list(groups.values())
    first = latents[0].space
    for label, latent in groups.items():
        require_same_space(first, latent.space, f"{node}: the groups '{names[0]}' and '{label}'")
    codes = join_latents(latents).samples.detach().to("cpu", torch.float32)
    counts = [len(latent) for latent in latents]
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    host.check_interrupt()
    with validate.explained(node):
        accuracy = held_out_accuracy(codes, labels, len(names), first, method=method, centre=centre)
        host.check_interrupt()
        basis = build_basis(
            codes,
            labels,
            names,
            first,
            method=method,
            completion=completion,
            size=number,
            centre=centre,
            # torch's generator takes signed numbers
            seed=int(seed) & 0x7FFFFFFFFFFFFFFF,
            name=str(name).strip() or "my basis",
            accuracy=accuracy,
        )
    lines = [describe_basis(basis)]
    lines += [f"  {label}: {count} code(s)" for label, count in zip(names, counts, strict=True)]
    few = [label for label, count in zip(names, counts, strict=True) if count < FEW]
    if few:
        lines.append(
            f"WARNING: fewer than {FEW} examples of {', '.join(few)}; the mean of so few also "
            "holds what they share by chance. Add more, as different as possible."
        )
    if accuracy is None and len(names) > 1:
        lines.append(
            "The accuracy could not be measured: that takes two or more codes per label, and "
            "labels that differ."
        )
    return basis, "\n".join(lines)


def _names(text: str, groups: Sequence[str]) -> list[str]:
    """A name per connected group."""
    typed = [name.strip() for name in str(text).replace("\n", ",").split(",")]
    if not any(typed):
        return [group.replace("_", " ") for group in groups]
    if typed[-1] == "":
        typed.pop()  # a comma at the end
    if len(typed) != len(groups):
        raise FaceLatentsError(
            f"Build Quasi-Eigen Basis: {len(typed)} label(s) ({', '.join(typed)}) for "
            f"{len(groups)} connected group(s) ({', '.join(groups)}). Give one name per group."
        )
    lower = [name.casefold() for name in typed]
    for name in typed:
        if not name or lower.count(name.casefold()) > 1:
            raise FaceLatentsError(
                f"Build Quasi-Eigen Basis: the label {name!r} is "
                f"{'there twice' if name else 'empty'}. Give each group a name of its own."
            )
    return typed


NODES = {"FaceLatentsBuildBasis": (BuildBasis, "Build Quasi-Eigen Basis")}
