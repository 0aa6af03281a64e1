"""Directions fitted to labelled faces: the change of a code with one thing, the others kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.architectures.face.net import POSES, FaceShapeAppearanceNet
from ....models.face_model.expressions import EYES as EYE_SCORES
from ....models.face_model.expressions import Expressions
from ...directions.measures import EXPRESSIVE, EYES, MEASURES, change_measures, gradients
from ...directions.recipes import EXPRESSION, Recipe
from .geometry import one_sided
from .labels import LABELS

RIDGE = 5.0
# Rows and columns of the canonical face, in shares of its side, in which a label's looks are told
# apart, how many groups there are, and the label's values of clear cases.
_REGIONS = {
    "glasses": ((0.25, 0.57), 10, 0.99),
    "beard": ((0.54, 1.0), 6, 0.6),
}
_GROUPS_LEAST = 60  # faces of a group
_ITERATIONS = 30
_COARSE = 9
_EDGE = 4.0  # pixels over which a region ends


@dataclass(frozen=True, eq=False)
class Observed:
    """What directions are fitted to.

    Attributes:
        labels: `(N, L)`, of `labels.read_labels`.
        poses: `(N, 6)`, in degrees and shares.
        measures: `(N, M)`, of `measures.measure`.
        codes: `(N, K)`.
        pairs: `(P, K)`, differences of codes of the same people, smiling and neutral.
    """

    labels: Tensor
    poses: Tensor
    measures: Tensor
    codes: Tensor
    pairs: Tensor


class DirectionFit:
    """One joint ridge regression of codes on labels, poses and measures of expressions.

    Regressing jointly is what keeps apart what goes together in the data: smiles and gender, beards
    and gender, age and glasses.
    """

    def __init__(
        self, net: FaceShapeAppearanceNet, seen: Observed, expressions: Expressions
    ) -> None:
        self.net, self.seen, self.expressions = net, seen, expressions
        yaw, pitch, roll = seen.poses[:, :3].unbind(1)
        expressive = [list(MEASURES).index(name) for name in EXPRESSIVE]
        turned = torch.stack([yaw, yaw.square(), pitch, pitch.square(), roll], 1)
        columns = torch.cat([seen.labels, turned, seen.measures[:, expressive]], 1)
        self.mean, self.std = columns.mean(0), columns.std(0)
        self.design = F.pad((columns - self.mean) / self.std, (0, 1), value=1.0)
        x, y = self.design.double(), seen.codes.double()
        gram = x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=torch.float64)
        self.effects = torch.linalg.solve(gram, x.T @ y).float()  # (columns, K), per deviation

    def direction(self, recipe: Recipe) -> Tensor:
        """The vector `(K,)` of strength 1."""
        net, code = self.net, torch.zeros(self.net.code_shape)
        shapes = len(net.shape.std)
        if recipe.pose is not None:
            index, degrees = recipe.pose
            code[index] = degrees / net.shape.pose_std[index]
            return code
        if recipe.label is not None:
            name, change = recipe.label
            column = LABELS.index(name)
            code = self.effects[column] * (change / self.std[column])
            code[:POSES] = 0
        elif recipe.typical is not None:
            name, share = recipe.typical
            code[POSES + shapes :] = share * self.typical_look(name)
        else:
            if recipe.pairs:
                shape = recipe.pairs * self.seen.pairs.mean(0)[POSES : POSES + shapes]
            elif recipe.scores:
                shape = self.scored(recipe.scores)[POSES : POSES + shapes]
            else:
                shape = change_measures(net.shape, recipe.measures)
            if recipe.side:
                shape = self.on_one_side(shape, recipe.side)
            code[POSES : POSES + shapes] = shape
            moved = any(name.startswith(EYE_SCORES) for name in recipe.scores)
            if recipe.group == EXPRESSION and not recipe.side and not moved:
                code[POSES + shapes :] = self.look_of(shape)
        if recipe.parity:
            code = code * (net.parity == recipe.parity)
        return code

    def scored(self, scores: Mapping[str, float]) -> Tensor:
        """What changes in codes with scores of expressions, `(K,)`."""
        rows = [self.expressions.names.index(name) for name in scores]
        return torch.tensor([*scores.values()]) @ self.expressions.effects[rows]

    def on_one_side(self, shape: Tensor, side: int) -> Tensor:
        """A change of white shape `(K,)` on one side of the face."""
        own = self.net.shape
        field = ((shape * own.std) @ own.basis.flatten(1)).view_as(own.mean)
        return one_sided(field, own.mean, side).flatten() @ own.basis.flatten(1).T / own.std

    def look_of(self, shape: Tensor) -> Tensor:
        """The change of appearance that goes with a change of white shape `(K,)`.

        None with that of lids and irises: they move, and on the canonical face a closed eye is a
        lid that was stretched over it.
        """
        rows = [list(MEASURES).index(name) for name in EXPRESSIVE]
        change = (gradients(self.net.shape) @ shape)[rows]
        change[: len(EYES)] = 0
        start = self.design.shape[1] - 1 - len(EXPRESSIVE)
        effects = self.effects[start:-1, POSES + len(self.net.shape.std) :]
        look: Tensor = (change / self.std[start:]) @ effects
        return look

    def typical_look(self, label: str) -> Tensor:
        """What the most distinct group of faces with a label have that others have not, `(K,)`.

        The mean of all glasses is a grey veil; that of alike ones has rims. Groups are those of
        k-means in the region where the label shows.
        """
        region, groups, least = _REGIONS[label]
        column = LABELS.index(label)
        chosen = self.seen.labels[:, column] > least
        without = self.design.clone()
        without[:, column] = (0 - self.mean[column]) / self.std[column]
        skip = POSES + len(self.net.shape.std)
        look = (self.seen.codes - without @ self.effects)[chosen][:, skip:]
        look = look * (self.net.appearance.parity > 0)
        origin = self.net.appearance.linear_sum(torch.zeros_like(look[:1]))
        pictures = self.net.appearance.linear_sum(look) - origin
        window = _window(region, pictures.shape[-1])
        seen = (fine_structure(pictures.mean(1)) * window).flatten(1)
        group = _k_means(seen, groups)
        sizes = [int((group == g).sum()) for g in range(groups)]
        clear = [
            float(seen[group == g].mean(0).norm()) if sizes[g] >= _GROUPS_LEAST else 0.0
            for g in range(groups)
        ]
        typical = pictures[group == clear.index(max(clear))].mean(0, keepdim=True)
        return self.net.appearance.fit(origin + typical * window)[0] * (
            self.net.appearance.parity > 0
        )


def fine_structure(pictures: Tensor) -> Tensor:
    """Pictures `(N, H, W)` without what is coarser than `_COARSE` pixels: rims, not veils."""
    padded = F.pad(pictures[:, None], (_COARSE // 2,) * 4, mode="replicate")
    return pictures - F.avg_pool2d(padded, _COARSE, 1)[:, 0]


def _window(rows: tuple[float, float], side: int) -> Tensor:
    """1 in these rows of a picture, but for its edge, `(side, side)`."""
    axis = torch.arange(side) + 0.5

    def inside(low: float, high: float) -> Tensor:
        return (((axis - low * side) / _EDGE).clamp(0, 1)) * (
            ((high * side - axis) / _EDGE).clamp(0, 1)
        )

    return inside(*rows)[:, None] * inside(0.1, 0.9)


def _k_means(rows: Tensor, groups: int) -> Tensor:
    """The group `(N,)` of each row (Lloyd 1982)."""
    generator = torch.Generator().manual_seed(0)
    centres = rows[torch.randperm(len(rows), generator=generator)[:groups]]
    for _ in range(_ITERATIONS):
        group = torch.cdist(rows, centres).argmin(1)
        centres = torch.stack(
            [rows[group == g].mean(0) if (group == g).any() else c for g, c in enumerate(centres)]
        )
    return group
