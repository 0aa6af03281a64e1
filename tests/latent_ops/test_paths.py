"""Multi-keyframe paths: constant speed, every keyframe, loops, and the spline against SciPy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from face_latents.latent_ops import (
    EASINGS,
    PATH_MODES,
    angle,
    ease,
    keyframe_frames,
    keyframe_positions,
    lerp,
    path,
    path_at,
    slerp,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_ops_support import DTYPES, float64, gaussian, same_bits
from scipy.integrate import quad
from scipy.interpolate import CubicSpline
from torch import Tensor

modes = pytest.mark.parametrize("mode", PATH_MODES)
loops = pytest.mark.parametrize("loop", [False, True])


def uneven(count: int, size: int = 16, seed: int = 0) -> Tensor:
    """Return keyframes at very different distances and of different norms."""
    sizes = torch.tensor([1.0, 3.0, 0.5, 2.0, 1.5, 0.2, 4.0])[:count, None].double()
    return sizes * gaussian(count, size, seed=seed, dtype=torch.float64)


def measured_length(keyframes: Tensor, begin: float, end: float, **options: object) -> float:
    """Return the length of a piece of path by adding up many short chords, none across a corner."""
    corners = keyframe_positions(keyframes, **options)  # type: ignore[arg-type]
    corners = corners[(corners > begin) & (corners < end)]
    s = torch.cat([torch.linspace(begin, end, 1001, dtype=torch.float64), corners]).sort().values
    points = path_at(keyframes, s, **options)  # type: ignore[arg-type]
    return float((points[1:] - points[:-1]).flatten(1).norm(dim=1).sum())


# Constant speed


@modes
@loops
def test_equal_shares_are_equal_lengths(mode: str, loop: bool) -> None:
    keyframes = uneven(5)
    pieces = [
        measured_length(keyframes, i / 7, (i + 1) / 7, mode=mode, loop=loop) for i in range(7)
    ]
    np.testing.assert_allclose(pieces, np.mean(pieces), rtol=1e-4)


@modes
@loops
def test_frames_off_the_keyframes_are_equal_steps(mode: str, loop: bool) -> None:
    keyframes = uneven(4)
    count = 400
    frames = path(keyframes, count, mode=mode, loop=loop, hit_keyframes=False)
    steps = (frames[1:] - frames[:-1]).norm(dim=1)
    # A chord across a corner is shorter; everywhere else the steps agree.
    assert float(steps.max() / steps.median()) == pytest.approx(1, abs=1e-3)
    curved = 0.97 if mode == "spline" else 0.998
    assert int((steps < curved * steps.median()).sum()) <= 4


@modes
@loops
def test_frames_between_two_keyframes_are_equal_steps(mode: str, loop: bool) -> None:
    keyframes = uneven(4)
    frames = path(keyframes, 2001, mode=mode, loop=loop)
    at = keyframe_frames(keyframes, 2001, mode=mode, loop=loop).tolist()
    steps = (frames[1:] - frames[:-1]).norm(dim=1)
    for begin, end in pairwise(at):
        piece = steps[begin:end]
        torch.testing.assert_close(piece, piece.mean().expand_as(piece), rtol=2e-3, atol=0)
        # and from keyframe to keyframe they differ by the rounding of the keyframes to frames only
        assert float(piece.mean() / steps.mean()) == pytest.approx(1, abs=2 / (end - begin))


def test_slerp_length_against_quadrature() -> None:
    """The length of an arc whose norm grows is the integral of sqrt(n'^2 + n^2 omega^2)."""
    a, b, c = uneven(3)
    total = []
    for first, last in ((a, b), (b, c)):
        omega = float(angle(first, last))
        n0, n1 = float(first.norm()), float(last.norm())
        total.append(
            quad(
                lambda t, n0=n0, n1=n1, o=omega: math.hypot(n1 - n0, o * (n0 + t * (n1 - n0))), 0, 1
            )[0]
        )
    positions = keyframe_positions(torch.stack([a, b, c]))
    assert float(positions[1]) == pytest.approx(total[0] / sum(total), rel=1e-12)


def test_lerp_positions_against_numpy() -> None:
    keyframes = uneven(5)
    steps = np.linalg.norm(np.diff(float64(keyframes), axis=0), axis=1)
    expected = np.concatenate([[0], np.cumsum(steps) / steps.sum()])
    np.testing.assert_allclose(
        keyframe_positions(keyframes, mode="lerp").numpy(), expected, rtol=1e-12, atol=1e-15
    )


# Through every keyframe


@modes
@loops
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_keyframe_is_shown_bit_for_bit(
    mode: str, loop: bool, dtype: torch.dtype, count: int
) -> None:
    keyframes = gaussian(count, 4, 8, 8, dtype=dtype)
    for frames in (count, count + 1, 24, 97):
        result = path(keyframes, frames, mode=mode, loop=loop)
        at = keyframe_frames(keyframes, frames, mode=mode, loop=loop)
        assert result.shape == (frames, 4, 8, 8)
        assert same_bits(result[at], keyframes)
        assert at[0] == 0
        assert bool((at[1:] > at[:-1]).all())
        if not loop:
            assert at[-1] == frames - 1


@modes
@loops
def test_positions_are_where_the_keyframes_are(mode: str, loop: bool) -> None:
    keyframes = uneven(6)
    positions = keyframe_positions(keyframes, mode=mode, loop=loop)
    assert same_bits(path_at(keyframes, positions, mode=mode, loop=loop), keyframes)
    assert positions[0] == 0
    assert bool((positions[1:] > positions[:-1]).all())
    assert (float(positions[-1]) == 1.0) is not loop


@modes
def test_without_hitting_an_interior_keyframe_is_missed_by_half_a_step_at_most(mode: str) -> None:
    keyframes = uneven(5)
    frames = path(keyframes, 50, mode=mode, hit_keyframes=False)
    total = measured_length(keyframes, 0, 1, mode=mode)
    for keyframe in keyframes:
        miss = float((frames - keyframe).norm(dim=1).min())
        assert miss <= 0.5 * total / 49 * 1.001
    assert same_bits(frames[0], keyframes[0])
    assert same_bits(frames[-1], keyframes[-1])


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.floats(1e-6, 10), min_size=2, max_size=6),
    st.integers(0, 30),
    st.sampled_from(PATH_MODES),
    st.booleans(),
)
def test_crowded_keyframes_each_get_a_frame(
    gaps: list[float], spare: int, mode: str, loop: bool
) -> None:
    """Keyframes along a half circle, some closer than a frame."""
    turns = torch.tensor([0.0, *gaps], dtype=torch.float64).cumsum(0)
    turns = turns / turns[-1] * 3
    keyframes = torch.stack([turns.cos(), turns.sin()], 1)
    frames = len(keyframes) + spare
    at = keyframe_frames(keyframes, frames, mode=mode, loop=loop)
    assert len(set(at.tolist())) == len(keyframes)
    assert at.tolist() == sorted(at.tolist())
    assert same_bits(path(keyframes, frames, mode=mode, loop=loop)[at], keyframes)


@modes
def test_keyframes_go_to_their_nearest_frame(mode: str) -> None:
    keyframes = uneven(5)
    at = keyframe_frames(keyframes, 100, mode=mode).double()
    assert float((at - keyframe_positions(keyframes, mode=mode) * 99).abs().max()) <= 0.5


@modes
def test_too_few_frames_to_show_every_keyframe(mode: str) -> None:
    keyframes = uneven(5)
    with pytest.raises(ValueError, match="5 keyframes need at least 5 frames"):
        path(keyframes, 4, mode=mode)
    with pytest.raises(ValueError, match="5 keyframes need at least 5 frames"):
        path(keyframes, 4, mode=mode, loop=True)
    assert path(keyframes, 5, mode=mode).shape[0] == 5
    assert same_bits(path(keyframes, 5, mode=mode, loop=True), keyframes)
    for frames in (1, 2, 4):
        result = path(keyframes, frames, mode=mode, hit_keyframes=False)
        assert result.shape[0] == frames
        assert same_bits(result[0], keyframes[0])


# The three curves


@pytest.mark.parametrize("origin", [False, True])
def test_two_keyframes_are_plain_slerp_and_lerp(origin: bool) -> None:
    a, b = gaussian(2, 16, dtype=torch.float64)
    b = b * a.norm() / b.norm()  # equal norms: the arc length is proportional to t
    keyframes, t = torch.stack([a, b]), torch.linspace(0, 1, 9, dtype=torch.float64)
    torch.testing.assert_close(path(keyframes, 9), slerp(a, b, t))
    for mode in ("lerp", "spline"):
        torch.testing.assert_close(path(keyframes, 9, mode=mode), lerp(a, b, t))
    if origin:
        centre = gaussian(16, seed=5, dtype=torch.float64)
        moved = path(keyframes + centre, 9, origin=centre)
        torch.testing.assert_close(moved, slerp(a, b, t) + centre)


@modes
@loops
def test_the_path_moves_along_with_its_origin(mode: str, loop: bool) -> None:
    keyframes, centre = uneven(5), gaussian(16, seed=5, dtype=torch.float64)
    torch.testing.assert_close(
        path(keyframes + centre, 30, mode=mode, loop=loop, origin=centre),
        path(keyframes, 30, mode=mode, loop=loop) + centre,
        rtol=1e-9,
        atol=1e-9,
    )


@loops
@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_spline_against_scipy(loop: bool, count: int) -> None:
    keyframes = uneven(count)
    knots = torch.cat([keyframes, keyframes[:1]]) if loop else keyframes
    u = np.concatenate(
        [[0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(float64(knots), axis=0), axis=1)))]
    )
    spline = CubicSpline(u, float64(knots), bc_type="periodic" if loop else "natural")
    speed = spline.derivative()
    # SciPy's curve, walked to the same arc length by quadrature and root finding on a fine grid.
    fine = np.linspace(0, u[-1], 200_001)
    speeds = np.linalg.norm(speed(fine), axis=1)
    lengths = np.concatenate([[0], np.cumsum((speeds[1:] + speeds[:-1]) / 2 * np.diff(fine))])
    s = np.linspace(0, 1, 50, endpoint=not loop)
    expected = spline(np.interp(s * lengths[-1], lengths, fine))
    result = path_at(keyframes, torch.from_numpy(s), mode="spline", loop=loop)
    scale = float(keyframes.norm(dim=1).max())
    np.testing.assert_allclose(float64(result), expected, atol=1e-6 * scale)


@loops
def test_spline_is_smooth_and_the_others_have_corners(loop: bool) -> None:
    keyframes = uneven(5)
    positions = keyframe_positions(keyframes, mode="spline", loop=loop)

    def corner(mode: str, s: float) -> float:
        step = 1e-6
        points = path_at(
            keyframes, torch.tensor([s - step, s, s + step]).double(), mode=mode, loop=loop
        )
        return float(angle(points[1] - points[0], points[2] - points[1]))

    for s in positions[1:-1].tolist() + ([0.0] if loop else []):
        assert corner("spline", s) < 1e-3
    for mode in ("lerp", "slerp"):
        at = keyframe_positions(keyframes, mode=mode, loop=loop)[1:-1].tolist()
        assert min(corner(mode, s) for s in at) > 0.1


def test_slerp_path_keeps_gaussian_norms() -> None:
    keyframes = gaussian(6, 512)
    norms = path(keyframes, 120).norm(dim=1)
    assert float(norms.min()) >= float(keyframes.norm(dim=1).min()) - 1e-3
    assert float(norms.max()) <= float(keyframes.norm(dim=1).max()) + 1e-3


# Loops


@modes
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("hit", [True, False])
def test_a_loop_closes_with_no_doubled_frame(mode: str, count: int, hit: bool) -> None:
    keyframes = uneven(count)
    frames = path(keyframes, 300, mode=mode, loop=True, hit_keyframes=hit)
    steps = (frames - frames.roll(1, 0)).norm(dim=1)
    # Where a corner falls between two frames the chord is shorter than the way along the path.
    assert float(steps.min()) > (0.5 if hit else 0.25) * float(steps.median())
    assert float(steps.max()) < 1.5 * float(steps.median())
    assert float(steps[0]) == pytest.approx(float(steps.median()), rel=0.2)
    assert same_bits(frames[0], keyframes[0])


@modes
def test_a_loop_goes_round(mode: str) -> None:
    keyframes = uneven(4)
    s = torch.tensor([0.0, 1.0, -1.0, 0.25, 1.25, -0.75, 7.25]).double()
    points = path_at(keyframes, s, mode=mode, loop=True)
    assert same_bits(points[1], keyframes[0])
    assert same_bits(points[2], keyframes[0])
    for other in points[4:]:
        torch.testing.assert_close(other, points[3])


@modes
def test_closing_the_loop_by_hand_makes_no_difference(mode: str) -> None:
    keyframes = uneven(4)
    closed = torch.cat([keyframes, keyframes[:1]])
    torch.testing.assert_close(
        path(closed, 40, mode=mode, loop=True), path(keyframes, 40, mode=mode, loop=True)
    )
    at = keyframe_frames(closed, 40, mode=mode, loop=True)
    assert at[-1] == 0
    assert float(keyframe_positions(closed, mode=mode, loop=True)[-1]) == 1.0


# Degenerate keyframes


@modes
@loops
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_one_keyframe_or_only_identical_ones_are_a_still(
    mode: str, loop: bool, frames: int
) -> None:
    code = gaussian(4, 8, 8)
    for count in (1, 3):
        keyframes = code.expand(count, 4, 8, 8)
        for hit in (True, False):
            result = path(keyframes, frames, mode=mode, loop=loop, hit_keyframes=hit)
            assert same_bits(result, code.expand(frames, 4, 8, 8).contiguous())
        assert keyframe_positions(keyframes, mode=mode, loop=loop).tolist() == [0.0] * count
        assert keyframe_frames(keyframes, frames, mode=mode, loop=loop).tolist() == [0] * count
        at = path_at(keyframes, torch.tensor([[0.0, 0.5]]), mode=mode, loop=loop)
        assert same_bits(at, code.expand(1, 2, 4, 8, 8).contiguous())


@modes
@loops
def test_successive_identical_keyframes_take_no_time(mode: str, loop: bool) -> None:
    a, b, c = uneven(3)
    repeated, plain = torch.stack([a, a, b, b, b, c, c]), torch.stack([a, b, c])
    assert same_bits(
        path(repeated, 30, mode=mode, loop=loop), path(plain, 30, mode=mode, loop=loop)
    )
    at = keyframe_frames(repeated, 30, mode=mode, loop=loop).tolist()
    assert len(set(at)) == 3
    assert at == sorted(at)


@modes
def test_a_keyframe_may_come_back_later(mode: str) -> None:
    a, b, _ = uneven(3)
    frames = path(torch.stack([a, b, a]), 21, mode=mode)
    torch.testing.assert_close(frames, frames.flip(0), rtol=1e-9, atol=1e-9)
    assert same_bits(frames[10], b)


@modes
@loops
def test_zero_opposite_and_parallel_keyframes(mode: str, loop: bool) -> None:
    base = gaussian(16, dtype=torch.float64)
    keyframes = torch.stack([base, 2 * base, -base, 0 * base, gaussian(16, seed=1).double()])
    frames = path(keyframes, 200, mode=mode, loop=loop)
    assert torch.isfinite(frames).all()
    at = keyframe_frames(keyframes, 200, mode=mode, loop=loop)
    assert same_bits(frames[at], keyframes)
    steps = (frames[1:] - frames[:-1]).norm(dim=1)
    assert float(steps.max() / steps.median()) < 1.2


@modes
@loops
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e12, 1e30])
def test_the_size_of_the_codes_does_not_matter(mode: str, loop: bool, size: float) -> None:
    keyframes = gaussian(4, 16)
    small = path(keyframes * size, 20, mode=mode, loop=loop)
    torch.testing.assert_close(
        small / size, path(keyframes, 20, mode=mode, loop=loop), rtol=1e-4, atol=1e-4
    )


@modes
@loops
def test_codes_of_one_component(mode: str, loop: bool) -> None:
    keyframes = torch.tensor([[1.0], [-2.0], [3.0]], dtype=torch.float64)
    frames = path(keyframes, 81, mode=mode, loop=loop)
    at = keyframe_frames(keyframes, 81, mode=mode, loop=loop)
    assert same_bits(frames[at], keyframes)
    if mode != "spline" and not loop:
        torch.testing.assert_close(
            (frames[1:] - frames[:-1]).abs(), torch.full((80, 1), 0.1).double()
        )
        assert at.tolist() == [0, 30, 80]


# Easing


@modes
@loops
@pytest.mark.parametrize("easing", EASINGS)
def test_an_eased_path_shows_every_keyframe_at_the_same_time(
    mode: str, loop: bool, easing: str
) -> None:
    keyframes = uneven(5)
    frames = path(keyframes, 31, mode=mode, loop=loop, easing=easing)
    at = keyframe_frames(keyframes, 31, mode=mode, loop=loop)
    assert same_bits(frames[at], keyframes)


def test_linear_easing_is_no_easing() -> None:
    keyframes = uneven(4)
    assert same_bits(path(keyframes, 17), path(keyframes, 17, easing="linear"))
    assert same_bits(
        path(keyframes, 17, hit_keyframes=False),
        path(keyframes, 17, hit_keyframes=False, easing="linear"),
    )


def test_eased_frames_lie_where_the_easing_says() -> None:
    a, b = gaussian(2, 16, dtype=torch.float64)
    t = torch.arange(9, dtype=torch.float64) / 8
    for easing in EASINGS:
        frames = path(torch.stack([a, b]), 9, mode="lerp", easing=easing)
        torch.testing.assert_close(frames, lerp(a, b, ease(t, easing)), rtol=1e-9, atol=1e-9)


def test_hold_shows_nothing_but_keyframes() -> None:
    keyframes = uneven(3)
    frames = path(keyframes, 20, easing="hold")
    for frame in frames:
        assert any(same_bits(frame, keyframe) for keyframe in keyframes)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.sampled_from(EASINGS))
def test_easing_keeps_order_and_ends(shares: list[float], easing: str) -> None:
    t = torch.tensor([0.0, *sorted(shares), 1.0], dtype=torch.float64)
    eased = ease(t, easing)
    assert eased[0] == 0
    assert eased[-1] == 1
    assert bool((eased.diff() >= -1e-15).all())


def test_easings_are_slow_where_they_say() -> None:
    t = torch.tensor([0.0, 0.1, 0.9, 1.0], dtype=torch.float64)
    first, last = {}, {}
    for easing in EASINGS:
        steps = ease(t, easing).diff()
        first[easing], last[easing] = float(steps[0]), float(steps[2])
    assert first["ease_in"] < 0.02 < 0.1 < first["ease_out"]
    assert last["ease_out"] < 0.02 < 0.1 < last["ease_in"]
    assert first["ease_in_out"] == pytest.approx(last["ease_in_out"], abs=1e-12)
    assert first["ease_in_out"] == pytest.approx(0.028, abs=1e-12)


def test_bad_easings_are_refused() -> None:
    with pytest.raises(ValueError, match="easing"):
        path(uneven(2), 5, easing="bounce")
    with pytest.raises(ValueError, match="within 0 and 1"):
        ease(torch.tensor([1.5]))
    with pytest.raises(ValueError, match="within 0 and 1"):
        ease(torch.tensor([math.nan]))
    with pytest.raises(TypeError):
        ease(torch.tensor([1]))


def test_bad_arguments_are_refused() -> None:
    keyframes = gaussian(3, 16)
    with pytest.raises(ValueError, match="slerp, lerp, spline"):
        path(keyframes, 10, mode="bezier")
    for frames in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="frames must be a whole number of at least 1"):
            path(keyframes, frames)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one keyframe"):
        path(keyframes[:0], 10)
    with pytest.raises(ValueError, match="NaN or infinity"):
        path(keyframes * math.nan, 10)
    with pytest.raises(ValueError, match="unsqueeze"):
        path(keyframes[0], 10)
    with pytest.raises(ValueError, match="latent_dims=2"):
        path(keyframes, 10, latent_dims=2)
    with pytest.raises(ValueError, match="one code"):
        path(keyframes, 10, origin=keyframes)
    for s in (-0.1, 1.1, torch.tensor([0.0, 2.0])):
        with pytest.raises(ValueError, match="within 0 and 1"):
            path_at(keyframes, s)
    with pytest.raises(ValueError, match="finite"):
        path_at(keyframes, math.nan, loop=True)
