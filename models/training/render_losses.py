"""How far what the renderer draws is from what it should draw, beside the critic's judgement."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..architectures.rendered import RenderedFaceNet
from ..evaluation.face_measures import luminance, weighted_deviation
from .render_critic import soft
from .render_report import FACE

ALTOGETHER = 2e-3  # of a face's log ratio of detail beside the local differences


def pixel_distance(drawn: Tensor, crops: Tensor) -> Tensor:
    """Mean absolute and squared difference: the latter for small parts that are far off."""
    return F.l1_loss(drawn.float(), crops) + 8 * F.mse_loss(drawn.float(), crops)


def linear_change(net: RenderedFaceNet, codes: Tensor, edit: Tensor, before: Tensor) -> Tensor:
    """How an edit `(B, K)` of codes `(B, K)` changes their linear pictures, `(B, 3, S, S)`.

    Each pixel is where it was before it moved: what motion does is not for the drawing to do once
    more. `before` are the pictures of the codes.
    """
    after = net.linear_picture(codes + edit).clamp(0, 1)
    return net.move(after, codes - edit) - before.clamp(0, 1)


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
        wanted, made = (F.avg_pool2d((x - soft(x)).square(), 8, 4) + 1e-6 for x in (real, fake))
        distances.append(F.l1_loss(made.sqrt(), wanted.sqrt()))
        if scale == 0:
            ratio = made.mean((1, 2, 3)) / wanted.mean((1, 2, 3))
            distances.append(ALTOGETHER * ratio.log().abs().mean())
        real, fake = F.avg_pool2d(real, 2), F.avg_pool2d(fake, 2)
    return torch.stack(distances).sum() / 2


def contrast_distance(before: Tensor, after: Tensor) -> Tensor:
    """Mean size of the log ratio of the deviations of luminance on the face, squared where small
    (Huber 1964)."""
    old, new = (
        weighted_deviation(luminance(crops.float())[:, 0], FACE) + 0.01 for crops in (before, after)
    )
    ratio = (new / old).log()
    return F.smooth_l1_loss(ratio, torch.zeros_like(ratio), beta=0.2)
