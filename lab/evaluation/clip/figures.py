"""Measuring clips: flicker of edited faces, frames a second, memory, and lag."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from ....models.errors import FaceLatentsError
from ....models.face_model import FaceModel, bundled_face_model_path, load_face_model
from ....models.finder.checkpoint import load_finder
from ....models.finder.faces import MIN_SCORE, largest
from ....models.geometry.similarity import (
    compose_transforms,
    invert_transform,
    similarity_transform,
)
from ....models.geometry.templates import TIGHT
from ....models.imaging.align import warp_affine
from ....models.imaging.light import luminance
from ....models.imaging.maps import gaussian_blur
from ....models.values import FaceLatent
from ....nodes.edit.directions import AddDirection
from ....nodes.model.clip import CLIP, SEPARATE
from ....nodes.model.encode import EncodeFace
from ....nodes.model.paste_back import PasteBack
from .frames import Frame, made_frames

STEADY_SIDE = 192  # pixels of the square around the face in which flicker is measured
COARSE = 0.015  # of its side: blurred by so much, the grain of the photo hides nothing
EDITS = (("smile", 2.0), ("age", 2.0))
MOVING = "smile"


@dataclass(frozen=True)
class ClipEvaluation:
    """Which clip is made, and how it is edited."""

    frames: Annotated[int, "of the clip"] = 200
    height: Annotated[int, "pixels of a frame"] = 720
    width: Annotated[int, "pixels of a frame"] = 1280
    edits: Annotated[tuple[tuple[str, float], ...], "one after the other"] = EDITS
    separate: Annotated[bool, "also as photos that have nothing to do with each other"] = False
    moving_frames: Annotated[int, "of a clip in which the face smiles and stops; 0: none"] = 36


def evaluate_clip(
    photo: Tensor,
    settings: ClipEvaluation,
    *,
    model: FaceModel | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Edit a clip made of a photo.

    Args:
        photo: `(H, W, 3)` in [0, 1], with a face.
        settings: see there.
        model: None takes the bundled one.
        progress: called with (stage, done, total).

    Returns:
        For each edit, as a clip: `flicker`, what changes from frame to frame once the camera's
        motion and light are undone, edited over original; `coarse_flicker`, the same without
        grain; `frames_a_second` of finding, encoding, editing and pasting, and
        `cpu_seconds_a_frame`, which a busy machine does not raise; `memory_mb`, at its
        peak, beyond the frames that went in and came out and the aligned crops, and
        `memory_mb_of_quarter` of a quarter of the clip. `moving`: see `measure_lag`.

    Raises:
        FaceLatentsError: no face in the photo.
    """
    model = model or load_face_model(bundled_face_model_path())
    face = largest(load_finder().find(photo))
    if face is None:
        raise FaceLatentsError("No face was found in the photo to make a clip of.")
    size = (settings.height, settings.width)
    pixels = torch.empty(settings.frames, *size, 3)
    made: list[Frame] = []
    for frame in made_frames(photo, face, settings.frames, size):
        pixels[len(made)] = frame.pixels
        made.append(frame._replace(pixels=pixels[len(made)]))
        progress("frames", len(made), settings.frames)
    own = steady_views(pixels, made, face.landmarks)
    figures: dict[str, Any] = {"frames": settings.frames, "size": f"{size[1]} x {size[0]}"}
    with torch.inference_mode():
        _edit(pixels[:2], model, *settings.edits[0])  # loads what is loaded once
        for batch in (CLIP, SEPARATE) if settings.separate else (CLIP,):
            for name, strength in settings.edits:
                part = _Measured()
                with part:
                    _edit(pixels[: len(pixels) // 4], model, name, strength, batch)
                whole = _Measured()
                with whole:
                    edited = _edit(pixels, model, name, strength, batch)
                views = steady_views(edited, made, face.landmarks)
                known = pixels.element_size() * (edited[0].numel() + 3 * model.template.size**2)
                figures[f"{batch.split()[0]}.{name}_{strength:+g}"] = {
                    "flicker": flicker(views) / flicker(own),
                    "coarse_flicker": flicker(views, COARSE) / flicker(own, COARSE),
                    "frames_a_second": len(pixels) / whole.seconds,
                    "cpu_seconds_a_frame": whole.cpu_seconds / len(pixels),
                    "memory_mb": (whole.peak - known * len(pixels)) / 1e6,
                    "memory_mb_of_quarter": (part.peak - known * (len(pixels) // 4)) / 1e6,
                }
        if settings.moving_frames:
            figures["moving"] = measure_lag(photo, model, settings.moving_frames)
    return figures


def steady_views(pixels: Tensor, made: Sequence[Frame], landmarks: Tensor) -> Tensor:
    """The face of each frame, the camera's motion and light undone, as brightness `(N, S, S)`.

    Args:
        pixels: `(N, H, W, 3)`.
        made: how the frames were made.
        landmarks: `(5, 2)` of the face in the photo.
    """
    to_view = similarity_transform(landmarks, TIGHT.resized(STEADY_SIDE).pixels())
    views = []
    for picture, frame in zip(pixels, made, strict=True):
        back = compose_transforms(to_view, invert_transform(frame.transform))
        planes = (picture / frame.light).permute(2, 0, 1)[None]
        view = warp_affine(planes, back, (STEADY_SIDE, STEADY_SIDE), mode="bicubic")
        views.append(luminance(view)[0, 0])
    return torch.stack(views)


def flicker(views: Tensor, blur: float = 0.0) -> float:
    """How much steady views `(N, S, S)` change from one to the next: root mean square.

    Args:
        views: see `steady_views`.
        blur: shares of the side by which they are blurred first.
    """
    if blur:
        views = gaussian_blur(views, blur * views.shape[-1])
    return float(views.diff(dim=0).square().mean().sqrt())


def measure_lag(photo: Tensor, model: FaceModel, count: int) -> dict[str, float]:
    """Whether the codes of a clip keep up with a face that smiles and stops, twice.

    Returns:
        `lag_frames`, by which the code's smile comes later than it does when each frame is encoded
        by itself; `kept`, how much of its height is left; `trembling`, changes of the codes from
        frame to frame, clip over separate photos, while nothing moves.
    """
    strengths = (torch.arange(count) * (4 * torch.pi / count)).cos().sub(1).mul(-1)  # 0 to 2
    noise = 2 / 255 * torch.randn(count, *photo.shape, generator=torch.Generator().manual_seed(0))
    vector = model.directions[MOVING].vector
    latent = _encode(photo[None], model, SEPARATE)
    posed = latent.with_samples(latent.samples + strengths[:, None] * vector)
    moving = _run(PasteBack, face_model=model, face_latent=posed)
    still = photo[None].expand(count, -1, -1, -1)
    smiles, changes = [], []
    for batch in (SEPARATE, CLIP):
        codes = _encode((moving + noise).clamp(0, 1), model, batch).samples
        smiles.append((codes - codes.mean(0)) @ vector / vector.square().sum())
        changes.append(_encode((still + noise).clamp(0, 1), model, batch).samples.diff(dim=0))
    shifts = torch.arange(-3, 4)
    inner = slice(3, count - 3)
    likeness = torch.stack([smiles[1].roll(-int(s))[inner] @ smiles[0][inner] for s in shifts])
    # the top of a parabola through the three highest
    best = int(likeness[1:-1].argmax()) + 1
    left, top, right = likeness[best - 1 : best + 2].tolist()
    return {
        "lag_frames": int(shifts[best]) + (left - right) / (2 * (left - 2 * top + right)),
        "kept": float(smiles[1] @ smiles[0] / smiles[0].square().sum()),
        "trembling": float(changes[1].std() / changes[0].std()),
    }


def _run(node: Any, **inputs: object) -> Any:
    """What a node hands on first; inputs left out have their defaults."""
    shown = node().execute(**inputs)
    return (shown["result"] if isinstance(shown, dict) else shown)[0]


def _encode(pixels: Tensor, model: FaceModel, batch: str) -> FaceLatent:
    choice = {"faces": "largest", "index": 0, "min_score": MIN_SCORE, "batch": batch}
    latent: FaceLatent = _run(EncodeFace, image=pixels, face_model=model, **choice)
    return latent


def _edit(
    pixels: Tensor, model: FaceModel, name: str, strength: float, batch: str = CLIP
) -> Tensor:
    latent = _encode(pixels, model, batch)
    direction = model.directions[name]
    moved = _run(AddDirection, face_latent=latent, direction=direction, strength=strength)
    edited: Tensor = _run(PasteBack, face_model=model, face_latent=moved)
    return edited


class _Measured:
    """Seconds of a block, and by how many bytes the process grew in it at its peak (on Linux)."""

    seconds = cpu_seconds = peak = 0.0

    def __enter__(self) -> _Measured:
        self._before = _memory("VmRSS")
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
        except OSError:
            self._before = float("nan")
        self._since = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.perf_counter() - self._since[0]
        self.cpu_seconds = time.process_time() - self._since[1]
        self.peak = _memory("VmHWM") - self._before


def _memory(name: str) -> float:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    found = re.search(rf"{name}:\s+(\d+) kB", text)
    return float("nan") if found is None else float(found[1]) * 1024
