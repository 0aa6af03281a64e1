"""Running a network over many items: batches, progress, Cancel, and running out of memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from ..models.errors import FaceLatentsError
from ..models.face_model import FaceModel
from ..models.layers import layer_count
from ..models.space import LatentSpace, require_same_space
from ..models.values import FaceLatent
from . import host

logger = logging.getLogger(__name__)

# Pixels decoded at once: a CPU decodes ten faces at a time as fast as twenty, in less memory.
CPU_BATCH_PIXELS = 1 << 19  # 10 faces of 224 pixels, 1 of 1024
GPU_BATCH_PIXELS = 1 << 23
WORKING_COPIES = 96  # full-size feature maps a network holds at once, generously


def encode_crops(
    model: FaceModel, crops: Tensor, what: str = "Encoding faces", *, points: Tensor | None = None
) -> Tensor:
    """Codes `(B, *shape)` of aligned crops `(B, 3, S, S)` in [0, 1], on the host's device.

    `points` are dense landmarks as far as they are known, see `FaceModel.encode`.
    """
    return run_model(model, what, model.encode, crops, *([] if points is None else [points]))


def decode_codes(
    model: FaceModel,
    codes: Tensor,
    what: str = "Decoding faces",
    *,
    space: LatentSpace | None = None,
    side: int | None = None,
) -> Tensor:
    """Pictures `(B, 3, S, S)`, not clamped, of codes `(B, *shape)`, on the host's device.

    Args:
        model: draws them.
        codes: of the model's own space, or of `space`.
        what: is done, for the progress bar and messages.
        space: another space of the same model that the codes are in, see `FaceModel.spaces`.
        side: larger pictures are reduced to this many pixels, batch by batch: for small views of
            many faces.

    Raises:
        SpaceMismatchError: `space` belongs to another model.
        FaceLatentsError: not enough memory for a single face.
    """

    def decode(part: Tensor) -> Tensor:
        own = part if space is None else model.to_decodable(part, space)
        pictures = model.decode(own)
        if side is None or pictures.shape[-1] <= side:
            return pictures
        return torch.nn.functional.interpolate(pictures, (side, side), mode="area")

    return run_model(model, what, decode, codes)


def decodable_codes(model: FaceModel, latent: FaceLatent, what: str) -> Tensor:
    """The codes of a face latent in the model's own space, on the host's device.

    Args:
        model: whose space it is.
        latent: in any of the model's spaces.
        what: names both sides, as for `models.space.require_same_space`.

    Raises:
        SpaceMismatchError: the latent belongs to another model.
    """
    require_space_of(model, latent, what)
    if latent.space.same_as(model.space):
        return latent.samples

    def convert(part: Tensor) -> Tensor:
        return model.to_decodable(part, latent.space)

    return run_model(model, "Mapping codes", convert, latent.samples, pixels=CPU_BATCH_PIXELS)


def require_space_of(model: FaceModel, latent: FaceLatent, what: str) -> None:
    """Refuse codes that are in none of the model's spaces.

    Raises:
        SpaceMismatchError: names both spaces.
    """
    if latent.space.same_as(model.space):
        return
    if not any(latent.space.same_as(space) for space in model.spaces.values()):
        require_same_space(model.space, latent.space, what)


def run_model(
    model: FaceModel,
    what: str,
    function: Callable[..., Tensor],
    *items: Tensor,
    pixels: int | None = None,
    shown: bool = True,
) -> Tensor:
    """Apply a function of a model batch by batch, without gradients.

    Args:
        model: whose network works.
        what: is done, for the progress bar and messages.
        function: of batches of the items, on the network's device.
        items: `(B, ...)` each.
        pixels: to work on at once; None: as many as suit the network and the device.
        shown: with a progress bar of its own; False for a part of what has one.

    Returns:
        `(B, ...)` on the host's device.

    Raises:
        FaceLatentsError: not enough memory for a single item, or for all results.
    """
    if pixels is None:
        on_cpu = host.compute_device().type == "cpu"
        pixels = CPU_BATCH_PIXELS if on_cpu else GPU_BATCH_PIXELS
        if layer_count(model.space) is not None:
            pixels = 1  # such networks take faces one by one: so do memory, progress and Cancel
    count = len(items[0])
    with host.Progress(count, what) if shown else nullcontext() as progress:

        def work(part: slice, device: torch.device) -> Tensor:
            with torch.no_grad():
                result = function(*(item[part].to(device, torch.float32) for item in items))
            result = result.to(host.intermediate_device())
            if progress is not None:
                progress.step(len(result))
            return result

        return in_batches(model, count, work, what, pixels)


def in_batches(
    model: FaceModel,
    count: int,
    work: Callable[[slice, torch.device], Tensor],
    what: str,
    pixels: int,
    copies: int = WORKING_COPIES,
) -> Tensor:
    """Work on many faces, some at a time, with the network on its device.

    When memory runs out, the batch is halved; when a single item is too much, other networks are
    taken off the device. When that does not help either, or the device fails, the CPU goes on.

    Args:
        model: whose network works.
        count: faces in all.
        work: results of some of them, computed on the device; called again with fewer when memory
            ran out.
        what: is done, for messages.
        pixels: to work on at once.
        copies: full-size feature maps the network holds at once, generously.

    Raises:
        FaceLatentsError: not enough memory for a single face, or for all results, or the device
            fails; on the CPU as well.
    """
    size = model.template.size
    item_bytes = 3 * 4 * size * size * copies
    batch = min(count, max(1, pixels // size**2))
    done: Tensor | None = None
    start = 0
    alone = on_cpu = False  # on the device, all others moved away
    device = None
    while start < count:
        try:
            if device is None and on_cpu:
                device = host.move_to_cpu(model.module)
            elif device is None:
                device = host.load_to_device(model.module, item_bytes * batch)
            result = work(slice(start, min(start + batch, count)), device)
        except Exception as error:
            fault = None if host.is_out_of_memory(error) else host.device_fault(error)
            if fault is None and not host.is_out_of_memory(error):
                raise
            result = None
        if result is None:
            # Outside the handler: the traceback would keep the failed batch's tensors alive.
            device = None
            if fault is None:
                host.free_cached_memory()
                if batch > 1:
                    batch = (batch + 1) // 2
                    logger.info("%s: out of memory, going on with batches of %d", what, batch)
                    continue
                if not alone and not on_cpu:
                    alone = True
                    if host.unload_other_networks(model.module):
                        logger.info("%s: out of memory, took other models off the device", what)
                        continue
            if on_cpu or host.compute_device().type == "cpu":
                raise FaceLatentsError(_hopeless(what, size, fault))
            on_cpu = True
            logger.warning("%s: %s, going on on the CPU", what, fault or "out of memory")
            continue
        if len(result) == count:
            return result
        if done is None:  # one block from the start: joining parts at the end takes twice as much
            done = _room_for(result, count, what)
        done[start : start + len(result)] = result
        start += len(result)
    assert done is not None
    return done


def _room_for(part: Tensor, count: int, what: str) -> Tensor:
    """Memory for `count` results like those of `part`."""
    try:
        return part.new_empty(count, *part.shape[1:])
    except Exception as error:
        if not host.is_out_of_memory(error):
            raise
    size = count * part[0].numel() * part.element_size() / 1e9
    raise FaceLatentsError(
        f"{what}: there is not enough memory for all {count} results at once, {size:.1f} GB. Work "
        "on fewer faces or frames at a time (Select Face Latent takes some out)."
    )


def _hopeless(what: str, size: int, fault: str | None) -> str:
    if fault is not None:
        return (
            f"{what}: the device failed ({fault}), and the CPU could not take over. Restart "
            "ComfyUI; if it happens again, update the graphics driver or start ComfyUI with --cpu."
        )
    return (
        f"{what}: there is not enough memory even for one face of {size} x {size} pixels. "
        "Close other programs or workflows that use the graphics card, load the model in half "
        "precision (Load Face Model), or start ComfyUI with --cpu."
    )
