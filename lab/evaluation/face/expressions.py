"""Whether expressions and turned heads reach their aim, as dense landmarks see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.architectures.face.net import POSES, FaceShapeAppearanceNet
from ....models.architectures.face.pose import measure_pose
from ....models.judge import Judge, read
from ...directions.measures import EXPRESSIVE, MEASURES, gradients, measure
from ...directions.recipes import EXPRESSION, POSE
from .edits import as_probability
from .outside import Measure
from .points import find_points
from .subjects import Subjects, median, share

STRENGTH = 2.0  # or the end of the range, where that is nearer
AIMED = 0.5  # share of the largest wanted change from which a measure is an aim
REACHED = 0.5  # share of a wanted change that counts as reached
LIDS = ("left_lids", "right_lids")
UNSEEN = ("gaze_x", "gaze_y", "eye_tilt")  # of closed eyes
CLOSED = 0.25  # share of an eye's height below which it is closed
MOUTHS = ("smile", "mouth_open")  # what the judge may see of a mouth that is meant to move
# Pose direction -> number of the pose, degrees, name of the figure.
TURNS = {"head_turn": (0, 15.0, "identity_yaw15"), "head_nod": (1, 10.0, "identity_pitch10")}


@dataclass(frozen=True, eq=False)
class Aim:
    """What a direction of the shape is to change.

    Attributes:
        wanted: `(M,)` change of each measure at the strength, in standard deviations.
        aims: `(M,)` which of them it is about.
        strength: of the edit.
    """

    wanted: Tensor
    aims: Tensor
    strength: float

    def names(self) -> list[str]:
        """Of the measures it is about."""
        return [name for name, aimed in zip(MEASURES, self.aims.tolist(), strict=True) if aimed]


def aim_of(net: FaceShapeAppearanceNet, vector: Tensor, end: float) -> Aim:
    """What a direction `(K,)` is about: the measures that it changes most, without those that eyes
    do not show which close.

    Args:
        net: whose codes they are.
        vector: `(K,)`.
        end: of its range.
    """
    rows = gradients(net.shape)
    strength = min(STRENGTH, end)
    shape = vector[POSES : POSES + len(net.shape.std)]
    wanted = strength * (rows @ shape) / rows.norm(dim=1)
    aims = wanted.abs() >= AIMED * wanted.abs().max()
    names = list(MEASURES)
    lids = [names.index(name) for name in LIDS]
    if bool((aims & (wanted < 0))[lids].any()):
        aims[[names.index(name) for name in UNSEEN]] = False
    return Aim(wanted, aims, strength)


def frontal_measures(net: FaceShapeAppearanceNet, points: Tensor) -> tuple[Tensor, Tensor]:
    """Poses `(N, 6)` and measures `(N, M)` of dense landmarks, the latter in sides."""
    pose, shapes = measure_pose(points, net.shape.mean)
    return pose, measure(shapes)


def reached(aim: Aim, before: Tensor, after: Tensor, spread: Tensor) -> Tensor:
    """Which faces `(N,)` do what was wanted: each measure at least half of its change, an eye that
    is to close a quarter or less of its height.

    Args:
        aim: see there.
        before, after: measures `(N, M)`.
        spread: `(M,)`, their standard deviations.
    """
    done = (after - before) / spread * aim.wanted.sign() >= REACHED * aim.wanted.abs()
    for name in LIDS:
        column = list(MEASURES).index(name)
        if float(aim.wanted[column]) < 0:
            done[:, column] = after[:, column] < CLOSED * before[:, column]
    return done[:, aim.aims].all(1)


def seen(found: Tensor, truth: Tensor) -> Tensor:
    """Slopes `(M,)` of measures as found on the true ones, both `(N, M)`: 1 where all is seen."""
    found, truth = found - found.mean(0), truth - truth.mean(0)
    return (found * truth).sum(0) / truth.square().sum(0).clamp(min=1e-12)


def evaluate_expressions(
    subjects: Subjects,
    judge: Judge,
    truth: Tensor,
    find: Measure,
    progress: Callable[[str, int, int], None],
) -> dict[str, dict[str, object]]:
    """Follow every direction of the group "expression".

    Args:
        subjects: the faces; their model is one of shape and appearance.
        judge: reads attributes, for side effects.
        truth: `(N, 478, 3)`, a teacher's points of the unedited faces.
        find: sees the dense landmarks, see `points.find_points`.
        progress: called with (stage, done, total).

    Returns:
        By direction: `strength`; `reached`, share of faces; `seen`, the least slope of an aim, as
        the landmarks find it, on the teacher's (far below 1 they are no judge); `side_effect` and
        `side_effect_on`, the largest mean change of another attribute that the judge sees, in
        [0, 1]; `moves_also` and `moves_also_on`, the largest mean change of another measure of
        expressions, over the least of those wanted; `identity`, median distance to the unedited
        face.
    """
    net = _net_of(subjects)
    model, everyone = subjects.model, torch.arange(len(subjects))
    spread = gradients(net.shape).norm(dim=1)
    _, before = frontal_measures(net, find_points(subjects.crops, model.template, find))
    slopes = seen(before, frontal_measures(net, truth)[1])
    reference = read(judge, subjects.crops, model.template)
    start = as_probability(reference, reference)
    chosen = {n: d for n, d in model.directions.items() if d.group == EXPRESSION}
    figures: dict[str, dict[str, object]] = {}
    for number, (name, direction) in enumerate(chosen.items()):
        progress("expressions", number, len(chosen))
        aim = aim_of(net, direction.vector, direction.safe_range[1])
        edited = subjects.edited(everyone, aim.strength * direction.vector)
        _, after = frontal_measures(net, find_points(edited, model.template, find))
        readings = as_probability(read(judge, edited, model.template), reference)
        figures[name] = {
            "strength": aim.strength,
            "reached": share(reached(aim, before, after, spread)),
            "seen": round(float(slopes[aim.aims].min()), 3),
            **_side_effect(aim, list(reference), (readings - start).abs().mean(0)),
            **_also_moved(aim, ((after - before) / spread).abs().mean(0)),
            "identity": median(subjects.identity(everyone, edited)),
        }
    return figures


def _side_effect(aim: Aim, names: Iterable[str], change: Tensor) -> dict[str, object]:
    mouth = any(name.startswith(("mouth", "upper_lip", "lower_lip")) for name in aim.names())
    others = [name not in MOUTHS or not mouth for name in names]
    return _worst("side_effect", names, change, others)


def _also_moved(aim: Aim, change: Tensor) -> dict[str, object]:
    others = [name in EXPRESSIVE and name not in aim.names() for name in MEASURES]
    return _worst("moves_also", MEASURES, change / aim.wanted.abs()[aim.aims].min(), others)


def _worst(
    key: str, names: Iterable[str], change: Tensor, counted: Sequence[bool]
) -> dict[str, object]:
    values = {n: v for n, v, count in zip(names, change.tolist(), counted, strict=True) if count}
    worst = max(values, key=lambda name: values[name])
    return {key: round(values[worst], 3), f"{key}_on": worst}


def evaluate_pose(subjects: Subjects, find: Measure) -> dict[str, object]:
    """Turn heads by 15 degrees and nod them by 10, to both sides.

    Args:
        subjects: the faces; their model is one of shape and appearance.
        find: sees the dense landmarks, see `points.find_points`.

    Returns:
        `identity_yaw15`, `identity_pitch10`: median distances to the unedited face; `error_deg`:
        median distance of the angle that landmarks see from what was asked for, `error_deg_p95`.
    """
    net = _net_of(subjects)
    template, everyone = subjects.model.template, torch.arange(len(subjects))
    before, _ = frontal_measures(net, find_points(subjects.crops, template, find))
    figures: dict[str, object] = {}
    wrong = []
    for name, (number, degrees, key) in TURNS.items():
        direction = subjects.model.directions.get(name)
        if direction is None or direction.group != POSE:
            continue
        unit = float(direction.vector[number] * net.shape.pose_std[number])
        identities = []
        for sign in (1, -1):
            edited = subjects.edited(everyone, sign * degrees / unit * direction.vector)
            after, _ = frontal_measures(net, find_points(edited, template, find))
            wrong.append((after - before)[:, number] - sign * degrees)
            identities.append(subjects.identity(everyone, edited))
        figures[key] = median(torch.cat(identities))
    if wrong:
        errors = torch.cat(wrong).abs()
        figures["error_deg"] = median(errors)
        figures["error_deg_p95"] = round(float(errors.quantile(0.95)), 3)
    return figures


def evaluate_ranges(
    subjects: Subjects, progress: Callable[[str, int, int], None]
) -> dict[str, dict[str, object]]:
    """Edit faces at both ends of each direction's range.

    Returns:
        By direction: `low`, `high`: median distance to the unedited face at either end,
        `identity_at_ends`: the larger one, `range`.
    """
    everyone = torch.arange(len(subjects))
    figures: dict[str, dict[str, object]] = {}
    for number, (name, direction) in enumerate(subjects.model.directions.items()):
        progress("ranges", number, len(subjects.model.directions))
        low, high = (
            float(subjects.identity(everyone, edited).median())
            for edited in (
                subjects.edited(everyone, end * direction.vector) for end in direction.safe_range
            )
        )
        figures[name] = {
            "low": round(low, 4),
            "high": round(high, 4),
            "identity_at_ends": round(max(low, high), 4),
            "range": list(direction.safe_range),
        }
    return figures


def _net_of(subjects: Subjects) -> FaceShapeAppearanceNet:
    net = subjects.model.module
    assert isinstance(net, FaceShapeAppearanceNet)  # who calls has looked
    return net
