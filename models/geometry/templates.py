"""Where the five landmarks of a face lie in an aligned square crop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import FaceLatentsError

LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


@dataclass(frozen=True, eq=False)
class AlignmentTemplate:
    """Where the five landmarks lie in an aligned square crop.

    Attributes:
        name: what error messages and metadata call it.
        points: `(5, 2)` float64, fractions of the crop's side from its top-left corner, in the
            order of `LANDMARK_NAMES` ("left" is the viewer's left); or none, `(0, 2)`: no face is
            looked for, the crop is the whole picture (see `transforms.fit_whole`).
        size: side of the crop in pixels.
    """

    name: str
    points: Tensor
    size: int

    def __post_init__(self) -> None:
        points = torch.as_tensor(self.points, dtype=torch.float64)
        if points.shape not in ((5, 2), (0, 2)) or not bool(torch.isfinite(points).all()):
            raise FaceLatentsError(
                f"The alignment template '{self.name}' must have 5 finite (x, y) points, "
                f"got shape {tuple(points.shape)}."
            )
        if self.size < 1:
            raise FaceLatentsError(
                f"The alignment template '{self.name}' must be at least 1 px wide, got {self.size}."
            )
        object.__setattr__(self, "points", points)

    @property
    def whole(self) -> bool:
        """True when there are no landmarks: whole pictures are encoded."""
        return len(self.points) == 0

    def pixels(self) -> Tensor:
        """Landmark positions in pixels of the crop, (5, 2) or (0, 2) float64."""
        return self.points * self.size - 0.5

    def resized(self, size: int) -> AlignmentTemplate:
        """The same template for a crop of another side length."""
        return AlignmentTemplate(self.name, self.points, size)


def _points(*rows: tuple[float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# The mean shape of frontal faces, at two sizes within the crop.
TIGHT = AlignmentTemplate(
    "tight",
    _points((0.31, 0.31), (0.69, 0.31), (0.5, 0.5321), (0.3373, 0.6829), (0.6627, 0.6829)),
    128,
)
WIDE = AlignmentTemplate(
    "wide",
    _points((0.34, 0.36), (0.66, 0.36), (0.5, 0.547), (0.363, 0.674), (0.637, 0.674)),
    128,
)
# The same mean shape under the crop rule of the FFHQ data set (Karras et al. 2019): a square of
# side 2 max(2 e, 1.8 m) about the point one tenth of the way from the eyes to the mouth, e being
# the distance between the eyes and m that from the eyes' middle to the mouth's.
FFHQ = AlignmentTemplate(
    "ffhq",
    _points((0.375, 0.4755), (0.625, 0.4755), (0.5, 0.6216), (0.393, 0.7208), (0.607, 0.7208)),
    1024,
)
WHOLE = AlignmentTemplate("whole", torch.zeros(0, 2), 28)
