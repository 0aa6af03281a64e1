"""How far a direction can be followed until pictures stop being natural."""

from __future__ import annotations

import torch
from torch import Tensor

from ....models.architectures.face.net import FaceShapeAppearanceNet
from ....models.architectures.face.points import HOLLOWS, OPENINGS

STEP = 0.25  # of the strengths tried
MOST_MOVED, MOST_DRAWN = 3.0, 3.5  # strengths of what moves a face more than it draws, and less
# Triangles of the mesh that keep less than this share of their area are folds or smears, those that
# gain more than so many times theirs are smears too.
LEAST_AREA, MOST_AREA = 0.2, 3.0
MOST_BROKEN = 0.02  # share of triangles, over all faces
SEEN = 0.3  # share of its frontal area from which a triangle is seen, on a head that is turned
MOST_MET = 0.9  # share of points of lips or lids that were apart and meet: more cannot close
NARROWEST = 1e-4  # sides between points that are apart
MOST_LOOK = 7.0  # white numbers by which the appearance may change: beyond, no training face lies
MOST_DEGREES = 15.0  # of turned heads: what is beside the face was never seen


def natural_range(
    net: FaceShapeAppearanceNet, codes: Tensor, vector: Tensor
) -> tuple[float, float]:
    """Strengths (low, high) of a direction, on most of some faces.

    Args:
        net: the model.
        codes: `(N, K)` of faces.
        vector: `(K,)`.
    """
    return -_end(net, codes, -vector), _end(net, codes, vector)


def _end(net: FaceShapeAppearanceNet, codes: Tensor, vector: Tensor) -> float:
    degrees = float((vector[:3] * net.shape.pose_std[:3]).abs().amax())
    look, shape = (float(vector[net.parts[part]].norm()) for part in ("appearance", "shape"))
    most = MOST_DRAWN if look > shape else MOST_MOVED
    most = min(most, MOST_DEGREES / max(degrees, 1e-6), MOST_LOOK / max(look, 1e-6))
    # what a turned head hides folds on every real one
    before, mean = _areas(net, codes), _areas(net, torch.zeros_like(codes[:1]))
    seen = (before > SEEN * mean) & (vector[:3] == 0).all()
    numbers = net.parts["shape"]
    frontal = net.shape.frontal(codes[:, numbers])
    strength = STEP
    while strength + STEP <= most:
        kept = _areas(net, codes + (strength + STEP) * vector) / before
        broken = seen & ((kept < LEAST_AREA) | (kept > MOST_AREA))
        if float(broken.sum()) > MOST_BROKEN * max(int(seen.sum()), 1):
            break
        strength += STEP
        if _closes(frontal, net.shape.frontal((codes + strength * vector)[:, numbers])):
            break
    return strength


def _closes(before: Tensor, after: Tensor) -> bool:
    """Whether the lips, or the lids of an eye, of most faces meet.

    Args:
        before, after: frontal shapes `(N, 478, 3)`.
    """
    for pairs in OPENINGS:
        upper, lower = (list(points) for points in zip(*pairs, strict=True))
        apart, still = (s[:, lower, 1] - s[:, upper, 1] > NARROWEST for s in (before, after))
        opened, met = float(apart.sum()), float((apart & ~still).sum())
        if met > MOST_MET * opened:
            return True
    return False


def _areas(net: FaceShapeAppearanceNet, codes: Tensor) -> Tensor:
    """Signed areas `(N, T)` of the mesh's triangles, without those along the edges of lips and lids
    and inside of them, which are rolled in where these meet."""
    triangles = net.triangles.long()
    edges = torch.tensor([point for contour in HOLLOWS for point in contour])
    corners = net.points(codes)[:, triangles[~torch.isin(triangles, edges).any(1)], :2]
    u, v = corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
