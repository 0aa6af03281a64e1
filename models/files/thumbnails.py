"""Small pictures of directions, beside the files that hold them: minus, zero and plus in a row.

They are read as if they came from a stranger, as all that lies in the user's folders.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..errors import FaceLatentsError
from ..imaging.opening import open_header, readable

SIDE = 72  # pixels of each of the three
MOST_BYTES = 1 << 18
MOST_SIDE = 2048  # pixels: pictures that users put there themselves may be larger than ours
_QUALITY = 82  # of JPEG: the bundled 39 are 220 kB together


def thumbnail_path(file: Path, direction: str = "") -> Path:
    """Where the picture of a direction lies.

    Args:
        file: that of the direction, or of a face model with many.
        direction: its name in the face model, fit for a file name; "" for a file of its own.
    """
    folder = file.with_suffix(".thumbnails")
    return folder / f"{direction}.jpg" if direction else file.with_suffix(".jpg")


def write_thumbnail(path: Path, pictures: Tensor) -> None:
    """Write three pictures `(3, 3, H, W)`, nominally in [0, 1], in a row. Replaces no file.

    Raises:
        OSError: there is a file, or it cannot be written.
    """
    small = F.interpolate(pictures.float().cpu(), (SIDE, SIDE), mode="bilinear", antialias=True)
    row = torch.cat(list(small), -1).clamp(0, 1).permute(1, 2, 0)
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as file:
        file.write(_encode(Image.fromarray((row * 255).round().to(torch.uint8).numpy())))


def read_thumbnail(path: Path) -> bytes:
    """The picture, decoded and encoded anew as JPEG, so that nothing else of the file goes on.

    Raises:
        FaceLatentsError: no JPEG file, a damaged or a large one.
    """
    with readable(path):
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        with open_header(io.BytesIO(data), path) as picture:
            fits = len(data) <= MOST_BYTES and max(picture.size) <= MOST_SIDE
            if picture.format != "JPEG" or not fits:
                raise FaceLatentsError(
                    f"'{path.name}' cannot be shown as the picture of a direction. Put a JPEG file "
                    f"of at most {MOST_BYTES // 1024} kB and {MOST_SIDE} pixels a side there."
                )
            small = picture.convert("RGB")
    small.thumbnail((6 * SIDE, 2 * SIDE))
    return _encode(small)


def _encode(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
