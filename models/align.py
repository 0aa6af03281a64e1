"""Face alignment: five landmarks -> similarity transform -> square crop, and back.

Coordinates are (x, y) with pixel centres at integers: (0, 0) is the centre of the top-left pixel,
so an image of width W spans x from -0.5 to W - 0.5. A transform is a (2, 3) float64 matrix that
maps (x, y, 1) of the source to (x, y) of the target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import FaceLatentsError

LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
MAX_BLOCK_ROWS = 512  # source rows averaged at a time, so that a photo is never whole in float32


@dataclass(frozen=True, eq=False)
class AlignmentTemplate:
    """Where the five landmarks lie in an aligned square crop.

    Parameters
    ----------
    name : what error messages and metadata call it
    points : (5, 2) float64, fractions of the crop's side from its top-left corner,
        in the order of `LANDMARK_NAMES` ("left" is the viewer's left); or none, (0, 2): no face
        is looked for, the crop is the whole picture (see `fit_whole`)
    size : side of the crop in pixels
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


def fit_whole(height: int, width: int, size: int) -> Tensor:
    """The (2, 3) float64 transform that fits a whole picture into the middle of a square crop.

    A crop cut with it (`align_with_transform`) repeats the border pixels beside the picture.
    """
    longest = max(height, width)
    scale = size / longest
    # pixel centres are at integers
    left, top = (size * (1 - side / longest) / 2 + (scale - 1) / 2 for side in (width, height))
    return torch.tensor([[scale, 0, left], [0, scale, top]], dtype=torch.float64)


def similarity_transform(src: Tensor, dst: Tensor) -> Tensor:
    """Least-squares rotation, uniform scale and shift from `src` to `dst`, never a reflection.

    In two dimensions the solution of Umeyama 1991 without reflection is the complex regression
    dst = (a + ib) src + t, which needs no SVD.

    Parameters
    ----------
    src, dst : (*, N, 2) with N >= 2

    Returns
    -------
    (*, 2, 3) float64

    Raises
    ------
    FaceLatentsError
        The points do not fix a transform: not finite, all at one place, or shapes that differ.
    """
    src = torch.as_tensor(src, dtype=torch.float64)
    dst = torch.as_tensor(dst, dtype=torch.float64)
    if src.shape != dst.shape or src.dim() < 2 or src.shape[-1] != 2 or src.shape[-2] < 2:
        raise FaceLatentsError(
            "Alignment needs two lists of (x, y) points of the same length (2 or more), got shapes "
            f"{tuple(src.shape)} and {tuple(dst.shape)}."
        )
    if not bool(torch.isfinite(src).all() and torch.isfinite(dst).all()):
        raise FaceLatentsError(
            "The face landmarks contain values that are not numbers (NaN or infinite). "
            "Check the landmark input, or let the face finder locate the face."
        )
    src_mean, dst_mean = src.mean(-2), dst.mean(-2)
    p, q = src - src_mean.unsqueeze(-2), dst - dst_mean.unsqueeze(-2)
    spread = p.square().sum((-2, -1))
    extent = src.abs().amax((-2, -1)).clamp_min(1.0)
    coincident = spread <= (1e-9 * extent).square()
    safe_spread = torch.where(coincident, torch.ones_like(spread), spread)
    a = (p * q).sum((-2, -1)) / safe_spread
    b = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(-1) / safe_spread
    if bool((coincident | (a.square() + b.square() <= 1e-18)).any()):
        raise FaceLatentsError(
            "The face landmarks lie on one point or in an impossible arrangement, so the face "
            "cannot be aligned. Check the landmark input, or let the face finder locate the face."
        )
    linear = torch.stack([torch.stack([a, -b], -1), torch.stack([b, a], -1)], -2)
    shift = dst_mean - (linear @ src_mean.unsqueeze(-1)).squeeze(-1)
    return torch.cat([linear, shift.unsqueeze(-1)], -1)


def transform_points(transform: Tensor, points: Tensor) -> Tensor:
    """Apply (*, 2, 3) to points (*, N, 2); float64."""
    transform = transform.to(torch.float64)
    points = points.to(torch.float64)
    return points @ transform[..., :2].transpose(-1, -2) + transform[..., 2].unsqueeze(-2)


def invert_transform(transform: Tensor) -> Tensor:
    """The (*, 2, 3) transform that undoes `transform`.

    Raises
    ------
    FaceLatentsError
        The transform flattens the plane (determinant 0) or is not finite.
    """
    transform = transform.to(torch.float64)
    linear = transform[..., :2]
    determinant = linear[..., 0, 0] * linear[..., 1, 1] - linear[..., 0, 1] * linear[..., 1, 0]
    if not bool((torch.isfinite(transform).all()) and (determinant.abs() > 1e-18).all()):
        raise FaceLatentsError(
            "This alignment transform cannot be inverted: its scale is 0 or NaN."
        )
    inverse = torch.linalg.inv(linear)
    shift = -(inverse @ transform[..., 2:])
    return torch.cat([inverse, shift], -1)


def compose_transforms(second: Tensor, first: Tensor) -> Tensor:
    """The (*, 2, 3) transform that applies `first`, then `second`."""
    second, first = second.to(torch.float64), first.to(torch.float64)
    linear = second[..., :2] @ first[..., :2]
    shift = second[..., :2] @ first[..., 2:] + second[..., 2:]
    return torch.cat([linear, shift], -1)


def transform_scale(transform: Tensor) -> Tensor:
    """Target pixels per source pixel, (*,): the square root of the determinant's magnitude."""
    linear = transform.to(torch.float64)[..., :2]
    determinant = linear[..., 0, 0] * linear[..., 1, 1] - linear[..., 0, 1] * linear[..., 1, 0]
    return determinant.abs().sqrt()


def require_photo(photo: Tensor) -> None:
    """Raise `FaceLatentsError` unless `photo` is (H, W, 3), uint8 or floating point, not empty."""
    if photo.dim() != 3 or photo.shape[-1] != 3 or 0 in photo.shape:
        raise FaceLatentsError(
            "A photo must have height, width and 3 colour channels, got shape "
            f"{tuple(photo.shape)}. Convert grey or RGBA pictures to RGB first."
        )
    if photo.dtype != torch.uint8 and not photo.is_floating_point():
        raise FaceLatentsError(
            f"A photo must hold 8-bit values or floats from 0 to 1, got {photo.dtype}."
        )


def to_unit_float(pixels: Tensor) -> Tensor:
    """uint8 -> [0, 1]; floats as they are, NaN and infinities as 0. float32, a new tensor."""
    if pixels.dtype == torch.uint8:
        return pixels.to(torch.float32).div_(255.0)
    return torch.nan_to_num(pixels.to(torch.float32), nan=0.0, posinf=0.0, neginf=0.0)


def box_reduce(photo: Tensor, factor: int) -> Tensor:
    """Mean over `factor` x `factor` pixel blocks, in strips, so memory stays bounded.

    Parameters
    ----------
    photo : (H, W, 3) uint8 or float in [0, 1]

    Returns
    -------
    (3, ceil(H / factor), ceil(W / factor)) float32; blocks over the right and lower edge see the
    last row or column repeated.
    """
    if factor <= 1:
        return to_unit_float(photo).permute(2, 0, 1)
    height = photo.shape[0]
    rows = max(1, MAX_BLOCK_ROWS // factor) * factor
    strips = []
    for top in range(0, height, rows):
        strip = to_unit_float(photo[top : top + rows]).permute(2, 0, 1).unsqueeze(0)
        pad_right, pad_bottom = -strip.shape[3] % factor, -strip.shape[2] % factor
        if pad_right or pad_bottom:
            strip = F.pad(strip, (0, pad_right, 0, pad_bottom), mode="replicate")
        strips.append(F.avg_pool2d(strip, factor)[0])
    return torch.cat(strips, 1)


def warp_affine(
    image: Tensor, transform: Tensor, size: tuple[int, int], *, mode: str = "bilinear"
) -> Tensor:
    """Resample an image through a transform (source pixel -> target pixel).

    No anti-aliasing: meant for enlarging, or after the source has been reduced.

    Parameters
    ----------
    image : (B, C, H, W) float
    transform : (2, 3) or (B, 2, 3)
    size : target height and width
    mode : "bilinear", "bicubic" or "nearest"

    Returns
    -------
    (B, C, height, width); outside of the source its border pixels are repeated.
    """
    inverse = invert_transform(transform)
    if inverse.dim() == 2:
        inverse = inverse.expand(image.shape[0], 2, 3)
    grid = sampling_grid(inverse, size, (image.shape[-2], image.shape[-1]))
    return F.grid_sample(
        image, grid.to(image.dtype), mode=mode, padding_mode="border", align_corners=False
    )


def sampling_grid(inverse: Tensor, size: tuple[int, int], source: tuple[int, int]) -> Tensor:
    """(B, height, width, 2) float64 coordinates for `grid_sample` with align_corners=False.

    `inverse` (B, 2, 3) maps target pixels to source pixels; `source` is the source's (H, W).
    """
    extent = torch.tensor([source[1], source[0]], dtype=torch.float64, device=inverse.device)
    step_x = (2.0 * inverse[:, :, 0] / extent).reshape(-1, 1, 1, 2)
    step_y = (2.0 * inverse[:, :, 1] / extent).reshape(-1, 1, 1, 2)
    origin = ((2.0 * inverse[:, :, 2] + 1.0) / extent - 1.0).reshape(-1, 1, 1, 2)
    ys = torch.arange(size[0], dtype=torch.float64, device=inverse.device).reshape(1, -1, 1, 1)
    xs = torch.arange(size[1], dtype=torch.float64, device=inverse.device).reshape(1, 1, -1, 1)
    return (origin + ys * step_y) + xs * step_x


def align(photo: Tensor, landmarks: Tensor, template: AlignmentTemplate) -> tuple[Tensor, Tensor]:
    """Cut the aligned face out of a photo, anti-aliased where the face is larger than the crop.

    Only the face's own region of the photo is read and turned into float. Outside of the photo
    its border pixels are repeated; NaN pixels count as 0.

    Parameters
    ----------
    photo : (H, W, 3) uint8 or float in [0, 1]
    landmarks : (5, 2) in photo pixels
    template : where the landmarks go

    Returns
    -------
    crop : (3, S, S) float32
    transform : (2, 3) float64, photo pixel -> crop pixel

    Raises
    ------
    FaceLatentsError
        The photo is not (H, W, 3) or the landmarks are degenerate.
    """
    require_photo(photo)
    transform = similarity_transform(landmarks, template.pixels().to(landmarks.device))
    return align_with_transform(photo, transform.cpu(), template.size), transform


def align_with_transform(
    photo: Tensor, transform: Tensor, size: int, *, fast: bool = False
) -> Tensor:
    """The (3, size, size) float32 crop of `photo` under a given (2, 3) transform; see `align`.

    `fast` takes a quarter of the samples and joins them by straight lines, for a network's eye.
    """
    require_photo(photo)
    shrink = 1.0 / float(transform_scale(transform))
    # Blocks of half the shrink factor or less, then a few bicubic samples per crop pixel: close to
    # an area filter at any rotation, at a cost that does not grow with the photo.
    factor = max(1, math.floor(shrink if fast else shrink / 2.0))
    samples = max(1, min(4, math.ceil(shrink / factor - 1e-6)))
    region, left, top = _crop_region(photo, transform, size, factor)
    reduced = box_reduce(region, factor).unsqueeze(0)

    to_reduced = torch.tensor(
        [
            [1.0 / factor, 0.0, (0.5 - left) / factor - 0.5],
            [0.0, 1.0 / factor, (0.5 - top) / factor - 0.5],
        ],
        dtype=torch.float64,
    )
    to_fine = torch.tensor(
        [[samples, 0.0, (samples - 1) / 2], [0.0, samples, (samples - 1) / 2]],
        dtype=torch.float64,
    )
    fine = compose_transforms(
        to_fine, compose_transforms(transform.to(torch.float64), invert_transform(to_reduced))
    )
    mode = "bilinear" if fast else "bicubic"
    crop = warp_affine(reduced, fine, (size * samples, size * samples), mode=mode)
    if samples > 1:
        crop = F.avg_pool2d(crop, samples)
    return crop[0].clamp_(0.0, 1.0)


def _crop_region(
    photo: Tensor, transform: Tensor, size: int, factor: int
) -> tuple[Tensor, int, int]:
    """The part of the photo under the crop, with a margin, on the photo's own block grid."""
    low, high = -0.5, size - 0.5
    corners = torch.tensor(
        [[low, low], [high, low], [low, high], [high, high]], dtype=torch.float64
    )
    corners = transform_points(invert_transform(transform), corners)
    margin = 3 * factor
    height, width = photo.shape[:2]
    bounds = []
    for axis, extent in ((0, width), (1, height)):
        first = math.floor(float(corners[:, axis].min())) - margin
        last = math.ceil(float(corners[:, axis].max())) + margin
        first = min(max(first, 0), extent - 1) // factor * factor
        last = min(max(last, first), extent - 1)
        last = min((last // factor + 1) * factor, extent)
        bounds.append((first, last))
    (left, right), (top, bottom) = bounds
    return photo[top:bottom, left:right], left, top
