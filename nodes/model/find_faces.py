"""Which faces of a photo are meant: from the finder or FACE_LANDMARKS, chosen by the artist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError, NoFaceError

if TYPE_CHECKING:
    from ...models.finder.faces import Face

LARGEST, ALL, BY_INDEX = CHOICES = ("largest", "all", "by index")

SMALLEST_PHOTO = 16  # pixels; below, there is nothing to find

# Points of the 478-point face mesh (canonical face model of MediaPipe). "Right" is the person's
# own right, which is the viewer's left: the order of the five landmarks used here.
MESH_EYE_CORNERS = (33, 133), (362, 263)
MESH_IRISES = (468,), (473,)  # absent from meshes of 468 points
MESH_NOSE_AND_MOUTH = (1,), (61,), (291,)  # tip, left corner, right corner
MESH_POINTS = (468, 478)

WHAT_TO_TRY = (
    "Try: lower min_score (0.3); crop closer to the face; or connect 'Detect Face Landmarks "
    "(MediaPipe)' to face_landmarks."
)


def faces_from_landmarks(landmarks: Any, photo: int, height: int, width: int) -> list[Face]:
    """Faces of photo number `photo` (from 0) in the host's FACE_LANDMARKS, largest first.

    Raises:
        FaceLatentsError: not FACE_LANDMARKS, or made on pictures of another size or number.
    """
    if not isinstance(landmarks, Mapping) or "frames" not in landmarks:
        raise FaceLatentsError(
            "Input 'face_landmarks' needs the output of 'Detect Face Landmarks (MediaPipe)'; it "
            f"got a {type(landmarks).__name__}."
        )
    frames = landmarks["frames"]
    if photo >= len(frames):
        raise FaceLatentsError(
            f"Input 'face_landmarks' covers {len(frames)} photos, but photo {photo + 1} is being "
            "encoded. Connect the same images to both nodes."
        )
    size = landmarks.get("image_size")
    if size is not None and tuple(int(n) for n in size) != (height, width):
        raise FaceLatentsError(
            f"Input 'face_landmarks' was made on pictures of {int(size[1])} x {int(size[0])} "
            f"pixels, the photo is {width} x {height}. Connect the same images to both nodes."
        )
    faces = [_face_from_mesh(face) for face in frames[photo]]
    return sorted(faces, key=lambda face: -_area(face.box))


def _face_from_mesh(face: Mapping[str, Any]) -> Face:
    if not isinstance(face, Mapping) or "landmarks_xy" not in face:
        raise FaceLatentsError(
            "Input 'face_landmarks' holds a face without landmarks. Connect the output of 'Detect "
            "Face Landmarks (MediaPipe)'."
        )
    points = torch.as_tensor(face["landmarks_xy"], dtype=torch.float64).cpu()
    if points.ndim != 2 or points.shape[0] not in MESH_POINTS or points.shape[1] < 2:
        raise FaceLatentsError(
            f"Input 'face_landmarks' holds {tuple(points.shape)} points for a face; expected the "
            "468 or 478 points of MediaPipe's face mesh."
        )
    points = points[:, :2]
    with_irises = len(points) > max(map(max, MESH_IRISES))
    five = [
        points[list(part)].mean(0)
        for part in (*(MESH_IRISES if with_irises else MESH_EYE_CORNERS), *MESH_NOSE_AND_MOUTH)
    ]
    from ...models.finder.faces import Face

    box = torch.cat([points.amin(0), points.amax(0)])
    return Face(box=box, landmarks=torch.stack(five), score=float(face.get("score", 1.0)))


def choose_faces(
    faces: Sequence[Face], choice: str, index: int, photo: int, mask: Tensor | None
) -> list[tuple[int, Face]]:
    """The wanted faces of one photo, each with its number in the photo (0 = the largest).

    Args:
        faces: all faces of the photo, largest first.
        choice: one of :data:`CHOICES`.
        index: which one, for "by index".
        photo: number of the photo, from 0, for messages.
        mask: `(H, W)` of the photo; faces whose centre is below 0.5 are left out.

    Raises:
        NoFaceError: there is no such face.
    """
    numbered = list(enumerate(faces))
    if not numbered:
        raise NoFaceError(f"No face was found in photo {photo + 1}. {WHAT_TO_TRY}")
    if mask is not None:
        numbered = [(i, face) for i, face in numbered if _inside(face, mask)]
        if not numbered:
            raise NoFaceError(
                f"Photo {photo + 1} has {len(faces)} face(s), but none has its centre in the "
                "white part of the mask. Paint over the face you want, or disconnect the mask."
            )
    if choice == ALL:
        return numbered
    if choice == LARGEST:
        return numbered[:1]
    if index >= len(numbered):
        raise NoFaceError(
            f"Photo {photo + 1} has {len(numbered)} face(s), numbered 0 to {len(numbered) - 1} "
            f"from the largest to the smallest; index {index} does not exist. Choose a smaller "
            "index, or lower min_score to find more faces."
        )
    return [numbered[index]]


def mask_for_photo(
    mask: Tensor | None, photo: int, height: int, width: int, name: str = "mask"
) -> Tensor | None:
    """The `(H, W)` mask of one photo; None where it is missing or black all over.

    LoadImage hands out a small black mask where a picture has no alpha: that means "no mask".
    """
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3) or 0 in mask.shape:
        raise FaceLatentsError(f"Input '{name}' needs a MASK of shape (batch, height, width).")
    layers = mask if mask.ndim == 3 else mask.unsqueeze(0)
    if len(layers) not in (1, photo + 1) and photo >= len(layers):
        raise FaceLatentsError(
            f"Input '{name}' has {len(layers)} masks, but photo {photo + 1} is being encoded. "
            "Connect one mask, or one per photo."
        )
    layer = layers[photo if len(layers) > 1 else 0].detach().cpu().float()
    if not bool((layer > 0).any()):
        return None
    if tuple(layer.shape) != (height, width):
        raise FaceLatentsError(
            f"Input '{name}' is {layer.shape[1]} x {layer.shape[0]} pixels, the photo is {width} x "
            f"{height}. Use a mask of the photo's own size."
        )
    return layer


def _inside(face: Face, mask: Tensor) -> bool:
    x, y = face.landmarks.mean(0).tolist()
    column = min(max(round(x), 0), mask.shape[1] - 1)
    row = min(max(round(y), 0), mask.shape[0] - 1)
    return bool(mask[row, column] >= 0.5)


def _area(box: Tensor) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
