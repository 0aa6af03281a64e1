"""The faces of a clip: each followed through its frames, and steady where it is still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ... import latent_ops
from ...models.errors import NoFaceError
from ...models.face_model import FaceModel
from ...models.imaging.cuts import find_shots, sketch_frame
from .. import host, validate
from .cut import (
    FaceChoice,
    PlacedFace,
    find_all,
    place_face,
    place_faces,
    points_in_crop,
    stand_in,
)
from .find_faces import BY_INDEX, WHAT_TO_TRY, choose_faces, mask_for_photo
from .no_face import list_numbers

if TYPE_CHECKING:
    from ...models.finder.faces import Face
    from ...models.finder.tracks import Track

# Share of min_score down to which doubtful faces carry on a track: they are looked for where a
# face is known to be.
CARRY_ON = 0.6
# Frames, as `models.finder.tracks.STEADY`. With both, points tremble a third as much as with
# neither; with one alone about as much: a code says where the face is in its crop.
STEADY_CODES = 1.5
SEPARATE, CLIP = CHOICES = ("separate photos", "clip")


def place_photos(
    image: Tensor, model: FaceModel, wanted: FaceChoice
) -> tuple[list[PlacedFace], dict[int, NoFaceError]]:
    """The wanted faces of photos that have nothing to do with each other.

    Args:
        image: `(B, H, W, C)`.
        model: whose alignment counts.
        wanted: which faces of each.

    Returns:
        The faces, in the order of the photos, a stand-in for a photo without one; and why, by the
        number of such a photo.
    """
    placed: list[PlacedFace] = []
    missing: dict[int, NoFaceError] = {}
    with host.Progress(len(image), "Finding faces") as progress:
        for number, pixels in enumerate(image):
            try:
                placed += place_faces(pixels, model, number, wanted)
            except NoFaceError as error:
                missing[number] = error
                placed.append(stand_in(pixels, model, number))
            progress.step()
    return placed, missing


def place_clip(
    image: Tensor, model: FaceModel, wanted: FaceChoice
) -> tuple[list[PlacedFace], dict[int, NoFaceError]]:
    """The wanted faces of the frames of a clip, as `place_photos`.

    Faces are followed within each shot, numbered by how much of it they fill, and chosen by that
    number. Their landmarks are smoothed over time, and interpolated where a face is missing for a
    few frames.
    """
    found, sketches = [], []
    doubtful = replace(wanted, min_score=wanted.min_score * CARRY_ON)
    with host.Progress(len(image), "Finding faces") as progress:
        for number, pixels in enumerate(image):
            photo = validate.split_channels(pixels)[0]
            sketches.append(sketch_frame(photo))
            if not wanted.without_finder(model):
                try:
                    found.append(find_all(photo, doubtful, number))
                except NoFaceError:
                    found.append([])
            progress.step()
    placed: list[PlacedFace] = []
    missing: dict[int, NoFaceError] = {}
    for shot in find_shots(sketches):
        if wanted.without_finder(model):
            whole = (face for i in shot for face in place_faces(image[i], model, i, wanted))
            placed += [face._replace(track=(shot.start, 0)) for face in whole]
            continue
        why: NoFaceError | None = None
        faces: dict[int, list[PlacedFace]] = {}
        try:
            people = _choose_people([found[i] for i in shot], wanted, shot.start, image)
            faces = _place_people(people, image, model, shot.start)
        except NoFaceError as error:
            why = error
        for i in shot:
            if i not in faces:
                missing[i] = why or NoFaceError(
                    f"The face is not found in photo {i + 1}, nor in enough frames around it to "
                    f"tell where it is. {WHAT_TO_TRY}"
                )
                faces[i] = [stand_in(image[i], model, i)]
            placed += faces[i]
    return placed, missing


def steady_codes(codes: Tensor, placed: Sequence[PlacedFace]) -> Tensor:
    """Codes `(B, *shape)` of a clip's faces, smoothed along each track; where a face is not seen,
    its code is interpolated."""
    tracks: dict[tuple[int, int], list[int]] = {}
    for i, face in enumerate(placed):
        if face.track is not None:
            tracks.setdefault(face.track, []).append(i)
    steady = codes.clone()
    for numbers in tracks.values():
        seen = torch.tensor([placed[i].seen for i in numbers], device=codes.device)
        steady[numbers] = latent_ops.smooth(
            latent_ops.fill_gaps(codes[numbers], seen), STEADY_CODES
        )
    return steady


def describe_gaps(placed: Sequence[PlacedFace]) -> list[str]:
    """What the artist is told of frames in which a face is not seen, and edited all the same."""
    frames = sorted({face.photo for face in placed if not face.seen})
    if not frames:
        return []
    return [
        f"A face is not seen in photo{'s' * (len(frames) > 1)} {list_numbers(frames)}: its place "
        "is interpolated from the frames around."
    ]


def _choose_people(
    found: Sequence[Sequence[Face]], wanted: FaceChoice, start: int, image: Tensor
) -> list[tuple[int, list[Track]]]:
    """The wanted people of a shot: number and tracks of each.

    Args:
        found: all faces of each frame.
        wanted: which; a mask counts where it lies on a face when that is first seen.
        start: the shot's first frame.
        image: `(B, H, W, C)`, the clip.

    Raises:
        NoFaceError: there is no such face.
    """
    from ...models.finder.tracks import follow_faces

    sure = 0.0 if wanted.landmarks is not None else wanted.min_score
    people = follow_faces(found, sure)
    first = [face for tracks in people for face in tracks[0].faces[:1] if face is not None]
    area = mask_for_photo(wanted.mask, start, *image.shape[1:3])
    index = wanted.index if wanted.faces == BY_INDEX else 0
    chosen = choose_faces(first, wanted.faces, index, start, area)
    return [(number, people[number]) for number, _ in chosen]


def _place_people(
    people: Sequence[tuple[int, Sequence[Track]]], image: Tensor, model: FaceModel, start: int
) -> dict[int, list[PlacedFace]]:
    """The faces of people, by frame of the clip; of a frame, in the order of the people.

    Args:
        people: number and tracks of each.
        image: `(B, H, W, C)`, the clip.
        model: whose alignment counts.
        start: the first frame of the shot.
    """
    faces: dict[int, list[PlacedFace]] = {}
    for number, tracks in people:
        for track in tracks:
            first, landmarks, points = start + track.start, track.landmarks(), track.points()
            for nth, (face, five) in enumerate(zip(track.faces, landmarks, strict=True)):
                i = first + nth
                context = place_face(image[i], model, i, five, number)
                dense = None if points is None else points_in_crop(points[nth], context)
                side = math.inf if face is None else face.size
                placed = PlacedFace(i, context, side, (first, number), face is not None, dense)
                faces.setdefault(i, []).append(placed)
    return faces
