"""What the steps of all trainings have in common: device, descent, learning rate, running mean."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...models.errors import FaceLatentsError


def training_device(name: str | None) -> torch.device:
    """The device of that name; without one CUDA, if there is any.

    Raises:
        FaceLatentsError: there is no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (AssertionError, RuntimeError) as error:
        raise FaceLatentsError(
            f"Nothing can be trained on '{name}' here: {error}. Use device=cpu, or none at all."
        ) from error


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, largest: float = math.inf) -> None:
    """A step down a loss, with gradients of at most that norm, and none where they are infinite.

    Only the optimiser's own parameters get gradients.
    """
    parameters = [weight for group in optimiser.param_groups for weight in group["params"]]
    optimiser.zero_grad(set_to_none=True)
    loss.backward(inputs=parameters)
    if bool(torch.isfinite(nn.utils.clip_grad_norm_(parameters, largest))):
        optimiser.step()


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def cosine(share: float, least: float = 0.0) -> float:
    """From 1 at a share of 0 down to `least` at 1, along half a cosine."""
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * share))


def set_one_cycle(
    optimiser: torch.optim.Optimizer, peak: float, step: int, steps: int, rise: float
) -> None:
    """Set learning rate and first momentum of Adam for a step of the one-cycle schedule.

    Smith & Topin 2018: the rate rises from a 25th of `peak` over a share `rise` of the steps, then
    falls to almost nothing, along cosines; the momentum goes from 0.95 to 0.85 and back. As
    `torch.optim.lr_scheduler.OneCycleLR`, but for any step at once, so that a run can be taken up.
    """
    top, last = rise * steps - 1, steps - 1
    if step < top:
        up = 1 - cosine(step / top)
        rate = peak / 25 + (peak - peak / 25) * up
    else:
        up = cosine((step - top) / (last - top))
        rate = peak / 25e4 + (peak - peak / 25e4) * up
    for group in optimiser.param_groups:
        group["lr"], group["betas"] = rate, (0.95 - 0.1 * up, group["betas"][1])


def early_decay(decay: float, step: int) -> float:
    """Decay of a running mean after so many steps: at first less, to forget the start soon."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move a running mean of weights, of which a share `decay` stays, towards a network's."""
    values = net.state_dict().values()
    for mean, value in zip(average.state_dict().values(), values, strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
