"""Moving the pixels of a drawn face, as the controls of its code say.

A mouth that widens or a head that turns moves what is there, which a weighted sum of eigenfaces
can only cross-fade. So each control has a velocity field over the crop, which may be zero.
A stationary velocity is followed for one unit of time by scaling and squaring (Arsigny et al.
2006), so that any strength gives a smooth motion without folds, twice the strength is
the same motion twice, and the opposite strength undoes it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SQUARINGS = 5
_INVERTING = 6  # steps; the error shrinks with each by the steepness of the motion


def displacement(velocity: Tensor) -> Tensor:
    """Follow velocities `(B, 2, N, N)` (dx, dy) for one unit of time.

    Args:
        velocity: in shares of the side; a picture at x shows what was at x + u.

    Returns:
        u, of the same shape and unit.
    """
    moved: Tensor = velocity / 2**SQUARINGS
    places = _places(velocity)
    for _ in range(SQUARINGS):
        moved = moved + _read(moved, places + 2 * moved.permute(0, 2, 3, 1), "bilinear")
    return moved


def motion_of(velocity: Tensor, side: int) -> Tensor:
    """How faces of velocities `(B, 2, N, N)` move: `(B, 2, side, side)` (dx, dy), both in shares of
    the side."""
    return F.interpolate(
        displacement(velocity), size=(side, side), mode="bilinear", align_corners=False
    )


def move_pictures(pictures: Tensor, motion: Tensor, mode: str = "bicubic") -> Tensor:
    """Move pictures or maps `(B, C, S, S)` by motions `(B, 2, S, S)` in shares of the side.

    Returns:
        The same shape, float32; pictures that do not move come back bit for bit.
    """
    still = (motion == 0).flatten(1).all(1)
    if bool(still.all()):
        return pictures
    grid = _places(motion) + 2 * motion.permute(0, 2, 3, 1)
    return torch.where(still[:, None, None, None], pictures, _read(pictures.float(), grid, mode))


def compose_motions(first: Tensor, second: Tensor) -> Tensor:
    """The motion that is two motions in turn, `(B, 2, S, S)` each."""
    return second + move_pictures(first, second, "bilinear")


def invert_motion(motion: Tensor) -> Tensor:
    """The motion that undoes one whose steepness is below 1, `(B, 2, S, S)` each."""
    back = torch.zeros_like(motion)
    for _ in range(_INVERTING):
        back = -move_pictures(motion, back, "bilinear")
    return back


def _places(maps: Tensor) -> Tensor:
    """Where the pixels of `(B, C, N, N)` lie, `(N, N, 2)` from -1 to 1."""
    side = maps.shape[-1]
    axis = (torch.arange(side, device=maps.device, dtype=maps.dtype) * 2 + 1) / side - 1
    return torch.stack([axis.expand(side, side), axis[:, None].expand(side, side)], -1)


def _read(maps: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(maps, grid, mode=mode, padding_mode="border", align_corners=False)
