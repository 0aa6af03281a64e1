"""Finding faces: a photo in, boxes and five landmarks per face out.

A small fully convolutional detector runs over an image pyramid, then a second network looks at
each find in an aligned crop from the photo itself, twice: it moves the landmarks to sub-pixel
accuracy and throws out what is no face.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

from .align import (
    TIGHT,
    WIDE,
    AlignmentTemplate,
    align_with_transform,
    box_reduce,
    invert_transform,
    require_photo,
    similarity_transform,
    transform_points,
)
from .architectures.finder import (
    DETECTOR_STRIDE,
    DETECTOR_UNIT,
    REFINER_SIZE,
    FinderNet,
    fold,
)
from .errors import FaceLatentsError, UnsupportedModelError
from .safefile import load_tensors

logger = logging.getLogger(__name__)

BUNDLED = Path(__file__).parent / "bundled" / "finder.safetensors"
ARCHITECTURE = "face_finder"
# The crop the refiner sees: the face with some surroundings, eyes 0.30 of the side apart.
REFINER_TEMPLATE = AlignmentTemplate(
    "finder",
    0.5 + (WIDE.points - torch.tensor([0.5, 0.51], dtype=torch.float64)) * (0.30 / 0.32),
    REFINER_SIZE,
)
# A face's box in the tight crop: centre and size as fractions of the crop's side (medians over
# the boxes of the training portraits).
BOX_CENTRE = (0.4956, 0.4345)
BOX_SIZE = (0.7835, 1.0945)

MIRRORED = [1, 0, 2, 4, 3]  # order of the landmarks in a mirrored picture

LARGEST_SIDE = 2048  # of the pyramid's finest level, in pixels
USUAL_SIDE = 640  # photos are not shrunk below this
SMALLEST_FACE = 24  # px of the photo, up to 4 megapixels
SIZE_MARGIN = 0.7  # finds below this share of the smallest face asked for are left out
DETECTABLE = 14.0  # px a face needs on the finest level
COARSEST_SIDE = 56  # a face that fills this is small enough for the detector
PAD_MULTIPLE = 16
LOWEST_SCORE = 0.2  # the candidates below are too many to look at
MAX_CANDIDATES = 512


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo.

    Attributes
    ----------
    box : (4,) float32, left, top, right, bottom in photo pixels; may reach beyond the photo
    landmarks : (5, 2) float64 in photo pixels: left eye, right eye, nose, left and right corner of
        the mouth; "left" is the viewer's left
    score : 0 to 1
    """

    box: Tensor
    landmarks: Tensor
    score: float

    @property
    def size(self) -> float:
        """Side of a square of the box's area, in pixels."""
        width, height = (self.box[2:] - self.box[:2]).tolist()
        return math.sqrt(max(width, 0.0) * max(height, 0.0))


@dataclass(frozen=True, eq=False)
class _Level:
    """One image of the pyramid (3, H, W) and how many photo pixels one of its pixels spans."""

    image: Tensor
    step: tuple[float, float]


class FaceFinder:
    """Finds faces and their landmarks; deterministic.

    Parameters
    ----------
    net : the two networks, folded, in inference mode
    detector_dtype : number format the detector computes in; the refiner always uses float32
    """

    def __init__(self, net: FinderNet, *, detector_dtype: torch.dtype = torch.float32) -> None:
        self.detector_dtype = detector_dtype
        self.detector = net.detector.to(detector_dtype).to(memory_format=torch.channels_last)
        self.refiner = net.refiner.to(torch.float32).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def find(
        self,
        photo: Tensor,
        min_score: float = 0.5,
        max_faces: int = 64,
        min_face: float = SMALLEST_FACE,
    ) -> list[Face]:
        """All faces of a photo, largest first; an empty list where there is none.

        Parameters
        ----------
        photo : (H, W, 3) uint8, or float in [0, 1]; NaN pixels count as black. Memory beyond the
            photo itself stays bounded: a photo over 2048 px is reduced strip by strip
        min_score : faces below are left out
        max_faces : keep the best-scored ones
        min_face : smallest face looked for, in photo pixels. Above 2048 px the smallest face that
            can be found grows with the photo (about 50 px at 8K)

        Raises
        ------
        FaceLatentsError
            The photo is not (H, W, 3), or is empty.
        """
        require_photo(photo)
        if max_faces < 1:
            raise FaceLatentsError(f"max_faces must be at least 1, got {max_faces}.")
        photo = photo.detach().cpu()
        # The score is the geometric mean of both networks', so the detector's alone bounds it.
        least = max(min_score, LOWEST_SCORE) ** 2
        landmarks, detected = self._candidates(photo, min_face, least)
        scores = detected
        for least, mirror in ((0.6 * min_score, False), (min_score, True)):
            if not len(scores):
                return []
            landmarks, judged = self._refine(photo, landmarks, mirror)
            scores = (detected * judged).sqrt()
            keep = scores >= least
            landmarks, detected, scores = landmarks[keep], detected[keep], scores[keep]
        boxes = landmark_boxes(landmarks)
        large = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt() >= SIZE_MARGIN * min_face
        boxes, landmarks, scores = boxes[large], landmarks[large], scores[large]
        best = suppress_overlaps(boxes, scores)[:max_faces]
        faces = [Face(boxes[i], landmarks[i], float(scores[i])) for i in best]
        return sorted(faces, key=lambda face: (-face.size, *face.box.tolist()))

    def _candidates(self, photo: Tensor, min_face: float, least: float) -> tuple[Tensor, Tensor]:
        """The detector's finds over all levels: landmarks (N, 5, 2) float64 and scores (N,)."""
        found, scores = [], []
        for level in photo_pyramid(photo, min_face):
            height, width = level.image.shape[1:]
            padded = F.pad(
                level.image,
                (0, -width % PAD_MULTIPLE, 0, -height % PAD_MULTIPLE),
                value=0.5,
            )
            output = self.detector(padded.unsqueeze(0).to(self.detector_dtype))[0].float()
            score = output[0].sigmoid()
            rows, columns = (score >= least).nonzero(as_tuple=True)
            cells = torch.stack([columns, rows], -1) * DETECTOR_STRIDE + (DETECTOR_STRIDE - 1) / 2
            offsets = output[1:, rows, columns].T.reshape(-1, 5, 2) * DETECTOR_UNIT
            points = (cells.unsqueeze(1) + offsets).double()
            found.append((points + 0.5) * torch.tensor(level.step).double() - 0.5)
            scores.append(score[rows, columns])
        landmarks, score = torch.cat(found), torch.cat(scores)
        good = usable_landmarks(landmarks)
        landmarks, score = landmarks[good], score[good]
        kept = nms(landmark_boxes(landmarks), score, 0.4)[:MAX_CANDIDATES]
        return landmarks[kept], score[kept]

    def _refine(self, photo: Tensor, landmarks: Tensor, mirror: bool) -> tuple[Tensor, Tensor]:
        """Landmarks (N, 5, 2) corrected on aligned crops, and the crops' face scores (N,).

        `mirror` averages with the answer for the mirrored crops.
        """
        transforms = similarity_transform(landmarks, REFINER_TEMPLATE.pixels().expand_as(landmarks))
        crops = [align_with_transform(photo, t, REFINER_SIZE, fast=True) for t in transforms]
        batch = torch.stack(crops)
        points, logits = self.refiner(batch)
        if mirror:
            other, other_logits = self.refiner(batch.flip(3))
            other = other[:, MIRRORED] * torch.tensor([-1.0, 1.0])
            points = (points + other + torch.tensor([REFINER_SIZE - 1.0, 0.0])) / 2
            logits = (logits + other_logits) / 2
        moved = transform_points(invert_transform(transforms), points)
        good = usable_landmarks(moved)
        landmarks = torch.where(good.reshape(-1, 1, 1), moved, landmarks)
        return landmarks, torch.where(good, logits.sigmoid(), 0.0)


def photo_pyramid(photo: Tensor, min_face: float = SMALLEST_FACE) -> list[_Level]:
    """The photo shrunk to where `min_face` is just detectable, then halved until a face that
    fills the frame is small enough."""
    height, width = photo.shape[:2]
    factor = math.ceil(max(height, width) / LARGEST_SIDE)
    image = box_reduce(photo, factor)
    step = (float(factor), float(factor))
    side = max(image.shape[1:])
    scale = min(1.0, max(USUAL_SIDE / side, DETECTABLE * factor / max(min_face, 1.0)))
    if scale < 1.0:
        shape = [max(1, round(n * scale)) for n in image.shape[1:]]
        step = (factor * image.shape[2] / shape[1], factor * image.shape[1] / shape[0])
        # Planar memory: twice as fast to shrink as interleaved pixels.
        image = F.interpolate(
            image.contiguous().unsqueeze(0),
            shape,
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )[0]
    levels = [_Level(image, step)]
    while max(image.shape[1:]) > COARSEST_SIDE:
        padding = (0, image.shape[2] % 2, 0, image.shape[1] % 2)
        image = F.avg_pool2d(F.pad(image.unsqueeze(0), padding, mode="replicate"), 2)[0]
        step = (step[0] * 2, step[1] * 2)
        levels.append(_Level(image, step))
    return levels


def usable_landmarks(landmarks: Tensor) -> Tensor:
    """(N,) bool: finite, and spread out enough to give a transform."""
    finite = torch.isfinite(landmarks).flatten(1).all(1)
    points = torch.nan_to_num(landmarks)
    spread = (points.amax(1) - points.amin(1)).sum(1)
    return finite & (spread > 1.0)


def landmark_boxes(landmarks: Tensor) -> Tensor:
    """Upright face boxes (N, 4) float32 of landmarks (N, 5, 2)."""
    unit = TIGHT.points.expand_as(landmarks)
    transform = similarity_transform(unit, landmarks) if len(landmarks) else torch.zeros(0, 2, 3)
    centre = transform_points(transform, torch.tensor([BOX_CENTRE]))[:, 0]
    side = transform[:, :, 0].norm(dim=-1, keepdim=True).double()
    half = side * torch.tensor(BOX_SIZE, dtype=torch.float64) / 2
    return torch.cat([centre - half, centre + half], 1).float()


def suppress_overlaps(boxes: Tensor, scores: Tensor) -> list[int]:
    """Indices to keep, best score first.

    Beyond plain non-maximum suppression (IoU 0.35), a box that lies for the most part within a
    better-scored one, or around it, goes too: a mouth inside a face.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept: list[int] = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        corner = torch.maximum(boxes[kept, :2], boxes[index, :2])
        opposite = torch.minimum(boxes[kept, 2:], boxes[index, 2:])
        shared = (opposite - corner).clamp_min(0).prod(1)
        union = areas[kept] + areas[index] - shared
        within = shared / torch.minimum(areas[kept], areas[index])
        if not bool(((shared / union > 0.35) | (within > 0.6)).any()):
            kept.append(index)
    return kept


def largest(faces: Sequence[Face]) -> Face | None:
    """The largest face, or None."""
    return max(faces, key=lambda face: face.size, default=None)


@lru_cache(maxsize=4)
def load_finder(path: str | Path = BUNDLED) -> FaceFinder:
    """As `read_finder`, by default the bundled one, but each file is read only once."""
    return read_finder(path)


def read_finder(path: str | Path) -> FaceFinder:
    """A finder from a checkpoint as `face-latents train finder` writes it.

    Raises
    ------
    UnsupportedModelError
        The file is no finder checkpoint, or it is damaged.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("architecture") != ARCHITECTURE:
        raise UnsupportedModelError(
            f"{Path(path).name} is not a face finder: its metadata names the architecture "
            f"'{metadata.get('architecture', 'none')}', expected '{ARCHITECTURE}'."
        )
    net = FinderNet(**_config(metadata, Path(path).name))
    fold(net)
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise UnsupportedModelError(
            f"{Path(path).name} does not fit the face finder's networks: {error}"
        ) from error
    return FaceFinder(net)


def _config(metadata: dict[str, str], name: str) -> dict[str, int]:
    try:
        config = json.loads(metadata.get("config", "{}"))
        values = {key: int(config[key]) for key in ("width", "deep")}
    except (ValueError, TypeError, KeyError) as error:
        raise UnsupportedModelError(
            f"{name} has no readable configuration for a face finder."
        ) from error
    if not all(4 <= value <= 1024 and value % 2 == 0 for value in values.values()):
        raise UnsupportedModelError(f"{name} asks for a face finder of impossible size: {values}.")
    return values
