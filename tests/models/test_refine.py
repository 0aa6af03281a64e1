"""Refining codes: closer to the picture, never worse, and inside inference mode as well."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from face_latents.models.architectures.capabilities import Capabilities
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import FaceModel, load_face_model
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.refine import NOISE, can_encode, compare, mean_codes, refine
from face_latents.models.space import LatentSpace
from nodes_support import CODES, SIZE, tiny_model
from stylegan2_support import small_model_file
from torch import Tensor, nn

TINY = tiny_model()


class CurvedNet(nn.Module):
    """A small generator that is no linear map, with an encoder that only guesses."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.first = nn.Parameter(torch.randn(8, 32, generator=generator), requires_grad=False)
        self.second = nn.Parameter(
            torch.randn(32, 3 * 16 * 16, generator=generator) / 6, requires_grad=False
        )
        self.register_buffer("base", torch.full((3 * 16 * 16,), 0.5))
        self.dtype = torch.float32
        self.dtypes: list[torch.dtype] = []

    def encode(self, crops: Tensor) -> Tensor:
        return crops.flatten(1)[:, :8] - 0.5

    def decode(self, codes: Tensor) -> Tensor:
        self.dtypes.append(self.dtype)
        flat = torch.tanh(codes @ self.first) @ self.second * 0.2 + self.base
        return flat.reshape(-1, 3, 16, 16)


def curved_model() -> FaceModel:
    space = LatentSpace("z", (8,), "c" * 16, torch.zeros(8), torch.ones(8))
    net = CurvedNet()
    # looked up at each call, so that a test may replace it
    able = Capabilities(lambda codes: net.decode(codes), net.encode, precision=net)
    return FaceModel(net, able, space, TIGHT.resized(16), {}, {}, "curved")


def curved_case(count: int = 3) -> tuple[FaceModel, Tensor, Tensor]:
    """A model, crops it can draw, and the codes its encoder guesses."""
    model = curved_model()
    crops = model.decode(model.sample(count, 11)).clamp(0, 1)
    return model, crops, model.encode(crops)


def rms(model: FaceModel, codes: Tensor, crops: Tensor, view: Tensor | None = None) -> Tensor:
    """Root mean square difference of what is seen, face by face, in float64."""
    difference = (model.decode(codes).clamp(0, 1) - crops).double().square()
    weight = torch.ones_like(difference) if view is None else view.expand_as(difference).double()
    return ((difference * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))).sqrt()


def test_an_estimated_code_comes_much_closer():
    model, crops, start = curved_case()
    refined = refine(model, crops, start, 60)
    assert refined.shape == start.shape
    assert (rms(model, refined, crops) < 0.25 * rms(model, start, crops)).all()


def test_more_steps_come_closer():
    model, crops, start = curved_case()
    errors = [float(rms(model, refine(model, crops, start, n), crops).mean()) for n in (0, 10, 60)]
    assert errors[0] > errors[1] > errors[2]


def test_stylegan2_generator_from_the_mean_code(tmp_path):
    model = load_face_model(small_model_file(tmp_path / "m.safetensors", 32, dim=32))
    assert not can_encode(model)
    crops = model.decode(model.sample(1, 5, 0.7)).clamp(0, 1)
    start = mean_codes(model, 1)
    refined = refine(model, crops, start, 40)
    assert refined.shape == (1, *model.space.shape)
    assert (rms(model, refined, crops) < 0.5 * rms(model, start, crops)).all()


def test_an_exact_start_is_kept():
    codes = torch.randn(3, CODES, generator=torch.Generator().manual_seed(2))
    crops = TINY.decode(codes)
    assert 0 < crops.min() < crops.max() < 1
    start = TINY.encode(crops)
    refined = refine(TINY, crops, start, 15)
    assert (rms(TINY, refined, crops) <= rms(TINY, start, crops) + 1e-6).all()
    torch.testing.assert_close(refined, start, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_no_face_gets_worse(seed):
    """The pull towards the mean code must not cost anything."""
    generator = torch.Generator().manual_seed(seed)
    crops = torch.rand(4, 3, SIZE, SIZE, generator=generator)
    start = TINY.encode(crops) * torch.linspace(0.5, 8, 4)[:, None]
    for steps in (1, 2, 7):
        refined = refine(TINY, crops, start, steps)
        assert (rms(TINY, refined, crops) <= rms(TINY, start, crops) + 1e-6).all()


def test_bundled_model_never_loses(face_model):
    model = face_model
    plain = model.decode(model.sample(2, 3)).clamp(0, 1)
    generator = torch.Generator().manual_seed(1)
    noisy = (plain + 0.05 * torch.randn(plain.shape, generator=generator)).clamp(0, 1)
    harsh = ((plain - 0.5) * 2.5 + 0.5).clamp(0, 1)
    for crops in (noisy, harsh):
        start = model.encode(crops)
        refined = refine(model, crops, start, 12)
        assert (rms(model, refined, crops) <= rms(model, start, crops) + 1e-6).all()


def test_what_is_out_of_view_does_not_count():
    view = torch.ones(1, 1, SIZE, SIZE)
    view[..., : SIZE // 3] = 0
    generator = torch.Generator().manual_seed(3)
    crops = torch.rand(1, 3, SIZE, SIZE, generator=generator)
    other = torch.where(view > 0, crops, torch.rand(crops.shape, generator=generator))
    start = TINY.encode(crops)
    first, second = (refine(TINY, c, start, 10, view=view) for c in (crops, other))
    assert torch.equal(first, second)
    assert (first - refine(TINY, other, start, 10)).abs().max() > 0.01


def test_masked_fit_approaches_the_exact_one():
    """Against the normal equations of the pixels in view; the clamp takes no part here."""
    view = torch.ones(1, 1, SIZE, SIZE)
    view[:, :, SIZE // 2 :, : SIZE // 2] = 0
    truth = 2 * torch.randn(1, CODES, generator=torch.Generator().manual_seed(6))
    crops = TINY.decode(truth)
    hidden = torch.where(view > 0, crops, torch.ones(()))
    start = TINY.encode(hidden)
    basis = TINY.module.basis
    seen = view.expand_as(crops).flatten(1)[0] > 0
    target = (crops.flatten(1)[0] - 0.5)[seen]
    exact = torch.linalg.lstsq(basis[:, seen].T, target[:, None]).solution.T
    torch.testing.assert_close(exact, truth, atol=1e-3, rtol=0)
    refined = refine(TINY, hidden, start, 150, view=view)
    assert (refined - exact).norm() < 0.2 * (start - exact).norm()
    assert rms(TINY, refined, crops, view) < 0.2 * rms(TINY, start, crops, view)


@pytest.mark.parametrize("made_inside", [False, True])
def test_under_inference_mode(made_inside):
    """As the host runs nodes, also when the network was made or moved inside that mode."""
    model, crops, start = curved_case()
    expected = refine(model, crops, start, 10)
    with torch.inference_mode():
        if made_inside:
            net = CurvedNet().to(torch.float64).to(torch.float32)
            model = replace(model, module=net, capabilities=Capabilities(net.decode))
        inside = refine(model, crops.clone(), start.clone(), 10)
    assert model.module.first.is_inference() == made_inside
    assert not inside.is_inference()
    assert not inside.requires_grad
    torch.testing.assert_close(inside, expected, atol=1e-5, rtol=0)


def test_weights_and_inputs_stay_as_they_are():
    model, crops, start = curved_case()
    before = [t.clone() for t in (*model.module.state_dict().values(), crops, start)]
    refine(model, crops, start, 5)
    after = [*model.module.state_dict().values(), crops, start]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None and not p.requires_grad for p in model.module.parameters())


def test_each_face_is_refined_by_itself():
    model, crops, start = curved_case(4)
    together = refine(model, crops, start, 20)
    alone = [refine(model, crops[i : i + 1], start[i : i + 1], 20) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-3, rtol=0)


def test_progress_tells_the_best_so_far():
    model, crops, start = curved_case()
    seen: list[tuple[int, float]] = []
    last = []
    refined = refine(
        model,
        crops,
        start,
        30,
        progress=lambda step, error, best: (seen.append((step, error)), last.append(best)),
    )
    assert [step for step, _ in seen] == list(range(1, 31))
    errors = [error for _, error in seen]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(float(rms(model, refined, crops).mean()), abs=1e-5)
    torch.testing.assert_close(last[-1], model.decode(refined).clamp(0, 1), atol=1e-5, rtol=0)
    assert not last[-1].requires_grad


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_half_precision_of_few_exponents_is_set_aside_for_the_time(dtype):
    """float16 loses gradients; what the module was set to comes back, after Cancel too."""
    model, crops, start = curved_case()
    model.module.dtype = dtype
    model.module.dtypes.clear()

    def cancel(step: int, error: float, best: Tensor) -> None:
        if step == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        refine(model, crops, start, 10, progress=cancel)
    assert len(model.module.dtypes) == 4
    used = torch.float32 if dtype is torch.float16 else dtype
    assert set(model.module.dtypes) == {used}
    assert model.module.dtype is dtype


def test_a_network_that_fails_away_from_the_start_gives_the_start_back():
    model, crops, start = curved_case(2)
    decode = model.module.decode

    def fragile(codes: Tensor) -> Tensor:
        far = (codes - start).abs().amax(1) > 1e-6
        return decode(codes) / torch.where(far, torch.nan, 1.0)[:, None, None, None]

    model.module.decode = fragile
    assert torch.equal(refine(model, crops, start, 5), start)


def test_a_network_without_gradients_is_refused_by_name():
    model, crops, start = curved_case()
    decode = model.module.decode
    model.module.decode = lambda codes: decode(codes).detach()
    with pytest.raises(FaceLatentsError, match="curved cannot be refined"):
        refine(model, crops, start, 3)


def test_no_steps_give_the_start_back():
    model, crops, start = curved_case()
    refined = refine(model, crops, start, 0)
    assert torch.equal(refined, start)
    assert refined.data_ptr() != start.data_ptr()


def test_comparison_of_even_differences():
    targets = torch.full((2, 3, 32, 32), 0.5)
    pictures = targets + torch.tensor([0.1, -0.2]).reshape(2, 1, 1, 1)
    errors = compare(pictures, targets)
    torch.testing.assert_close(errors.loss, torch.tensor([0.01, 0.04]))
    torch.testing.assert_close(errors.pixels, torch.tensor([0.01, 0.04]))
    view = torch.zeros(2, 1, 32, 32)
    view[..., :16] = 1
    wrong = torch.where(view > 0, pictures, torch.zeros(()))
    torch.testing.assert_close(compare(wrong, targets, view).pixels, errors.pixels)


def test_fine_noise_counts_less_than_an_even_difference():
    targets = torch.full((1, 3, 32, 32), 0.5)
    checks = targets.clone()
    checks[..., ::2], checks[..., 1::2] = 0.6, 0.4
    noisy, even = compare(checks, targets), compare(targets + 0.1, targets)
    torch.testing.assert_close(noisy.pixels, even.pixels)
    assert noisy.loss < 0.5 * even.loss


def test_pixels_beyond_the_range_learn_where_they_should_be():
    targets = torch.tensor([0.5, 1.0, 0.0, 0.5]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    pictures = torch.tensor([1.4, 1.4, -0.4, -0.4]).reshape(1, 1, 2, 2).repeat(1, 3, 1, 1)
    pictures.requires_grad_(True)
    errors = compare(pictures, targets)
    torch.testing.assert_close(errors.pixels, torch.tensor([0.125]))
    (gradient,) = torch.autograd.grad(errors.loss.sum(), pictures)
    above, right_above, right_below, below = gradient[0, 0].flatten().tolist()
    assert above > 0 > below
    assert right_above == right_below == 0


def test_wrong_shapes_are_refused():
    model, crops, start = curved_case()
    with pytest.raises(FaceLatentsError, match="3 pictures"):
        refine(model, crops, start[:2], 3)
    with pytest.raises(FaceLatentsError, match=r"\(batch, 3, 16, 16\), got \(3, 3, 8, 8\)"):
        refine(model, crops[..., :8, :8], start, 3)
    with pytest.raises(FaceLatentsError, match="0 or more, got -1"):
        refine(model, crops, start, -1)
    with pytest.raises(FaceLatentsError, match=r"\(3, 1, 16, 16\), got \(3, 16, 16\)"):
        refine(model, crops, start, 3, view=torch.ones(3, 16, 16))
    view = torch.ones(3, 1, 16, 16)
    view[1] = 0
    with pytest.raises(FaceLatentsError, match="0% of face 2 is in view"):
        refine(model, crops, start, 3, view=view)


def test_the_mean_code_stands_in_for_an_unknown_statistic():
    model, crops, start = curved_case()
    bare = replace(model, space=LatentSpace("z", (8,), "c" * 16))
    assert torch.equal(mean_codes(bare, 2), torch.zeros(2, 8))
    assert (rms(bare, refine(bare, crops, start, 40), crops) < rms(bare, start, crops)).all()


def test_the_pull_is_weaker_than_the_photo():
    """A code three standard deviations out is found although the mean code pulls."""
    model = curved_model()
    truth = torch.full((1, 8), 1.5)
    crops = model.decode(truth).clamp(0, 1)
    refined = refine(model, crops, torch.zeros(1, 8), 80)
    assert rms(model, refined, crops) < 0.2 * rms(model, torch.zeros(1, 8), crops)
    assert math.isclose(NOISE, 0.1)
