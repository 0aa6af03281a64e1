"""Refining codes by optimisation: closer to the photo than what an encoder gives at once.

Gradient descent on the codes themselves, the network's weights staying as they are (Abdal et al.
2019, "Image2StyleGAN"), compared with the photo pixel by pixel and at coarser scales. A weak pull
towards the mean code keeps faces plausible where the photo says nothing. The best code seen is
returned, so that no step can make a face worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from .architectures.capabilities import Precision
from .errors import FaceLatentsError
from .face_model import FaceModel

RATE = 0.15  # largest step of a number of a code, in standard deviations
DECAY, DECAY_SQUARED = 0.9, 0.99  # of the gradient's moments, beta 1 and 2 of Adam
WARM_UP = 0.05  # of all steps
NOISE = 0.1  # what photo and model may differ by, on the scale of 0 to 1, without being wrong
COARSEST = 8  # pixels
SMALLEST_VIEW = 0.02  # of a crop: with less of the face in view, nothing can be compared
_SAMPLES = 64  # to estimate the spread of codes where the model does not state it

Progress = Callable[[int, float, Tensor], None]


class Errors(NamedTuple):
    """How far pictures are from their targets, `(B,)` each."""

    loss: Tensor  # what is minimised
    pixels: Tensor  # mean squared difference of what is in view


def refine(
    model: FaceModel,
    crops: Tensor,
    codes: Tensor,
    steps: int,
    *,
    view: Tensor | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Codes whose pictures are closer to the crops.

    Works inside `torch.inference_mode` too. Each face is refined by itself; a batch only saves
    time.

    Args:
        model: decodes; its weights are not changed.
        crops: `(B, 3, S, S)` in [0, 1], S being `model.template.size`.
        codes: `(B, *space.shape)`, where to start.
        steps: of descent, 0 or more; each costs three to six times decoding.
        view: `(B, 1, S, S)` in [0, 1], how much each pixel counts; None: all the same.
        progress: called after every step with its number from 1, the root mean square difference
            of the best pictures so far (mean over the faces), and these pictures, clamped,
            `(B, 3, S, S)`. What it raises ends the refinement.

    Returns:
        `(B, *space.shape)` float32 on the module's device. The clamped picture of no code is
        farther from its crop, in root mean square over the pixels in view, than that of its start.

    Raises:
        FaceLatentsError: shapes that do not fit, a face of which next to nothing is in view, or a
            network without gradients.
    """
    _check(model, crops, codes, steps, view)
    device, precision = model.device, model.capabilities.precision
    with torch.inference_mode(False), torch.enable_grad(), _in_float32(precision):
        # clones: what was made inside inference mode cannot take part in descent
        start, target = (t.detach().to(device, torch.float32, copy=True) for t in (codes, crops))
        weight = None if view is None else view.detach().to(device, torch.float32, copy=True)
        decode = _differentiable(model)
        scale, mean = _scale(model).to(device), _mean(model).to(device)
        pull = NOISE**2 * start[0].numel() / target[0].numel()

        offset = torch.zeros_like(start, requires_grad=True)  # in standard deviations
        first, second = torch.zeros_like(start), torch.zeros_like(start)  # moments
        best, best_loss, limit, shown = start, None, None, target
        for step in range(steps + 1):
            code = start + offset * scale
            picture = decode(code)
            if not picture.requires_grad:
                raise FaceLatentsError(
                    f"Refine: {model.name} cannot be refined, as its pictures do not tell how they "
                    "depend on the code. Set refine_steps to 0."
                )
            errors = compare(picture, target, weight)
            loss = errors.loss + pull * ((code - mean) / scale).square().flatten(1).mean(1)
            with torch.no_grad():
                picture, pixels = picture.clamp(0, 1), errors.pixels.detach()
                if best_loss is None or limit is None:
                    best_loss, limit, lowest, shown = loss.detach(), pixels, pixels, picture
                else:
                    better = (loss < best_loss) & (pixels <= limit)
                    best_loss = torch.where(better, loss, best_loss)
                    lowest = torch.where(better, pixels, lowest)
                    best = torch.where(_like(better, code), code, best)
                    shown = torch.where(_like(better, picture), picture, shown)
            if step and progress is not None:
                progress(step, float(lowest.sqrt().mean()), shown)
            if step < steps:
                (gradient,) = torch.autograd.grad(loss.sum(), offset)
                gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
                first = torch.lerp(gradient, first, DECAY)
                second = torch.lerp(gradient.square(), second, DECAY_SQUARED)
                move = _adam(first, second, step + 1) * _rate(step, steps)
                offset = (offset - move).detach().requires_grad_(True)
        return best.detach()


def compare(pictures: Tensor, targets: Tensor, view: Tensor | None = None) -> Errors:
    """How far pictures are from their targets.

    The loss is the mean squared difference of what is shown, that is, clamped to [0, 1], at full
    size and at every half of it down to 8 pixels. The gradient passes through the clamp, so that
    a pixel beyond the range still learns that it should be inside.

    Args:
        pictures: `(B, 3, S, S)`, not clamped.
        targets: `(B, 3, S, S)` in [0, 1].
        view: `(B, 1, S, S)`, how much each pixel counts.
    """
    shown = pictures + (pictures.clamp(0, 1) - pictures).detach()
    difference = shown - targets
    share: Tensor | float = 1.0
    if view is not None:
        share = view.mean((1, 2, 3))
        difference = difference * view.sqrt()
    pixels = difference.square().mean((1, 2, 3)) / share
    levels = [pixels]
    while difference.shape[-1] >= 2 * COARSEST:
        difference = F.avg_pool2d(difference, 2)
        levels.append(difference.square().mean((1, 2, 3)) / share)
    return Errors(torch.stack(levels).mean(0), pixels)


def mean_codes(model: FaceModel, count: int) -> Tensor:
    """The mean code `count` times, `(count, *space.shape)`: a start where nothing encodes."""
    return _mean(model).expand(count, *model.space.shape).clone()


def can_encode(model: FaceModel) -> bool:
    """False for a generator without an encoder."""
    return model.capabilities.encode is not None


def _adam(first: Tensor, second: Tensor, step: int) -> Tensor:
    """The step of Kingma & Ba 2015, Algorithm 1, at rate 1: about -1 to 1 per number.

    Written out, as `torch.optim` loads a compiler at its first step, which takes seconds.
    """
    mean, square = first / (1 - DECAY**step), second / (1 - DECAY_SQUARED**step)
    return mean / (square.sqrt() + 1e-12)


def _rate(step: int, steps: int) -> float:
    """Rising at first, then falling to 0 along a cosine."""
    rising = min(1.0, (step + 1) / max(1.0, WARM_UP * steps))
    return RATE * rising * 0.5 * (1 + math.cos(math.pi * step / steps))


def _mean(model: FaceModel) -> Tensor:
    mean = model.space.mean
    return torch.zeros(model.space.shape) if mean is None else mean.clone()


def _scale(model: FaceModel) -> Tensor:
    """The standard deviation of codes, a tensor of one code's shape or of none."""
    std = model.space.std
    if std is None:
        # one number for all: few samples say little about a single number of a code
        std = model.sample(_SAMPLES, 0).float().std(0).square().mean().sqrt()
    return torch.where(std > 0, std, torch.ones_like(std))


def _like(choice: Tensor, values: Tensor) -> Tensor:
    return choice.reshape(-1, *[1] * (values.dim() - 1))


class _Decoder(nn.Module):
    """Decoding as a module's call, so that its tensors can be replaced for the time of a call."""

    def __init__(self, model: FaceModel) -> None:
        super().__init__()
        self.network = model.module
        self._decode = model.decode

    def forward(self, codes: Tensor) -> Tensor:
        return self._decode(codes)


def _differentiable(model: FaceModel) -> Callable[[Tensor], Tensor]:
    """`model.decode`, on copies of tensors that were made or moved inside inference mode: the host
    may do so, and PyTorch does not differentiate through them."""
    network = model.module
    tensors = [*network.named_parameters(), *network.named_buffers()]
    copies = {f"network.{name}": t.clone() for name, t in tensors if t.is_inference()}
    if not copies:
        return model.decode
    decoder = _Decoder(model)
    return lambda codes: functional_call(decoder, copies, (codes,))


@contextmanager
def _in_float32(precision: Precision | None) -> Iterator[None]:
    """Compute in float32 instead of float16, whose few exponents lose gradients."""
    if precision is None or precision.dtype is not torch.float16:
        yield
        return
    precision.dtype = torch.float32
    try:
        yield
    finally:
        precision.dtype = torch.float16


def _check(model: FaceModel, crops: Tensor, codes: Tensor, steps: int, view: Tensor | None) -> None:
    if steps < 0:
        raise FaceLatentsError(f"Refine: the number of steps must be 0 or more, got {steps}.")
    if len(crops) != len(codes) or len(codes) < 1:
        raise FaceLatentsError(
            f"Refine: there must be one code per picture, got {len(codes)} codes and {len(crops)} "
            "pictures."
        )
    size = model.template.size
    if tuple(crops.shape[1:]) != (3, size, size):
        raise FaceLatentsError(
            f"Refine: {model.name} needs aligned crops of shape (batch, 3, {size}, {size}), got "
            f"{tuple(crops.shape)}."
        )
    if view is None:
        return
    if tuple(view.shape) != (len(crops), 1, size, size):
        raise FaceLatentsError(
            f"Refine: what is in view must have shape ({len(crops)}, 1, {size}, {size}), got "
            f"{tuple(view.shape)}."
        )
    for number, share in enumerate(view.float().mean((1, 2, 3)).tolist(), start=1):
        if not share >= SMALLEST_VIEW:
            raise FaceLatentsError(
                f"Refine: {share:.0%} of face {number} is in view, at least {SMALLEST_VIEW:.0%} is "
                "needed. Paint less of the face over."
            )
