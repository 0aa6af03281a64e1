"""Which edits the renderer is taught, and what each of them should change."""

from __future__ import annotations

import torch
from torch import Tensor

from ....models.architectures.face.controls import CONTROL
from .attribute_net import BINARY_SPAN, LARGEST
from .directions import ATTRIBUTES
from .samples import FULL_STRENGTH

NAMES = tuple(attribute.name for attribute in ATTRIBUTES)


def _by_name(otherwise: float = 1.0, **values: float) -> Tensor:
    """`(A,)`, and `otherwise` for every attribute that is not named."""
    return torch.tensor([values.get(name, otherwise) for name in NAMES])


# Motion alone turns a head: pixels that only pretend to turn it are patterns that fool readers.
TAUGHT = torch.tensor([name != "head_turn" for name in NAMES])
# How much more of each counts when read: to a critic closed mouths are likelier than open ones.
MORE_COUNTS = _by_name(mouth_open=2.0)
# Strongest edit of each that is trained. Light from the front is far from either side, and many
# closed mouths are far from open ones.
STRONGEST = _by_name(4.0, light_left_right=5.0, mouth_open=5.0)
# A binary attribute need not be surer than this: what is left is exaggeration. But a mouth that
# is hardly open is often taken for a closed one.
REACHED = _by_name(0.85, mouth_open=0.95)
# What is light is not drawn at all, see `architectures/lighting.py`.
LIGHTING = torch.tensor([name in ("light_left_right", "brightness") for name in NAMES])
# How often each is taught, by how hard it is to learn; a turned head is not drawn either.
OFTEN = _by_name(smile=1.5, age=1.5, glasses=3.0, mouth_open=3.0, head_turn=0.4).masked_fill(
    LIGHTING, 0.0
)
# How much the linear change is an example: of an opening mouth it shows the mean of teeth and dark,
# of glasses the mean of all frames.
FOLLOWED = _by_name(
    smile=0.2, age=0.5, gender_expression=0.5, glasses=0.1, beard=0.4, mouth_open=0.03
)
ALL_GLASSES = 1.5  # strength that puts them on: nobody wears half of a pair
LEAST_FOLLOWED = 0.3  # share of any strength, so that a slider never ends


def edits_for(values: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Edits of faces of given values: one attribute per face, sometimes two.

    Mostly towards the other side of what the face shows, else either way. No beards for women:
    there are none in the data.

    Returns:
        `(B, A)` each: strengths, what they should change of the values, and the strengths whose
        linear change is an example: an attribute that is reached should not be driven further.
    """
    number, count, device = len(values), len(ATTRIBUTES), values.device
    strengths = torch.zeros(number, count, device=device)

    def chances() -> Tensor:
        return torch.rand(number, generator=generator, device=device)

    for share in (1.0, 0.2):
        often = OFTEN.to(device)
        which = torch.multinomial(often, number, replacement=True, generator=generator)
        feminine = values[:, NAMES.index("gender_expression")] < 0
        instead = NAMES.index("mouth_open")
        which = torch.where(feminine & (which == NAMES.index("beard")), instead, which)
        own = values.gather(1, which[:, None])[:, 0]
        size = 0.5 + (STRONGEST.to(device)[which] - 0.5) * chances()
        away, random_sign = chances() < 0.8, torch.where(chances() < 0.5, 1.0, -1.0)
        sign = torch.where(away & (own != 0), -own.sign(), random_sign)
        taken = chances() < share
        strengths[taken.nonzero()[:, 0], which[taken]] = (sign * size)[taken]
    binary = torch.tensor([attribute.binary for attribute in ATTRIBUTES], device=device)
    per_unit = torch.where(binary, BINARY_SPAN / FULL_STRENGTH, 1.0)
    per_unit[NAMES.index("age")] = 0.7
    per_unit[NAMES.index("glasses")] = BINARY_SPAN / ALL_GLASSES
    limit = torch.where(binary, REACHED.to(device) * BINARY_SPAN / 2, LARGEST)
    before = values[:, :count]
    wanted = torch.clamp(before + strengths * per_unit, -limit, limit) - before
    wanted = torch.where(wanted * strengths > 0, wanted, 0.0)  # what is past the limit stays
    example = torch.maximum(wanted.abs() / per_unit, LEAST_FOLLOWED * strengths.abs())
    return strengths, wanted, torch.minimum(example, strengths.abs()) * strengths.sign()


def followed_shares(edit: Tensor) -> Tensor:
    """How much faces edited along the given attributes `(B, A)` should follow the linear change."""
    return torch.where(edit, FOLLOWED.to(edit.device), 1.0).amin(1)


def expected_changes(values: Tensor) -> Tensor:
    """How much the mouth widens and lifts per unit of each attribute's value, `(A, 2)`: joint
    regression over the training faces."""
    count = len(ATTRIBUTES)
    attributes, shapes = (part - part.mean(0) for part in (values[:, :count], values[:, count:]))
    slopes: Tensor = torch.linalg.lstsq(attributes.double(), shapes.double()).solution.float()
    return slopes


def describe_controls(directions: Tensor) -> dict[str, Tensor]:
    """What a file says of its controls, given the directions `(A, K + A)`: each is edited along
    its own and, where they were set apart, along other controls, too."""
    strengths, mouth = directions[:, -len(NAMES) :] / CONTROL, NAMES.index("mouth_open")
    along = torch.linalg.solve(strengths, directions[:, : -len(NAMES)]).contiguous()
    return {
        "control.along": along,
        "control.lights": LIGHTING.to(torch.int8),
        "control.mouth": torch.stack([torch.linalg.inv(strengths)[:, mouth], strengths[mouth]]),
    }


def add_controls(vectors: Tensor) -> Tensor:
    """Directions `(A, K + A)` of norm 1, of unit vectors `(A, K)` over the components and a control
    for each."""
    controls = CONTROL * torch.eye(len(vectors))
    return torch.cat([(1 - CONTROL**2) ** 0.5 * vectors, controls], 1)
