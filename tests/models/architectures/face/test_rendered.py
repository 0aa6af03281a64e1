"""The rendered architecture: planes, detection, strict loading, exact values, its training."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from face_latents.lab.data.faces import FaceSet, load_faces
from face_latents.lab.training.face.attribute_net import (
    BINARY,
    GEOMETRY,
    PARITIES,
    AttributeNet,
    as_values,
    attribute_values,
    worst_change,
)
from face_latents.lab.training.face.critic import (
    MISTOLD,
    Critic,
    attention,
    critic_loss,
    fooling_loss,
    weights_of,
)
from face_latents.lab.training.face.directions import ATTRIBUTES, TAKEN_OUT, separate_directions
from face_latents.lab.training.face.edits import LIGHTING, STRONGEST, edits_for, expected_changes
from face_latents.lab.training.face.losses import contrast_distance, linear_change
from face_latents.lab.training.face.motion_fields import (
    MOVING,
    SIDE,
    bound_field,
    fit_fields,
    keep_parity,
    part_lips,
)
from face_latents.lab.training.face.render import LOSSES
from face_latents.lab.training.face.run import FaceTraining, train_face
from face_latents.models.architectures.face import file as rendered
from face_latents.models.architectures.face.motion import displacement, motion_of, move_pictures
from face_latents.models.architectures.face.net import RenderedFaceNet
from face_latents.models.architectures.face.planes import (
    blur_colour,
    from_planes,
    opponent_matrix,
    to_planes,
)
from face_latents.models.errors import UnsupportedModelError
from face_latents.models.face_model import FaceModel
from face_latents.models.geometry.templates import TIGHT
from PIL import Image
from rendered_support import CONTROLS, COUNT, at_rest, codes, make_face_data, random_tensors
from skimage import data


def test_planes_keep_brightness_and_lengths() -> None:
    pictures = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    planes = to_planes(pictures)
    assert planes.shape == (2, 6, 4, 6)
    matrix = opponent_matrix()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3))
    back = from_planes(planes)
    torch.testing.assert_close(back.sum(1), pictures.sum(1))  # brightness is kept exactly
    torch.testing.assert_close(to_planes(back), planes)
    torch.testing.assert_close(back.square().sum(), planes.square().sum())  # orthonormal
    grey = pictures[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(from_planes(to_planes(grey)), grey)


def test_coarse_colour_keeps_brightness_and_loses_specks() -> None:
    pictures = 0.2 + 0.6 * torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    coarse = blur_colour(pictures)
    torch.testing.assert_close(coarse.mean(1), pictures.mean(1))
    grey = pictures[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(blur_colour(grey), grey)
    plain = pictures[:, :, :1, :1].expand_as(pictures)
    torch.testing.assert_close(blur_colour(plain), plain)
    fine = (to_planes(p)[:, 4:] for p in (pictures, coarse))
    before, after = (colour.diff(dim=-1).square().mean() for colour in fine)
    assert after < 0.2 * before


@pytest.mark.parametrize("missing", ["renderer.down.weight", "renderer.tell.weight"])
def test_a_renderer_without_a_layer_is_refused(missing: str) -> None:
    shapes = {n: tuple(t.shape) for n, t in random_tensors().items() if n != missing}
    assert rendered.detect(shapes)
    with pytest.raises(UnsupportedModelError, match="renderer"):
        rendered.expected(shapes)


def test_a_renderer_that_reads_more_than_the_code_is_refused() -> None:
    shapes = {n: tuple(t.shape) for n, t in random_tensors().items()}
    shapes["renderer.tell.weight"] = (16, CONTROLS + COUNT + 1)
    with pytest.raises(UnsupportedModelError, match="reads 7 coefficients of codes of 6"):
        rendered.expected(shapes)


def test_values_that_make_no_model() -> None:
    tensors = random_tensors()
    tensors["linear.parity"][0] = 0
    with pytest.raises(UnsupportedModelError, match="parity"):
        rendered.load(tensors)


def test_an_untrained_renderer_returns_the_linear_picture() -> None:
    tensors = random_tensors()
    for name in ("weight", "bias"):
        tensors[f"renderer.leave.{name}"].zero_()
    net = rendered.load(tensors)
    assert torch.equal(net.decode(at_rest()), blur_colour(net.linear_picture(codes())))


def test_controls_tell_the_renderer_and_move_what_is_drawn() -> None:
    net = rendered.load(random_tensors())
    still, edited = net.decode(at_rest()), net.decode(codes())
    assert torch.equal(still, net.draw(at_rest()))
    assert (net.draw(codes()) - still).abs().max() > 0.01  # the renderer is told of the edit
    assert (edited - net.draw(codes())).abs().max() > 0.01
    assert (net.move(still, codes()) - still).abs().max() > 0.01
    mixed = torch.cat([at_rest()[:1], codes()[1:]])
    assert torch.equal(net.decode(mixed)[0], still[0])  # not even resampled beside moved ones
    assert torch.equal(net.encode(edited)[:, COUNT:], torch.zeros(3, CONTROLS))
    one_way = net.mirror(codes())[:, COUNT:]
    assert torch.equal(one_way, codes()[:, COUNT:] * torch.tensor([1, -1]))
    torch.testing.assert_close(
        net.move(still.flip(-1), net.mirror(codes())),
        net.move(still, codes()).flip(-1),
        atol=1e-5,
        rtol=0,
    )


def test_random_faces_are_coarse_and_unedited(face_model: FaceModel) -> None:
    model = face_model
    net = model.module
    assert isinstance(net, RenderedFaceNet)
    faces = model.sample(64, seed=3)
    assert (net.strengths(faces) == 0).all()
    spread = net.coefficients(faces).std(0)
    assert 0.8 < spread[:50].mean() < 1.1
    assert spread[900:].mean() < 0.1
    assert torch.equal(model.sample(2, seed=3, truncation_psi=0.5), 0.5 * faces[:2])


def test_a_motion_is_followed_twice_as_far_and_undone() -> None:
    fields = random_tensors()["control.fields"]
    axis = torch.linspace(-1, 1, 64)
    wide = (0.3 * axis + 0.2 * axis[:, None]).expand(1, 3, 64, 64) + 0.5
    once = torch.tensor([[7.0, 5.0]])

    def move(pictures: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
        velocity = torch.einsum("bm,mcxy->bcxy", strengths, fields)
        return move_pictures(pictures, motion_of(velocity, pictures.shape[-1]))

    twice = move(move(wide, once), once)
    torch.testing.assert_close(move(wide, 2 * once), twice, atol=4e-3, rtol=0)
    assert (twice - wide).abs().max() > 0.05
    back = move(move(wide, once), -once)
    torch.testing.assert_close(back, wide, atol=4e-3, rtol=0)


def test_strong_motions_do_not_fold() -> None:
    fields = random_tensors()["control.fields"]
    velocity = torch.einsum("bm,mcxy->bcxy", torch.tensor([[40.0, -40.0]]), fields)
    places = displacement(velocity)[0] * 32  # in steps of the field
    across = 1 + (places[0, :, 1:] - places[0, :, :-1])
    down = 1 + (places[1, 1:] - places[1, :-1])
    assert across.min() > 0
    assert down.min() > 0


@pytest.mark.parametrize("odd", [0, 2])
def test_controls_of_no_parity_are_refused(odd: int) -> None:
    tensors = random_tensors()
    tensors["control.parity"][1] = odd
    with pytest.raises(UnsupportedModelError, match=r"control.parity"):
        rendered.load(tensors)


def test_encode_inverts_the_linear_part() -> None:
    net = rendered.load(random_tensors())
    back = net.encode(net.linear_picture(codes()))
    torch.testing.assert_close(back, at_rest(), atol=1e-3, rtol=0)
    assert (net.draw(codes()) - net.linear_picture(codes())).abs().max() > 0.01


def test_mirrored_codes_give_the_mirrored_linear_picture() -> None:
    net = rendered.load(random_tensors())
    mirrored = net.linear_picture(net.mirror(codes()))
    torch.testing.assert_close(mirrored, net.linear_picture(codes()).flip(-1))


def test_half_precision_and_gradients() -> None:
    net = rendered.load(random_tensors())
    exact = net.decode(codes())
    net.dtype = torch.bfloat16
    rough = net.decode(codes())
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.1 * (exact - net.linear_picture(codes())).abs().max()
    net.dtype = torch.float32
    moved = codes().requires_grad_(True)
    net.decode(moved).square().sum().backward()
    assert moved.grad is not None
    assert torch.isfinite(moved.grad).all()
    assert (moved.grad != 0).any(0).all()


def test_edits_aim_at_the_other_side() -> None:
    values = torch.full((400, len(PARITIES)), 1.9)
    strengths, wanted, example = edits_for(values, torch.Generator().manual_seed(0))
    chosen = strengths != 0
    assert set(chosen.sum(1).tolist()) <= {1, 2}
    assert (strengths[chosen] < 0).float().mean() > 0.8  # 80 % plus half of the rest
    assert (strengths.abs() <= STRONGEST).all()
    assert (strengths.abs().amax(0) > 0.8 * STRONGEST).sum() > len(ATTRIBUTES) // 2
    assert (wanted[~chosen] == 0).all()
    assert (1.9 + wanted).abs().max() <= 2.5
    assert (wanted[chosen] * strengths[chosen] >= 0).all()
    assert (example.abs() <= strengths.abs()).all()
    assert (example[chosen] * strengths[chosen] > 0).all()
    further = chosen & (strengths > 0)  # on the side where it is reached already
    binary = torch.tensor([attribute.binary for attribute in ATTRIBUTES])
    torch.testing.assert_close(example[further & binary], 0.3 * strengths[further & binary])
    assert (strengths[:, LIGHTING] == 0).all()  # nobody draws light
    names = [attribute.name for attribute in ATTRIBUTES]
    beard, gender = names.index("beard"), names.index("gender_expression")
    assert (strengths[:, beard] != 0).any()
    values[:, gender] = -1.5
    assert (edits_for(values, torch.Generator().manual_seed(0))[0][:, beard] == 0).all()


def test_directions_are_set_apart() -> None:
    axes = {a.name: torch.eye(len(ATTRIBUTES))[i] for i, a in enumerate(ATTRIBUTES)}
    apart = separate_directions(axes)
    assert list(apart) == list(axes)
    for name, vector in apart.items():
        assert float(vector.norm()) == pytest.approx(1)
        for other, axis in axes.items():
            share = next((s for n, o, s in TAKEN_OUT if (n, o) == (name, other)), 0.0)
            expected = float(vector @ axes[name]) * -share
            if other != name:
                assert float(vector @ axis) == pytest.approx(expected, abs=1e-6)


def test_how_a_mouth_goes_along_is_regressed() -> None:
    values = torch.randn(200, len(PARITIES), generator=torch.Generator().manual_seed(0))
    count = len(ATTRIBUTES)
    values[:, count] = 0.5 * values[:, 0] - 0.25 * values[:, 3] + 1
    changes = expected_changes(values)
    assert changes.shape == (count, len(GEOMETRY))
    wanted = torch.zeros(count)
    wanted[0], wanted[3] = 0.5, -0.25
    torch.testing.assert_close(changes[:, 0], wanted, atol=1e-4, rtol=0)


def test_the_worst_change_has_its_size_and_raises_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    crops = 0.3 + 0.4 * torch.rand(4, 3, 32, 32, generator=generator)
    towards = torch.rand(4, 3, 32, 32, generator=generator)

    def loss_of(x: torch.Tensor) -> torch.Tensor:
        return (x - towards).square().mean()

    changed = worst_change(crops, loss_of, 0.02, generator)
    size = (changed - crops).square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(size, torch.full((4,), 0.02), atol=1e-4, rtol=0)
    assert loss_of(changed) > loss_of(crops) + 0.01


def test_the_critic_looks_where_something_changed() -> None:
    change = torch.zeros(2, 3, 16, 16)
    change[0, :, :8, :8] = 0.03
    maps = [torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 2, 2)]
    fine, coarse = attention(change, maps)
    torch.testing.assert_close(fine[0, 0, :2, :2], torch.full((2, 2), 0.75))
    assert fine.sum() == pytest.approx(3.0)
    torch.testing.assert_close(coarse[0, 0], torch.tensor([[0.75, 0], [0, 0]]))
    # what nobody looks at is no reason to be called drawn
    scores = torch.full((2, 1, 4, 4), 20.0)
    scores[0, 0, :2, :2] = -30
    sure = torch.full_like(scores, 20.0)

    def loss(real: torch.Tensor, fake: torch.Tensor, mistold: torch.Tensor) -> float:
        return critic_loss(*(([s], [fine]) for s in (real, fake, mistold))).item()

    assert loss(sure, scores, -sure) == pytest.approx(0, abs=1e-6)
    # nor need a photo look like one there
    assert loss(scores, -sure, -sure) == pytest.approx(30)
    assert loss(-scores, -sure, -sure) == pytest.approx(0, abs=1e-6)
    # a photo that is told to show what it does not show is wrong where the edit is seen
    assert loss(sure, -sure, -scores) == pytest.approx(MISTOLD * 30)
    assert loss(sure, -sure, scores) == pytest.approx(0, abs=1e-6)
    # photos may be more than what was drawn, and be told the truth only
    twice, nowhere = torch.cat([sure, scores]), torch.cat([fine, 0 * fine])
    one, none = ([-sure], [fine]), ([scores], [0 * fine])
    assert critic_loss(([twice], [nowhere]), one, none).item() == pytest.approx(0, abs=1e-6)
    assert fooling_loss([scores], [fine]).item() == pytest.approx(30)
    assert fooling_loss([0 * scores], [fine]).item() == pytest.approx(math.log(2))


def test_the_critic_looks_at_small_edits_nearly_as_much_as_at_large_ones() -> None:
    change = torch.zeros(3, 3, 32, 32)
    change[0, :, 20:28, 12:20] = 0.1
    change[1] = 0.1
    (weights,) = weights_of([torch.zeros(6, 1, 8, 8)], change)
    assert (weights[:3] == 1).all()
    small, large, none = weights[3:].sum((1, 2, 3))
    assert 0.5 * large < small < large
    assert none == 0
    assert weights[3:].mean() == pytest.approx(1, abs=1e-4)


def test_the_critic_judges_a_place_by_what_it_is_told() -> None:
    torch.manual_seed(0)
    critic = Critic(attributes=2, width=8)
    features = critic(torch.rand(3, 3, 128, 128))
    nothing, one = torch.zeros(3, 2), torch.tensor([1.0, 0.0]).expand(3, 2)
    plain = critic.scores(features, nothing)
    assert [scores.shape for scores in plain] == [(3, 1, 16, 16), (3, 1, 8, 8)]
    for scores, base, doubled in zip(
        critic.scores(features, one), plain, critic.scores(features, 2 * one), strict=True
    ):
        assert (scores - base).std() > 0
        torch.testing.assert_close(doubled - base, 2 * (scores - base), atol=1e-5, rtol=1e-4)


def test_fields_of_one_parity_mirror() -> None:
    fields = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    parity = torch.tensor([1, -1])
    projected = keep_parity(fields, parity)
    torch.testing.assert_close(keep_parity(projected, parity), projected)
    mirrored = projected.flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None]
    torch.testing.assert_close(mirrored, projected * parity[:, None, None, None])


def test_fields_end_where_what_they_move_ends() -> None:
    field = torch.ones(2, SIDE, SIDE) + torch.linspace(0, 1, SIDE)[:, None]
    places = (TIGHT.points * SIDE).long()
    inner, face, head = (bound_field(field, reach) for reach in ("features", "face", "head"))
    frame = torch.cat([face[:, 0], face[:, -1], face[:, :, 0], face[:, :, -1]], 1)
    assert (frame == 0).all()
    assert (face[:, places[:, 1], places[:, 0]].mean(1) > 1).all()
    assert (face[:, SIDE // 2, 3].abs() < 1e-4).all()
    # the jaw's outline, and all beyond it, stays where it is
    assert (face[:, SIDE // 2, 8] > 0.1).all()
    assert (inner[:, SIDE // 2, :9] < 1e-4).all()
    assert (inner[:, -6:] == 0).all()
    assert (inner[:, places[:, 1], places[:, 0]] > 0.85 * face[:, places[:, 1], places[:, 0]]).all()
    # the head turns where it is
    at_landmarks = head[:, places[:, 1], places[:, 0]].mean(1)
    torch.testing.assert_close(at_landmarks, torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(head - head[:, :1, :1], field - field[:, :1, :1])


def test_lips_part_where_they_meet_and_keep_their_shape() -> None:
    rows = torch.arange(SIDE)
    # what mean faces show: from the upper lip up by 1 to the lower lip down by 2, slowly
    motion = torch.where(rows < 40, 1.0, torch.where(rows > 53, -2.0, 1 - 3 * (rows - 40) / 13))
    field = torch.stack([torch.zeros(SIDE, SIDE), motion[:, None].expand(SIDE, SIDE)])
    opened = part_lips(field)
    middle = SIDE // 2
    assert (opened[1, 40:43, middle] > 0.9).all()
    assert (opened[1, 47:54, middle] < -1.9).all()
    assert (field[1, 42:52, middle].diff().abs() < 0.3).all()
    torch.testing.assert_close(opened[:, :, :15], field[:, :, :15])  # beside the mouth
    torch.testing.assert_close(opened[:, :38], field[:, :38])
    torch.testing.assert_close(opened[:, 55:], field[:, 55:])
    assert (opened[1].diff(dim=0) < 1e-5).all()  # rows keep their order: nothing folds


def test_the_linear_change_is_where_pixels_were_before_they_moved() -> None:
    tensors = random_tensors()
    # smooth pictures of 64 pixels, which survive being moved there and back
    waves = 0.5 + 0.2 * torch.sin(torch.arange(64) / 4)[:, None].expand(1, 3, 64, 32)
    tensors["linear.mean"] = to_planes(waves)[0]
    phase = torch.arange(COUNT)[:, None, None, None] + torch.arange(64)[:, None] / 8
    parts = to_planes(torch.sin(phase).expand(COUNT, 3, 64, 32))
    tensors["linear.components"] = (30 * parts).round().to(torch.int8)
    net = rendered.load(tensors)
    edit = torch.cat([codes()[:, :COUNT], torch.zeros(3, CONTROLS)], 1)
    before, after = (net.linear_picture(c).clamp(0, 1) for c in (at_rest(), at_rest() + edit))
    torch.testing.assert_close(linear_change(net, at_rest(), edit, before), after - before)
    edit[:, COUNT:] = 0.4
    change = linear_change(net, at_rest(), edit, before)
    made = net.move(before + change, at_rest() + edit)
    apart = (net.move(after, at_rest() + edit) - after)[..., 8:-8, 8:-8].abs().mean()
    assert (made - after)[..., 8:-8, 8:-8].abs().mean() < 0.1 * apart


def test_contrast_is_measured_as_a_ratio_on_the_face() -> None:
    crops = 0.3 + 0.4 * torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    assert contrast_distance(crops, crops + 0.1).item() == pytest.approx(0, abs=1e-6)
    doubled = contrast_distance(crops, 4 * crops).item()
    assert doubled == pytest.approx(math.log(4) - 0.1, abs=0.25)  # linear where it is far off
    beside = crops.clone()
    beside[:, :, :6] = 1
    assert contrast_distance(crops, beside).item() == pytest.approx(0, abs=1e-6)


def test_fields_find_how_faces_move() -> None:
    """Faces that smile are others shifted down by 4 pixels."""
    photo = torch.from_numpy(data.astronaut()[50:178, 160:288].copy()).permute(2, 0, 1)
    generator = torch.Generator().manual_seed(0)
    rows, crops = [], []
    for i in range(200):
        smiling = i % 2 == 1
        rows.append({"smile": str(float(smiling)), "gender": "male", "mouth_open": "0"})
        rows[-1] |= {"age_bin": "20-29", "yaw_proxy": "0.1"}
        noisy = photo + 10 * torch.randn(photo.shape, generator=generator)
        crops.append(noisy.roll(4 if smiling else 0, 1).clamp(0, 255).to(torch.uint8))
    fields = fit_fields(FaceSet(torch.stack(crops), tuple(rows)))
    smile = [attribute.name for attribute in ATTRIBUTES].index("smile")
    strength = next(moving.strength for moving in MOVING if moving.name == "smile")
    middle = fields[smile, :, 20:44, 20:44] * strength * 128
    assert abs(float(middle[1].mean()) + 4) < 1  # what is shown was 4 pixels higher
    assert abs(float(middle[0].mean())) < 0.3
    others = [i for i in range(len(ATTRIBUTES)) if i != smile]
    assert (fields[others] == 0).all()  # no faces to compare, or nothing to move
    assert fields[smile, :, 0].abs().max() < 0.1 * fields[smile].abs().max()


@pytest.fixture
def face_data(tmp_path: Path) -> Path:
    return make_face_data(tmp_path / "faces")


def test_attribute_values_share_one_scale(face_data: Path) -> None:
    faces = load_faces(face_data, "train")
    values = attribute_values(faces)
    assert values.shape == (16, len(PARITIES))
    assert len(PARITIES) == len(BINARY) == len(ATTRIBUTES) + len(GEOMETRY)
    assert values.abs().max() <= 2.5
    outputs = AttributeNet(8).eval()(faces.floats())
    assert as_values(outputs)[:, torch.tensor(BINARY)].abs().max() <= 2


@pytest.mark.slow
@pytest.mark.usefixtures("small_training")
def test_training_stops_resumes_and_exports(face_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.safetensors"
    few = FaceTraining(12, 2, 1, 2, 3, retouch_warm_steps=1, retouch_steps=1, spotless_steps=1)
    model = train_face(face_data, out, few)
    assert model.space.shape == (12 + len(ATTRIBUTES),)
    assert set(model.directions) == {a.name for a in ATTRIBUTES}
    assert model.template.size == TIGHT.size
    more = replace(few, steps=3)
    again = train_face(face_data, out, more)
    assert again.space.model_id != model.space.model_id
    with (tmp_path / "own.renderer.curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "3"]
    assert set(rows[0]) > {"stage", "step", "critic", *LOSSES, "psnr"}
    assert Image.open(tmp_path / "own.renderer.samples.png").size[0] > 128
    unchanged = train_face(face_data, out, more)
    assert unchanged.space.model_id == again.space.model_id
    random = unchanged.sample(200, seed=0)
    assert float(random[:, :12].std()) == pytest.approx(1, abs=0.1)
    assert (random[:, 12:] == 0).all()  # nobody was edited
    picture = unchanged.decode(random[:2])
    assert picture.shape == (2, 3, 128, 128)
    assert torch.isfinite(picture).all()
