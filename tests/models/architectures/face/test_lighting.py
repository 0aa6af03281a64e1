"""Controls that are light: every face is lit as the mean face is, exactly and at any strength."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from face_latents.models.architectures.face import file as rendered
from face_latents.models.architectures.face.controls import CONTROL
from face_latents.models.architectures.face.lighting import relight, shade_of
from face_latents.models.architectures.face.net import RenderedFaceNet
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import load_face_model, save_face_model
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.imaging.light import apply_log_odds, log_odds_change, luminance
from rendered_support import CONTROLS, COUNT, SIZE, at_rest, codes, random_tensors

LAMP = 1  # the control that is light
OTHER = 0


def lit_tensors() -> dict[str, torch.Tensor]:
    """A model whose second control is light, and a mean face of middle brightness."""
    tensors = random_tensors()
    along = torch.zeros(CONTROLS, COUNT)
    along[LAMP] = codes(1)[0, :COUNT] / 4
    along[OTHER, 0] = 1.0
    tensors["control.along"] = along
    tensors["control.lights"] = torch.tensor([0, 1], dtype=torch.int8)
    tensors["control.fields"][LAMP] = 0
    tensors["linear.mean"][:4] = 0.9 + 0.2 * tensors["linear.mean"][:4]
    tensors["linear.mean"][4:] *= 0.1
    return tensors


@pytest.fixture
def net() -> RenderedFaceNet:
    return rendered.load(lit_tensors())


def lamp(net: RenderedFaceNet, strength: float) -> torch.Tensor:
    """The change of a code that turns the light on."""
    change = torch.zeros(1, COUNT + CONTROLS)
    change[0, :COUNT], change[0, COUNT + LAMP] = net.along[LAMP] * strength, CONTROL * strength
    return change


def photos() -> torch.Tensor:
    return 0.2 + 0.5 * torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def spread(pictures: torch.Tensor) -> torch.Tensor:
    return luminance(pictures).flatten(1).std(1)


@pytest.mark.parametrize("strength", [-3.0, 0.5, 2.0])
def test_light_is_the_mean_faces_whatever_is_drawn(net: RenderedFaceNet, strength: float) -> None:
    after = at_rest() + lamp(net, strength)
    lit = net.apply_edit(photos(), at_rest(), after)
    origin = torch.zeros(1, COUNT + CONTROLS)
    mean, bright = (luminance(net.linear_picture(c)) for c in (origin, lamp(net, strength)))
    expected = relight(photos(), mean[:, 0], bright[:, 0])
    torch.testing.assert_close(lit, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(net.draw(after), net.draw(at_rest()), atol=1e-4, rtol=0)
    decoded = net.decode(after)
    torch.testing.assert_close(
        decoded, relight(net.decode(at_rest()), mean[:, 0], bright[:, 0]), atol=1e-4, rtol=0
    )


def test_light_adds_up_and_is_taken_back(net: RenderedFaceNet) -> None:
    one, two = at_rest() + lamp(net, 1.0), at_rest() + lamp(net, 2.0)
    lit = net.apply_edit(photos(), at_rest(), two)
    again = net.apply_edit(net.apply_edit(photos(), at_rest(), one), one, two)
    assert (lit - photos()).abs().amax() > 0.02
    # contrast is held step by step, so not to the last digit
    torch.testing.assert_close(again, lit, atol=0.03, rtol=0)
    back = net.apply_edit(lit, two, at_rest())
    torch.testing.assert_close(back, photos(), atol=0.03, rtol=0)


def test_what_is_not_lit_stays_to_the_last_bit(net: RenderedFaceNet) -> None:
    after = torch.cat([at_rest()[:1], at_rest()[1:] + lamp(net, 2.0)])
    lit = net.apply_edit(photos(), at_rest(), after)
    assert torch.equal(lit[0], photos()[0])
    assert (lit[1:] != photos()[1:]).any()
    drawing = net.draw_unedited(at_rest()) + 1e-3  # of another batch, rounded in another way
    assert torch.equal(net.apply_edit(photos(), at_rest(), after, drawing=drawing), lit)


def test_other_edits_are_made_beside_the_light(net: RenderedFaceNet) -> None:
    change = torch.zeros(1, COUNT + CONTROLS)
    change[0, 0], change[0, COUNT + OTHER] = 1.5, 1.5 * CONTROL
    plain = net.apply_edit(photos(), at_rest(), at_rest() + change)
    both = net.apply_edit(photos(), at_rest(), at_rest() + change + lamp(net, 1.5))
    lights = [net.strengths(c) for c in (0 * change, lamp(net, 1.5))]
    shades = [shade_of(net.mean_face, net.light_maps, light) for light in lights]
    torch.testing.assert_close(both, relight(plain, *shades), atol=1e-4, rtol=0)


def test_contrast_grows_by_less_than_the_light_alone_makes_it() -> None:
    ramp = torch.linspace(0.3, 0.6, 128)
    picture = ramp.expand(1, 3, 128, 128).contiguous()
    mean = torch.full((1, 128, 128), 0.45)
    bright = mean + torch.linspace(-0.2, 0.2, 128)
    lit = relight(picture, mean, bright)
    alone = apply_log_odds(picture, log_odds_change(mean, bright)[:, None])
    assert spread(picture) < spread(lit) < spread(alone)
    grey = torch.full((1, 3, 16, 16), 0.5)
    level = torch.full((1, 16, 16), 0.5)
    torch.testing.assert_close(relight(grey, level, level + 0.2), grey + 0.2, atol=1e-4, rtol=0)
    slope = torch.linspace(-0.2, 0.2, 16).expand(1, 16, 16)
    assert spread(relight(grey, level, level + slope)) > 0.05  # flat as it was, it is lit
    assert torch.equal(relight(grey, level, level), grey)


def test_colours_stay_those_of_the_skin(net: RenderedFaceNet) -> None:
    """All channels are shifted alike: red skin gets no green shadow."""
    skin = torch.tensor([0.7, 0.45, 0.35])[:, None, None].expand(1, 3, SIZE, SIZE).contiguous()
    lit = net.apply_edit(skin, at_rest(1), at_rest(1) + lamp(net, 2.5))
    shift = lit.logit() - skin.logit()
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=1e-3, rtol=0)
    assert shift.abs().max() > 0.1


def test_a_mirrored_face_is_lit_from_the_other_side() -> None:
    tensors = lit_tensors()
    tensors["control.along"][LAMP, ::2] = 0  # antisymmetric, as its parity says
    net = rendered.load(tensors)
    after = at_rest() + lamp(net, 2.0)
    lit = net.apply_edit(photos(), at_rest(), after)
    mirrored = net.apply_edit(photos().flip(-1), net.mirror(at_rest()), net.mirror(after))
    torch.testing.assert_close(mirrored, lit.flip(-1), atol=1e-5, rtol=0)


def test_lights_are_learnt_from(net: RenderedFaceNet) -> None:
    moved = codes().requires_grad_(True)
    net.decode(moved).square().sum().backward()
    assert moved.grad is not None
    assert torch.isfinite(moved.grad).all()
    assert (moved.grad[:, COUNT + LAMP] != 0).all()


def test_a_file_tells_its_lights(tmp_path: Path) -> None:
    path = tmp_path / "lit.safetensors"
    save_face_model(path, lit_tensors(), {}, TIGHT.resized(SIZE))
    model = load_face_model(path)
    assert isinstance(model.module, RenderedFaceNet)
    assert model.module.lights.tolist() == [0, 1]
    without = rendered.load(random_tensors())
    assert (without.lights == 0).all()
    assert torch.equal(without.remove_light(codes()), codes())
    odd = {
        "control.along": torch.zeros(CONTROLS, COUNT + 1),
        "control.lights": torch.tensor([0, 2], dtype=torch.int8),
    }
    for name, tensor in odd.items():
        save_face_model(path, lit_tensors() | {name: tensor}, {}, TIGHT.resized(SIZE))
        with pytest.raises(FaceLatentsError, match=name):
            load_face_model(path)
