"""Two small folders of labelled photos, for the workflows that read folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..models.imaging.photos import load_image
from .close_up import close_up
from .runner.session import call_node
from .runner.standins.save import pictures_of, write

LARGEST = 384  # pixels, the longer side of a photo
GROUPS = {"serious": -1.0, "smiling": 2.0}  # folder: strength of the smile in it

# What else differs between the photos of a folder, so that a smile is all they share.
VARIATIONS: tuple[dict[str, float], ...] = (
    {},
    {"age": 1.5},
    {"age": -1.5},
    {"light_left_right": 1.5, "gender_expression": 0.7},
    {"light_left_right": -1.5, "gender_expression": -0.7},
    {"glasses": 1.5, "brightness": 0.8},
)


def make_example_folders(photo: Path, folder: Path) -> None:
    """Write `folder/serious` and `folder/smiling`: edits of the largest face in a photo.

    They stand in for the photos that a person sorts into folders. Files of these names are
    replaced.

    Raises:
        FaceLatentsError: the photo cannot be read or shows no face.
    """
    import torch

    image = load_image(photo, first_only=True)[0]
    model = call_node("FaceLatentsLoadModel")[0]
    found, _ = call_node("FaceLatentsEncode", image=image, face_model=model)
    near = close_up(pictures_of(image)[0], found.contexts[0])
    near.thumbnail((LARGEST, LARGEST))
    image = torch.from_numpy(np.asarray(near, dtype=np.float32) / 255.0)[None]
    face, _ = call_node("FaceLatentsEncode", image=image, face_model=model)
    for group, smile in GROUPS.items():
        (folder / group).mkdir(parents=True, exist_ok=True)
        for number, others in enumerate(VARIATIONS, 1):
            moved = face
            for name, strength in {"smile": smile, **others}.items():
                direction = call_node("FaceLatentsLoadDirection", face_model=model, direction=name)
                (moved,) = call_node(
                    "FaceLatentsAddDirection",
                    face_latent=moved,
                    direction=direction[0],
                    strength=strength,
                )
            (edited,) = call_node("FaceLatentsPasteBack", face_model=model, face_latent=moved)
            write(pictures_of(edited)[0], folder / group / f"{group}_{number}.png")
