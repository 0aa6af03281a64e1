"""Directions for labelled attributes in the white, mirror-aware code space of a linear model.

A direction is the change of the code with one attribute while the others stay as they are: the
row of that attribute in the multivariate regression of the codes on all attributes. Regressing
jointly is what conditions it on what it is entangled with in the data (smiles and gender, beards
and gender, age and glasses). Mirroring a face flips the signs of some coefficients, and either
keeps an attribute (smile) or reverses it (light from the left), so coefficients of the wrong
parity can only carry noise and are 0. What remains of the noise is shrunk away, and the result has
norm 1, which in white codes is one standard deviation of its score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.faces import AGE_BINS, FaceSet

BEARD_LABEL = (0.35, 0.07)  # of the table: where half of men show one, and its steepness
AGE_YEARS = dict(zip(AGE_BINS, (25.0, 35.0, 45.0, 55.0, 65.0, 75.0), strict=True))


@dataclass(frozen=True)
class Attribute:
    """How one attribute is read from the table and turned into a direction."""

    name: str
    column: str  # of the table; "age" and "gender" are translated to numbers
    parity: int  # +1: a mirrored face has the same value, -1: the opposite one
    binary: bool  # judged by AUC (at 0.5) rather than by correlation
    kept: tuple[str, ...]  # attributes that stay as they are
    keep_colour: bool  # mean colour (parity +1) or its left-right difference (-1) stays
    meaning: str  # what a positive strength does


_BIASED = ("smile", "age", "gender_expression", "glasses", "beard", "mouth_open", "contrast")


def _but(*left_out: str) -> tuple[str, ...]:
    """What is kept: all that goes together in the data, but for these."""
    return tuple(name for name in _BIASED if name not in left_out)


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(
        "smile", "smile", +1, True, ("age", "gender_expression", "glasses", "contrast"), True,
        "more of a smile",
    ),
    Attribute("age", "age", +1, False, _but("age"), True, "older"),
    Attribute(
        "gender_expression", "gender", +1, True, _but("gender_expression", "beard"), True,
        "more masculine, negative: more feminine",
    ),
    Attribute("glasses", "glasses", +1, True, _but("glasses"), True, "glasses on"),
    Attribute("beard", "beard", +1, True, _but("beard"), True, "more beard"),
    Attribute(
        "mouth_open", "mouth_open", +1, True, _but("mouth_open"), True,
        "lips apart, without more of a smile",
    ),
    Attribute(
        "light_left_right", "light_left_right", -1, False, ("head_turn",), False,
        "light from the viewer's right",
    ),
    Attribute(
        "brightness", "brightness", +1, False,
        ("contrast", "smile", "age", "gender_expression"), False, "brighter",
    ),
    Attribute("head_turn", "yaw_proxy", -1, False, (), True, "nose to the viewer's right"),
)  # fmt: skip

# kept constant, but no direction of their own: contrast is no linear function of the code
CONTROLS: tuple[Attribute, ...] = (
    Attribute("contrast", "contrast", +1, False, (), False, "more contrast"),
)


# What is taken out of a direction: as much of another one as undoes most of its side
# effect. A smile then parts the lips little; more of the others would undo the edit itself.
TAKEN_OUT: tuple[tuple[str, str, float], ...] = (
    ("smile", "mouth_open", 0.695),
    ("mouth_open", "smile", 0.29),
    ("beard", "gender_expression", 0.2),
)


def separate_directions(directions: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Directions `(K,)` without their shares of others in `TAKEN_OUT`, norm 1."""
    result = dict(directions)
    for name, other, share in TAKEN_OUT:
        result[name] = result[name] - share * directions[other]
    return {name: vector / vector.norm() for name, vector in result.items()}


def label(faces: FaceSet, attribute: Attribute) -> Tensor:
    """The attribute's values `(N,)` in the table's own unit (age in years, masculine = 1).

    The table's beard label is no probability: it hardly passes 0.6 even for full beards, so it is
    brought to one here.
    """
    if attribute.column == "age":
        return torch.tensor([AGE_YEARS[row["age_bin"]] for row in faces.rows])
    if attribute.column == "gender":
        return torch.tensor([float(row["gender"] == "male") for row in faces.rows])
    values = faces.column(attribute.column)
    if attribute.column == "beard":
        middle, width = BEARD_LABEL
        return torch.sigmoid((values - middle) / width)
    return values


def score_vectors(
    codes: Tensor,
    labels: Mapping[str, Tensor],
    parity: Tensor,
    attributes: Sequence[Attribute] = ATTRIBUTES,
    *,
    ridge: float = 0.02,
) -> dict[str, Tensor]:
    """Unit vectors `(K,)` along which each attribute is read off white codes, by ridge regression.

    Args:
        codes: `(N, K)`, of mean 0 and standard deviation 1.
        labels: `(N,)` each.
        parity: `(K,)`, +1 or -1.
        attributes: which.
        ridge: added to the codes' unit variance.
    """
    vectors = {}
    for attribute in attributes:
        y = labels[attribute.name].double()
        y = (y - y.mean()) / y.std()
        fitting = parity == attribute.parity
        x = codes[:, fitting].double()
        if attribute.parity > 0:
            x = x - x.mean(0)
        gram = x.T @ x / len(x) + ridge * torch.eye(x.shape[1], dtype=torch.float64)
        solution = torch.linalg.solve(gram, x.T @ y / len(x))
        vector = torch.zeros(codes.shape[1], dtype=torch.float64)
        vector[fitting] = solution
        vectors[attribute.name] = (vector / vector.norm()).float()
    return vectors


def edit_vectors(
    codes: Tensor,
    labels: Mapping[str, Tensor],
    colours: Tensor,
    parity: Tensor,
    attributes: Sequence[Attribute] = ATTRIBUTES,
) -> dict[str, Tensor]:
    """Unit vectors `(K,)` to add to a code: the change with one attribute, the others kept.

    Args:
        codes: `(N, K)`, of mean 0 and standard deviation 1.
        labels: `(N,)` each, of every attribute named in `attributes` and their `kept`.
        colours: `(N, 6)`, see `half_colours`.
        parity: `(K,)`, +1 or -1.
        attributes: which.
    """
    result = {}
    left, right = colours.double().chunk(2, dim=1)
    for attribute in attributes:
        columns = [labels[name].double() for name in (attribute.name, *attribute.kept)]
        design = torch.stack(columns, 1)
        if attribute.keep_colour:
            colour = left + right if attribute.parity > 0 else (right - left) / (right + left)
            design = torch.cat([design, colour], 1)
        fitting = parity == attribute.parity
        x = codes[:, fitting].double()
        if attribute.parity > 0:  # what mirroring reverses has mean 0 already
            design, x = design - design.mean(0), x - x.mean(0)
        design = design / design.square().mean(0).sqrt()
        inverse = torch.linalg.inv(design.T @ design)
        slopes = inverse @ (design.T @ x)
        residual = x - design @ slopes
        variance = residual.square().mean(0) * inverse[0, 0]
        # positive-part shrinkage: a coefficient within its standard error of 0 becomes 0
        row = slopes[0] * (1 - variance / slopes[0].square()).clamp(min=0)
        vector = torch.zeros(codes.shape[1], dtype=torch.float64)
        vector[fitting] = row
        result[attribute.name] = (vector / vector.norm()).float()
    return result


def half_colours(faces: FaceSet, batch: int = 512) -> Tensor:
    """Mean red, green and blue of the left and of the right half of each crop, `(N, 6)`."""
    parts = []
    for index in torch.arange(len(faces)).split(batch):
        left, right = faces.floats(index).chunk(2, dim=-1)
        parts.append(torch.cat([left.mean((2, 3)), right.mean((2, 3))], 1))
    return torch.cat(parts).clamp(min=1e-3)


def held_out(values: Tensor, labels: Tensor, binary: bool) -> float:
    """AUC of values against labels above 0.5 (binary), or their correlation."""
    if not binary:
        return float(torch.corrcoef(torch.stack([values.double(), labels.double()]))[0, 1])
    positive, negative = values[labels > 0.5], values[labels <= 0.5]
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = torch.cat([positive, negative]).double().argsort().argsort().double() + 1
    total = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(total / (len(positive) * len(negative)))
