"""What every latent operation promises: shapes, dtypes, independent items, inputs unchanged."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable

import face_latents.latent_ops as ops
import pytest
import torch
from latent_ops_support import DEVICES, DTYPES, SHAPES, TOLERANCE, gaussian, same_bits
from loop_support import case
from torch import Tensor

# Functions (codes (B, *shape), others (B, *shape), latent_dims) -> result with the batch in front.
Case = Callable[[Tensor, Tensor, int], Tensor]

BATCHED: dict[str, Case] = {
    "add": lambda a, b, d: ops.add(a, b, 0.7, latent_dims=d),
    "subtract": lambda a, b, d: ops.subtract(a, b, 0.7, latent_dims=d),
    "scale": lambda a, b, d: ops.scale(a, 0.7, latent_dims=d),
    "lerp": lambda a, b, d: ops.lerp(a, b, 0.3, latent_dims=d),
    "slerp": lambda a, b, d: ops.slerp(a, b, 0.3, latent_dims=d),
    "slerp around an origin": lambda a, b, d: ops.slerp(a, b, 0.3, origin=b * 0.5, latent_dims=d),
    "normalise": lambda a, b, d: ops.normalise(a, latent_dims=d),
    "project": lambda a, b, d: ops.project(a, b, b * 0.5, latent_dims=d),
    "remove": lambda a, b, d: ops.remove(a, b, 0.7, latent_dims=d),
    "remove around a mean": lambda a, b, d: ops.remove(a, b, 0.7, b * 0.5, latent_dims=d),
    "set_to_value": lambda a, b, d: ops.set_to_value(a, b, 1.5, b * 0.5, latent_dims=d),
    "truncate": lambda a, b, d: ops.truncate(a, 0.7, b, latent_dims=d),
    "project_out": lambda a, b, d: ops.project_out(a, _fixed(a, d), b, latent_dims=d),
    "condition": lambda a, b, d: ops.condition(a, _fixed(a, d), latent_dims=d),
    "rotate": lambda a, b, d: ops.rotate(a, b, _fixed(a, d)[0], 0.7, latent_dims=d),
    "rotate around a mean": lambda a, b, d: ops.rotate(
        a, *_fixed(a, d)[:2], 0.7, b * 0.5, latent_dims=d
    ),
    "rotate_chain": lambda a, b, d: ops.rotate_chain(
        a, [(*_fixed(a, d)[:2], 0.7), (*_fixed(a, d)[1:], -2.0)], b, latent_dims=d
    ),
    "spectral_denoise": lambda a, b, d: ops.spectral_denoise(a, _basis(a, d), k=2, mean=b),
    "spectral_denoise as it comes": lambda a, b, d: ops.spectral_denoise(
        a, _basis(a, d), "labels", labels=2, restore_norm=False
    ),
    "truncate_spectrum": lambda a, b, d: _per_code(a, d, lambda c: ops.truncate_spectrum(c, k=3)),
    "truncate_spectrum energy": lambda a, b, d: _per_code(
        a, d, lambda c: ops.truncate_spectrum(c, "energy", energy=0.8)
    ),
    "reconstruct": lambda a, b, d: ops.reconstruct(a.flatten(a.ndim - d)[..., :3], _basis(a, d), b),
}
MEASURED: dict[str, Case] = {
    "coefficient": lambda a, b, d: ops.coefficient(a, b, b * 0.5, latent_dims=d),
    "distance": lambda a, b, d: ops.distance(a, b, "rms", latent_dims=d),
    "euclidean": lambda a, b, d: ops.euclidean(a, b, latent_dims=d),
    "rms": lambda a, b, d: ops.rms(a, b, latent_dims=d),
    "cosine_distance": lambda a, b, d: ops.cosine_distance(a, b, latent_dims=d),
    "angle": lambda a, b, d: ops.angle(a, b, latent_dims=d),
    "whitened": lambda a, b, d: ops.whitened(
        a, b, torch.full(a.shape[1:], 2.0).to(a), latent_dims=d
    ),
    "nearest": lambda a, b, d: ops.nearest(a, _fixed(a, d), k=2)[1],
    "decompose": lambda a, b, d: ops.decompose(a, _basis(a, d), b),
}
STACKED: dict[str, Case] = {
    "weighted_mean": lambda a, b, d: ops.weighted_mean(a),
    "weighted_mean lol": lambda a, b, d: ops.weighted_mean(a, mode="lol", mean=b[0]),
    "path": lambda a, b, d: ops.path(a, 7, origin=b[0] * 0.5),
    "path lerp": lambda a, b, d: ops.path(a, 7, mode="lerp", loop=True),
    "path spline": lambda a, b, d: ops.path(a, 7, mode="spline"),
    "path eased": lambda a, b, d: ops.path(a, 7, easing="ease_in"),
    "path_at": lambda a, b, d: ops.path_at(a, torch.tensor([0.0, 0.3, 1.0])),
    "smooth": lambda a, b, d: ops.smooth(a, 1.5),
    "fill_gaps": lambda a, b, d: ops.fill_gaps(a, torch.arange(len(a)) % 2 == 0),
    "class_means": lambda a, b, d: ops.class_means(a, torch.arange(len(a)) % 2),
    "quasi_eigenvectors": lambda a, b, d: ops.quasi_eigenvectors(a, mean=b[0]),
    "quasi_eigenvectors gram_schmidt": lambda a, b, d: ops.quasi_eigenvectors(a, "gram_schmidt"),
    "complete_basis": lambda a, b, d: ops.complete_basis(
        _basis(a, d), 5, torch.cat([a, b]), mean=b[0]
    ),
    "mean_difference": lambda a, b, d: ops.mean_difference(a, b),
    "lda_direction": lambda a, b, d: ops.lda_direction(a, b),
    "logistic_direction": lambda a, b, d: ops.logistic_direction(a, b),
    "ridge_direction": lambda a, b, d: ops.ridge_direction(*_labelled(a, b)),
    "principal_directions": lambda a, b, d: ops.principal_directions(torch.cat([a, b]))[0],
}
STACK_MEASURED: dict[str, Case] = {
    "keyframe_positions": lambda a, b, d: ops.keyframe_positions(a),
    "keyframe_frames": lambda a, b, d: ops.keyframe_frames(a, 9),
    "pairwise": lambda a, b, d: ops.pairwise(a, b, "cosine"),
    "ease": lambda a, b, d: ops.ease(_shares(a), "ease_in_out"),
    "duplicates": lambda a, b, d: ops.duplicates(a, 100.0),
    "conditioning": lambda a, b, d: torch.tensor(ops.conditioning(a).condition),
    "classify": lambda a, b, d: ops.classify(a.flatten(1), 3),
    "strongest_vector": lambda a, b, d: ops.strongest_vector(a.flatten(1)),
    "label_rank": lambda a, b, d: ops.label_rank(a.flatten(1), torch.arange(len(a))),
    "ledoit_wolf": lambda a, b, d: torch.tensor(ops.ledoit_wolf(a)),
    "stratified_folds": lambda a, b, d: _after_check(
        a, ops.stratified_folds(torch.arange(8) % 2, 3)
    ),
    "held_out_scores": lambda a, b, d: ops.held_out_scores(*_fit_case(a, b)),
    "held_out_predictions": lambda a, b, d: ops.held_out_predictions(*_fit_case(a, b)),
    "learning_curve": lambda a, b, d: ops.learning_curve(*_fit_case(a, b), [1, 2]),
    "sefa_directions": lambda a, b, d: ops.sefa_directions(a.flatten(1))[0],
}
ALL = {**BATCHED, **MEASURED, **STACKED, **STACK_MEASURED}
RETURNS_CODES = {**BATCHED, **STACKED}
BATCHES = (1, 2, 4, 5)


def _fixed(like: Tensor, dims: int) -> Tensor:
    """Return three codes that do not depend on the batch, nor (being short) on the dtype."""
    return gaussian(3, *like.shape[like.ndim - dims :], seed=99).bfloat16().half().to(like)


def _basis(like: Tensor, dims: int) -> Tensor:
    """Return three orthonormal vectors that are exact in every dtype."""
    shape = like.shape[like.ndim - dims :]
    basis = like.new_zeros(3, shape.numel())
    basis[:, :4] = like.new_tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1]]) / 2
    return basis.reshape(3, *shape)


def _per_code(codes: Tensor, dims: int, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of flat codes."""
    flat = codes.flatten(codes.ndim - dims)
    return function(flat).reshape(codes.shape)


def _shares(codes: Tensor) -> Tensor:
    """Return numbers within 0 and 1; what holds none is left for the function to refuse."""
    return codes.abs().clamp(max=1) if codes.is_floating_point() else codes


def _labelled(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes with a score each: 0 for those of ``a``, 1 for those of ``b``."""
    return torch.cat([a, b]), torch.cat([torch.zeros(len(a)), torch.ones(len(b))])


def _fit_case(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Callable[..., Tensor], Tensor]:
    """Return codes, labels, the fit of a mean difference, and two folds."""
    codes = torch.cat([a, b, a.flip(0), b.flip(0)])
    labels = torch.arange(len(codes)) // len(a) % 2 == 1
    fold_of = torch.arange(len(codes)) // (2 * len(a))
    return codes, labels, lambda x, y: ops.mean_difference(x[~y], x[y]), fold_of


def _after_check(codes: Tensor, result: Tensor) -> Tensor:
    """Return the result of a function that is not given the codes, if they are codes."""
    if not codes.is_floating_point():
        raise TypeError("floating-point codes only")
    return result


def _inputs(batch: int, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return gaussian(batch, *shape, seed=1, dtype=dtype), gaussian(
        batch, *shape, seed=2, dtype=dtype
    )


def test_every_public_function_is_covered_here() -> None:
    functions = {name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))}
    assert functions == {name.split(" ")[0] for name in ALL}


@pytest.mark.parametrize("name", ALL)
def test_shape_and_dtype(name: str) -> None:
    for (shape, dims), batch in itertools.product(SHAPES, BATCHES):
        with case(shape=shape, batch=batch):
            a, b = _inputs(batch, shape, torch.float32)
            result = ALL[name](a, b, dims)
            if name in BATCHED:
                assert result.shape == a.shape
            elif name in STACKED:
                assert result.shape[result.ndim - dims :] == shape
            elif name in MEASURED:
                assert result.shape[0] == batch
            assert torch.isfinite(result).all()
            if result.is_floating_point() and name != "keyframe_positions":
                assert result.dtype == torch.float32


@pytest.mark.parametrize("name", [*BATCHED, *MEASURED])
def test_batch_items_do_not_influence_each_other(name: str) -> None:
    """A norm without keepdim passes for one code, and for as many codes as channels."""
    for (shape, dims), batch in itertools.product(SHAPES, BATCHES):
        with case(shape=shape, batch=batch):
            a, b = _inputs(batch, shape, torch.float64)
            together = ALL[name](a, b, dims)
            apart = torch.cat([ALL[name](a[[i]], b[[i]], dims) for i in range(batch)])
            torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*BATCHED, *MEASURED])
def test_latent_shape_is_only_a_view_of_the_flat_code(name: str) -> None:
    for shape, dims in SHAPES:
        with case(shape=shape):
            a, b = _inputs(4, shape, torch.float64)
            # The fixed candidates are drawn in the code's own shape, so they flatten to the same
            # numbers.
            flat = ALL[name](a.flatten(1), b.flatten(1), 1)
            full = ALL[name](a, b, dims)
            torch.testing.assert_close(full.reshape(flat.shape), flat, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", BATCHED)
def test_one_code_without_a_batch_and_more_than_one_batch_dimension(name: str) -> None:
    for shape, dims in SHAPES:
        with case(shape=shape):
            a, b = _inputs(6, shape, torch.float64)
            expected = BATCHED[name](a, b, dims)
            single = BATCHED[name](a[0], b[0], dims)
            grid = BATCHED[name](a.reshape(2, 3, *shape), b.reshape(2, 3, *shape), dims)
            torch.testing.assert_close(single, expected[0], rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(grid, expected.reshape(2, 3, *shape), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "subtract",
        "lerp",
        "slerp",
        "project",
        "remove",
        "set_to_value",
        "truncate",
        "coefficient",
        "distance",
        "angle",
        "rotate",
        "decompose",
        "spectral_denoise",
        "reconstruct",
    ],
)
def test_one_against_many_broadcasts(name: str) -> None:
    a, b = _inputs(5, (4, 8, 8), torch.float64)
    expected = ALL[name](a, b[:1].expand_as(b), 3)
    torch.testing.assert_close(ALL[name](a, b[:1], 3), expected)
    torch.testing.assert_close(ALL[name](a, b[0], 3), expected)
    many = ALL[name](a[:1], b, 3)
    torch.testing.assert_close(many, ALL[name](a[:1].expand_as(a), b, 3))
    assert many.shape[0] == 5


@pytest.mark.parametrize("name", ALL)
def test_inputs_are_never_changed_and_results_are_new(name: str) -> None:
    for dtype in DTYPES:
        with case(dtype=dtype):
            a, b = _inputs(4, (4, 8, 8), dtype)
            before_a, before_b = a.clone(), b.clone()
            result = ALL[name](a, b, 3)
            assert same_bits(a, before_a)
            assert same_bits(b, before_b)
            kept = result.clone()
            a.fill_(7)
            b.fill_(7)
            assert torch.equal(result, kept)


@pytest.mark.parametrize(
    "identity",
    [
        lambda a: ops.add(a, a, 0.0, latent_dims=3),
        lambda a: ops.scale(a, 1.0, latent_dims=3),
        lambda a: ops.lerp(a, a, 0.0, latent_dims=3),
        lambda a: ops.slerp(a, a, 1.0, latent_dims=3),
        lambda a: ops.remove(a, a, 0.0, latent_dims=3),
        lambda a: ops.truncate(a, 1.0, latent_dims=3),
        lambda a: ops.truncate(a, 0.5, latent_dims=3, cutoff=0),
        lambda a: ops.condition(a, a[:0], latent_dims=3),
        lambda a: ops.project_out(a, a[:0], latent_dims=3),
        lambda a: ops.rotate(a, a[0], a[1], 0.0, latent_dims=3),
        lambda a: ops.rotate_chain(a, [], latent_dims=3),
        lambda a: ops.truncate_spectrum(a, k=8),
        lambda a: ops.class_means(a, torch.arange(4)),
        lambda a: ops.path(a, 4),
        lambda a: ops.path(a[:1], 1),
    ],
)
def test_even_an_identity_returns_new_memory(identity: Callable[[Tensor], Tensor]) -> None:
    a = gaussian(4, 4, 8, 8)
    result = identity(a)
    assert same_bits(result, a[: len(result)].contiguous())
    assert result.untyped_storage().data_ptr() != a.untyped_storage().data_ptr()


@pytest.mark.parametrize("name", RETURNS_CODES)
def test_codes_keep_their_dtype_and_half_precision_is_computed_in_float32(name: str) -> None:
    for dtype in DTYPES:
        with case(dtype=dtype):
            a, b = _inputs(4, (4, 8, 8), dtype)
            result = RETURNS_CODES[name](a, b, 3)
            assert result.dtype == dtype
            wide = torch.promote_types(dtype, torch.float32)
            expected = RETURNS_CODES[name](a.to(wide), b.to(wide), 3)
            assert torch.equal(result, expected.to(dtype))


@pytest.mark.parametrize("name", {**BATCHED, **MEASURED})
def test_values_are_those_of_float64_within_the_dtype(name: str) -> None:
    for dtype in DTYPES:
        with case(dtype=dtype):
            a, b = _inputs(4, (4, 8, 8), dtype)
            result = ALL[name](a, b, 3)
            exact = ALL[name](a.double(), b.double(), 3)
            tolerance = TOLERANCE[dtype] * max(1.0, float(exact.abs().max()))
            torch.testing.assert_close(result.double(), exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", MEASURED)
def test_measurements_of_half_precision_codes_are_float32(name: str) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        with case(dtype=dtype):
            a, b = _inputs(4, (16,), dtype)
            assert MEASURED[name](a, b, 1).dtype == torch.float32


def test_half_precision_norms_do_not_overflow() -> None:
    a = torch.full((1024,), 3000.0, dtype=torch.float16)
    assert float(ops.euclidean(a, -a)) == pytest.approx(6000.0 * 32)
    assert float(ops.normalise(a).float().norm()) == pytest.approx(1, abs=1e-3)
    assert torch.equal(ops.slerp(a, a * 0.5, 0.5), torch.full_like(a, 2250.0))


# Sorting is piecewise, and frame positions, bases and fitted directions are made without gradients.
WITHOUT_GRADIENTS = (
    "nearest",
    "path",
    "quasi_eigenvectors",
    "complete_basis",
    "mean_difference",
    "lda_direction",
    "logistic_direction",
    "ridge_direction",
    "principal_directions",
)


@pytest.mark.parametrize(
    "name",
    [n for n in {**BATCHED, **MEASURED, **STACKED} if not n.startswith(WITHOUT_GRADIENTS)],
)
def test_gradients(name: str) -> None:
    a, b = _inputs(2, (5,), torch.float64)
    a.requires_grad_()
    b.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: ALL[name](x, y, 1), (a, b))


def test_gradients_stay_finite_where_the_formula_is_degenerate() -> None:
    base = gaussian(1, 6, dtype=torch.float64)
    ends = torch.cat([base, 2 * base, -base, base * 0])
    starts = base.expand(4, 6).clone().requires_grad_()
    ops.slerp(starts, ends, 0.3).sum().backward()
    assert starts.grad is not None
    assert torch.isfinite(starts.grad).all()


@pytest.mark.parametrize("name", ALL)
def test_results_stay_on_the_device(name: str) -> None:
    for device in DEVICES:
        with case(device=device):
            a, b = (x.to(device) for x in _inputs(4, (16,), torch.float32))
            result = ALL[name](a, b, 1)
            if not name.startswith("keyframe_"):
                assert result.device.type == device
            reference = ALL[name](a.cpu(), b.cpu(), 1)
            torch.testing.assert_close(result.cpu(), reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_runs_under_inference_mode(name: str) -> None:
    with torch.inference_mode():
        a, b = _inputs(4, (16,), torch.float32)
        inside = ALL[name](a, b, 1)
    torch.testing.assert_close(inside.clone(), ALL[name](a.clone(), b.clone(), 1))


@pytest.mark.parametrize("name", [*BATCHED, *MEASURED])
def test_an_empty_batch_gives_an_empty_result(name: str) -> None:
    a, b = _inputs(0, (4, 8, 8), torch.float32)
    assert ALL[name](a, b, 3).shape[0] == 0


@pytest.mark.parametrize("name", ALL)
def test_anything_but_floating_point_is_refused(name: str) -> None:
    a, b = _inputs(4, (16,), torch.float32)
    for dtype in (torch.int64, torch.uint8, torch.bool, torch.complex64):
        with case(dtype=dtype), pytest.raises(TypeError, match="floating"):
            ALL[name](a.to(dtype), b.to(dtype), 1)


TWO_CODES = [
    name
    for name in [*BATCHED, *MEASURED, "pairwise"]
    if name not in ("scale", "normalise", "condition", "nearest", "spectral_denoise as it comes")
    and not name.startswith("truncate_spectrum")
]


@pytest.mark.parametrize("name", TWO_CODES)
def test_different_latent_shapes_are_refused_with_both_shown(name: str) -> None:
    a = gaussian(2, 16)
    with pytest.raises(ValueError, match=r"\(16,\).*\(15,\)|\(15,\).*\(16,\)"):
        ALL[name](a, gaussian(2, 15), 1)
    with pytest.raises(ValueError, match="one shape"):
        ALL[name](a, gaussian(2, 1), 1)  # would broadcast, and mix components


@pytest.mark.parametrize("name", [n for n in TWO_CODES if n != "pairwise"])
def test_batches_that_do_not_fit_are_refused_with_both_shown(name: str) -> None:
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        ALL[name](gaussian(2, 16), gaussian(3, 16), 1)


@pytest.mark.parametrize("dims", [0, -1, 1.0, True, None])
def test_latent_dims_must_be_a_positive_whole_number(dims: int) -> None:
    a = gaussian(2, 16)
    with pytest.raises(ValueError, match="latent_dims"):
        ops.add(a, a, latent_dims=dims)


def test_too_few_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 3 dimension.*\(16,\)"):
        ops.scale(gaussian(16), 2.0, latent_dims=3)
    with pytest.raises(ValueError, match="no elements"):
        ops.scale(torch.zeros(3, 0), 2.0)
    with pytest.raises(TypeError, match="list"):
        ops.scale([1.0, 2.0], 2.0)  # type: ignore[arg-type]


NUMBER_PER_CODE: dict[str, Callable[[Tensor, float | Tensor], Tensor]] = {
    "strength": lambda a, k: ops.add(a, a.flip(0), k),
    "factor": lambda a, k: ops.scale(a, k),
    "t": lambda a, k: ops.slerp(a, a.flip(0), k),
    "amount": lambda a, k: ops.remove(a, a.flip(0), k),
    "target": lambda a, k: ops.set_to_value(a, a.flip(0), k),
    "psi": lambda a, k: ops.truncate(a, k),
    "angle": lambda a, k: ops.rotate(a, a[0], a[1], k),
}


@pytest.mark.parametrize("name", NUMBER_PER_CODE)
def test_a_number_per_code(name: str) -> None:
    function = NUMBER_PER_CODE[name]
    a = gaussian(5, 16, dtype=torch.float64)
    numbers = torch.tensor([-0.5, 0.0, 0.25, 1.0, 2.0], dtype=torch.float64)
    together = function(a, numbers)
    for i, number in enumerate(numbers.tolist()):
        torch.testing.assert_close(together[i], function(a, number)[i], rtol=1e-12, atol=1e-12)
    assert function(a, numbers[:, None]).shape == (5, 5, 16)
    assert torch.equal(function(a, torch.tensor(1)), function(a, 1.0))


@pytest.mark.parametrize("name", NUMBER_PER_CODE)
def test_a_number_that_is_not_finite_is_refused(name: str) -> None:
    for number in (float("nan"), float("inf"), torch.tensor([float("nan")])):
        with case(number=number), pytest.raises(ValueError, match=f"{name} must be finite"):
            NUMBER_PER_CODE[name](gaussian(5, 16), number)


@pytest.mark.parametrize("name", NUMBER_PER_CODE)
def test_numbers_that_do_not_fit_the_batch_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"\(5,\).*\(3,\)"):
        NUMBER_PER_CODE[name](gaussian(5, 16), torch.ones(3))
    with pytest.raises(TypeError, match=name):
        NUMBER_PER_CODE[name](gaussian(5, 16), "1")  # type: ignore[arg-type]


def test_nearly_opposite_codes_follow_the_arc_of_float64() -> None:
    """At 1e-5 rad from opposite, float32 alone was off by 0.04 of the norm."""
    generator = torch.Generator().manual_seed(0)
    for off in (1e-2, 1e-4, 1e-5, 1e-6):
        u, side = torch.linalg.qr(torch.randn(512, 2, generator=generator).double())[0].T
        a, b = u.float(), (-u + off * side).float()
        p = torch.nn.functional.normalize(a.double(), dim=0)
        q = torch.nn.functional.normalize(b.double(), dim=0)
        rest = torch.nn.functional.normalize(q - (q @ p) * p, dim=0)
        omega = torch.pi - torch.atan2(q @ rest, -(q @ p))
        for t in (0.1, 0.5, 0.8):
            norm = (1 - t) * a.double().norm() + t * b.double().norm()
            exact = norm * (torch.cos(t * omega) * p + torch.sin(t * omega) * rest)
            assert float((ops.slerp(a, b, t).double() - exact).norm()) < 1e-6, (off, t)


def test_rows_that_need_care_do_not_change_the_others() -> None:
    """Zero, equal, opposite, tiny and huge codes beside ordinary ones."""
    plain = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    odd = torch.stack([plain[0] * 0, plain[0] * 1e-30, plain[0] * 1e30, plain[1], -plain[1]])
    a, b = torch.cat([plain, odd]), torch.cat([plain.flip(0), plain[:1].expand(4, 8), plain[1:2]])
    for function in (ops.euclidean, ops.cosine_distance, lambda x, y: ops.slerp(x, y, 0.3)):
        together = function(a, b)
        alone = torch.cat([function(a[n : n + 1], b[n : n + 1]) for n in range(len(a))])
        torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)
