"""Finding faces: a photo in, boxes and five landmarks per face out.

A small fully convolutional detector runs over an image pyramid, then a second network looks at
each find in an aligned crop, twice: it moves the landmarks to sub-pixel accuracy and throws out
what is no face. The detector knows faces up to about 45 degrees from upright; where it finds none,
it looks at the photo on its sides and upside down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..geometry.similarity import invert_transform, similarity_transform, transform_points
from ..geometry.templates import AlignmentTemplate
from ..imaging.align import require_photo
from ..threads import check_interrupt
from .landmarks import (
    MIRRORED,
    POLISHER_TEMPLATE,
    REFINER_TEMPLATE,
    landmark_boxes,
    usable_landmarks,
)
from .net import DETECTOR_STRIDE, DETECTOR_UNIT, REFINER_SIZE, FinderNet, LandmarkRefiner
from .overlaps import suppress_overlaps
from .pyramid import SMALLEST_FACE, Level, canvases, crop_from, photo_pyramid, turn_back
from .quick import quick_form

MIN_SCORE = 0.4  # how sure the finder has to be, unless told otherwise
SIZE_MARGIN = 0.7  # finds below this share of the smallest face asked for are left out
LEAST_CANDIDATE = 0.1  # detector scores below this are too many to look at
SCORE_POWER = 0.6  # lifts the detector's score, which its focal loss keeps low
RARITY = 3.5  # logit; in training half of the refiner's crops are faces, in photos far fewer
IMPOSSIBLE = -100.0  # logit
MAX_CANDIDATES = 512
# Shares of overlap (IoU) above which the worse of two boxes goes: of the detector's finds, of those
# whose landmarks were corrected once (one face found on two levels), and of what is returned.
SAME_CANDIDATE = 0.4
SAME_FACE = 0.6
OVERLAP = 0.35
WITHIN = 0.6  # share of the smaller box, for the last: a mouth that lies inside a face
UPRIGHT, TURNED = (0,), (1, 2, 3)  # how the detector sees the photo, in quarters of a full turn


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo.

    Attributes:
        box: (4,) float32, left, top, right, bottom in photo pixels; may reach beyond the photo
        landmarks: (5, 2) float64 in photo pixels: left eye, right eye, nose, left and right corner
            of the mouth; "left" is the viewer's left, were the face upright
        score: 0 to 1
        points: (478, 3) float64, dense landmarks in photo pixels, the third number being the depth
            away from the viewer; NaN where it is not known. None where nobody looked for them
    """

    box: Tensor
    landmarks: Tensor
    score: float
    points: Tensor | None = None

    @property
    def size(self) -> float:
        """Side of a square of the box's area, in pixels."""
        width, height = (self.box[2:] - self.box[:2]).tolist()
        return math.sqrt(max(width, 0.0) * max(height, 0.0))


class FaceFinder:
    """Finds faces and their landmarks; deterministic.

    Args:
        net: the networks, folded; they are turned into their quick form in place
        detector_dtype: number format the detector computes in; the refiner always uses float32
    """

    def __init__(self, net: FinderNet, *, detector_dtype: torch.dtype = torch.float32) -> None:
        self.detector_dtype = detector_dtype
        net.to(memory_format=torch.channels_last)
        self.detector = quick_form(net.detector.to(detector_dtype))
        self.refiner = quick_form(net.refiner.to(torch.float32))
        self.polisher = quick_form(net.polisher.to(torch.float32))

    def find(
        self,
        photo: Tensor,
        min_score: float = MIN_SCORE,
        max_faces: int = 64,
        min_face: float = SMALLEST_FACE,
    ) -> list[Face]:
        """All faces of a photo, largest first; an empty list where there is none.

        Faces that lie or hang upside down are looked for where none is upright.

        Args:
            photo: (H, W, 3) uint8, or float in [0, 1]; NaN pixels count as black. Memory beyond the
                photo itself stays bounded: a photo over 2048 px is reduced strip by strip
            min_score: faces below are left out
            max_faces: keep the best-scored ones
            min_face: smallest face looked for, in photo pixels. Above 2048 px the smallest face
                that can be found grows with the photo (about 50 px at 8K)

        Raises:
            FaceLatentsError: The photo is not (H, W, 3), or is empty.
        """
        require_photo(photo)
        if max_faces < 1:
            raise FaceLatentsError(f"max_faces must be at least 1, got {max_faces}.")
        # Cheaper than no_grad for so many small steps; a copy may take part in training again.
        with torch.inference_mode():
            photo = photo.detach().cpu()
            levels = photo_pyramid(photo, min_face)
            limits = (min_score, max_faces, min_face)
            found = self._found(levels, photo, UPRIGHT, *limits)
            if not found:
                found = self._found(levels, photo, TURNED, *limits)
        return [Face(face.box.clone(), face.landmarks.clone(), face.score) for face in found]

    def _found(
        self,
        levels: list[Level],
        photo: Tensor,
        turns: tuple[int, ...],
        min_score: float,
        max_faces: int,
        min_face: float,
    ) -> list[Face]:
        # A score is the product of both networks', so the detector's alone bounds it.
        least = max(min_score ** (1 / SCORE_POWER), LEAST_CANDIDATE)
        seen = [self._candidates(levels, least, quarters) for quarters in turns]
        landmarks, detected, which = (torch.cat(parts) for parts in zip(*seen, strict=True))
        if not len(detected):
            return []
        landmarks, logits = self._first_look(levels, landmarks, which)
        check_interrupt()
        scores = logits.sigmoid() * detected**SCORE_POWER
        # the same face, found on two levels, is the same face twice by now
        keep = suppress_overlaps(landmark_boxes(landmarks), scores, SAME_FACE)
        keep = keep[scores[keep] >= 0.5 * min_score]
        landmarks, detected = landmarks[keep], detected[keep]
        if not len(detected):
            return []
        landmarks, logits = self._closer_look(
            levels, photo, landmarks, self.refiner, REFINER_TEMPLATE
        )
        check_interrupt()
        scores = (logits - RARITY).sigmoid() * detected**SCORE_POWER
        keep = scores >= min_score
        landmarks, scores = landmarks[keep], scores[keep]
        boxes = landmark_boxes(landmarks)
        large = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt() >= SIZE_MARGIN * min_face
        boxes, landmarks, scores = boxes[large], landmarks[large], scores[large]
        best = suppress_overlaps(boxes, scores, OVERLAP, within=WITHIN, most=max_faces)
        if not len(best):
            return []
        landmarks, scores = landmarks[best], scores[best]
        landmarks, _ = self._closer_look(levels, photo, landmarks, self.polisher, POLISHER_TEMPLATE)
        boxes = landmark_boxes(landmarks)
        if turns is not UPRIGHT:
            boxes = _lay_down(boxes, landmarks)
        faces = [
            Face(box, points, float(score))
            for box, points, score in zip(boxes, landmarks, scores, strict=True)
        ]
        return sorted(faces, key=lambda face: (-face.size, *face.box.tolist()))

    def _candidates(
        self, levels: list[Level], least: float, quarters: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The detector's finds over all levels, seen turned: landmarks (N, 5, 2) float64 in photo
        pixels, scores (N,) and the level (N,) of each."""
        points, scores, numbers = [], [], []
        corner = torch.empty(len(levels), 1, 2, dtype=torch.float64)
        turned = [level.turned(quarters) for level in levels] if quarters else levels
        for canvas in canvases(turned):
            check_interrupt()
            output = self.detector(canvas.image.to(self.detector_dtype))[0].float()
            score, owner = output[0].sigmoid(), canvas.owners(turned, DETECTOR_STRIDE)
            rows, columns = ((score >= least) & (owner >= 0)).nonzero(as_tuple=True)
            cells = torch.stack([columns, rows], -1).unsqueeze(1) * DETECTOR_STRIDE
            offsets = output[1:, rows, columns].T.reshape(-1, 5, 2) * DETECTOR_UNIT
            points.append(cells + (DETECTOR_STRIDE - 1) / 2 + offsets)
            scores.append(score[rows, columns])
            numbers.append(owner[rows, columns])
            for number, left, top in canvas.places:
                corner[number] = torch.tensor([left, top])
        which, score = torch.cat(numbers), torch.cat(scores)
        # as `Level.to_photo`, for all levels at once
        size = torch.tensor([level.image.shape[:0:-1] for level in levels])  # width, height
        step = torch.tensor([level.step for level in levels]).double()
        on_level = turn_back(torch.cat(points).double() - corner[which], size[which], quarters)
        landmarks = (on_level + 0.5) * step[which].unsqueeze(1) - 0.5
        good = usable_landmarks(landmarks)
        landmarks, score, which = landmarks[good], score[good], which[good]
        kept = suppress_overlaps(
            landmark_boxes(landmarks), score, SAME_CANDIDATE, most=MAX_CANDIDATES
        )
        return landmarks[kept], score[kept], which[kept]

    def _first_look(
        self, levels: list[Level], landmarks: Tensor, which: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Corrected landmarks (N, 5, 2) and face logits (N,), seen at the pyramid's resolution."""
        points = torch.empty_like(landmarks)
        crops = torch.empty(len(landmarks), 3, REFINER_SIZE, REFINER_SIZE)
        parts = [(levels[i], (which == i).nonzero().squeeze(1)) for i in which.unique().tolist()]
        for level, rows in parts:
            points[rows] = level.from_photo(landmarks[rows])
        transforms = similarity_transform(points, REFINER_TEMPLATE.pixels().expand_as(points))
        for level, rows in parts:
            crops[rows] = level.crops(transforms[rows], REFINER_SIZE)
        # all levels at once: the network's calls cost more than its work
        points, logits = _correct_landmarks(self.refiner, crops, transforms, points, mirror=False)
        for level, rows in parts:
            points[rows] = level.to_photo(points[rows])
        return points, logits

    def _closer_look(
        self,
        levels: list[Level],
        photo: Tensor,
        landmarks: Tensor,
        net: LandmarkRefiner,
        template: AlignmentTemplate,
    ) -> tuple[Tensor, Tensor]:
        """Corrected landmarks (N, 5, 2) and face logits (N,), at the resolution of `net`."""
        transforms = similarity_transform(landmarks, template.pixels().expand_as(landmarks))
        crops = [crop_from(levels, photo, t, template.size) for t in transforms]
        return _correct_landmarks(net, torch.stack(crops), transforms, landmarks, mirror=True)


def _lay_down(boxes: Tensor, landmarks: Tensor) -> Tensor:
    """Upright boxes (N, 4), turned on their sides for faces that lie, by their landmarks."""
    across = (landmarks[:, 1] - landmarks[:, 0]).abs()
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = torch.where(across[:, 1:] > across[:, :1], half.flip(1), half)
    return torch.cat([centre - half, centre + half], 1)


def _correct_landmarks(
    net: LandmarkRefiner, crops: Tensor, transforms: Tensor, landmarks: Tensor, *, mirror: bool
) -> tuple[Tensor, Tensor]:
    """What `net` sees in the crops (N, 3, S, S), as landmarks where the crops were cut, (N, 5, 2),
    and face logits (N,); with `mirror` the mean of its answers for them and their mirror images."""
    if mirror:
        points, logits = net(torch.cat([crops, crops.flip(3)]))
        count = len(crops)
        other = points[count:, MIRRORED] * torch.tensor([-1.0, 1.0])
        points = (points[:count] + other + torch.tensor([crops.shape[-1] - 1.0, 0.0])) / 2
        logits = (logits[:count] + logits[count:]) / 2
    else:
        points, logits = net(crops)
    moved = transform_points(invert_transform(transforms), points)
    good = usable_landmarks(moved)
    landmarks = torch.where(good.reshape(-1, 1, 1), moved, landmarks)
    return landmarks, torch.where(good, logits, IMPOSSIBLE)


def largest(faces: Sequence[Face]) -> Face | None:
    """The largest face, or None."""
    return max(faces, key=lambda face: face.size, default=None)
