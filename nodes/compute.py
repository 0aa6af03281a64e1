"""Running a network over many items: batches, progress, Cancel, and running out of memory."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..models.errors import FaceLatentsError
from ..models.face_model import FaceModel
from . import host

logger = logging.getLogger(__name__)

# Pixels decoded at once: small batches cost a linear model speed, large ones cost memory.
CPU_BATCH_PIXELS = 1 << 20  # 64 faces of 128 pixels, 1 of 1024
GPU_BATCH_PIXELS = 1 << 23
WORKING_COPIES = 96  # full-size feature maps a network holds at once, generously


def encode_crops(model: FaceModel, crops: Tensor, what: str = "Encoding faces") -> Tensor:
    """Codes ``(B, *shape)`` of aligned crops ``(B, 3, S, S)`` in [0, 1], on the host's device."""
    return _run(model, crops, model.encode, what)


def decode_codes(model: FaceModel, codes: Tensor, what: str = "Decoding faces") -> Tensor:
    """Pictures ``(B, 3, S, S)``, not clamped, of codes ``(B, *shape)``, on the host's device."""
    return _run(model, codes, model.decode, what)


def _run(
    model: FaceModel, items: Tensor, function: Callable[[Tensor], Tensor], what: str
) -> Tensor:
    """Apply `function` batch by batch; halve the batch when memory runs out."""
    size = model.template.size
    item_bytes = 3 * 4 * size * size * WORKING_COPIES
    target = host.intermediate_device()
    on_cpu = host.compute_device().type == "cpu"
    pixels = CPU_BATCH_PIXELS if on_cpu else GPU_BATCH_PIXELS
    batch = min(len(items), max(1, pixels // size**2))
    done: list[Tensor] = []
    start = 0
    with host.Progress(len(items), what) as progress:
        device = None
        while start < len(items):
            part = items[start : start + batch]
            try:
                if device is None:
                    device = host.load_to_device(model.module, item_bytes * batch)
                with torch.no_grad():
                    result = function(part.to(device, torch.float32)).to(target)
            except Exception as error:
                if not host.is_out_of_memory(error):
                    raise
                result = None
            if result is None:
                # Outside the handler: the traceback would keep the failed batch's tensors alive.
                host.free_cached_memory()
                device, batch = None, _smaller(batch, what, size)
                continue
            done.append(result)
            start += len(part)
            progress.step(len(part))
    return torch.cat(done) if len(done) > 1 else done[0]


def _smaller(batch: int, what: str, size: int) -> int:
    if batch == 1:
        raise FaceLatentsError(
            f"{what}: there is not enough memory even for one face of {size} x {size} pixels. "
            "Close other programs or workflows that use the graphics card, or start ComfyUI with "
            "--cpu."
        )
    logger.info("%s: out of memory, going on with batches of %d", what, (batch + 1) // 2)
    return (batch + 1) // 2
