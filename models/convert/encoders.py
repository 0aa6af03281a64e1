"""e4e and pSp checkpoints: an encoder and the generator it was trained for."""

from __future__ import annotations

import torch

from ..architectures.stylegan2.layout import ENCODER_AVG, ENCODER_PREFIX
from .inert import Record, Refusal
from .plan import Plan, mean_rows
from .rosinality import take_generator
from .sources import described, tensors_in

_TYPES = {"Encoder4Editing": "e4e", "GradualStyleEncoder": "psp"}
_ENCODER, _DECODER = "state_dict.encoder.", "state_dict.decoder."


def is_encoder(value: object) -> bool:
    """True for a checkpoint whose "state_dict" has tensors of an encoder."""
    state = value.get("state_dict") if isinstance(value, dict) else None
    return isinstance(state, dict) and any(str(key).startswith("encoder.") for key in state)


def plan_encoder(value: object) -> Plan:
    """The plan for a checkpoint for which `is_encoder` is true.

    Raises:
        Refusal: another kind of encoder, or no generator.
    """
    if not isinstance(value, dict):
        raise Refusal("not a checkpoint of an encoder.")
    options = value.get("opts")
    options = options.state if isinstance(options, Record) else options
    stated = options.get("encoder_type") if isinstance(options, dict) else None
    if not isinstance(stated, str) or stated not in _TYPES:
        raise Refusal(
            "it holds an encoder, and "
            + (f"says that it is {described(stated)}" if stated else "does not say which")
            + f"; known are {' and '.join(_TYPES)} (e4e and pSp), whose tensors have the same "
            f"names, so that opts['encoder_type'] has to tell. Found: {described(value)}."
        )
    kind = _TYPES[stated]
    plan = Plan(kind, tensors_in(value), encoder_type=kind)
    first = plan.left.get(f"{_ENCODER}input_layer.0.weight")
    if first is not None and len(first.shape) == 4 and first.shape[1] != 3:
        raise Refusal(
            f"its encoder takes {first.shape[1]} channels instead of a colour picture's 3. ReStyle "
            "encoders (6) and those for drawings or label maps are not known here."
        )
    if not any(path.startswith(_DECODER) for path in plan.left):
        raise Refusal(
            "it holds an encoder without the generator it belongs to ('decoder.' is missing). "
            "Fetch the complete checkpoint."
        )
    for path in [path for path in plan.left if path.startswith(_ENCODER)]:
        if path.endswith(".num_batches_tracked"):
            plan.drop(path, "a counter of training steps, without effect")
        else:
            plan.take(path, ENCODER_PREFIX + path.removeprefix(_ENCODER))
    take_generator(plan, _DECODER)
    if "latent_avg" in plan.left:
        plan.take("latent_avg", "latent_avg", mean_rows)
    # without it the encoder's codes are complete
    if isinstance(options, dict) and not options.get("start_from_latent_avg", True):
        width = plan.tensors.get(f"{ENCODER_PREFIX}latlayer1.weight", torch.empty(0)).shape[0]
        plan.make(
            ENCODER_AVG, torch.zeros(width), "zero: this encoder does not start from the mean"
        )
    for path in list(plan.left):
        # what else lies beside the two networks is no training state: it is unknown
        if not path.startswith("state_dict."):
            plan.drop(path, "state of the training")
    return plan
