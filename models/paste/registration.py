"""Where a picture that came back from another program lies on the crop that was sent there.

Edit models shift, scale and recolour what they draw anew. The similarity between the two is found
on the pictures' own content: by correlation over a grid of scales and angles at first, then to a
fraction of a pixel by robust least squares (Gauss-Newton with Tukey's weights), so that what was
edited on purpose counts little. Landmarks are ten times coarser: they differ by 0.2 to 1 px of 512
where nothing was edited, this by 0.01 to 0.05 px, and they move along with an edit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import FaceLatentsError
from ..geometry.similarity import (
    compose_transforms,
    invert_transform,
    scaling_transform,
    transform_scale,
)
from ..imaging.align import warp_affine
from ..imaging.flow import features
from ..imaging.maps import resize
from ..threads import check_interrupt

# What edit models do is far below these; beyond them crops lose too much at their borders.
MOST_SHIFT = 0.08  # of the side
MOST_SCALE = 1.12
MOST_TURN = 6.0  # degrees
LEAST_LIKENESS = 0.35  # correlation of the features; two photos of one person stay below it
_SEARCH_SIDE = 96
_SCALES = tuple(1.04**step for step in range(-4, 5))
_TURNS = (-8.0, -4.0, 0.0, 4.0, 8.0)
_LEVELS = (96, 192, 384)  # sides of the pictures compared, coarse to fine
_STEPS = 8  # per level
_RADIUS = 0.03  # of the features' windows, as a share of the side
_LEAST_OVERLAP = 0.25  # of the square; with less the search has run astray
_TRUST = 0.05  # weight of what was meant to change; above 0 for faces before an empty wall
_TUKEY = 4.685  # deviations beyond which a difference counts nothing (95% efficiency)


@dataclass(frozen=True)
class Registration:
    """A similarity between two pictures of one size.

    Attributes:
        transform: `(2, 3)` float64, pixels of the original to those of the picture.
        side: of both, in pixels.
        likeness: correlation of their features once registered, up to 1.
    """

    transform: Tensor
    side: int
    likeness: float

    @property
    def scale(self) -> float:
        """How much larger the picture shows the face."""
        return math.hypot(float(self.transform[0, 0]), float(self.transform[1, 0]))

    @property
    def turn(self) -> float:
        """Degrees, clockwise on the screen."""
        return math.degrees(math.atan2(float(self.transform[1, 0]), float(self.transform[0, 0])))

    @property
    def shift(self) -> tuple[float, float]:
        """How far right and down the middle has moved, in pixels."""
        middle = torch.full((2,), (self.side - 1) / 2, dtype=torch.float64)
        x, y = (self.transform[:, :2] @ middle + self.transform[:, 2] - middle).tolist()
        return x, y

    def describe(self) -> str:
        """In words."""
        x, y = self.shift
        return (
            f"shifted by {x:+.1f}, {y:+.1f} px of {self.side}, scaled by "
            f"{100 * (self.scale - 1):+.1f}%, turned by {self.turn:+.1f} degrees"
        )


def register(original: Tensor, picture: Tensor, changing: Tensor | None = None) -> Registration:
    """Find the similarity that lays a crop onto what became of it.

    Args:
        original: `(3, N, N)` in [0, 1].
        picture: `(3, N, N)`: the same, moved, recoloured and changed in part.
        changing: optional `(M, M)` in [0, 1], 1 where it was meant to change: counts little.

    Raises:
        FaceLatentsError: they do not show the same, or lie further apart than edit models move
            things.
    """
    side = original.shape[-1]
    if torch.equal(original, picture):
        return Registration(_identity(), side, 1.0)
    found = _search(_features(original, _SEARCH_SIDE), _features(picture, _SEARCH_SIDE))
    at, likeness = _SEARCH_SIDE, 0.0
    for level in (level for level in _LEVELS if level <= max(side, _LEVELS[0])):
        check_interrupt()
        found = _rescale(found, level / at)
        trust = torch.ones(level, level)
        if changing is not None:
            trust -= (1 - _TRUST) * resize(changing.float()[None], level)[0].clamp(0, 1)
        pair = _features(original, level), _features(picture, level)
        found, likeness = _refine(*pair, trust, found)
        at = level
    result = Registration(_rescale(found, side / at), side, likeness)
    x, y = result.shift
    if likeness < LEAST_LIKENESS:
        raise FaceLatentsError(
            "it does not show the crop that was sent to the edit model, or too little of it is "
            f"left to tell how it was moved (likeness {likeness:.2f}, at least {LEAST_LIKENESS} is "
            "needed). Ask the edit model to keep pose and framing, use fewer steps or a lower "
            "denoise, or turn align off."
        )
    if (
        max(abs(x), abs(y)) > MOST_SHIFT * side
        or not 1 / MOST_SCALE <= result.scale <= MOST_SCALE
        or abs(result.turn) > MOST_TURN
    ):
        raise FaceLatentsError(
            f"compared with the crop it is {result.describe()}. Up to {100 * MOST_SHIFT:.0f}% of "
            f"the side, a scale of {100 * (MOST_SCALE - 1):.0f}% and {MOST_TURN:.0f} degrees are "
            "put right. Ask the edit model to keep pose and framing, and give it a square size."
        )
    return result


def lay_onto(picture: Tensor, found: Registration) -> tuple[Tensor, Tensor]:
    """A picture where the original was.

    Returns:
        `(3, N, N)`, and where `(N, N)` it shows anything: 1 or 0.
    """
    side = found.side
    if torch.equal(found.transform, _identity()):
        return picture.clone(), picture.new_ones(side, side)
    back = invert_transform(found.transform)
    seen = F.pad(picture.new_ones(1, 1, side - 2, side - 2), (1, 1, 1, 1))
    laid = warp_affine(picture[None], back, (side, side), mode="bicubic")[0].clamp(0, 1)
    return laid, (warp_affine(seen, back, (side, side))[0, 0] > 0.999).to(picture)


def _identity() -> Tensor:
    return torch.eye(2, 3, dtype=torch.float64)


def _rescale(transform: Tensor, factor: float) -> Tensor:
    """The same of pictures of `factor` times as many pixels a side."""
    up, down = scaling_transform(factor, factor), scaling_transform(1 / factor, 1 / factor)
    return compose_transforms(up, compose_transforms(transform, down))


def _features(picture: Tensor, side: int) -> Tensor:
    """What a change of light or colour leaves, `(3, side, side)`."""
    return features(resize(picture.float(), side), _RADIUS * side)


def _around(side: int, scale: float, degrees: float) -> Tensor:
    """The similarity about the middle of a picture."""
    angle, middle = math.radians(degrees), (side - 1) / 2
    a, b = scale * math.cos(angle), scale * math.sin(angle)
    shift = [middle - a * middle + b * middle, middle - b * middle - a * middle]
    return torch.tensor([[a, -b, shift[0]], [b, a, shift[1]]], dtype=torch.float64)


def _search(original: Tensor, picture: Tensor) -> Tensor:
    """The best of a grid of scales and angles, each with its best shift, to a pixel."""
    side = original.shape[-1]
    window = torch.hann_window(side, periodic=False).to(original)
    window = window[:, None] * window
    places = torch.stack([_around(side, s, t) for s in _SCALES for t in _TURNS])
    turned = warp_affine(original.expand(len(places), -1, -1, -1), places, (side, side)) * window
    spectra = torch.fft.rfft2(turned), torch.fft.rfft2(picture * window)
    correlation = torch.fft.irfft2(spectra[0].conj() * spectra[1], s=(side, side)).sum(1)
    correlation = correlation / turned.square().sum((1, 2, 3)).sqrt()[:, None, None]
    best, peak = divmod(int(correlation.argmax()), side * side)
    y, x = (place - side if place > side // 2 else place for place in divmod(peak, side))
    found = places[best].clone()
    found[:, 2] += torch.tensor([x, y], dtype=torch.float64)
    return found


def _refine(
    original: Tensor, picture: Tensor, trust: Tensor, start: Tensor
) -> tuple[Tensor, float]:
    """The similarity by robust least squares from a start, and the correlation it reaches."""
    side, middle = original.shape[-1], (original.shape[-1] - 1) / 2
    axis = torch.arange(side, dtype=original.dtype) - middle
    x, y = axis.expand(side, side), axis[:, None].expand(side, side)
    slopes = torch.stack(_slopes(picture))  # (2, 3, N, N): along x, along y
    inside = F.pad(original.new_ones(1, 1, side - 4, side - 4), (2, 2, 2, 2))
    found = start.clone()
    for _ in range(_STEPS):
        back = invert_transform(found)
        stacked = torch.cat([picture[None], slopes], 0)
        moved = warp_affine(stacked, back, (side, side), mode="bicubic")
        weight = (warp_affine(inside, back, (side, side))[0, 0] > 0.999).to(original)
        if float(weight.mean()) < _LEAST_OVERLAP:
            return found, 0.0
        gap, (gx, gy) = original - moved[0], moved[1:]
        spread = gap.abs()[:, weight > 0].median(dim=1).values[:, None, None] * 1.4826 + 1e-3
        weights = trust * weight * (1 - (gap / (_TUKEY * spread)).square()).clamp(min=0).square()
        # d T(p) / d (a, b, tx, ty), p from the middle
        design = torch.stack([gx * x + gy * y, gy * x - gx * y, gx, gy]).double()
        normal = torch.einsum("ichw,jchw,chw->ij", design, design, weights.double())
        wanted = torch.einsum("ichw,chw->i", design, (weights * gap).double())
        ridge = 1e-9 * normal.diagonal().mean() * torch.eye(4, dtype=torch.float64)
        a, b, tx, ty = torch.linalg.solve(normal + ridge, wanted).tolist()
        step = torch.tensor([[a, -b, tx], [b, a, ty]], dtype=torch.float64)
        step[:, 2] -= step[:, :2] @ torch.full((2,), middle, dtype=torch.float64)
        if not bool(torch.isfinite(step).all()) or float(transform_scale(found + step)) < 0.5:
            return found, 0.0
        found = found + step
        if math.hypot(tx, ty) + math.hypot(a, b) * side < 1e-3:
            break
    moved = warp_affine(picture[None], invert_transform(found), (side, side), mode="bicubic")[0]
    return found, _correlation(original, moved, trust * weight)


def _correlation(a: Tensor, b: Tensor, weight: Tensor) -> float:
    a, b = (each - (each * weight).sum((1, 2), keepdim=True) / weight.sum() for each in (a, b))
    across = ((a * b) * weight).sum()
    size = ((a.square() * weight).sum() * (b.square() * weight).sum()).sqrt()
    return float(across / size.clamp_min(1e-12))


def _slopes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives along x and y by central differences."""
    padded = F.pad(picture[None], (1, 1, 1, 1), mode="replicate")[0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    return across, (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
