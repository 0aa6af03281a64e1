"""Training the bundled face model: linear fit, directions, metadata, one safetensors file."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..align import TIGHT, AlignmentTemplate
from ..architectures import linear
from ..face_model import FaceModel, load_face_model, save_face_model
from ..safe_range import safe_range
from ..safefile import tensors_hash
from ..space import LatentSpace
from ..values import Direction
from .directions import (
    ATTRIBUTES,
    CONTROLS,
    edit_vectors,
    half_colours,
    held_out,
    label,
    score_vectors,
)
from .face_data import ATTRIBUTION, FaceSet, load_faces
from .face_linear import fit_linear

logger = logging.getLogger(__name__)

ENCODE_BATCH = 256


def train_face(
    data_dir: str | Path,
    out_file: str | Path,
    *,
    components: int = 512,
    max_tier: int = 2,
    template: AlignmentTemplate = TIGHT,
    cache_dir: str | Path | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> FaceModel:
    """Fit the linear face model and its directions, and write them to a file.

    Args:
        data_dir: folder of `metadata.csv` and the face zips.
        out_file: the safetensors file to write.
        components: length of a code.
        max_tier: 1 uses only the stricter part of the training faces.
        template: alignment and crop size.
        cache_dir: keeps the aligned crops for the next run.
        seed: of the subspace iteration.
        progress: called with (stage, done, total).

    Raises:
        FaceLatentsError: the data are not there.
    """

    def load(split: str, tier: int) -> FaceSet:
        return load_faces(
            data_dir,
            split,
            template=template,
            max_tier=tier,
            cache_dir=cache_dir,
            progress=lambda done, total: progress(f"align {split}", done, total),
        )

    train, val = load("train", max_tier), load("val", 2)
    tensors = fit_linear(
        train.crops, components, seed=seed, progress=lambda stage: progress(stage, 0, 1)
    )
    progress("directions", 0, 1)
    directions, figures = fit_directions(tensors, train, val)
    quality = reconstruction(linear.load(tensors), val)
    metadata = model_metadata(
        components, template, len(train), {**quality, "val_faces": len(val)}, figures
    )
    save_face_model(out_file, tensors, metadata, template, directions)
    return load_face_model(out_file)


def model_metadata(
    components: int,
    template: AlignmentTemplate,
    faces: int,
    metrics: Mapping[str, float],
    figures: Mapping[str, object],
) -> dict[str, str]:
    """String metadata of a trained linear model: what it is, from what data, how good."""
    return {
        "name": f"Face (linear, {components})",
        "architecture": linear.NAME,
        "configuration": json.dumps({"components": components, "size": template.size}),
        "licence": "MIT for the weights; training images CC BY 4.0, see attribution",
        "attribution": ATTRIBUTION,
        "training_data": f"{faces} aligned faces of FairFace (adults), each also mirrored",
        "intended_use": "Editing photos with the consent of the person shown. Not for identifying, "
        "classifying or judging people.",
        "metrics": json.dumps(metrics),
        "direction_figures": json.dumps(figures),
    }


def encode_all(net: linear.LinearFaceNet, faces: FaceSet) -> Tensor:
    """Codes `(N, K)` of all crops."""
    parts = torch.arange(len(faces)).split(ENCODE_BATCH)
    return torch.cat([net.encode(faces.floats(part)) for part in parts])


def reconstruction(net: linear.LinearFaceNet, faces: FaceSet) -> dict[str, float]:
    """Mean PSNR in dB of encode + decode, clamped to [0, 1]."""
    errors = []
    for part in torch.arange(len(faces)).split(ENCODE_BATCH):
        crops = faces.floats(part)
        decoded = net.decode(net.encode(crops)).clamp(0, 1)
        errors.append((decoded - crops).square().mean((1, 2, 3)))
    psnr = -10 * torch.cat(errors).log10()
    return {"psnr": round(float(psnr.mean()), 3)}


def fit_directions(
    tensors: dict[str, Tensor], train: FaceSet, val: FaceSet
) -> tuple[dict[str, Direction], dict[str, object]]:
    """Directions of every attribute with held-out figures.

    Returns:
        Directions by name, and for the model card: the held-out figure of the plain score vector
        and of the conditioned one, and the cosine of every pair before and after conditioning.
    """
    net = linear.load(tensors)
    parity = tensors["linear.parity"].float()
    codes, held = encode_all(net, train), encode_all(net, val)
    labels = {a.name: label(train, a) for a in (*ATTRIBUTES, *CONTROLS)}
    held_labels = {a.name: label(val, a) for a in ATTRIBUTES}
    scores = score_vectors(codes, labels, parity)
    edits = edit_vectors(codes, labels, half_colours(train), parity)
    shape = tuple(codes.shape[1:])
    space = LatentSpace(net.space_name, shape, tensors_hash(tensors))
    directions: dict[str, Direction] = {}
    figures: dict[str, object] = {}
    for attribute in ATTRIBUTES:
        name = attribute.name
        measure = "AUC" if attribute.binary else "correlation"
        plain, conditioned = (
            held_out(held @ vectors[name], held_labels[name], attribute.binary)
            for vectors in (scores, edits)
        )
        figures[name] = {
            "measure": measure,
            "score": round(plain, 3),
            "direction": round(conditioned, 3),
            "cosine_to_score": round(float(scores[name] @ edits[name]), 3),
        }
        kept = ", ".join((*attribute.kept, *(("colour",) if attribute.keep_colour else ())))
        directions[name] = Direction(
            vector=edits[name],
            space=space,
            name=name,
            unit=f"one standard deviation of {name} over the training faces "
            f"(positive: {attribute.meaning})",
            safe_range=safe_range(net.decode, held[:48], edits[name]),
            accuracy=round(conditioned, 3),
            method=f"joint regression of the codes of {len(train)} faces on their labels, "
            f"keeping {kept}; accuracy is the {measure} of its score on {len(val)} unseen faces",
        )
    for kind, vectors in (("before", scores), ("after", edits)):
        stack = torch.stack([vectors[a.name] for a in ATTRIBUTES])
        figures[f"cosines_{kind}"] = (stack @ stack.T).double().round(decimals=2).tolist()
    return directions, figures
