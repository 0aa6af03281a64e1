"""What is read off codes: the age in years, and scores of expressions with what goes with them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ....models.architectures.face.net import POSES, FaceShapeAppearanceNet
from ....models.face_model.expressions import Expressions
from ....models.values import Reading
from ...data.scores import mirrored_names
from .directions import Observed
from .labels import LABELS

# Ridges in faces. On faces kept from training a tenth of them changes the error in years and the
# expression carried over by 1%; ten times as much carries 5% less over.
AGE_RIDGE, SCORE_RIDGE, EFFECT_RIDGE, PRESENCE_RIDGE = 1000.0, 200.0, 500.0, 1000.0
PRESENT = ("glasses", "beard")  # what there is no less of than none
# Labels that scores of expressions do not say themselves, and how a mirrored face has them.
_KEPT = {"age": 1, "gender": 1, "glasses": 1, "beard": 1, "light": -1, "brightness": 1,
         "contrast": 1, "sharpness": 1}  # fmt: skip
_TURNED = (-1, 1, 1, 1, -1)  # yaw, its square, pitch, its square, roll of a mirrored face


def fit_age(net: FaceShapeAppearanceNet, seen: Observed) -> Reading:
    """The age in years, by ridge regression on shape and appearance.

    Mirrored faces are as old, so that only symmetric numbers count.
    """
    age = seen.labels[:, LABELS.index("age")].double()
    used = net.parity > 0
    used[:POSES] = False
    codes = seen.codes[:, used].double()
    x = codes - codes.mean(0)
    fitted = _ridge(x, age - age.mean(), AGE_RIDGE)
    weights = torch.zeros(seen.codes.shape[1])
    weights[used] = fitted.float()
    return Reading(weights, float(age.mean() - codes.mean(0) @ fitted), "years")


def fit_presence(
    net: FaceShapeAppearanceNet, seen: Observed, directions: Mapping[str, Tensor]
) -> dict[str, Reading]:
    """How much glasses or beard a face has, 0 being none, by ridge regression on the appearance.

    Blind to what the other directions change, so that edits of age or gender do not count.

    Args:
        net: whose codes they are.
        seen: of N faces.
        directions: all of them, `(K,)` each.
    """
    used = net.parity > 0
    used[: POSES + len(net.shape.std)] = False
    readings = {}
    for name in PRESENT:
        others = torch.stack([v[used] for n, v in directions.items() if n != name]).double()
        _, sizes, rows = torch.linalg.svd(others, full_matrices=False)
        rows = rows[sizes > 1e-6 * sizes[0]]
        codes = seen.codes[:, used].double()
        codes = codes - (codes @ rows.T) @ rows
        mean, label = codes.mean(0), seen.labels[:, LABELS.index(name)].double()
        fitted = _ridge(codes - mean, label - label.mean(), PRESENCE_RIDGE)
        weights = torch.zeros(seen.codes.shape[1])
        weights[used] = (fitted - (rows @ fitted) @ rows).float()
        readings[name] = Reading(weights, float(label.mean() - mean @ fitted), "shares", 0.0)
    return readings


def fit_expressions(
    net: FaceShapeAppearanceNet, seen: Observed, names: tuple[str, ...], scores: Tensor
) -> Expressions:
    """Scores as functions of the shape, and what changes in codes with each.

    Both are ridge regressions on all faces and their mirror images; the second one is joint with
    labels and poses, which keeps apart what goes together in the data: smiles and gender, squinting
    eyes and light.

    Args:
        net: whose codes they are.
        seen: of N faces.
        names, scores: of the scores, `(N, E)`.
    """
    kept = [LABELS.index(name) for name in _KEPT]
    yaw, pitch, roll = seen.poses[:, :3].unbind(1)
    turned = torch.stack([yaw, yaw.square(), pitch, pitch.square(), roll], 1)
    columns = torch.cat([scores, seen.labels[:, kept], turned], 1)
    sign = torch.tensor([1.0] * len(names) + [*_KEPT.values(), *_TURNED])
    order = [*mirrored_names(names), *range(len(names), columns.shape[1])]
    columns = torch.cat([columns, columns[:, order] * sign]).double()
    codes = torch.cat([seen.codes, net.mirror(seen.codes)]).double()
    columns, codes = columns - columns.mean(0), codes - codes.mean(0)
    std = columns.std(0)
    effects = _ridge(columns / std, codes, EFFECT_RIDGE)[: len(names)] / std[: len(names), None]
    effects[:, :POSES] = 0
    readings = torch.zeros(len(names), codes.shape[1])
    shape = slice(POSES, POSES + len(net.shape.std))
    readings[:, shape] = _ridge(codes[:, shape], columns[:, : len(names)], SCORE_RIDGE).T.float()
    return Expressions(names, readings, effects.float())


def _ridge(x: Tensor, y: Tensor, strength: float) -> Tensor:
    gram = x.T @ x + strength * torch.eye(x.shape[1], dtype=x.dtype)
    solution: Tensor = torch.linalg.solve(gram, x.T @ y)
    return solution
