"""Velocity fields of controls, estimated between mean faces.

The mean of many aligned faces is smooth, and so is its change from one group of faces to another:
the dense motion between two mean faces is how, on average, a smile, an open mouth or a turned head
moves a face. Groups are compared within strata that share what the attribute goes along with in
the data (smiles within one gender, and with the mouth open or closed alike).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.architectures.face.mouth import LIPS
from ....models.geometry.templates import TIGHT
from ....models.imaging.flow import estimate_motion
from ....models.imaging.maps import resize
from ....models.paste.mask import face_mask, frame_mask, motion_mask
from ...data.faces import FaceSet
from ..loop import Progress, silent
from .directions import ATTRIBUTES, label

SIDE = 64  # places of a field
Reach = Literal["features", "face", "head"]
_FEATURES = (0.45, 0.8)  # of the oval of a face: all moves up to there, nothing beyond
_FRAME = 0.16  # share of the side over which motion falls to 0 at the crop's frame
# How far above or below the usual row lips of single faces meet, in shares of the side.
_LIPS_SPREAD = 0.025
_FEWEST = 40  # faces of each group that a stratum needs


@dataclass(frozen=True)
class Moving:
    """An attribute whose direction moves pixels, and the groups whose mean faces are compared.

    Attributes:
        name: of the attribute.
        low, high: limits of its label, at most and at least.
        strength: of the direction that is to move a face from one group to the other.
        strata: attributes that are alike (above or below 0.5) in the faces compared.
        reach: how far from the middle of the face something moves, see `bound_field`.
        parts_lips: a gap opens between the lips.
    """

    name: str
    low: float
    high: float
    strength: float
    strata: tuple[str, ...] = ()
    reach: Reach = "face"
    parts_lips: bool = False


MOVING = (
    Moving("smile", 0.2, 0.8, 2.0, ("gender_expression", "mouth_open"), reach="features"),
    Moving("age", 25, 55, 2.0, ("gender_expression", "smile")),
    Moving("gender_expression", 0.0, 1.0, 2.5, ("smile", "mouth_open")),
    # 2.5 opens a mouth, but the drawing opens it, too: motion alone would open it twice
    Moving("mouth_open", 0.2, 0.8, 6.0, ("gender_expression", "smile"), parts_lips=True),
    # from facing the camera to the viewer's right
    Moving("head_turn", 0.03, 0.17, 1.3, reach="head"),
)
_BY_NAME = {attribute.name: attribute for attribute in ATTRIBUTES}


def control_parity() -> Tensor:
    """+1 or -1 of the control of each of `ATTRIBUTES`, `(A,)` int8."""
    return torch.tensor([attribute.parity for attribute in ATTRIBUTES], dtype=torch.int8)


def fit_fields(faces: FaceSet, progress: Progress = silent) -> Tensor:
    """Velocity fields `(A, 2, SIDE, SIDE)` per unit of strength: 0 where nothing moves."""
    fields = torch.zeros(len(ATTRIBUTES), 2, SIDE, SIDE)
    for number, moving in enumerate(MOVING):
        progress("motions", number, len(MOVING))
        parity = _BY_NAME[moving.name].parity
        total, weight = torch.zeros(2, faces.crops.shape[-1], faces.crops.shape[-1]), 0
        for low, high in _groups(faces, moving):
            before, after = (_mean_face(faces, index, parity) for index in (low, high))
            count = min(len(low), len(high))
            motion = estimate_motion(before, after, torch.ones_like(total[0]))
            total, weight = total + count * motion, weight + count
        if not weight:
            continue
        field = resize(total / weight, SIDE) / total.shape[-1] / moving.strength
        field = bound_field(field, moving.reach)
        field = part_lips(field) if moving.parts_lips else field
        row = list(_BY_NAME).index(moving.name)
        fields[row] = keep_parity(field[None], torch.tensor([parity]))[0]
    return fields


def bound_field(field: Tensor, reach: Reach) -> Tensor:
    """A field `(2, SIDE, SIDE)` that ends where what it moves ends.

    "features" moves brows, eyes, nose, mouth and the cheeks between them: mean faces that smile
    are wider, too, as laughing cheeks are, but a jaw is who one is. "face" ends at the jaw's
    outline and before the crop's frame. "head" does not end: it moves as a whole, its landmarks on
    average not at all, and what is beside the crop goes along.
    """
    if reach == "head":
        places = (TIGHT.points * SIDE).long()
        return field - field[:, places[:, 1], places[:, 0]].mean(1)[:, None, None]
    mask = motion_mask(face_mask(TIGHT.pixels(), TIGHT.size, SIDE))
    if reach == "features":
        mask = face_mask(TIGHT.pixels(), TIGHT.size, SIDE, _FEATURES)
    return field * mask * frame_mask(SIDE, _FRAME).float()


def part_lips(field: Tensor) -> Tensor:
    """A field `(2, SIDE, SIDE)` of an opening mouth, changed so that lips move as they are, away
    from the line where they meet.

    Mean faces are blurred over lips in many places, so the motion between them grows slowly from
    one lip to the other, which swells both. Within the mouth every row gets the motion of the row
    where its lip moves most; towards the corners this fades.
    """
    rows = (torch.arange(SIDE) + 0.5) / SIDE
    middle = field[1, :, SIDE // 2 - 1 : SIDE // 2 + 1].mean(1)
    above = rows < LIPS
    most = torch.where(above, middle.argmax(), middle.argmin())  # dy > 0 shows what was below: up
    reach = (rows[most] - LIPS).abs()
    away = rows - LIPS
    stretched = torch.where(away.abs() < reach, reach * (away / _LIPS_SPREAD).clamp(-1, 1), away)
    corners = TIGHT.points[3:, 0]
    half = (corners[1] - corners[0]) / 2
    opening = (1 - ((rows - corners.mean()) / half).square()).clamp_min(0).float()
    places = rows[:, None] + (stretched - away)[:, None] * opening
    grid = torch.stack([rows.expand(SIDE, SIDE), places], -1) * 2 - 1
    return F.grid_sample(field[None], grid[None], padding_mode="border", align_corners=False)[0]


def keep_parity(fields: Tensor, parity: Tensor) -> Tensor:
    """The part of fields `(C, 2, N, N)` of the parity `(C,)`."""
    across = torch.tensor([-1.0, 1.0])[:, None, None]  # mirroring turns dx around
    mirrored = fields.flip(-1) * across
    return (fields + parity.to(fields.dtype)[:, None, None, None] * mirrored) / 2


def _groups(faces: FaceSet, moving: Moving) -> list[tuple[Tensor, Tensor]]:
    """Indices of both groups in every stratum that has enough faces. Of an attribute that
    mirroring reverses, indices past the end mean mirrored faces."""
    values = label(faces, _BY_NAME[moving.name])
    if _BY_NAME[moving.name].parity < 0:
        values = torch.cat([values, -values])
        low, high = values.abs() <= moving.low, values >= moving.high
    else:
        low, high = values <= moving.low, values >= moving.high
    stratum = torch.zeros(len(values), dtype=torch.long)
    for name in moving.strata:
        stratum = 2 * stratum + (label(faces, _BY_NAME[name]) > 0.5)
    pairs = []
    for number in stratum.unique():
        pair = tuple((group & (stratum == number)).nonzero()[:, 0] for group in (low, high))
        if min(len(index) for index in pair) >= _FEWEST:
            pairs.append((pair[0], pair[1]))
    return pairs


def _mean_face(faces: FaceSet, index: Tensor, parity: int) -> Tensor:
    """Mean crop `(3, S, S)`; symmetric where mirroring keeps the attribute."""
    count = len(faces)
    plain, mirrored = index[index < count], index[index >= count] - count
    total = _sum(faces, plain.split(512)) + _sum(faces, mirrored.split(512)).flip(-1)
    mean = total / len(index)
    return (mean + mean.flip(-1)) / 2 if parity > 0 else mean


def _sum(faces: FaceSet, parts: Sequence[Tensor]) -> Tensor:
    total = torch.zeros(faces.crops.shape[1:])
    for part in parts:
        total = total + faces.floats(part).sum(0)
    return total
