"""Mean faces, the mesh on them, and a basis of frontal shapes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.spatial import Delaunay
from torch import Tensor

from ....models.architectures.face.points import COVERED, HOLLOWS, SIDES
from ....models.architectures.face.pose import measure_pose
from ....models.architectures.face.shape import POSE_PARITY
from ....models.finder.dense_landmarks import FIVE
from ....models.geometry.similarity import similarity_transform, transform_points
from ....models.geometry.templates import WIDE

MIRROR = torch.tensor([-1.0, 1.0, 1.0])
MIDDLE = 0.02  # sides: width of the middle between the sides of a face
ROUNDS = 3  # of laying faces onto their mean, and taking the mean again


def mean_face(points: Tensor, order: Tensor) -> Tensor:
    """The symmetric frontal mean `(478, 3)` of faces `(N, 478, 3)`, about the head's centre.

    The centre is between the sides of the face, on the vertical that template "wide" has.
    """
    mean = _symmetric(points.mean(0), order)
    for _ in range(ROUNDS):
        _, shapes = measure_pose(points, centred(mean))
        mean = _in_template(_symmetric(shapes.mean(0), order), order)
    return centred(mean)


def centred(mean: Tensor) -> Tensor:
    """A symmetric face about the head's centre."""
    centre = mean[list(SIDES)].mean(0)
    return mean - centre * torch.tensor([0.0, 1.0, 1.0])


def canonical_face(shapes: Tensor, order: Tensor) -> Tensor:
    """The mean `(478, 3)` of frontal shapes whose lips are apart, in template "wide".

    On closed lips the inside of the mouth would have no pixels.
    """
    return _in_template(_symmetric(shapes.mean(0), order), order)


def triangulate(canon: Tensor) -> Tensor:
    """Triangles `(T, 3)` int64 of the canonical face (Delaunay); first those within lips and lids,
    over which others lie when mouth and eyes close.

    What lids cover of an iris would tie it to the skin beyond them, and hold the lids up.
    """
    seen = torch.tensor([point for point in range(len(canon)) if point not in COVERED])
    triangles = seen[torch.from_numpy(Delaunay(canon[seen, :2].numpy()).simplices).long()]
    u, v = (canon[triangles[:, i], :2] - canon[triangles[:, 0], :2] for i in (1, 2))
    clockwise = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] > 0
    triangles = torch.where(clockwise[:, None], triangles, triangles.flip(1))
    within = within_hollows(triangles)
    return torch.cat([triangles[within], triangles[~within]])


def within_hollows(triangles: Tensor) -> Tensor:
    """Which triangles `(T, 3)` lie inside of lips and lids, `(T,)`."""
    inside = [torch.isin(triangles, torch.tensor(hollow)).all(1) for hollow in HOLLOWS]
    return torch.stack(inside).any(0)


def fit_shapes(points: Tensor, mean: Tensor, order: Tensor, count: int) -> dict[str, Tensor]:
    """Tensors of `FaceShape`: pose statistics and principal components of frontal shapes.

    Every face also counts mirrored, so each component is symmetric or antisymmetric.

    Args:
        points: `(N, 478, 3)` of training faces.
        mean: of `mean_face`.
        order: of the points in a mirrored picture.
        count: of components.
    """
    pose, shapes = measure_pose(points, mean)
    away = shapes - mean
    turned = away[:, order] * MIRROR
    variances, rows, parities = [], [], []
    for parity in (1, -1):
        half = ((away + parity * turned) / 2).flatten(1).double()
        values, vectors = torch.linalg.eigh(half.T @ half / len(half))
        variances.append(values.flip(0)[:count])
        rows.append(vectors.flip(1)[:, :count].T)
        parities.append(torch.full((count,), parity, dtype=torch.int8))
    variance, row = torch.cat(variances), torch.cat(rows)
    largest = variance.argsort(descending=True)[:count]
    row = row[largest]
    # fixed signs make the fit reproducible on another machine
    row = row * torch.sign(row.gather(1, row.abs().argmax(1, keepdim=True)))
    keeps_mean = torch.tensor([float(parity > 0) for parity in POSE_PARITY])
    return {
        "shape.mean": mean,
        "shape.basis": row.float().view(count, -1, 3).contiguous(),
        "shape.std": variance[largest].sqrt().float(),
        "shape.parity": torch.cat(parities)[largest],
        "shape.pose_mean": pose.mean(0) * keeps_mean,
        "shape.pose_std": pose.std(0),
    }


def _symmetric(face: Tensor, order: Tensor) -> Tensor:
    return (face + face[order] * MIRROR) / 2


def _in_template(face: Tensor, order: Tensor) -> Tensor:
    transform = similarity_transform(face[list(FIVE), :2], WIDE.points - 0.5)
    flat = transform_points(transform, face[:, :2]).float()
    return _symmetric(torch.cat([flat, face[:, 2:] * float(transform[:, 0].norm())], 1), order)


def one_sided(field: Tensor, mean: Tensor, side: int) -> Tensor:
    """The part of a field `(478, 3)` on the viewer's left (-1) or right (1) of a face."""
    return field * torch.sigmoid(side * mean[:, :1] / MIDDLE)


def add_one_sided(
    tensors: dict[str, Tensor], fields: Sequence[Tensor], points: Tensor
) -> dict[str, Tensor]:
    """Tensors of `fit_shapes` with what tells one side of symmetric fields from the other.

    Faces whose one eye closes are too few for a principal component.

    Args:
        tensors: of `fit_shapes`.
        fields: `(478, 3)` each, symmetric.
        points: `(N, 478, 3)` of training faces, whose deviation along them is measured.
    """
    mean, basis = tensors["shape.mean"], tensors["shape.basis"].flatten(1).double()
    for field in fields:
        extra = (one_sided(field, mean, 1) - one_sided(field, mean, -1)).flatten().double()
        extra = extra - (extra @ basis.T) @ basis
        basis = torch.cat([basis, (extra / extra.norm())[None]])
    added = basis[len(tensors["shape.basis"]) :].float()
    _, shapes = measure_pose(points, mean)
    std = ((shapes - mean).flatten(1) @ added.T).square().mean(0).sqrt()
    return tensors | {
        "shape.basis": torch.cat([tensors["shape.basis"], added.view(-1, *mean.shape)]),
        "shape.std": torch.cat([tensors["shape.std"], std]),
        "shape.parity": torch.cat(
            [tensors["shape.parity"], -torch.ones(len(added), dtype=torch.int8)]
        ),
    }
