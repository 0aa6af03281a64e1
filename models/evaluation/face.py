"""Evaluating a face model on faces it was not trained on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ..architectures import linear, rendered
from ..face_model import FaceModel, bundled_face_model_path, load_face_model
from ..safefile import load_tensors, save_tensors
from ..training.face_data import AGE_BINS, FaceSet, load_faces
from .face_measures import own_percentile, psnr, sharpness
from .judge import PROBABILITIES, Judge, age_group, load_judge, read
from .recogniser import Recogniser, load_recogniser, measure_of
from .sheets import save_sheet

logger = logging.getLogger(__name__)

STEP = 0.5  # between the strengths tried
TARGET_CHANGE = 0.5  # of the judge's probability, for an edit to count as a success
BATCH = 250
_AGREEING = ("smile", "gender_expression", "age")


def evaluate_face(
    data_dir: str | Path,
    *,
    model: FaceModel | None = None,
    judge: Judge | None = None,
    recogniser: Recogniser | str | None = None,
    split: str = "val",
    edit_faces: int = 250,
    out_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, object]:
    """Measure reconstruction and edits.

    Args:
        data_dir: folder of `metadata.csv` and the face zips.
        model: None takes the bundled one.
        judge: reads attributes off pictures; None takes the bundled one.
        recogniser: tells people apart, see `recogniser.py`: a function from crops to embeddings, or
            "MODULE:FUNCTION" to import it; None takes gradient histograms, a weak one.
        split: rows of the table to use.
        edit_faces: how many faces are edited (all are reconstructed).
        out_dir: gets `reconstruction.png` and `edits.png`; None writes no pictures.
        cache_dir: keeps the aligned crops for the next run.
        progress: called with (stage, done, total).

    Returns:
        The keys `recon`, `edits`, `groups` and `weights_mb`; see the project's evaluation notes.
    """
    model = model or load_face_model(bundled_face_model_path())
    judge = judge or load_judge()
    recogniser = load_recogniser(recogniser)
    faces = load_faces(
        data_dir,
        split,
        template=model.template,
        cache_dir=cache_dir,
        progress=lambda done, total: progress("align", done, total),
    )
    with torch.no_grad():
        crops = faces.floats()
        codes = torch.cat([model.encode(part) for part in crops.split(BATCH)]).cpu()
        decoded = _decode(model, codes)
        fidelity, clear = psnr(decoded.clamp(0, 1), crops), sharpness(decoded) / sharpness(crops)
        before, after = read(judge, crops), read(judge, decoded)
        agreement = _agreement(before, after)
        result: dict[str, object] = {
            "recon": {
                "psnr": round(float(fidelity.mean()), 2),
                "pca_psnr": _pca_psnr(model, crops, fidelity),
                "sharpness_ratio": round(float(clear.median()), 3),
                "attribute_agreement": round(sum(agreement.values()) / len(agreement), 3),
                "agreement_by_attribute": {
                    name: round(same, 3) for name, same in agreement.items()
                },
            }
        }
        chosen = slice(0, edit_faces)
        judged = (model, judge, recogniser, crops[chosen], codes[chosen], decoded[chosen])
        edits, succeeded = _edits(*judged, before, progress)
    result["edits"] = edits
    result["groups"] = _groups(faces, fidelity, clear, succeeded)
    result["weights_mb"] = round(bundled_weight_bytes() / 1e6, 2)
    if out_dir is not None:
        _pictures(Path(out_dir), model, crops[:12], codes[:12], decoded[:12])
    return result


def record_evaluation(model_file: str | Path, figures: Mapping[str, object]) -> None:
    """Write the figures of `evaluate_face` into the metadata of the model's own file.

    The tensors, and with them the model's identity, stay as they are.
    """
    tensors, metadata = load_tensors(model_file)
    save_tensors(model_file, tensors, {**metadata, "evaluation": json.dumps(dict(figures))})


def bundled_weight_bytes() -> int:
    """Size of all bundled weights together."""
    return sum(f.stat().st_size for f in bundled_face_model_path().parent.glob("*.safetensors"))


def _decode(model: FaceModel, codes: Tensor) -> Tensor:
    return torch.cat([model.decode(part).cpu() for part in codes.split(BATCH)])


def _agreement(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, float]:
    same = {}
    for name in _AGREEING:
        a, b = before[name], after[name]
        equal = age_group(a) == age_group(b) if name == "age" else (a > 0.5) == (b > 0.5)
        same[name] = float(equal.float().mean())
    return same


def _pca_psnr(model: FaceModel, crops: Tensor, fidelity: Tensor) -> float:
    """PSNR of principal components, printed beside: of the model's own linear part if it has one,
    of the bundled model's otherwise."""
    if model.metadata.get("architecture") == linear.NAME:
        return round(float(fidelity.mean()), 2)
    if not isinstance(model.module, rendered.RenderedFaceNet):
        model = load_face_model(bundled_face_model_path())
    net = cast(rendered.RenderedFaceNet, model.module)
    values = [
        psnr(net.linear_picture(net.encode(part)).clamp(0, 1), part) for part in crops.split(BATCH)
    ]
    return round(float(torch.cat(values).mean()), 2)


def _as_probability(readings: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> Tensor:
    """Readings `(N, A)` in [0, 1]: probabilities as they are, other values by their place in the
    normal distribution fitted to the unedited faces."""
    columns = []
    for name, values in readings.items():
        if name not in PROBABILITIES:
            spread = reference[name].std()
            values = torch.special.ndtr((values - reference[name].mean()) / spread)
        columns.append(values)
    return torch.stack(columns, 1)


def _edits(
    model: FaceModel,
    judge: Judge,
    recogniser: Recogniser,
    crops: Tensor,
    codes: Tensor,
    decoded: Tensor,
    reference: Mapping[str, Tensor],
    progress: Callable[[str, int, int], None],
) -> tuple[dict[str, object], Tensor]:
    """Edit every face towards the other side of each attribute, as far as the safe range allows.

    The picture judged is what Paste Back delivers at this resolution: the original plus the
    decoded change.

    Returns:
        The figures, and success `(N, directions)`.
    """
    names = list(reference)
    start = _as_probability(read(judge, crops), reference)
    identity = recogniser(crops)
    by_attribute: dict[str, object] = {}
    successes, side_effects, kept = [], [], []
    directions = {n: d for n, d in model.directions.items() if n in names}
    effects = []
    for number, (name, direction) in enumerate(directions.items()):
        progress("edits", number, len(directions))
        own = names.index(name)
        sign = torch.where(start[:, own] < 0.5, 1.0, -1.0)
        limit = torch.where(sign > 0, direction.safe_range[1], -direction.safe_range[0])
        done = torch.zeros(len(crops), dtype=torch.bool)
        final, pictures = start.clone(), crops.clone()
        strength = torch.zeros(len(crops))
        for level in torch.arange(STEP, float(limit.max()) + 1e-6, STEP):
            active = ~done & (level <= limit + 1e-6)
            if not active.any():
                break
            moved = codes[active] + (sign[active] * level)[:, None] * direction.vector
            edited = (crops[active] + _decode(model, moved) - decoded[active]).clamp(0, 1)
            final[active] = _as_probability(read(judge, edited), reference)
            pictures[active] = edited
            strength[active] = float(level)
            done = done | ((final[:, own] - start[:, own]).abs() >= TARGET_CHANGE)
        change = (final - start).abs()
        others = [i for i in range(len(names)) if i != own]
        mean_effect = change[done].mean(0) if done.any() else change.mean(0)
        percentile = own_percentile(recogniser(pictures), identity)
        by_attribute[name] = {
            "success_rate": round(float(done.float().mean()), 3),
            "median_strength": round(float(strength[done].median()), 2) if done.any() else None,
            "worst_side_effect": round(float(mean_effect[others].max()), 3),
            "worst_side_effect_on": names[others[int(mean_effect[others].argmax())]],
            "identity_percentile": round(float((percentile >= 0.99).float().mean()), 3),
        }
        effects.append(_effect(model, judge, crops, codes, decoded, direction.vector, reference))
        successes.append(done)
        side_effects.append(mean_effect[others].max())
        kept.append(percentile)
    figures: dict[str, object] = {
        "success_rate": round(float(torch.stack(successes).float().mean()), 3),
        "worst_side_effect": round(float(torch.stack(side_effects).max()), 3),
        "identity_percentile": round(float((torch.cat(kept) >= 0.99).float().mean()), 3),
        "identity_measure": measure_of(recogniser),
        "by_attribute": by_attribute,
        "effect_columns": names,
        "effect_matrix": {
            name: [round(float(value), 3) for value in row]
            for name, row in zip(directions, effects, strict=True)
        },
    }
    return figures, torch.stack(successes, 1)


def _effect(
    model: FaceModel,
    judge: Judge,
    crops: Tensor,
    codes: Tensor,
    decoded: Tensor,
    vector: Tensor,
    reference: Mapping[str, Tensor],
    strength: float = 2.0,
) -> Tensor:
    """Mean change of every attribute's probability from -strength to +strength, `(A,)`."""
    ends = []
    for sign in (1, -1):
        change = _decode(model, codes + sign * strength * vector) - decoded
        ends.append(_as_probability(read(judge, (crops + change).clamp(0, 1)), reference).mean(0))
    return ends[0] - ends[1]


def _groups(
    faces: FaceSet, fidelity: Tensor, clear: Tensor, succeeded: Tensor
) -> dict[str, dict[str, float | int | None]]:
    """Figures for each age bin and gender label."""
    groups: dict[str, dict[str, float | int | None]] = {}
    for column, values in (("age_bin", AGE_BINS), ("gender", ("female", "male"))):
        for value in values:
            member = torch.tensor([row[column] == value for row in faces.rows])
            if not member.any():
                continue
            edited = member[: len(succeeded)]
            groups[f"{column}={value}"] = {
                "faces": int(member.sum()),
                "psnr": round(float(fidelity[member].mean()), 2),
                "sharpness_ratio": round(float(clear[member].median()), 3),
                "edit_success": round(float(succeeded[edited].float().mean()), 3)
                if edited.any()
                else None,
            }
    return groups


def _pictures(
    folder: Path, model: FaceModel, crops: Tensor, codes: Tensor, decoded: Tensor
) -> None:
    save_sheet(folder / "reconstruction.png", [crops, decoded], ["original / decoded"])
    for name, direction in model.directions.items():
        low, high = direction.safe_range
        strengths = [low, low / 2, 0.0, high / 2, high]
        rows = []
        for i in range(min(6, len(crops))):
            moved = codes[i] + torch.tensor(strengths)[:, None] * direction.vector
            change = _decode(model, moved) - decoded[i]
            rows.append(torch.cat([crops[i] + change, decoded[i] + change]))
        captions = [f"photo {s:+.1f}" for s in strengths] + [f"decode {s:+.1f}" for s in strengths]
        save_sheet(folder / f"edit_{name}.png", rows, captions)
