"""What training of the face model does to photos, to its critic and to its state."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from face_latents.lab.data.faces import load_faces
from face_latents.lab.measures import sharpness
from face_latents.lab.training.face.attribute_net import GEOMETRY, PARITIES, AttributeNet
from face_latents.lab.training.face.critic import Critic, steepness
from face_latents.lab.training.face.directions import ATTRIBUTES, separate_directions
from face_latents.lab.training.face.edits import (
    NAMES,
    add_controls,
    describe_controls,
    expected_changes,
)
from face_latents.lab.training.face.losses import reading_losses
from face_latents.lab.training.face.views import vary_photos
from face_latents.models.architectures.face.controls import CONTROL
from face_latents.models.architectures.face.planes import blur
from face_latents.models.errors import FaceLatentsError
from face_latents.models.imaging.light import luminance
from rendered_support import make_face_data
from skimage import data

COUNT = len(ATTRIBUTES)


def faces(number: int) -> torch.Tensor:
    photo = torch.from_numpy(data.astronaut()[20:148, 160:288].copy()).permute(2, 0, 1) / 255
    return photo.expand(number, 3, 128, 128)


def test_varied_photos_show_the_same_light_elsewhere_and_in_other_colours() -> None:
    crops = faces(64)
    views = vary_photos(crops, torch.Generator().manual_seed(0))
    assert views.shape == crops.shape
    assert views.min() >= 0
    assert views.max() <= 1
    ratio = sharpness(views) / sharpness(crops)
    assert ratio.min() < 0.6
    assert ratio.max() > 1.8
    light, before = (luminance(x)[..., 16:112, 16:112].mean((1, 2, 3)) for x in (views, crops))
    assert (light - before).abs().max() < 0.03
    colours = views.mean((2, 3))
    assert (colours - colours.mean(1, keepdim=True)).std(0).min() > 0.01
    again = vary_photos(crops, torch.Generator().manual_seed(0))
    assert torch.equal(views, again)


def test_varied_photos_are_moved_by_few_pixels() -> None:
    axis = torch.linspace(-1, 1, 64)
    x, y = axis.expand(64, 64), axis[:, None].expand(64, 64)
    ramp = ((x + 2 * y) / 8 + 0.5).expand(200, 3, 64, 64)  # grey: colours have nothing to change
    light = luminance(vary_photos(ramp, torch.Generator().manual_seed(0)))[:, 0, 32, 32]
    pixel = float(ramp[0, 0, 32, 33] - ramp[0, 0, 32, 32])
    moved = (light - ramp[:, 0, 32, 32]) / pixel
    assert 1 < moved.std() < 4  # a pixel along x, and twice that along y
    assert moved.abs().max() < 12


def test_a_steep_critic_is_told_from_a_flat_one() -> None:
    torch.manual_seed(0)
    critic, pictures = Critic(COUNT, width=8), faces(2)
    values = torch.zeros(2, COUNT)
    steep = steepness(critic, pictures, values)
    assert steep > 0
    (gradient,) = torch.autograd.grad(steep, [critic.patches[0].weight])
    assert gradient.abs().max() > 0
    for head in critic.patches:
        torch.nn.init.zeros_(head.weight)
    assert steepness(critic, pictures, values) == 0


def test_readings_are_compared_with_what_was_asked_for() -> None:
    """A reader that always answers with its biases."""
    reader = AttributeNet(8).eval()
    torch.nn.init.zeros_(reader.head.weight)
    wide = COUNT + GEOMETRY.index("mouth_width")
    values, wanted = torch.zeros(3, len(PARITIES)), torch.zeros(3, COUNT)
    edit = torch.zeros(3, COUNT, dtype=torch.bool)
    age, bright = NAMES.index("age"), NAMES.index("brightness")
    edit[:, age], wanted[:, age] = True, 1.0
    along = torch.zeros(COUNT, 2)

    def losses(**answers: float) -> tuple[float, float]:
        with torch.no_grad():
            reader.head.bias.zero_()
            for name, value in answers.items():
                reader.head.bias[wide if name == "width" else NAMES.index(name)] = value
        pair = (faces(3), faces(3))
        some = torch.Generator().manual_seed(0)
        read, apart = reading_losses(reader, pair, values, wanted, along, edit, some)
        return read.item(), apart.item()

    assert losses(age=1.0) == pytest.approx((0, 0), abs=1e-5)
    assert losses(age=0.0)[0] == pytest.approx(0.5)
    # a reader that is biased in the same way before and after has seen no change
    assert losses(age=1.0, brightness=2.0) == pytest.approx((0, 0), abs=1e-4)
    wanted[:, bright] = 2.0  # not by name: it should have changed by 2
    assert losses(age=1.0)[1] == pytest.approx(1.0)
    wanted[:, bright], along[age, 0] = 0.0, 3.0  # and the mouth should have widened by 3
    assert losses(age=1.0)[1] == pytest.approx(9 / 4)


def test_readers_teach_nothing_about_colours_and_specks() -> None:
    torch.manual_seed(0)
    reader, after = AttributeNet(8).eval(), faces(2).clone().requires_grad_(True)
    values, edit = torch.zeros(2, len(PARITIES)), torch.ones(2, COUNT, dtype=torch.bool)
    losses = reading_losses(
        reader,
        (faces(2), after),
        values,
        torch.ones(2, COUNT),
        torch.ones(COUNT, 2),
        edit,
        torch.Generator().manual_seed(0),
    )
    (gradient,) = torch.autograd.grad(losses[0] + losses[1], after)
    assert gradient.abs().max() > 0
    red, green, blue = (gradient / torch.tensor([0.299, 0.587, 0.114])[:, None, None]).unbind(1)
    torch.testing.assert_close(red, green)
    torch.testing.assert_close(blue, green)
    fine = gradient - blur(gradient)
    assert fine.square().sum() < 0.3 * gradient.square().sum()


def test_controls_are_told_their_directions_and_which_are_light() -> None:
    axes = add_controls(torch.rand(COUNT, 5, generator=torch.Generator().manual_seed(0)))
    apart = separate_directions(dict(zip(NAMES, axes, strict=True)))
    directions = torch.stack(list(apart.values()))
    told = describe_controls(directions)
    strengths = directions[:, 5:] / CONTROL
    assert (strengths != 0).sum() > COUNT  # some go along two controls
    torch.testing.assert_close(strengths @ told["control.along"], directions[:, :5])
    lit = {name for name, light in zip(NAMES, told["control.lights"], strict=True) if light}
    assert lit == {"light_left_right", "brightness"}
    per_strength, edit = told["control.mouth"]
    mouth = torch.tensor([float(name == "mouth_open") for name in NAMES])
    torch.testing.assert_close(strengths @ per_strength, mouth, atol=1e-5, rtol=0)
    torch.testing.assert_close(edit, strengths[NAMES.index("mouth_open")])


def test_mouths_go_along_on_average() -> None:
    values = torch.randn(300, COUNT + 2, generator=torch.Generator().manual_seed(0))
    values[:, COUNT] = 0.5 * values[:, 2] - values[:, 0]
    along = expected_changes(values)
    assert along[2, 0] == pytest.approx(0.5, abs=1e-4)
    assert along[0, 0] == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("damage", ["no zip", "cut", "picture gone", "absent"])
def test_a_damaged_archive_is_named(tmp_path: Path, damage: str) -> None:
    folder = make_face_data(tmp_path / "faces")
    archive = folder / "faces-00.zip"
    if damage == "absent":
        archive.unlink()
    elif damage == "no zip":
        archive.write_bytes(b"not a zip at all")
    elif damage == "cut":
        archive.write_bytes(archive.read_bytes()[:-20_000])
    else:
        with zipfile.ZipFile(archive, "w") as emptied:
            emptied.writestr("other.png", b"")
    with pytest.raises(FaceLatentsError, match=r"faces-00\.zip"):
        load_faces(folder, "train")
