"""Build Quasi-Eigen Basis: from labelled batches of codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.space import require_same_space
from ...models.spectral.accuracy import held_out_accuracy
from ...models.spectral.basis import LatentBasis
from ...models.spectral.build import CENTRES, ORIGIN, BasisOptions, build_basis
from ...models.values import FaceLatent, join_latents
from .. import host, validate, widgets
from ..registry import node
from .basis_files import describe_basis
from .common import MOST_VECTORS

GROUPS = tuple(f"group_{number}" for number in range(1, 11))
FEW = 10  # codes per label, below which the info says so
MY_BASIS = "my basis"  # where no name was typed
_GROUP = widgets.faces("All examples of one label (see Join Face Latents).")


def build_inputs(centre: str = ORIGIN) -> widgets.Inputs:
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
            (0, 0, MOST_VECTORS),
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
        "seed": widgets.seed("Seed of the random vectors.", widgets.LARGEST_SEED),
        "name": widgets.text(MY_BASIS, "What the basis is called."),
    }


@node("FaceLatentsBuildBasis", "Build Quasi-Eigen Basis", widgets.SPECTRUM)
class BuildBasis:
    """Makes a quasi-eigen basis of your own labels: connect a batch of faces per label. Each label
    becomes one vector; further vectors complete the basis. Works in any latent space, VAE latents
    too.
    """

    ALIASES = "lsd, quasi-eigenvectors, label basis, class means, train basis"
    OUTPUTS = {
        "basis": (
            widgets.LATENT_BASIS,
            "The basis, for the LSD nodes, Anomaly Map and Save Basis.",
        ),
        "info": (
            "STRING",
            "How good it is: independence of the labels, accuracy on codes it has not seen, "
            "warnings.",
        ),
    }
    INPUTS = {
        GROUPS[0]: _GROUP,
        "labels": widgets.text(
            "",
            "The names of the groups, separated by commas, in their order. Empty: 'group 1', "
            "'group 2', ...",
        ),
        **build_inputs(),
    }
    OPTIONAL = dict.fromkeys(GROUPS[1:], _GROUP)

    def execute(self, labels: str, **inputs: Any) -> tuple[LatentBasis, str]:
        groups = {key: inputs.pop(key) for key in GROUPS}
        given = {key: group for key, group in groups.items() if group is not None}
        names = _read_labels(labels, list(given))
        labelled = dict(zip(names, given.values(), strict=True))
        return build_from_groups(labelled, "Build Quasi-Eigen Basis", **inputs)


def build_from_groups(
    groups: Mapping[str, FaceLatent],
    node: str,
    *,
    method: str,
    completion: str,
    size: int,
    centre: str,
    seed: int,
    name: str,
) -> tuple[LatentBasis, str]:
    """A basis and what to know of it; the settings are those of :func:`build_inputs`.

    Args:
        groups: label -> its codes.
        node: what the node is called, for messages.

    Raises:
        FaceLatentsError: groups of different spaces, or such that make no basis.
    """
    names, latents = list(groups), list(groups.values())
    first = latents[0].space
    for label, latent in groups.items():
        require_same_space(first, latent.space, f"{node}: the groups '{names[0]}' and '{label}'")
    codes = join_latents(latents).samples.detach().to("cpu", torch.float32)
    counts = [len(latent) for latent in latents]
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    what = "Building the basis and trying it on codes held out"
    with validate.explain_errors(node), host.Progress(0, what):
        accuracy = held_out_accuracy(codes, labels, len(names), first, method=method, centre=centre)
        host.check_interrupt()
        basis = build_basis(
            codes,
            labels,
            names,
            first,
            # torch's generator takes signed numbers
            BasisOptions(method, completion, size, centre, seed),
            name=name.strip() or MY_BASIS,
        )
    basis = replace(basis, accuracy=accuracy)
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


def _read_labels(text: str, groups: Sequence[str]) -> list[str]:
    """A name per connected group."""
    typed = [name.strip() for name in text.replace("\n", ",").split(",")]
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
