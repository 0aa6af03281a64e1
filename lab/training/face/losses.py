"""How far what the renderer draws is from what it should draw, beside the critic's judgement."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.architectures.face.net import RenderedFaceNet
from ....models.architectures.face.planes import blur
from ....models.imaging.light import luminance, weighted_deviation
from .attribute_net import AttributeNet, as_values, reading_loss, view_drawn
from .directions import ATTRIBUTES
from .edits import MORE_COUNTS, TAUGHT
from .samples import FACE

ALTOGETHER = 5e-3  # of a face's log ratio of detail beside the local differences


def pixel_distance(drawn: Tensor, crops: Tensor) -> Tensor:
    """Mean absolute and squared difference: the latter for small parts that are far off."""
    return F.l1_loss(drawn.float(), crops) + 8 * F.mse_loss(drawn.float(), crops)


def linear_change(net: RenderedFaceNet, codes: Tensor, edit: Tensor, before: Tensor) -> Tensor:
    """How an edit `(B, K)` changes the pictures `before` of codes `(B, K)`: `(B, 3, S, S)`.

    Each pixel is where it was before it moved: what motion does is not for the drawing to do once
    more.
    """
    parts = net.split_edit(codes, codes + edit)
    after = net.linear_picture(parts.target).clamp(0, 1)
    return net.move(after, codes - parts.shift) - before.clamp(0, 1)


def departure(change: Tensor, expected: Tensor, weight: Tensor) -> Tensor:
    """How far drawn changes are from those of the linear picture, which regression has measured on
    real faces: stains of colour count more than shade, and so do places that are far off.

    Args:
        change, expected: `(B, 3, S, S)`.
        weight: `(B,)` of each face.
    """
    difference = (change.float() - expected) * weight[:, None, None, None].sqrt()
    luma = luminance(difference)
    plain = luma.abs().mean() + 6 * (difference - luma).abs().mean()
    return plain + 50 * difference.square().mean()


def detail_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Mean difference of the local strength (8 x 8 pixels) of detail at two scales.

    Where detail cannot be foreseen the least difference is at less than there is on average, so
    the log ratio of all fine detail of a face counts too.
    """
    distances = []
    for scale in range(2):
        wanted, made = (F.avg_pool2d((x - blur(x)).square(), 8, 4) + 1e-6 for x in (real, fake))
        distances.append(F.l1_loss(made.sqrt(), wanted.sqrt()))
        if scale == 0:
            ratio = made.mean((1, 2, 3)) / wanted.mean((1, 2, 3))
            distances.append(ALTOGETHER * ratio.log().abs().mean())
        real, fake = F.avg_pool2d(real, 2), F.avg_pool2d(fake, 2)
    return torch.stack(distances).sum() / 2


def contrast_distance(before: Tensor, after: Tensor) -> Tensor:
    """Mean size of the log ratio of the deviations of luminance on the face, squared where small
    (Huber 1964)."""
    face = FACE.to(before.device)
    old, new = (
        weighted_deviation(luminance(crops.float())[:, 0], face) + 0.01 for crops in (before, after)
    )
    ratio = (new / old).log()
    return F.smooth_l1_loss(ratio, torch.zeros_like(ratio), beta=0.2)


def reading_losses(
    reader: AttributeNet,
    pictures: tuple[Tensor, Tensor],
    values: Tensor,
    wanted: Tensor,
    along: Tensor,
    edit: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """How far what a reader reads off edited pictures is from what they should show: of the
    attributes that are edited, and of all others.

    Args:
        reader: stays as it is.
        pictures: before and after the edit, `(B, 3, S, S)` each.
        values: `(B, A + 2)` before the edit, see `attribute_net.attribute_values`.
        wanted: `(B, A)`, change of the values.
        along: `(A, 2)`, `render_edits.expected_changes`.
        edit: `(B, A)`, which attributes are edited by name.
        generator: of how the reader looks at them.
    """
    number, count = len(values), len(ATTRIBUTES)
    shapes = values.shape[1] - count
    before, after = pictures
    # Colours and fine detail are for the critic to judge: a reader is moved by violet lips as much
    # as by red ones, and by speckles more than by teeth.
    coarse = blur(blur(luminance(after)))
    after = after.detach() + (coarse - coarse.detach())
    view = view_drawn(torch.cat([before, after]), generator)
    with torch.autocast(view.device.type, torch.bfloat16):
        with torch.no_grad():
            unedited = as_values(reader(view[:number]).float())
        outputs = reader(view[number:]).float()
    targets = F.pad(values[:, :count] + wanted, (0, shapes))
    named = edit * TAUGHT.to(edit.device) * torch.where(wanted > 0, MORE_COUNTS.to(edit.device), 1)
    read = (reading_loss(outputs, targets)[:, :count] * named).sum(1).mean()
    expected = torch.cat([wanted.masked_fill(edit, 0.0), wanted @ along], 1)
    apart = (as_values(outputs) - unedited - expected) * F.pad(~edit, (0, shapes), value=True)
    return read, apart.square().sum(1).mean() / 4
