"""Draw the pictures of the bundled directions anew: `python -m face_latents.lab.thumbnails`.

Each shows the public-domain portrait of scikit-image at both ends of the natural range.
"""

from __future__ import annotations

from typing import Any

import torch
from skimage import data

from ..models.face_model import bundled_face_model_path, load_face_model
from ..models.files.thumbnails import thumbnail_path, write_thumbnail
from ..models.paste.back import paste_back
from ..models.paste.edit import plan_edits
from ..models.paste.face import PhotoFace
from ..models.values import Direction
from ..nodes.model.encode import EncodeFace

SIDE, SURROUNDINGS = 400, 1.4  # pixels of the square that is edited, and widths of the crop
TOP, LEFT, SHOWN = 108, 100, 200  # pixels of it: the face alone


def draw_thumbnails() -> None:
    """Replace all pictures beside the bundled face model."""
    path = bundled_face_model_path()
    model = load_face_model(path)
    photo = torch.from_numpy(data.astronaut().copy()).float()[None] / 255
    encoder: Any = EncodeFace()  # the node fills in what is left out
    context = encoder.execute(image=photo, face_model=model)[0].contexts[0]
    face = PhotoFace(context).in_square(SIDE, SURROUNDINGS)

    def draw(direction: Direction, strength: float) -> torch.Tensor:
        code = face.code + strength * direction.vector
        (edit,) = plan_edits(model, [face], code[None])
        edited = paste_back(face.context.photo, face.context, edit).permute(2, 0, 1)
        return edited[:, TOP : TOP + SHOWN, LEFT : LEFT + SHOWN]

    for name, direction in model.directions.items():
        target = thumbnail_path(path, name)
        target.unlink(missing_ok=True)
        low, high = direction.safe_range
        write_thumbnail(target, torch.stack([draw(direction, s) for s in (low, 0.0, high)]))
        print(target)


if __name__ == "__main__":
    with torch.inference_mode():
        draw_thumbnails()
