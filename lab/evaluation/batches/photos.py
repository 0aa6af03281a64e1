"""Photos by the thousand, made from a few: crops and shifts, some of them broken or faceless."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from ....models.errors import FaceLatentsError
from ....models.imaging.opening import open_picture
from ....models.imaging.photos import list_pictures

_SIDE = 512  # pixels of the longer side
_CUT = 0.08  # of width and height, at most so much from each side
BROKEN, FACELESS = "broken", "faceless"  # what the names of bad ones hold


def make_photos(source: Path, folder: Path, count: int) -> dict[str, int]:
    """Write JPEG photos into a folder.

    Args:
        source: folder of photos with faces.
        folder: made when missing.
        count: in all; 3 in 100 are broken (half of them cannot be read, of the others the end is
            missing), 2 in 100 have no face.

    Returns:
        How many there are of each sort.

    Raises:
        FaceLatentsError: there are no photos in `source`.
    """
    files = list_pictures(source)
    if not files:
        raise FaceLatentsError(f"There are no photos in '{source}'.")
    pictures = [_small(path) for path in files]
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    broken, faceless = round(0.03 * count), round(0.02 * count)
    bad = random.permutation(count)
    sorts = dict.fromkeys(bad[:broken].tolist(), BROKEN)
    sorts.update(dict.fromkeys(bad[broken : broken + faceless].tolist(), FACELESS))
    for number in range(count):
        sort = sorts.get(number, "good")
        picture = _cropped(pictures[number % len(pictures)], random)
        if sort == FACELESS:
            picture = Image.fromarray(random.integers(0, 40, (256, 256, 3), np.uint8))
        data = _jpeg(picture)
        if sort == BROKEN:
            data = data[:100] if number % 2 else data[: len(data) * 2 // 3]
        (folder / f"{number:06}_{sort}.jpg").write_bytes(data)
    return {"photos": count, "broken": broken, "faceless": faceless}


def _small(path: Path) -> Image.Image:
    picture = open_picture(path)[0].convert("RGB")
    picture.thumbnail((_SIDE, _SIDE))
    return picture


def _cropped(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    left, top, right, bottom = (random.random(4) * _CUT).tolist()
    width, height = picture.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return picture.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()
