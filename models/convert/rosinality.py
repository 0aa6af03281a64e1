"""StyleGAN2 checkpoints of the widespread PyTorch port by Kim Seonghyeon ("rosinality")."""

from __future__ import annotations

from .inert import Refusal
from .plan import Plan, mean_rows
from .sources import described, tensors_in

_KERNELS = (".blur.kernel", ".upsample.kernel")
_UP_GAIN = 4.0  # of a kernel that doubles the resolution: three of four pixels are zeros before
_REASONS = {
    "g": "the network in training; its average g_ema is kept",
    "d": "the discriminator, which only training needs",
    "g_optim": "state of the optimiser",
    "d_optim": "state of the optimiser",
}


def is_rosinality(value: object) -> bool:
    """True for a checkpoint with "g_ema", or for a state dict of the generator alone."""
    return isinstance(value, dict) and ("g_ema" in value or "style.1.weight" in value)


def plan_rosinality(value: object) -> Plan:
    """The plan for a checkpoint for which `is_rosinality` is true.

    Raises:
        Refusal: not such a generator.
    """
    plan = Plan("rosinality", tensors_in(value))
    root = "g_ema." if isinstance(value, dict) and "g_ema" in value else ""
    if root and not any(path.startswith(root) for path in plan.left):
        raise Refusal(f"its g_ema holds no tensors; {described(value)}.")
    if "latent_avg" in plan.left:
        plan.take("latent_avg", "latent_avg", mean_rows)
    take_generator(plan, root)
    if root:
        for path in list(plan.left):
            plan.drop(path, _REASONS.get(path.split(".")[0], "state of the training"))
    return plan


def take_generator(plan: Plan, root: str) -> None:
    """Take every tensor under `root` by its own name, and leave the blur kernels out."""
    for path in [path for path in plan.left if path.startswith(root)]:
        if path.endswith(_KERNELS):
            plan.drop_kernel(path, _UP_GAIN)
        else:
            plan.take(path, path.removeprefix(root))
