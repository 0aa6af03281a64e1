"""Following faces through the frames of a clip, so that each keeps its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...latent_ops import fill_gaps, smooth
from .faces import Face
from .overlaps import overlap_shares

LONGEST_GAP = 12  # frames for which a face may be missing: half a second of film
# Share of overlap (IoU) of a face's box with the one it was expected in. Below about 0.2 two people
# side by side would be taken for one; above 0.5 a face that turns quickly is lost.
SAME_FACE = 0.3
CLOSE_BY = 2.0  # sizes of a face between where it was lost and where it is found again
# Width of smoothing in frames. Of 1.5 to 3, and of a Gaussian, a bilateral filter and a One-Euro
# filter (Casiez et al. 2012) run both ways, this leaves least trembling of a face's points under
# hand-held motion: a third of what it is without. Wider, the crop lags behind where motion turns.
STEADY = 1.5


@dataclass(frozen=True, eq=False)
class Track:
    """One face through consecutive frames.

    Attributes:
        start: number of the first frame.
        faces: what was found in each frame; None in gaps.
    """

    start: int
    faces: tuple[Face | None, ...]

    @property
    def end(self) -> int:
        """Number of the frame after the last one."""
        return self.start + len(self.faces)

    @property
    def seen(self) -> Tensor:
        """`(N,)` bool: where the face was found."""
        return torch.tensor([face is not None for face in self.faces])

    @property
    def size(self) -> float:
        """Sizes of the face added up over all frames: how much of the clip is about it."""
        return sum(face.size for face in self.faces if face is not None)

    def landmarks(self, width: float = STEADY) -> Tensor:
        """`(N, 5, 2)` float64 in pixels of each frame, steady, and interpolated in gaps."""
        return _steady([None if face is None else face.landmarks for face in self.faces], width)

    def points(self, width: float = STEADY) -> Tensor | None:
        """`(N, 478, 3)`, dense landmarks as `landmarks`; None where no frame has them."""
        found = [None if face is None else face.points for face in self.faces]
        return None if all(each is None for each in found) else _steady(found, width)


def _steady(found: Sequence[Tensor | None], width: float) -> Tensor:
    """Points of each frame, smoothed over time, and interpolated where there are none."""
    known = torch.tensor([each is not None for each in found])
    nothing = torch.zeros_like(next(each for each in found if each is not None))
    stacked = torch.stack([nothing if each is None else each for each in found]).double()
    return smooth(fill_gaps(stacked, known), width)


@dataclass
class _Trail:
    """A track in the making."""

    start: int
    faces: list[Face | None] = field(default_factory=list)
    gap: int = 0  # frames since the face was seen
    speed: Tensor = field(default_factory=lambda: torch.zeros(2))  # pixels a frame

    @property
    def last(self) -> Face:
        return next(face for face in reversed(self.faces) if face is not None)

    def expected_box(self) -> Tensor:
        """Where the face should be in the next frame, if it goes on as it did."""
        return self.last.box + self.speed.repeat(2) * (self.gap + 1)

    def add(self, face: Face | None) -> None:
        if face is None:
            self.gap += 1
        else:
            if self.faces:
                step = (face.landmarks - self.last.landmarks).mean(0) / (self.gap + 1)
                self.speed = step.float()
            self.gap = 0
        self.faces.append(face)


def follow_faces(
    found: Sequence[Sequence[Face]], min_score: float = 0.0, longest_gap: int = LONGEST_GAP
) -> list[list[Track]]:
    """Tell which faces of consecutive frames are the same, by where they are and how they move.

    Args:
        found: all faces of each frame, of one shot: nothing is followed across a cut.
        min_score: a track whose best face scores less is left out. So `found` may hold doubtful
            faces: they carry on a track that a good one makes sure of (Zhang et al. 2022).
        longest_gap: frames for which a face may be missing within its track.

    Returns:
        The tracks of each person, in the order of time, first the person who fills most of the
        shot. A track begins and ends with a frame in which the face was found. Whoever is missing
        for longer, and is found again close by, goes on in another track.
    """
    open_trails: list[_Trail] = []
    trails: list[_Trail] = []
    for frame, faces in enumerate(found):
        pairs = _match(open_trails, faces)
        for number, trail in enumerate(open_trails):
            trail.add(pairs.get(number))
        open_trails = [trail for trail in open_trails if trail.gap <= longest_gap]
        taken = {id(face) for face in pairs.values()}
        for face in faces:
            if id(face) not in taken:
                trail = _Trail(frame)
                trail.add(face)
                trails.append(trail)
                open_trails.append(trail)
    people: list[list[Track]] = []
    for trail in trails:
        track = Track(trail.start, tuple(trail.faces[: len(trail.faces) - trail.gap]))
        if max(face.score for face in track.faces if face is not None) >= min_score:
            before = [tracks for tracks in people if _goes_on(tracks[-1], track)]
            if before:
                max(before, key=lambda tracks: tracks[-1].end).append(track)
            else:
                people.append([track])
    return sorted(people, key=lambda tracks: -sum(track.size for track in tracks))


def _goes_on(track: Track, later: Track) -> bool:
    """Whether a face that was lost is likely the one that is found later, close by."""
    last, first = track.faces[-1], later.faces[0]
    if track.end > later.start or last is None or first is None:
        return False
    away = (last.landmarks.mean(0) - first.landmarks.mean(0)).norm()
    return float(away) < CLOSE_BY * max(last.size, first.size)


def _match(trails: Sequence[_Trail], faces: Sequence[Face]) -> dict[int, Face]:
    """The face of a new frame that carries on each trail, by the trail's number; the pairs that
    overlap most first."""
    if not trails or not faces:
        return {}
    expected = torch.stack([trail.expected_box() for trail in trails])
    boxes = torch.stack([face.box for face in faces]).to(expected)
    shares = torch.nan_to_num(overlap_shares(expected[:, None], boxes)[0])
    pairs: dict[int, Face] = {}
    for flat in shares.flatten().argsort(descending=True, stable=True).tolist():
        trail, face = divmod(flat, len(faces))
        if float(shares[trail, face]) < SAME_FACE:
            break
        if trail not in pairs and all(faces[face] is not other for other in pairs.values()):
            pairs[trail] = faces[face]
    return pairs
