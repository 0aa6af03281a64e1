"""Pictures decoded by FFmpeg, as ComfyUI 0.33 does; its pixels differ from Pillow's for JPEG.

Needs the package `av` (PyAV), which the host brings. A JPEG's colours come out up to a few
8-bit steps apart between the two decoders; PNG photos are equal to the last bit.
"""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.errors import FaceLatentsError
from ...models.imaging.opening import open_header, readable, require_size
from ...models.imaging.photos import load_image

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

# Formats the host takes as 8-bit RGB; all others it converts to float.
_EIGHT_BIT = frozenset({"yuvj420p", "yuvj422p", "yuvj444p", "rgb24", "rgba", "pal8"})
_ALIGNMENT = 32  # pixels; FFmpeg's float conversion is only repeatable on padded widths


def load_image_av(path: Path) -> tuple[Tensor, Tensor]:
    """Read a picture as ComfyUI 0.33's Load Image node does, see `photo_file.load_image`.

    Raises:
        FaceLatentsError: PyAV is not installed, the file is not a picture, or too large.
    """
    import torch

    av = _pyav()
    with readable(path), open_header(path):
        pass  # FFmpeg itself opens much more than pictures, of any size
    try:
        frames, has_alpha = _decode(av, path)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise FaceLatentsError(f"'{path}' cannot be read as a picture ({error}).") from error
    if not frames:  # an animated WebP, which FFmpeg does not read: the host falls back as well
        return load_image(path)
    pixels = torch.from_numpy(np.stack(frames))
    if pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255.0
    if not has_alpha:
        return pixels, torch.zeros(len(frames), 64, 64)
    return pixels[..., :-1], 1.0 - pixels[..., -1]


def _pyav() -> Any:
    try:
        return import_module("av")
    except ImportError as error:
        raise FaceLatentsError(
            "Decoding with FFmpeg needs the package 'av': pip install av. Or leave the option out."
        ) from error


def _decode(av: Any, path: Path) -> tuple[list[np.ndarray], bool]:
    frames: list[np.ndarray] = []
    kind = ""
    has_alpha = False
    with av.open(str(path), mode="r") as container:
        if not container.streams.video:
            raise ValueError("no picture in it")
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError as error:
                logger.info("%s: %s", path, error)
                continue
            for frame in decoded:
                require_size(path, frame.width, frame.height, len(frames) + 1)
                if not kind:
                    name = frame.format.name
                    has_alpha = name == "pal8" or any(c.is_alpha for c in frame.format.components)
                    eight_bit = ("rgb24", "rgba")[has_alpha]
                    kind = (
                        eight_bit if name in _EIGHT_BIT else ("gbrpf32le", "gbrapf32le")[has_alpha]
                    )
                pixels = _to_array(av, frame, kind, stream.time_base)
                frames.append(np.rot90(pixels, round(frame.rotation / 90)).copy())
    return frames, has_alpha


def _to_array(av: Any, frame: Any, kind: str, time_base: Any) -> np.ndarray:
    height, width = frame.height, frame.width
    if kind in ("rgb24", "rgba") or width % _ALIGNMENT == 0:
        return np.asarray(frame.to_ndarray(format=kind))
    wide, high = (-(-side // _ALIGNMENT) * _ALIGNMENT for side in (width, height))
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=frame.format.name, time_base=time_base
    )
    pad = graph.add("pad", f"{wide}:{high}:0:0")
    borders = f"left=0:right={wide - width}:top=0:bottom={high - height}:mode=smear"
    fill = graph.add("fillborders", borders)
    sink = graph.add("buffersink")
    source.link_to(pad)
    pad.link_to(fill)
    fill.link_to(sink)
    graph.configure()
    source.push(frame)
    padded = sink.pull().to_ndarray(format=kind)
    return np.ascontiguousarray(padded[:height, :width])
