"""Following faces through frames: numbers that stay, gaps, crossings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.models.finder.faces import Face
from face_latents.models.finder.tracks import LONGEST_GAP, Track, follow_faces

POINTS = torch.tensor(
    [[-0.3, -0.2], [0.3, -0.2], [0, 0.1], [-0.2, 0.3], [0.2, 0.3]], dtype=torch.float64
)


def face_at(x: float, y: float = 100.0, size: float = 60.0, score: float = 0.9) -> Face:
    centre = torch.tensor([x, y])
    box = torch.cat([centre - size / 2, centre + size / 2])
    return Face(box, POINTS * size + centre.double(), score)


def follow(found, **more) -> list[Track]:
    """The tracks of people who have one each."""
    people = follow_faces(found, **more)
    assert all(len(tracks) == 1 for tracks in people)
    return [tracks[0] for tracks in people]


def centres(track) -> list[float | None]:
    return [
        None if face is None else round(float(face.box[[0, 2]].mean()), 3) for face in track.faces
    ]


def test_two_people_keep_their_numbers_whatever_order_they_are_found_in():
    left = [face_at(100 + 3 * t) for t in range(20)]
    right = [face_at(300 - 3 * t, size=50) for t in range(20)]
    found = [[a, b] if t % 2 else [b, a] for t, (a, b) in enumerate(zip(left, right, strict=True))]
    first, second = follow(found)
    assert list(first.faces) == left
    assert list(second.faces) == right


def test_people_who_pass_each_other_are_told_apart_by_how_they_move():
    one = [face_at(100 + 12 * t, 100) for t in range(20)]
    other = [face_at(320 - 12 * t, 110) for t in range(20)]
    tracks = follow([list(pair) for pair in zip(one, other, strict=True)])
    assert {id(track.faces[-1]) for track in tracks} == {id(one[-1]), id(other[-1])}
    for track in tracks:
        assert list(track.faces) in (one, other)


def test_a_face_may_be_missing_for_some_frames_and_its_place_is_interpolated():
    for gap in (1, LONGEST_GAP, LONGEST_GAP + 1):
        last = 6 + gap
        found = [[face_at(100 + 2 * t)] if t < 6 or t >= last else [] for t in range(last + 6)]
        (tracks,) = follow_faces(found)
        if gap > LONGEST_GAP:
            assert [(track.start, track.end) for track in tracks] == [(0, 6), (last, last + 6)]
            continue
        (track,) = tracks
        assert track.seen.tolist() == [t < 6 or t >= last for t in range(last + 6)]
        expected = POINTS * 60 + torch.tensor([100.0, 100.0])
        steps = 2.0 * torch.arange(last + 6)[:, None, None] * torch.tensor([1.0, 0.0])
        torch.testing.assert_close(track.landmarks(), expected + steps, atol=1e-6, rtol=0)


def test_dense_landmarks_are_followed_like_the_five():
    still = torch.randn(478, 3, generator=torch.Generator().manual_seed(0)).double()
    noise = 0.1 * torch.randn(12, 478, 3, generator=torch.Generator().manual_seed(1)).double()
    faces = [replace(face_at(100), points=still + each) for each in noise]
    for gap in ({}, {4: None}, {4: face_at(100)}):  # seen, missing, without them
        points = Track(0, tuple(gap.get(t, face) for t, face in enumerate(faces))).points()
        assert points is not None
        assert points.shape == (12, 478, 3)
        assert (points - still)[1:-1].std() < 0.75 * noise.std()
    assert Track(0, (face_at(100), None)).points() is None


def test_a_track_ends_with_a_face():
    (track,) = follow([[], [face_at(50)], [face_at(52)], [], []])
    assert (track.start, len(track.faces)) == (1, 2)
    assert follow([[], []]) == []
    assert follow([]) == []


def test_doubtful_faces_carry_on_a_track_but_make_none():
    scores = (0.9, 0.35, 0.32, 0.9)
    found = [[face_at(100 + t, score=s), face_at(400, score=0.4)] for t, s in enumerate(scores)]
    (track,) = follow(found, min_score=0.5)
    assert centres(track) == [100, 101, 102, 103]
    assert len(follow(found)) == 2


def test_the_face_that_fills_most_of_the_clip_is_the_first():
    passer_by = [[face_at(400, size=90)] if t < 4 else [] for t in range(20)]
    found = [[face_at(100, size=50), *others] for others in passer_by]
    first, second = follow(found)
    assert (first.size, second.size) == (pytest.approx(1000), pytest.approx(360))


def test_someone_far_away_is_someone_else():
    tracks = follow([[face_at(100)], [face_at(180)], [face_at(100)]])
    assert sorted(map(centres, tracks), key=len) == [[180], [100, None, 100]]
    gone = [[] for _ in range(LONGEST_GAP + 1)]
    for away, people in ((20, 1), (100, 1), (140, 2)):
        found = [[face_at(100)], *gone, [face_at(100 + away)]]
        assert len(follow_faces(found)) == people
    # two who come back each go on as themselves
    pair = [face_at(100), face_at(250)]
    first, second = follow_faces([pair, *gone, [face_at(240), face_at(110)]])
    assert [[round(float(t.faces[0].box[0])) for t in p] for p in (first, second)] in (
        [[70, 80], [220, 210]],
        [[220, 210], [70, 80]],
    )


def test_landmarks_are_steadier_and_keep_up():
    generator = torch.Generator().manual_seed(0)
    found, true = [], []
    for t in range(60):
        face = face_at(200 + 30 * float(torch.tensor(t / 8).sin()))
        true.append(face.landmarks)
        noise = 0.3 * torch.randn(5, 2, generator=generator, dtype=torch.float64)
        found.append([Face(face.box, face.landmarks + noise, 0.9)])
    (track,) = follow(found)
    errors = {width: track.landmarks(width) - torch.stack(true) for width in (0.0, 1.5)}
    assert errors[1.5].diff(dim=0).std() < 0.4 * errors[0.0].diff(dim=0).std()
    assert errors[1.5].std() < 0.7 * errors[0.0].std()
