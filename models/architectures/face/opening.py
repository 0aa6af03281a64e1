"""Mouths that open and close: what moving does better than drawing.

Lips that part look as they did; what is new lies between them. So a closed mouth is opened by
motion, along the line where its lips meet (`mouth.py`), and what opens is filled with the dark of a
mouth and the row of upper teeth in it. A network that draws an open mouth over a closed one has to
guess lips anew, and puts teeth on them, so little of that is drawn. A mouth that is open already is
drawn wider, and closed by both: lips are moved together until they meet, and drawn over what is
left of teeth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...imaging.light import luminance
from .hue import cheek_colour
from .mouth import LIPS, near_mouth, smoothstep

# How much further than beside a drawing a mouth moves that opens or closes by motion: the fields
# move one from closed to open at strength 6, the direction makes it open at 2.5.
ALONE = 2.4
DRAWN = 0.25  # share of opening a closed mouth that is drawn: cheeks and chin change with it
_SIDE = 128  # what follows is in pixels of pictures of this side
_BAND = 2.0  # half of what lies between the lips before they part
_BETWEEN = 4 / 3 * _BAND  # of that, what counts as a gap
_LEAST, _CERTAIN = 0.5, 3.0  # widening of the gap from which something is seen in it, and all is
_TEETH = 0.8  # share of the gap that upper teeth fill
_LONGEST = 7.0  # of teeth
_TEETH_SEEN = 0.95
_ACROSS = (11.7, 18.8)  # teeth are seen that far from the middle, and fade up to there
# Teeth meet at and beside the middle: incisors and canines, seen from the front, are about 8.5, 6
# and 5 mm wide in mouths of 50 mm (42 pixels). How wide and dark it is between them, and how much
# shorter they are there.
_MEET, _MEETING, _BETWEEN_TEETH, _SHORTER = (0.0, 7.1, 12.1, 16.3), 0.75, 0.3, 1.0
# Measured on open mouths: the darkest beside the cheeks, and the brightest in log-odds above their
# brightness; hue of teeth.
_DARK = (0.28, 0.17, 0.17)
_BRIGHT = 0.9
_IVORY = (1.04, 0.99, 0.93)
# A closing mouth: from how far below the lips what is drawn is left to motion, and how much of it;
# how much what is between lips is pressed together where their line is seen at first, and is all
# there; how far that is looked for; how far from the middle it is seen; its colour beside the dark.
_CHIN, _MOVED = (10.0, 15.0), 0.5
_PRESSED, _NEAR, _LINE, _LIGHTER = (1.8, 3.3), 7.0, (14.0, 20.0), (1.9, 1.7, 1.7)


@dataclass(frozen=True, eq=False)
class EditParts:
    """What an edit leaves to drawing, to motion, and to filling mouths.

    Attributes:
        target: `(B, K)`, the codes to draw.
        shift: `(B, K)`, change of the codes by whose controls faces are moved.
        opening: `(B,)`, how much of a gap that opens between lips to fill, from 0 to 1.
        closing: `(B,)`, how much of a mouth that was open to close, from 0 to 1.
    """

    target: Tensor
    shift: Tensor
    opening: Tensor
    closing: Tensor


def fade_below_mouth(change: Tensor, offsets: Tensor, parts: EditParts) -> Tensor:
    """Halve what is drawn on faces, `(B, 3, S, S)`, below a mouth that closes.

    The chin that is drawn there comes by itself, as it moves up.
    """
    closes = parts.closing > 0
    if not bool(closes.any()):
        return change
    places, line = _lip_lines(change, offsets)
    below = smoothstep((_pixels(places[:, None] - line) - _CHIN[0]) / (_CHIN[1] - _CHIN[0]))
    share = 1 - _MOVED * parts.closing[:, None, None] * below
    return torch.where(closes[:, None, None, None], change * share[:, None], change)


def fill_mouth(pictures: Tensor, motion: Tensor, offsets: Tensor, parts: EditParts) -> Tensor:
    """Draw what shows between lips that part, or where they meet, on pictures that were moved.

    Args:
        pictures: `(B, 3, S, S)`.
        motion: `(B, 2, S, S)` in shares of the side, by which they were moved.
        offsets: `(B,)`, where lips met, see `mouth.lip_offsets`.
        parts: of the edit.

    Returns:
        `(B, 3, S, S)`; pictures whose mouths neither open nor close as they are.
    """
    changes = (parts.opening > 0) | (parts.closing > 0)
    if not bool(changes.any()):
        return pictures
    places, line = _lip_lines(motion, offsets)
    from_line = _pixels(places[:, None] + motion[:, 1] - line)  # of what each place shows
    from_middle = _pixels(places - 0.5).abs()
    dark, ivory = _colours(pictures)
    made = _fill_gap(pictures, from_line, from_middle, parts.opening, dark, ivory)
    made = _press_lips(made, from_line, from_middle, parts.closing, dark)
    return torch.where(changes[:, None, None, None], made, pictures)


def _fill_gap(
    pictures: Tensor,
    from_line: Tensor,
    from_middle: Tensor,
    opened: Tensor,
    dark: Tensor,
    ivory: Tensor,
) -> Tensor:
    """Draw teeth and the dark in the gap between lips."""
    pixel = _SIDE / len(from_middle)
    within = smoothstep((1 - from_line.abs() / _BAND) * 1.5)
    gap = within.sum(1, keepdim=True) * pixel
    depth = (within.cumsum(1) - within / 2) * pixel  # below the upper lip
    wider = gap - _BETWEEN
    seen = within * smoothstep((wider - _LEAST) / _CERTAIN) * opened[:, None, None]
    meet = sum((-((from_middle - place) / _MEETING).square()).exp() for place in _MEET)
    length = (_TEETH * gap).clamp(max=_LONGEST) - _SHORTER * meet
    row = smoothstep(depth - 0.3) * (1 - smoothstep((depth - length) / 1.4 + 0.5))
    across = 1 - smoothstep((from_middle - _ACROSS[0]) / (_ACROSS[1] - _ACROSS[0]))
    teeth = _TEETH_SEEN * row * across * smoothstep((wider - 2) / _CERTAIN)
    teeth = teeth * (1 - _BETWEEN_TEETH * meet)
    inside = torch.lerp(dark, ivory, teeth[:, None])
    return torch.lerp(pictures, inside, seen[:, None])


def _press_lips(
    pictures: Tensor, from_line: Tensor, from_middle: Tensor, closed: Tensor, dark: Tensor
) -> Tensor:
    """Draw a line where what was between lips is pressed together."""
    pressed = torch.gradient(from_line, dim=1)[0] * len(from_middle) / _SIDE
    near = smoothstep(1.5 - from_line.abs() / _NEAR)
    across = 1 - smoothstep((from_middle - _LINE[0]) / (_LINE[1] - _LINE[0]))
    share = smoothstep((pressed - _PRESSED[0]) / (_PRESSED[1] - _PRESSED[0])) * near * across
    line = torch.minimum(pictures, dark * dark.new_tensor(_LIGHTER)[:, None, None])
    return torch.lerp(pictures, line, (share * closed[:, None, None])[:, None])


def _lip_lines(like: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Places of rows or columns `(S,)` and where lips meet by place, in shares of the side."""
    side = like.shape[-1]
    places = (torch.arange(side, device=like.device, dtype=torch.float32) + 0.5) / side
    return places, LIPS + offsets[:, None, None] * near_mouth(side, offsets)


def _pixels(shares: Tensor) -> Tensor:
    return shares * _SIDE


def _colours(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Of the dark and of teeth in pictures `(B, 3, S, S)`, `(B, 3, 1, 1)` each, beside cheeks."""
    skin = cheek_colour(pictures)
    bright = (torch.logit(luminance(skin), eps=0.05) + _BRIGHT).sigmoid()
    dark, ivory = (skin.new_tensor(c)[:, None, None] for c in (_DARK, _IVORY))
    return skin * dark, bright * ivory
