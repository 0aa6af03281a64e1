"""The retoucher: edits of drawn faces, fitted to the photo's own; its files and its training."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from face_latents.lab.data.faces import load_faces
from face_latents.lab.training.face.adversarial import Lessons
from face_latents.lab.training.face.directions import ATTRIBUTES
from face_latents.lab.training.face.linear import fit_linear
from face_latents.lab.training.face.retouch import LOSSES, RetouchTraining, Settings
from face_latents.lab.training.face.run import FaceTraining, train_face, untrained_net
from face_latents.lab.training.face.views import shift_photos
from face_latents.lab.training.loop import Session
from face_latents.models.architectures.face import file as rendered
from face_latents.models.architectures.face.motion import move_pictures
from face_latents.models.architectures.face.mouth import from_frame
from face_latents.models.architectures.face.renderer import Renderer
from face_latents.models.architectures.face.retoucher import Retoucher, correction_weight
from face_latents.models.errors import UnsupportedModelError
from face_latents.models.face_model import FaceModel, load_face_model, save_face_model
from face_latents.models.files.tensors import load_tensors
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.imaging.light import luminance
from face_latents.models.paste.back import paste_back
from face_latents.models.paste.edit import FaceEdit, Source, plan_edits
from face_latents.models.paste.face import PhotoFace, cut_face
from face_latents.models.values import PhotoContext
from PIL import Image
from rendered_support import (
    CONTROLS,
    COUNT,
    SIZE,
    at_rest,
    codes,
    make_face_data,
    random_tensors,
    without_retoucher,
)


def photos(count: int = 3, size: int = SIZE) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(2))


def edited_codes() -> torch.Tensor:
    """The codes at rest, edited along both controls and in a component."""
    change = torch.zeros(3, COUNT + CONTROLS)
    change[:, 0], change[:, COUNT:] = 1.0, torch.tensor([0.2, -0.4])
    return at_rest() + change


@pytest.fixture
def model(tmp_path: Path) -> FaceModel:
    path = tmp_path / "retouched.safetensors"
    save_face_model(path, random_tensors(), {}, TIGHT.resized(SIZE))
    return load_face_model(path)


def test_a_retoucher_draws_nothing_itself(model: FaceModel) -> None:
    assert model.retouches(at_rest()[0], edited_codes()[0])
    without = without_retoucher(random_tensors())
    assert without.capabilities().editor is None
    assert torch.equal(without.decode(codes()), model.decode(codes()))


@pytest.mark.parametrize("missing", ["tell.weight", "to_wide.bias", "middle.0.first.bias"])
def test_a_retoucher_without_a_layer_is_refused(missing: str) -> None:
    tensors = random_tensors()
    del tensors[f"retoucher.{missing}"]
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if missing == "tell.weight":
        with pytest.raises(UnsupportedModelError, match=r"retoucher.*tell\.weight"):
            rendered.expected(shapes)
    else:  # the file is then compared with what the others call for
        assert set(rendered.expected(shapes)) != set(shapes)


def test_a_retoucher_of_other_controls_is_refused() -> None:
    shapes = {n: tuple(t.shape) for n, t in random_tensors().items()}
    shapes["retoucher.tell.weight"] = (16, CONTROLS + 1)
    with pytest.raises(UnsupportedModelError, match="told 3 controls; there are 2"):
        rendered.expected(shapes)


def test_without_a_retoucher_the_change_that_is_drawn_is_added() -> None:
    net = without_retoucher(random_tensors())
    made = net.apply_edit(photos(), at_rest(), edited_codes())
    offsets = net.lip_offsets(at_rest())
    change = net.draw(edited_codes(), offsets) - net.draw_unedited(at_rest())
    change = move_pictures(change, from_frame(offsets, SIZE))
    motion = net.motion_between(at_rest(), edited_codes())
    expected = move_pictures(photos() + change, motion)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
    assert (made - photos()).abs().max() > 0.05
    half = net.apply_edit(photos(), at_rest(), edited_codes(), 0.5)
    expected = move_pictures(photos() + change / 2, motion)
    torch.testing.assert_close(half, expected, atol=1e-5, rtol=0)


def test_an_untrained_retoucher_adds_nearly_that() -> None:
    tensors = random_tensors()
    for name in ("weight", "bias"):
        tensors[f"retoucher.leave.{name}"].zero_()
    plain = without_retoucher(random_tensors()).apply_edit(photos(), at_rest(), edited_codes())
    net = rendered.load(tensors)
    made = net.apply_edit(photos(), at_rest(), edited_codes())
    replaced = 0.02 * (net.draw(at_rest()) - photos()).abs().mean()
    assert luminance(made - plain).abs().mean() < replaced


def test_a_retoucher_can_put_the_drawn_face_in_place_of_the_photo() -> None:
    """Where the face has changed and its fourth channel says so, nothing is left of the photo."""
    retoucher = Retoucher(CONTROLS, fine=8, wide=8, deep=16, blocks=1)
    assert retoucher.leave.bias is not None
    torch.nn.init.constant_(retoucher.leave.bias[12:], 20.0)
    photo, drawn = photos(2, 32)
    edited = (drawn + 0.5)[None]
    made = retoucher(photo[None], drawn[None], edited, torch.zeros(1, CONTROLS))
    share = 0.5 / (0.5 + 0.015)
    expected = (edited - drawn) + share * (drawn - photo)[None]
    torch.testing.assert_close(luminance(made), luminance(expected), atol=1e-4, rtol=0)


def test_equal_codes_give_the_photo_bit_for_bit(model: FaceModel) -> None:
    assert torch.equal(model.apply_edit(photos(), at_rest(), at_rest()), photos())
    mixed = torch.cat([at_rest()[:1], edited_codes()[1:]])
    made = model.apply_edit(photos(), at_rest(), mixed)
    assert torch.equal(made[0], photos()[0])
    assert (made[1:] - photos()[1:]).abs().amax((1, 2, 3)).min() > 0.05


def test_a_drawing_at_hand_is_not_made_again(model: FaceModel) -> None:
    drawn, codes_after = model.draw_unedited(at_rest()), edited_codes()
    codes_after[1] = at_rest()[1]
    made = model.apply_edit(photos(), at_rest(), codes_after, drawn + 1e-6)
    assert torch.equal(made[1], photos()[1])  # whatever another batch is rounded to
    expected = model.apply_edit(photos(), at_rest(), codes_after)
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=0)
    other = model.apply_edit(photos(), at_rest(), codes_after, drawn + 0.1)
    assert (other - made).abs().amax((1, 2, 3))[0] > 0.05


def test_edits_along_other_directions_are_not_fitted(model: FaceModel) -> None:
    """Of those it is not told what they are to show."""
    codes_after = torch.cat([at_rest()[:2], edited_codes()[2:]])
    codes_after[1, 0] += 1.0
    kinds = [model.retouches(*pair) for pair in zip(at_rest(), codes_after, strict=True)]
    assert kinds == [False, False, True]
    made = model.apply_edit(photos(), at_rest(), codes_after)
    plain = without_retoucher(random_tensors()).apply_edit(photos(), at_rest(), codes_after)
    assert torch.equal(made[0], photos()[0])
    torch.testing.assert_close(made[1], plain[1])
    assert (made[2] - plain[2]).abs().max() > 1e-3


def test_half_precision_is_close(model: FaceModel) -> None:
    exact = model.apply_edit(photos(), at_rest(), edited_codes())
    net = model.module
    assert isinstance(net, rendered.RenderedFaceNet)
    net.dtype = torch.bfloat16
    rough = model.apply_edit(photos(), at_rest(), edited_codes())
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.1 * (exact - photos()).abs().max()


def test_corrections_are_made_where_something_changes() -> None:
    change = torch.zeros(1, 3, 64, 64)
    assert (correction_weight(change) == 0).all()
    change[..., 8:16, 8:16] = 0.3
    near = correction_weight(change)[0, 0]
    assert near[12, 12] > 0.6
    assert (near[32:] == 0).all()
    assert near.min() >= 0
    assert near.max() < 1
    torch.manual_seed(0)
    retoucher = Retoucher(CONTROLS, fine=8, wide=8, deep=16, blocks=1)
    torch.nn.init.normal_(retoucher.leave.weight, std=1.0)
    drawn = photos(1, 64) / 2
    made = retoucher(photos(1, 64), drawn, drawn + change, torch.zeros(1, CONTROLS))
    assert (made[..., 32:, :] == 0).all()
    assert (made - change)[..., 8:16, 8:16].abs().max() > 1e-3


def still_controls() -> dict[str, torch.Tensor]:
    """Controls that move nothing."""
    count = len(ATTRIBUTES)
    return {
        "control.fields": torch.zeros(count, 2, 64, 64),
        "control.parity": torch.ones(count, dtype=torch.int8),
    }


def context_of(photo: torch.Tensor, model: FaceModel, scale: int) -> PhotoContext:
    """The whole photo is the face, `scale` times as large as the model's crop."""
    shift = (1 / scale - 1) / 2
    transform = torch.tensor([[1 / scale, 0, shift], [0, 1 / scale, shift]], dtype=torch.float64)
    landmarks = TIGHT.points * SIZE * scale - 0.5
    crop = torch.nn.functional.avg_pool2d(photo.permute(2, 0, 1)[None], scale)
    code = model.encode(crop)[0]
    return PhotoContext(photo, transform, SIZE, landmarks, code, "photo", 0)


def edit_of(
    model: FaceModel, context: PhotoContext, code: torch.Tensor, method: str = "warp"
) -> FaceEdit:
    (edit,) = plan_edits(model, [PhotoFace(context)], code[None], method=method)
    assert edit is not None
    return edit


@pytest.mark.parametrize("scale", [1, 4])
def test_what_the_model_makes_of_the_face_is_what_the_photo_gets(
    model: FaceModel, scale: int
) -> None:
    """Pasted and then aligned again, the middle of the face is what `apply_edit` returned."""
    axis = torch.linspace(0, 3, SIZE * scale)
    phases = axis[:, None, None] * torch.tensor([1.0, 1.3, 1.7]) + axis[:, None]
    wave = 0.5 + 0.2 * torch.sin(phases)
    context = context_of(wave, model, scale)
    code = context.code.clone()
    code[1], code[COUNT] = code[1] + 1.0, 0.1
    edit = edit_of(model, context, code)
    assert edit.source is Source.PHOTO
    torch.testing.assert_close(edit.before, cut_face(wave, context, SIZE))
    torch.testing.assert_close(
        edit.after[None], model.apply_edit(edit.before[None], context.code[None], code[None])
    )
    after = edit.after.clamp(0.06, 0.94)
    still = FaceEdit(edit.before, after, Source.PHOTO)
    seen = cut_face(paste_back(wave, context, still), context, SIZE)

    def brightness(picture: torch.Tensor) -> torch.Tensor:  # tints are softened and bounded
        weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        return (picture * weights).sum(0)[5:10, 6:10]

    apart = (brightness(after) - brightness(edit.before)).abs().mean()
    assert apart > 0.05
    # single pixels of random numbers do not survive being enlarged
    off = (brightness(seen) - brightness(after)).abs().mean()
    assert off < (0.1 if scale == 1 else 0.4) * apart


def test_other_methods_take_the_decoded_faces(model: FaceModel) -> None:
    photo = photos(1, SIZE)[0].permute(1, 2, 0).contiguous()
    context = context_of(photo, model, 1)
    code = context.code + 0.1
    assert edit_of(model, context, code).source is Source.PHOTO
    for method in ("residual", "blend"):
        edit = edit_of(model, context, code, method)
        assert edit.source is Source.DECODED
        torch.testing.assert_close(edit.after, model.decode(code[None])[0])


def test_motion_of_an_own_face_is_not_estimated(model: FaceModel) -> None:
    """A face that is drawn elsewhere is coloured anew, not moved there."""
    photo = torch.full((SIZE * 4, SIZE * 4, 3), 0.7)
    photo[24:40, 24:40] = 0.3
    context = context_of(photo, model, 4)
    before = cut_face(photo, context, SIZE)
    after = before.roll(1, 1)
    still, unknown, decoded = (
        paste_back(photo, context, edit)
        for edit in (
            FaceEdit(before, after, Source.PHOTO, motion=torch.zeros(2, SIZE, SIZE)),
            FaceEdit(before, after, Source.PHOTO),
            FaceEdit(before, after),
        )
    )
    assert torch.equal(still, unknown)
    assert not torch.equal(still, decoded)


def test_photos_that_show_what_is_wanted_are_found(tmp_path: Path) -> None:
    faces = load_faces(make_face_data(tmp_path / "faces"), "train")
    renderer = Renderer(4, len(ATTRIBUTES), 8, 8, 8)
    net = untrained_net(fit_linear(faces.crops, 12) | still_controls(), renderer)
    net.retoucher = Retoucher(len(ATTRIBUTES))
    codes = net.encode(faces.floats())
    lessons = Lessons(net, torch.eye(len(ATTRIBUTES), 21), faces, faces, codes, [])
    run = RetouchTraining(lessons, Settings(batch=8), tmp_path / "x", Session())
    count = len(ATTRIBUTES)
    wanted = torch.zeros(2 * count, count)
    wanted[:count], wanted[count:] = 2 * torch.eye(count), -2 * torch.eye(count)
    wanted[:, 0] += 0.1  # and a little of something else
    found = run.values[run.alike(wanted), :count]
    for row, values in enumerate(found):
        which, sign = row % count, 1 if row < count else -1
        if (sign * run.values[:, which] >= 1).any():
            assert sign * values[which] >= 1


def test_photos_are_moved_by_less_than_a_pixel() -> None:
    axis = torch.linspace(-1, 1, 64)
    x, y = axis.expand(64, 64), axis[:, None].expand(64, 64)
    ramps = torch.stack([x, y, 0 * x])
    moved = shift_photos(ramps.expand(40, 3, 64, 64), torch.Generator().manual_seed(0))
    by = (moved - ramps)[:, :2, 8:-8, 8:-8] / (axis[1] - axis[0])
    assert by.abs().max() <= 1.01
    assert 0.4 < by.mean((2, 3)).std() < 0.8
    assert by.std((2, 3)).max() < 0.05


@pytest.mark.slow
@pytest.mark.usefixtures("small_training")
def test_training_stops_resumes_and_is_exported(tmp_path: Path) -> None:
    data, out = make_face_data(tmp_path / "faces"), tmp_path / "own.safetensors"
    few = FaceTraining(12, 2, 1, 2, 12, retouch_warm_steps=1, retouch_steps=2, spotless_steps=0)
    first = train_face(data, out, few)
    edited = first.space.mean + first.directions["smile"].vector
    assert first.retouches(first.space.mean, edited)
    drawn = {n: t for n, t in load_tensors(out)[0].items() if n.startswith("renderer.")}
    train_face(data, out, replace(few, retouch_steps=4))
    tensors = load_tensors(out)[0]
    assert all(torch.equal(tensors[name], tensor) for name, tensor in drawn.items())
    assert tensors["retoucher.leave.weight"].abs().max() > 0
    assert tensors["retoucher.tell.weight"].shape[1] == len(ATTRIBUTES)
    with (tmp_path / "own.retoucher.curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert set(rows[0]) > {"stage", "step", "critic", *LOSSES, "psnr"}
    assert float(rows[1]["undone"]) > 0
    assert Image.open(tmp_path / "own.retoucher.samples.png").size[0] > 128
