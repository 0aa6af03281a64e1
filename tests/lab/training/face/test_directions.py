"""Directions: their recipes, what measures change, and fits to planted labels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.lab.directions import recipes
from face_latents.lab.directions.measures import (
    EXPRESSIVE,
    MEASURES,
    change_measures,
    functional,
    gradients,
    measure,
)
from face_latents.lab.directions.recipes import RECIPES, Recipe
from face_latents.lab.training.face.directions import DirectionFit, Observed
from face_latents.lab.training.face.labels import LABELS
from face_latents.lab.training.face.ranges import (
    MOST_DEGREES,
    MOST_DRAWN,
    MOST_LOOK,
    MOST_MOVED,
    natural_range,
)
from face_latents.models.architectures.face.net import POSES
from face_latents.models.architectures.face.shape import FaceShape
from face_latents.models.face_model import Expressions, FaceModel
from face_latents.models.finder.landmarks_net import POINTS
from face_support import COUNT, LOOKS, MIRROR, SCORES, SHAPES, geometry, random_codes, small_net

SKIP = POSES + SHAPES
GROUPS = {recipes.POSE, recipes.EXPRESSION, recipes.FACE_SHAPE, recipes.LOOK, recipes.LIGHT}


def rich_shape(count: int = 40) -> FaceShape:
    """Enough random components for every measure to change on its own."""
    shape = FaceShape(count)
    rows = torch.randn(POINTS * 3, count, generator=torch.Generator().manual_seed(0))
    shape.mean.copy_(geometry()["shape.mean"])
    shape.basis.copy_(torch.linalg.qr(rows).Q.T.view(count, POINTS, 3))
    shape.std.copy_(torch.linspace(0.02, 0.01, count))
    return shape


def test_every_recipe_has_a_group_a_sentence_and_one_way_to_make_it() -> None:
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)
    assert {recipe.group for recipe in RECIPES} == GROUPS
    for recipe in RECIPES:
        assert recipe.name.isidentifier()
        assert len(recipe.plus) >= 5, recipe.name
        assert not recipe.plus.endswith("."), recipe.name
        ways = (
            recipe.pose, recipe.measures, recipe.scores, recipe.label, recipe.pairs, recipe.typical,
        )  # fmt: skip
        assert sum(bool(way) for way in ways) == 1, recipe.name
        assert set(recipe.measures) <= set(MEASURES), recipe.name
        for labelled in (recipe.label, recipe.typical):
            assert labelled is None or labelled[0] in LABELS, recipe.name


def test_recipes_say_what_a_mirror_does_to_them() -> None:
    for recipe in RECIPES:
        aside = recipe.name.endswith("left_right") or recipe.name in ("head_turn", "head_tilt")
        one_sided = recipe.name.endswith(("_left", "_right")) and not aside
        assert recipe.parity == (-1 if aside else 0 if one_sided else 1), recipe.name
        assert (recipe.side != 0) == one_sided, recipe.name
        assert recipe.side == {"left": -1, "right": 1}.get(recipe.name.rpartition("_")[2], 0) * (
            recipe.parity == 0
        )


def test_expressions_change_only_what_expressions_change() -> None:
    assert set(EXPRESSIVE) <= set(MEASURES)
    for recipe in RECIPES:
        if recipe.group == recipes.EXPRESSION:
            assert set(recipe.measures) <= set(EXPRESSIVE), recipe.name


@pytest.mark.parametrize("name", MEASURES)
def test_measures_are_differences(name: str) -> None:
    """Moving the whole face changes none."""
    weights = functional(name)
    torch.testing.assert_close(weights.sum(0), torch.zeros(3), atol=1e-6, rtol=0)
    assert weights.abs().sum() > 0


def test_measures_of_one_side_are_those_of_the_other_mirrored() -> None:
    order = geometry()["order"]
    for name in MEASURES:
        if name.startswith("left_"):
            other = functional(name.replace("left_", "right_"))
            torch.testing.assert_close(functional(name)[order] * MIRROR, other, msg=name)


def test_measures_tell_wide_and_open_mouths() -> None:
    faces = geometry()["shape.mean"].repeat(3, 1, 1)
    faces[1, 14, 1] += 0.05
    faces[2, 291, 0] += 0.03
    names, values = list(MEASURES), measure(faces)
    gap, width = (values[:, names.index(n)] for n in ("mouth_gap", "mouth_width"))
    torch.testing.assert_close(gap - gap[0], torch.tensor([0.0, 0.05, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(width - width[0], torch.tensor([0.0, 0.0, 0.03]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [recipe.measures for recipe in RECIPES if recipe.measures],
    ids=[recipe.name for recipe in RECIPES if recipe.measures],
)
def test_only_the_measures_that_were_asked_for_change(changes: dict[str, float]) -> None:
    shape = rich_shape()
    code = change_measures(shape, changes)
    moved = ((code * shape.std) @ shape.basis.flatten(1)).view(1, POINTS, 3)
    deviations = gradients(shape).norm(dim=1)
    found = measure(moved)[0] / deviations
    wanted = torch.tensor([changes.get(name, 0.0) for name in MEASURES])
    torch.testing.assert_close(found, wanted, atol=5e-3, rtol=0)


def test_the_change_of_measures_is_the_least() -> None:
    shape = rich_shape()
    code = change_measures(shape, {"mouth_gap": 1.0})
    rows = gradients(shape)
    aside = torch.randn(40, generator=torch.Generator().manual_seed(1))
    aside = aside - torch.linalg.pinv(rows) @ (rows @ aside)  # changes no measure
    assert aside.norm() > 0.1
    assert (code @ aside).abs() < 1e-2 * code.norm() * aside.norm()


@pytest.fixture(scope="module")
def fit() -> DirectionFit:
    """Codes that change with age and with gender, which go together in the data."""
    net, count = small_net(), 900
    generator = torch.Generator().manual_seed(0)
    labels = torch.randn(count, len(LABELS), generator=generator)
    age, gender = LABELS.index("age"), LABELS.index("gender")
    labels[:, gender] = 0.8 * labels[:, age] + 0.6 * labels[:, gender]
    labels[:, age] = labels[:, age] * 12 + 40
    codes = 0.3 * torch.randn(count, COUNT, generator=generator)
    even = (net.parity > 0).nonzero().flatten()
    codes[:, even[-1]] += 0.05 * labels[:, age]
    codes[:, even[-2]] += labels[:, gender]
    codes[:, 0] += 0.1 * labels[:, age]  # older heads are turned
    measures = 0.01 * torch.randn(count, len(MEASURES), generator=generator)
    codes[:, -1] += 50 * measures[:, list(MEASURES).index("mouth_gap")]
    codes[:, -2] += 50 * measures[:, list(MEASURES).index("left_lids")]
    poses = torch.randn(count, POSES, generator=generator)
    pairs = torch.ones(5, COUNT)
    effects = torch.randn(len(SCORES), COUNT, generator=generator)
    expressions = Expressions(SCORES, torch.zeros_like(effects), effects)
    return DirectionFit(net, Observed(labels, poses, measures, codes, pairs), expressions)


def test_a_label_moves_what_goes_with_it_alone(fit: DirectionFit) -> None:
    age = fit.direction(Recipe("age", recipes.LOOK, "older", label=("age", 20.0)))
    even = (fit.net.parity > 0).nonzero().flatten()
    assert float(age[even[-1]]) == pytest.approx(1.0, abs=0.1)
    age = age.clone()
    age[even[-1]] = 0
    assert age.abs().max() < 0.15  # not gender, which goes along with it
    assert (age[:POSES] == 0).all()


def test_directions_are_what_their_mirror_image_says(fit: DirectionFit) -> None:
    for parity in (1, -1):
        recipe = Recipe("any", recipes.LOOK, "more", label=("light", 1.0), parity=parity)
        vector = fit.direction(recipe)
        assert torch.equal(vector * fit.net.parity, parity * vector)
        assert vector.abs().max() > 0


def test_a_pose_is_in_degrees(fit: DirectionFit) -> None:
    turn = next(recipe for recipe in RECIPES if recipe.name == "head_turn")
    assert turn.pose is not None
    vector = fit.direction(turn)
    still, turned = (fit.net.shape.pose(c[None, :POSES]) for c in (vector * 0, vector))
    changed = torch.zeros(1, POSES)
    changed[0, turn.pose[0]] = turn.pose[1]
    torch.testing.assert_close(turned - still, changed)
    assert (vector[POSES:] == 0).all()


def test_expressions_change_the_look_that_goes_with_them(fit: DirectionFit) -> None:
    opened = Recipe("o", recipes.EXPRESSION, "open", measures={"mouth_gap": 1.0}, parity=0)
    vector = fit.direction(opened)
    assert vector[POSES:SKIP].abs().max() > 0
    assert vector[-1].abs() > 3 * vector[SKIP:-1].abs().max()
    built = fit.direction(replace(opened, group=recipes.FACE_SHAPE))
    assert (built[SKIP:] == 0).all()
    torch.testing.assert_close(built[POSES:SKIP], vector[POSES:SKIP])


def test_lids_and_irises_move_and_are_not_redrawn(fit: DirectionFit) -> None:
    closing = Recipe("e", recipes.EXPRESSION, "x", measures=recipes.CLOSING, parity=0)
    vector = fit.direction(closing)
    assert vector[POSES:SKIP].abs().max() > 0
    assert vector[-2].abs() < 0.012  # which goes with lids in the data


def test_pairs_give_their_mean_change_of_shape(fit: DirectionFit) -> None:
    smile = fit.direction(Recipe("s", recipes.EXPRESSION, "smile", pairs=0.5, parity=0))
    torch.testing.assert_close(smile[POSES:SKIP], torch.full((SHAPES,), 0.5))


def test_scores_move_the_shape_as_they_do_in_faces(fit: DirectionFit) -> None:
    recipe = Recipe("s", recipes.EXPRESSION, "x", scores={SCORES[1]: 0.5, SCORES[2]: -1}, parity=0)
    effects = fit.expressions.effects
    vector = fit.direction(recipe)
    wanted = (0.5 * effects[1] - effects[2])[POSES:SKIP]
    torch.testing.assert_close(vector[POSES:SKIP], wanted)
    assert (vector[:POSES] == 0).all()


def test_one_side_of_the_face_moves_alone(fit: DirectionFit) -> None:
    """As far as so small a basis can tell its sides."""
    left, right = (
        fit.direction(
            Recipe("w", recipes.EXPRESSION, "x", measures=recipes.CLOSING, side=s, parity=0)
        )
        for s in (-1, 1)
    )
    torch.testing.assert_close(left * fit.net.parity, right, atol=1e-3, rtol=0)
    both = fit.direction(Recipe("b", recipes.FACE_SHAPE, "x", measures=recipes.CLOSING, parity=0))
    torch.testing.assert_close((left + right)[POSES:SKIP], both[POSES:SKIP], atol=1e-3, rtol=0)
    assert (left[SKIP:] == 0).all()


def test_ranges_end_where_faces_fold() -> None:
    net, codes = small_net(), random_codes(6, scale=0.3)
    mild, wild = torch.zeros(COUNT), torch.zeros(COUNT)
    mild[POSES], wild[POSES] = 0.1, 30.0
    assert natural_range(net, codes, mild) == (-MOST_MOVED, MOST_MOVED)
    mild[SKIP] = 0.2
    assert natural_range(net, codes, mild) == (-MOST_DRAWN, MOST_DRAWN)
    low, high = natural_range(net, codes, wild)
    assert -1 < low < 0 < high < 1


def test_ranges_end_where_no_training_face_lies() -> None:
    net, codes = small_net(), random_codes(6, scale=0.3)
    turn, look = torch.zeros(COUNT), torch.zeros(COUNT)
    turn[0] = 10 / net.shape.pose_std[0]  # degrees
    low, high = natural_range(net, codes, turn)
    assert -low == high <= MOST_DEGREES / 10
    look[SKIP:] = 5 / LOOKS**0.5
    assert natural_range(net, codes, look)[1] <= MOST_LOOK / 5


def test_ranges_end_where_eyes_are_closed(face_model: FaceModel) -> None:
    net, codes = face_model.module, face_model.sample(8, 0, 0.7)
    blink = face_model.directions["blink"].vector
    _, high = natural_range(net, codes, blink)
    assert 0.5 < high < MOST_MOVED
    shape = face_model.capabilities.parts["shape"]

    def apart(strength: float) -> torch.Tensor:
        lids = net.shape.frontal((codes + strength * blink)[:, shape])[:, [159, 145, 386, 374], 1]
        return (lids[:, 1::2] - lids[:, ::2] > 1e-4).float().mean()

    assert apart(high) < 0.3
    assert apart(high - 0.5) > apart(high)


def test_lips_that_meet_end_no_range(face_model: FaceModel) -> None:
    net, codes = face_model.module, face_model.sample(8, 0, 0.7)
    smile = face_model.directions["smile"].vector
    assert natural_range(net, codes, smile) == (-MOST_MOVED, MOST_MOVED)
    gaps = net.shape.frontal((codes - 2 * smile)[:, net.parts["shape"]])[:, [13, 14], 1]
    assert (gaps[:, 1] - gaps[:, 0] < 1e-4).any()  # some of them met before
