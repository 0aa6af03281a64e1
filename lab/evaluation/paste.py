"""Measuring Paste Back on whole photos: what is kept, what shows, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
from torch import Tensor

from ...models.charts import picture_grid
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel, bundled_face_model_path, load_face_model
from ...models.finder.checkpoint import load_finder
from ...models.geometry.similarity import transform_points, transform_scale
from ...models.imaging.align import align
from ...models.imaging.light import luminance
from ...models.imaging.maps import gaussian_blur
from ...models.imaging.photos import list_pictures, load_image
from ...models.paste.back import paste_back
from ...models.paste.edit import METHODS, plan_edits
from ...models.paste.face import PhotoFace
from ...models.paste.mask import face_mask
from ...models.paste.pixels import place_maps
from ...models.values import PhotoContext
from ..measures import sharpness

_BAND = (0.01, 0.35)  # mask values that count as its border
_SEAM_SCALE = 0.015  # of the crop: seams are coarser than grain, which would hide them
_TILE = 360  # pixels of one picture on the sheet
STEPS = (("smile", 2.0), ("smile", -2.0), ("age", 2.0), ("light_left_right", 1.5), ("glasses", 2.0))


@dataclass(frozen=True)
class PasteEvaluation:
    """Which edits are put back, and how."""

    methods: Annotated[tuple[str, ...], "to compare; the first gives the figures"] = METHODS
    edits: Annotated[tuple[tuple[str, float], ...], "those that the model has"] = STEPS
    out_dir: Annotated[Path | None, "folder for a sheet of pictures per edit"] = None


def evaluate_paste(
    data_dir: str | Path,
    settings: PasteEvaluation,
    *,
    model: FaceModel | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, object]:
    """Edit the largest face of every photo in a folder and put it back with every method.

    Args:
        data_dir: folder of photos (PNG, JPEG, WebP).
        settings: see there; `out_dir` gets one `paste_<direction>_<strength>.jpg` per edit.
        model: None takes the bundled one.
        progress: called with (stage, done, total).

    Returns:
        `paste.sharpness_ratio`: Laplacian variance of the face region, edited over original, the
        median over photos and edits; `paste.seam_ratio`: brightness gradient across the mask's
        border, edited over original, median; `paste.seconds`: per photo and face, median, with
        `cpu_seconds`; `*_worst`: the photo farthest from 1; `by_method`, `by_edit`: the same.

    Raises:
        FaceLatentsError: no photos, or no direction of `edits` in the model.
    """
    files = list_pictures(Path(data_dir))
    if not files:
        raise FaceLatentsError(f"There are no photos (PNG, JPEG, WebP) in '{data_dir}'.")
    model = model or load_face_model(bundled_face_model_path())
    steps = [(name, strength) for name, strength in settings.edits if name in model.directions]
    if not steps:
        raise FaceLatentsError(f"Model '{model.name}' has none of the directions to be pasted.")
    finder = load_finder()
    records: list[dict[str, Any]] = []
    rows: dict[tuple[str, float], list[Tensor]] = {step: [] for step in steps}
    for number, file in enumerate(files):
        photo = load_image(file, first_only=True)[0][0]
        faces = finder.find(photo)
        if faces:
            crop, transform = align(photo, faces[0].landmarks, model.template)
            code = model.encode(crop[None])[0].float().cpu()
            context = PhotoContext(
                photo, transform, model.template.size, faces[0].landmarks, code, file.name, 0
            )
            face, measure = PhotoFace(context), _Region(context, photo)
            for name, strength in steps:
                edited_code = code + strength * model.directions[name].vector
                pictures = [measure.tile(photo)]
                for method in settings.methods:
                    (edit,) = plan_edits(model, [face], edited_code[None], method=method)
                    wall, cpu = time.perf_counter(), time.process_time()
                    edited = paste_back(photo, context, edit)
                    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                    sharp, seam = measure.compare(edited)
                    records.append(
                        {
                            "photo": file.name,
                            "edit": f"{name} {strength:+g}",
                            "method": method,
                            "sharpness_ratio": sharp,
                            "seam_ratio": seam,
                            "seconds": wall,
                            "cpu_seconds": cpu,
                        }
                    )
                    pictures.append(measure.tile(edited))
                rows[name, strength].append(torch.stack(pictures))
        progress("paste", number + 1, len(files))
    if not records:
        raise FaceLatentsError(f"No face was found in any of the {len(files)} photos.")
    if settings.out_dir is not None:
        settings.out_dir.mkdir(parents=True, exist_ok=True)
        columns = ["original", *settings.methods]
        for (name, strength), pictures_of in rows.items():
            sheet = picture_grid(pictures_of, [], columns, theme="light", cell=_TILE)
            sheet.save(settings.out_dir / f"paste_{name}_{strength:+g}.jpg", quality=92)
    return _summary(records, settings.methods, len(files))


class _Region:
    """The face region of one photo and the figures of the unedited photo."""

    def __init__(self, context: PhotoContext, photo: Tensor) -> None:
        transform, size = context.transform, context.size
        landmarks = transform_points(transform, context.landmarks)
        placed = place_maps(face_mask(landmarks, size, 256)[None], context)
        if placed is None:
            raise FaceLatentsError("The face lies outside of its photo.")
        (self.mask,), self.box = placed
        self.sigma = _SEAM_SCALE * size / float(transform_scale(transform))
        down, across = torch.gradient(self.mask)
        length = (down.square() + across.square()).sqrt().clamp_min(1e-12)
        self.normal = torch.stack([down, across]) / length
        self.band = (self.mask > _BAND[0]) & (self.mask < _BAND[1])
        self.photo = self._cut(photo)

    def _cut(self, picture: Tensor) -> Tensor:
        left, top, right, bottom = self.box
        return picture[top:bottom, left:right].permute(2, 0, 1)[None]

    def compare(self, edited: Tensor) -> tuple[float, float]:
        """Sharpness and seam, edited over original."""
        new = self._cut(edited)
        return (
            self._sharpness(new) / max(self._sharpness(self.photo), 1e-9),
            self._seam(new) / max(self._seam(self.photo), 1e-9),
        )

    def _sharpness(self, region: Tensor) -> float:
        """Of the mask's inner rectangle, which holds brows, eyes, nose, mouth and cheeks."""
        inside = self.mask > 0.9
        rows = torch.nonzero(inside.any(1)).flatten()
        columns = torch.nonzero(inside.any(0)).flatten()
        if len(rows) < 3 or len(columns) < 3:
            return 0.0
        window = region[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return float(sharpness(window))

    def _seam(self, region: Tensor) -> float:
        """Mean brightness gradient along the mask's normal, over the mask's border."""
        smooth = gaussian_blur(luminance(region)[0], self.sigma)[0]
        down, across = torch.gradient(smooth)
        slope = (down * self.normal[0] + across * self.normal[1]).abs()
        return float(slope[self.band].mean())

    def tile(self, picture: Tensor) -> Tensor:
        """The face region as `(3, T, T)`."""
        return torch.nn.functional.interpolate(
            self._cut(picture), (_TILE, _TILE), mode="bicubic", align_corners=False, antialias=True
        )[0]


def _summary(
    records: Sequence[Mapping[str, Any]], methods: Sequence[str], photos: int
) -> dict[str, object]:
    def by(key: str, chosen: Sequence[Mapping[str, Any]]) -> dict[str, object]:
        values = dict.fromkeys(record[key] for record in chosen)
        return {value: _figures([r for r in chosen if r[key] == value]) for value in values}

    first = [record for record in records if record["method"] == methods[0]]
    return {
        "paste": {
            **_figures(first),
            "photos": photos,
            "faces": len({record["photo"] for record in records}),
            "by_method": by("method", records),
            "by_edit": by("edit", first),
        }
    }


def _figures(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for key in ("sharpness_ratio", "seam_ratio", "seconds", "cpu_seconds"):
        values = [record[key] for record in records]
        found[key] = round(median(values), 4)
        if key.endswith("ratio"):
            farthest = max((abs(value - 1), value) for value in values)[1]
            found[f"{key}_worst"] = round(farthest, 4)
    return found
