"""The bundled quasi-eigen bases, made from labelled data with the bundled models."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from ... import latent_ops
from ...models.architectures.face.net import FaceShapeAppearanceNet
from ...models.errors import FaceLatentsError, UnsupportedModelError
from ...models.face_model import (
    FaceModel,
    bundled_digits_model_path,
    bundled_face_model_path,
    load_face_model,
)
from ...models.spectral.basis import LatentBasis
from ...models.spectral.basis_file import save_basis
from ...models.spectral.build import basis_from_means, build_basis
from ...models.threads import one_thread
from ..data.digits import read_mnist
from ..data.faces import load_faces
from ..data.labels import LABELS, label_values
from ..measures import auc, correlation
from .loop import Progress, silent

logger = logging.getLogger(__name__)

ENCODE_BATCH = 256

# Label of the basis -> attribute of the face table, and the smallest value of a clear positive: as
# it is, or (where no scale is natural) as a quantile of the training faces.
FACE_LABELS: Mapping[str, tuple[str, float, bool]] = {
    "smile": ("smile", 0.9, False),
    "glasses": ("glasses", 0.9, False),
    "beard": ("beard", 0.93, True),
    "open mouth": ("mouth_open", 0.9, False),
    "older": ("age", 60.0, False),
    "masculine": ("gender_expression", 0.5, False),
    "light from the right": ("light_left_right", 0.9, True),
    "bright": ("brightness", 0.9, True),
    "head turned right": ("head_turn", 0.9, True),
}


@dataclass(frozen=True)
class BasisTraining:
    """Which basis is made."""

    model: Annotated[str, "digits or face"] = "digits"
    faces: Annotated[int | None, "of a split, at most; null: all"] = 3000
    cache_dir: Annotated[Path | None, "keeps the aligned faces for the next run"] = None


def train_basis(
    data_dir: str | Path,
    out_file: str | Path,
    settings: BasisTraining,
    *,
    progress: Progress = silent,
) -> dict[str, object]:
    """Make the basis of a bundled model and write it to a file.

    Args:
        data_dir: MNIST (the folder of `MNIST/raw`) for "digits", the face data for "face"; a
            folder that holds `mnist` or `faces` will do.
        out_file: the safetensors file to write.
        settings: see there.
        progress: called with (stage, done, all).

    Returns:
        Its figures.

    Raises:
        FaceLatentsError: an unknown model, or the data are not there.
    """
    if settings.model == "digits":
        inside = Path(data_dir) / "mnist"
        basis, figures = digits_basis(inside if inside.is_dir() else data_dir, progress)
    elif settings.model == "face":
        basis, figures = face_basis(data_dir, settings.cache_dir, progress, most=settings.faces)
    else:
        raise FaceLatentsError(f"There are bases of 'digits' and 'face'; got '{settings.model}'.")
    save_basis(out_file, basis)
    return {
        "file": str(out_file),
        "vectors": len(basis),
        "labels": list(basis.labels),
        "rank_of_label_means": basis.rank,
        "condition_of_label_means": basis.condition,
        **figures,
    }


def digits_basis(
    data_dir: str | Path, progress: Progress = silent
) -> tuple[LatentBasis, dict[str, object]]:
    """The digits 0 to 9 about the origin, where the model's prior puts them on ten axes.

    The labels' vectors are the symmetrically orthogonalised mean codes of the training digits, the
    others the principal axes of the training codes outside them: the writer's style.
    """
    net = load_face_model(bundled_digits_model_path())
    codes, labels = _digit_codes(net, data_dir, True, progress)
    names = [str(digit) for digit in range(10)]
    basis = build_basis(codes, labels, names, net.space, name="digits")
    test, truth = _digit_codes(net, data_dir, False, progress)
    coefficients = latent_ops.decompose(test, basis.vectors, basis.mean)
    accuracy = float((latent_ops.classify(coefficients, 10) == truth).double().mean())
    return replace(
        basis,
        accuracy=accuracy,
        method=f"{basis.method}; MNIST, {len(codes)} training digits",
    ), {"accuracy": accuracy}


def face_basis(
    data_dir: str | Path,
    cache_dir: str | Path | None = None,
    progress: Progress = silent,
    *,
    most: int | None = None,
) -> tuple[LatentBasis, dict[str, object]]:
    """Attributes of faces, one vector each, completed to as many as a code has numbers.

    The raw vector of an attribute is the mean code of the clear positives, which is relative to
    the mean face, as codes are white. A face and its mirror image count the same, so coefficients
    that mirroring would cancel are 0. What completes the basis are the principal axes of the
    *pictures* outside the label vectors, largest structure first: white codes have no principal
    axes of their own, any rotation of them is as white.

    Args:
        data_dir: the face data.
        cache_dir: keeps the aligned faces for the next run.
        progress: called with (stage, done, all).
        most: faces of a split; None: all.

    Raises:
        FaceLatentsError: the data are not there, or hold no clear example of a label.
    """
    net = load_face_model(bundled_face_model_path())
    module = net.module
    if not isinstance(module, FaceShapeAppearanceNet):
        raise UnsupportedModelError(f"'{net.name}' is no model of shape and appearance.")
    codes, values = {}, {}
    for split in ("train", "val"):
        faces = load_faces(
            data_dir, split, template=net.template, cache_dir=cache_dir, progress=progress,
            most=most,
        )  # fmt: skip
        parts = torch.arange(len(faces)).split(ENCODE_BATCH)
        encoded = []
        for part in parts:
            progress(f"encode {split} faces", int(part[0]), len(faces))
            encoded.append(net.encode(faces.floats(part)))
        codes[split] = torch.cat(encoded)
        values[split] = {
            name: label_values(faces, column) for name, (column, *_) in FACE_LABELS.items()
        }
    means = []
    for name, (column, low, is_quantile) in FACE_LABELS.items():
        value = values["train"][name]
        positive = value > (value.quantile(low) if is_quantile else low)
        if not bool(positive.any()):
            raise FaceLatentsError(f"The training faces hold no clear example of '{name}'.")
        mean = codes["train"][positive].mean(0)
        means.append(torch.where(module.parity == LABELS[column].parity, mean, 0.0))
    basis = basis_from_means(
        torch.stack(means),
        list(FACE_LABELS),
        net.space,
        codes["train"] * module.picture_std,
        name="face attributes",
    )
    read = latent_ops.decompose(codes["val"], basis.vectors, None)
    figures: dict[str, object] = {}
    for index, (name, (_, low, is_quantile)) in enumerate(FACE_LABELS.items()):
        value = values["val"][name]
        clear = value > (values["train"][name].quantile(low) if is_quantile else low)
        figures[name] = {
            "auc": auc(read[:, index], clear),
            "correlation": float(correlation(read[:, index], value)),
        }
    return replace(
        basis,
        exclusive=False,
        method=(
            f"symmetric orthogonalisation of the mean codes of clear positives among "
            f"{len(codes['train'])} FairFace training faces; completed by the principal axes of "
            "the pictures"
        ),
    ), {"held_out": figures}


def _digit_codes(
    net: FaceModel, data_dir: str | Path, train: bool, progress: Progress
) -> tuple[Tensor, Tensor]:
    pictures, labels = read_mnist(data_dir, train=train, download=True)
    codes = []
    with torch.no_grad(), one_thread():
        for start in range(0, len(pictures), ENCODE_BATCH):
            part = pictures[start : start + ENCODE_BATCH].float() / 255
            codes.append(net.encode(part.expand(-1, 3, -1, -1)))
            progress(f"encode {'training' if train else 'test'} digits", start, len(pictures))
    return torch.cat(codes), labels
