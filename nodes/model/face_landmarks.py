"""The faces of the host's FACE_LANDMARKS: checked, with their depth, in pixels of the photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError, NoFaceError
from ...models.geometry.similarity import similarity_transform, transform_points
from ...models.geometry.templates import WIDE

if TYPE_CHECKING:
    from ...models.finder.faces import Face

# Points of the 478-point face mesh (canonical face model of MediaPipe). "Right" is the person's
# own right, which is the viewer's left: the order of the five landmarks used here.
MESH_EYE_CORNERS = (33, 133), (362, 263)
MESH_IRISES = (468,), (473,)  # absent from meshes of 468 points
MESH_NOSE_AND_MOUTH = (1,), (61,), (291,)  # tip, left corner, right corner
MESH_POINTS = (468, 478)

SMALLEST_MESH = 4.0  # pixels; positions given as shares of a picture lie closer together
# Share of the five landmarks' arrangement that no turn or scale explains. Heads turned by 80
# degrees reach 0.5, mirrored landmarks 1.
STRANGE = 0.5
FAR_OFF = 0.1  # share of a face's extent by which both kinds of its landmarks may differ
MAKER = "'Detect Face Landmarks (MediaPipe)'"


def faces_from_landmarks(landmarks: Any, photo: int, height: int, width: int) -> list[Face]:
    """Faces of photo number `photo` (from 0) in the host's FACE_LANDMARKS, largest first.

    Raises:
        FaceLatentsError: not FACE_LANDMARKS, or made on pictures of another size or number.
        NoFaceError: the landmarks of a face are no positions in the photo, or form no face.
    """
    frames = landmarks.get("frames") if isinstance(landmarks, Mapping) else None
    if not isinstance(frames, Sequence):
        raise FaceLatentsError(
            f"Input 'face_landmarks' needs the output of {MAKER}; it got a "
            f"{type(landmarks).__name__}."
        )
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
    faces = [_read_face(face, photo, height, width) for face in frames[photo]]
    return sorted(faces, key=lambda face: -face.size)


def _read_face(face: Any, photo: int, height: int, width: int) -> Face:
    from ...models.finder.faces import Face

    points = _read_points(face)
    with_irises = len(points) > max(map(max, MESH_IRISES))
    five = torch.stack(
        [
            points[list(part)].mean(0)
            for part in (*(MESH_IRISES if with_irises else MESH_EYE_CORNERS), *MESH_NOSE_AND_MOUTH)
        ]
    )
    wrong = _what_is_wrong(points, five, height, width)
    if wrong:
        raise NoFaceError(
            f"Input 'face_landmarks' gives no usable face for photo {photo + 1}: {wrong}. Connect "
            f"the same images to both nodes, or disconnect it to let the face finder look."
        )
    box = torch.cat([points.amin(0), points.amax(0)]).float()
    dense = torch.cat([points, _read_depth(face, points)[:, None]], 1) if with_irises else None
    return Face(box, five, float(face.get("score", 1.0)), dense)


def _read_points(face: Any) -> Tensor:
    """Points `(N, 2)` of a face's mesh, pixel centres at integers; the host counts from the outer
    edge of the first pixel."""
    if not isinstance(face, Mapping) or "landmarks_xy" not in face:
        raise FaceLatentsError(
            f"Input 'face_landmarks' holds a face without landmarks. Connect the output of {MAKER}."
        )
    try:
        points = torch.as_tensor(face["landmarks_xy"], dtype=torch.float64).cpu()
    except (TypeError, ValueError, RuntimeError):
        points = torch.empty(0)
    if points.ndim != 2 or points.shape[0] not in MESH_POINTS or points.shape[1] < 2:
        raise FaceLatentsError(
            f"Input 'face_landmarks' holds {tuple(points.shape)} points for a face; expected the "
            f"468 or 478 points of MediaPipe's face mesh. Connect the output of {MAKER}."
        )
    return points[:, :2] - 0.5


def _what_is_wrong(points: Tensor, five: Tensor, height: int, width: int) -> str:
    """Why landmarks cannot be those of a face in a photo; "" where they can."""
    if not bool(torch.isfinite(points).all()):
        return "some of its landmarks are not numbers (NaN or infinite)"
    span = float((points.amax(0) - points.amin(0)).amax())
    if span < SMALLEST_MESH:
        return f"all its landmarks lie within {span:.1f} pixels; expected pixels of the photo"
    x, y = five.mean(0).tolist()
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        return f"its landmarks lie at x = {x:.0f}, y = {y:.0f}, outside of the photo"
    template = WIDE.points - WIDE.points.mean(0)
    if not bool(five.std(0).any()):
        return "its eyes, nose and mouth lie at one place"
    aligned = transform_points(similarity_transform(five, template), five)
    if float((aligned - template).square().sum() / template.square().sum()) > STRANGE:
        return "its landmarks do not form a face, or that of a mirrored photo"
    return ""


def _read_depth(face: Mapping[str, Any], points: Tensor) -> Tensor:
    """Depth `(N,)` of points `(N, 2)`, in pixels away from the viewer; NaN where nothing tells it.

    The host gives it beside x and y of the small crop that its network saw.
    """
    unknown = torch.full_like(points[:, 0], torch.nan)
    try:
        seen = torch.as_tensor(face.get("landmarks_3d"), dtype=torch.float64).cpu()
    except (TypeError, ValueError, RuntimeError):
        return unknown
    if seen.shape != (len(points), 3) or not bool(torch.isfinite(seen).all()):
        return unknown
    flat = torch.cat([seen[:, :2], torch.ones_like(seen[:, :1])], 1)
    to_photo = torch.linalg.lstsq(flat, points, driver="gelsd").solution
    off = (flat @ to_photo - points).square().mean().sqrt()
    if float(off) > FAR_OFF * float((points - points.mean(0)).square().mean().sqrt()):
        return unknown
    depth: Tensor = seen[:, 2] * to_photo[0].norm()
    return depth
