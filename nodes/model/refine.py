"""Encode Face's refinement: batches, progress, Cancel, and a preview of the best so far."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models.face_model import FaceModel
from ...models.refine import can_encode, mean_codes, refine
from .. import compute, host

# Refining keeps every feature map of a pass, so fewer faces fit than in decoding.
CPU_BATCH_PIXELS = compute.CPU_BATCH_PIXELS // 2
GPU_BATCH_PIXELS = compute.GPU_BATCH_PIXELS // 4
WORKING_COPIES = 4 * compute.WORKING_COPIES
PREVIEWS = 25  # of a batch, at most
SHOWN = 4  # faces in a preview
FILLINGS = 2


def start_codes(
    model: FaceModel, crops: Tensor, points: Tensor | None, view: Tensor | None, steps: int
) -> Tensor:
    """Codes `(B, *shape)` of crops, from which to refine.

    Args:
        model: encodes. Without an encoder, refinement starts from the mean code.
        crops: `(B, 3, S, S)` in [0, 1].
        points: `(B, 478, 3)`, dense landmarks of the crops as far as they are known, see
            `FaceModel.encode`.
        view: `(B, 1, S, S)` in [0, 1], 0 where something hides the face: that part is filled
            with the mean face before encoding, and then with what the model makes of it.
        steps: of refinement that follow.

    Raises:
        FaceLatentsError: no encoder, and no refinement either.
    """
    if not can_encode(model) and steps > 0:
        return mean_codes(model, len(crops)).to(host.intermediate_device())
    if view is None or not can_encode(model):
        return compute.encode_crops(model, crops, points=points)
    codes = mean_codes(model, len(crops))
    for _ in range(FILLINGS):
        hidden = compute.decode_codes(model, codes, "Filling in").clamp(0, 1).to(crops.device)
        codes = compute.encode_crops(model, crops * view + hidden * (1 - view), points=points)
    return codes


def refine_codes(
    model: FaceModel, crops: Tensor, codes: Tensor, steps: int, view: Tensor | None = None
) -> Tensor:
    """Codes `(B, *shape)` closer to the crops, on the host's device, see `models.refine`.

    Args:
        model: decodes.
        crops: `(B, 3, S, S)` in [0, 1].
        codes: `(B, *shape)`, where to start.
        steps: of descent, 1 or more.
        view: `(B, 1, S, S)` in [0, 1], how much each pixel counts.
    """
    what = "Refining faces"
    every = max(1, steps // PREVIEWS)
    on_cpu = host.compute_device().type == "cpu"
    with host.Progress(len(crops) * steps, what) as progress:

        def work(part: slice, device: torch.device) -> Tensor:
            targets = crops[part]

            def report(step: int, error: float, best: Tensor) -> None:
                shown = step % every == 0 or step == steps
                progress.step(len(best), before_and_after(targets, best) if shown else None)

            seen = None if view is None else view[part]
            result = refine(model, targets, codes[part], steps, view=seen, progress=report)
            return result.to(host.intermediate_device())

        pixels = CPU_BATCH_PIXELS if on_cpu else GPU_BATCH_PIXELS
        return compute.in_batches(model, len(crops), work, what, pixels, WORKING_COPIES)


def before_and_after(targets: Tensor, pictures: Tensor) -> Tensor:
    """A picture `(2 S, N S, 3)` of the first N faces: the photo above, the model's below."""
    rows = [row[:SHOWN].detach().to("cpu", torch.float32) for row in (targets, pictures)]
    both = torch.stack([torch.cat(list(row), dim=2) for row in rows])  # (2, 3, S, N S)
    return both.permute(0, 2, 3, 1).flatten(0, 1)
