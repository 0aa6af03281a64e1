"""A trained face model as a file: its directions, what they are worth, its figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from ....models.architectures.face import file as rendered
from ....models.architectures.face.net import RenderedFaceNet
from ....models.face_model import save_face_model
from ....models.files.tensors import tensors_hash
from ....models.fit.safe_range import safe_range
from ....models.geometry.templates import TIGHT
from ....models.space import LatentSpace
from ....models.values import Direction
from ...data.faces import ATTRIBUTION, FaceSet
from ...measures import psnr, sharpness
from . import spotless
from .adversarial import Settings
from .directions import (
    ATTRIBUTES,
    CONTROLS,
    edit_vectors,
    half_colours,
    held_out,
    label,
    score_vectors,
    separate_directions,
)
from .edits import STRONGEST, add_controls

ENCODE_BATCH = 256
LIMITS = (
    "Adults seen from the front, up to about 25 degrees; no children were in the data. Decodes are "
    "softer than the photo. Hands, hair and cloth over a face are redrawn as smears. Strong edits "
    "of mouths, new glasses and turned heads show. Labels are impressions of annotators and "
    "networks (gender is binary, age a guess); light and skin tone are not told apart. Figures per "
    "age and gender group: evaluation."
)


def export_face(
    out_file: str | Path,
    tensors: Mapping[str, Tensor],
    trained: RenderedFaceNet,
    vectors: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
    trained_on: int,
    val: FaceSet,
    settings: Sequence[Settings | spotless.Settings],
) -> None:
    """Write a trained model with its directions and figures on unseen faces.

    Args:
        out_file: the file.
        tensors: of the linear part and the controls.
        trained: the network whose renderer and retoucher are taken.
        vectors: for every attribute the score vector and the direction; `(K,)` each.
        trained_on: how many faces.
        val: unseen faces.
        settings: of the stages of training, for the metadata.
    """
    drawn = (rendered.RENDERER, rendered.RETOUCHER)
    weights = {n: t.half() for n, t in trained.state_dict().items() if n.startswith(drawn)}
    every = {**tensors, **weights}
    net = rendered.load(every)
    space = LatentSpace(net.space_name, net.code_shape, tensors_hash(every))
    directions, figures = describe_directions(net, space, val, *vectors, trained_on)
    quality = fidelity(net, val)
    metadata = model_metadata(net, trained_on, {**quality, "val_faces": len(val)}, figures)
    metadata["configuration"] = json.dumps(
        {
            "components": net.code_shape[0],
            "size": net.size,
            "stages": [asdict(stage) for stage in settings],
        }
    )
    save_face_model(out_file, every, metadata, TIGHT.resized(net.size), directions)


def encode_all(net: RenderedFaceNet, faces: FaceSet) -> Tensor:
    """Codes `(N, K)` of all crops."""
    parts = torch.arange(len(faces)).split(ENCODE_BATCH)
    with torch.no_grad():
        return torch.cat([net.encode(faces.floats(part)) for part in parts])


def regress_directions(
    net: RenderedFaceNet, codes: Tensor, faces: FaceSet
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Score vectors and conditioned directions `(K,)` of every attribute, by regression of the
    codes `(N, K)` on labels; directions with their control, and set apart."""
    codes, parity = net.coefficients(codes), net.parity.float()
    labels = {a.name: label(faces, a) for a in (*ATTRIBUTES, *CONTROLS)}
    scores = score_vectors(codes, labels, parity)
    edits = edit_vectors(codes, labels, half_colours(faces), parity)
    none = torch.zeros(len(net.fields))
    directions = add_controls(torch.stack([edits[attribute.name] for attribute in ATTRIBUTES]))
    named = {attribute.name: v for attribute, v in zip(ATTRIBUTES, directions, strict=True)}
    scores = {name: torch.cat([vector, none]) for name, vector in scores.items()}
    return scores, separate_directions(named)


def describe_directions(
    net: RenderedFaceNet,
    space: LatentSpace,
    val: FaceSet,
    scores: Mapping[str, Tensor],
    edits: Mapping[str, Tensor],
    trained_on: int,
) -> tuple[dict[str, Direction], dict[str, object]]:
    """The directions with what strength 1 means, safe range and held-out figure.

    Returns:
        Directions by name, and for the model card: the held-out figure of the plain score vector
        and of the direction, and the cosine of every pair before and after conditioning.
    """
    held = encode_all(net, val)
    directions: dict[str, Direction] = {}
    figures: dict[str, object] = {}
    for attribute, limit in zip(ATTRIBUTES, STRONGEST.tolist(), strict=True):
        name, vector = attribute.name, edits[attribute.name]
        measure = "AUC" if attribute.binary else "correlation"
        plain, conditioned = (
            held_out(held @ v, label(val, attribute), attribute.binary)
            for v in (scores[name], vector)
        )
        figures[name] = {
            "measure": measure,
            "score": round(plain, 3),
            "direction": round(conditioned, 3),
            "cosine_to_score": _cosine(net, scores[name], vector),
        }
        directions[name] = Direction(
            vector=vector,
            space=space,
            name=name,
            unit=f"one standard deviation of {name} over the training faces "
            f"(positive: {attribute.meaning})",
            safe_range=safe_range(net.decode, held[:48], vector, limit=limit),
            accuracy=round(conditioned, 3),
            method=f"joint regression of the codes of {trained_on} faces on their labels, and a "
            "control by which the renderer was taught to show the attribute and little else; "
            f"accuracy is the {measure} of its score on {len(val)} unseen faces",
        )
    for kind, vectors in (("before", scores), ("after", edits)):
        stack = net.coefficients(torch.stack([vectors[a.name] for a in ATTRIBUTES]))
        figures[f"cosines_{kind}"] = (stack @ stack.T).double().round(decimals=2).tolist()
    return directions, figures


def fidelity(net: RenderedFaceNet, faces: FaceSet) -> dict[str, float]:
    """Of encode + decode: mean PSNR in dB (clamped to [0, 1]), median ratio of sharpness, and the
    PSNR of the linear picture."""
    drawn, linear, clear = [], [], []
    with torch.no_grad():
        for part in torch.arange(len(faces)).split(ENCODE_BATCH):
            crops = faces.floats(part)
            codes = net.encode(crops)
            picture = net.decode(codes)
            drawn.append(psnr(picture.clamp(0, 1), crops))
            linear.append(psnr(net.linear_picture(codes).clamp(0, 1), crops))
            clear.append(sharpness(picture) / sharpness(crops))
    return {
        "psnr": round(float(torch.cat(drawn).mean()), 3),
        "linear_psnr": round(float(torch.cat(linear).mean()), 3),
        "sharpness_ratio": round(float(torch.cat(clear).median()), 3),
    }


def model_metadata(
    net: RenderedFaceNet,
    faces: int,
    metrics: Mapping[str, float],
    figures: Mapping[str, object],
) -> dict[str, str]:
    """String metadata of a trained model: what it is, from what data, how good."""
    return {
        "name": f"Face (rendered, {net.code_shape[0]})",
        "architecture": rendered.NAME,
        "licence": "MIT for the weights; training images CC BY 4.0, see attribution",
        "attribution": ATTRIBUTION,
        "training_data": f"{faces} aligned faces of FairFace (adults), each also mirrored",
        "intended_use": "Editing photos with the consent of the person shown. Not for identifying, "
        "classifying or judging people.",
        "limits": LIMITS,
        "metrics": json.dumps(metrics),
        "direction_figures": json.dumps(figures),
    }


def _cosine(net: RenderedFaceNet, a: Tensor, b: Tensor) -> float:
    """Over the components: controls are no part of it."""
    a, b = net.coefficients(torch.stack([a, b]))
    return round(float(torch.cosine_similarity(a, b, dim=0)), 3)
