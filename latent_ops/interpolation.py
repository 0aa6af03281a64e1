"""Interpolation between two codes: straight (lerp) and along the sphere (slerp)."""

from __future__ import annotations

import torch
from torch import Tensor

from ._geometry import (
    angle_between_units,
    dot,
    flatten_codes,
    length,
    put_rows,
    unflatten_codes,
    unit_and_length,
)
from ._validation import (
    batch_scalar,
    batch_shape,
    broadcast_batch,
    compute_dtype,
    latent_shape,
    require_codes,
    require_match,
)

# Seed of the plane that slerp turns in between opposite codes, where any plane is as good.
_PLANE_SEED = 0

# Below this many rounding errors |u + v| is noise: the codes count as opposite.
_ANTIPODAL_EPS = 4.0


def lerp(a: Tensor, b: Tensor, t: float | Tensor, *, latent_dims: int = 1) -> Tensor:
    """Interpolate linearly, `(1 - t) a + t b`.

    Args:
        a: `(*, *latent_shape)`, the code at t = 0.
        b: `(*, *latent_shape)`, the code at t = 1; batches broadcast.
        t: a finite number, or one per code (a tensor that broadcasts over the batch). Values
            outside [0, 1] extrapolate along the line.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the promoted dtype of `a` and `b`. `t = 0` and `t = 1` give `a` and
        `b` bit for bit, and so do identical codes at any t.

    Raises:
        TypeError: if `a` or `b` is not a floating-point tensor.
        ValueError: if shapes or devices disagree, or `t` is not finite.

    Notes:
        Halfway between independent Gaussian codes the norm falls to 0.70 of theirs, which decodes
        washed out; `slerp` keeps it.

    Example:
        >>> lerp(torch.tensor([0.0, 2.0]), torch.tensor([4.0, 2.0]), 0.25)
        tensor([1., 2.])
    """
    require_codes("a", a, latent_dims)
    require_match("a", a, "b", b, latent_dims)
    dtype = compute_dtype(a, b)
    weight = _weight(t, a, b, latent_dims).to(dtype)
    start, end = a.to(dtype), b.to(dtype)
    out_dtype = torch.promote_types(a.dtype, b.dtype)
    if isinstance(t, Tensor):
        return _lerp(start, end, weight).to(out_dtype)
    if t in (0, 1):
        given: Tensor = torch.broadcast_tensors(start, end)[int(t)]
        return given.to(out_dtype, copy=True)
    return torch.lerp(start, end, float(t)).to(out_dtype)


def slerp(
    a: Tensor,
    b: Tensor,
    t: float | Tensor,
    *,
    origin: Tensor | None = None,
    latent_dims: int = 1,
) -> Tensor:
    """Interpolate the direction along the great circle and the norm linearly.

    With unit vectors `u = a / |a|`, `v = b / |b|` and the angle
    `omega = 2 atan2(|u - v|, |u + v|)`, the direction at t is

    `cos((t - 1/2) omega) p - sin((t - 1/2) omega) m`

    in the orthonormal frame `p = (u + v) / |u + v|`, `m = (u - v) / |u - v|`, and the norm is
    `(1 - t) |a| + t |b|`. The frame keeps the direction of unit length near 0 and near pi, where
    the form `(sin((1 - t) omega) a + sin(t omega) b) / sin(omega)` (Shoemake 1985; White 2016,
    arXiv 1609.04468) divides by nearly zero. Where it does not, this form is used: it is the faster
    one.

    Args:
        a: `(*, *latent_shape)`, the code at t = 0.
        b: `(*, *latent_shape)`, the code at t = 1; batches broadcast.
        t: a finite number, or one per code (a tensor that broadcasts over the batch). Values
            outside [0, 1] extrapolate: the direction turns on, the norm goes on linearly (and past
            zero, to the opposite side, if the two norms differ enough).
        origin: centre of the sphere, `(*, *latent_shape)`; zero when None. In a space whose codes
            scatter around a mean (`w`), pass the mean.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the promoted dtype of `a` and `b`. `t = 0` and `t = 1` give `a` and
        `b` bit for bit.

    Raises:
        TypeError: if a code argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, or `t` is not finite.

    Notes:
        Every case is defined, for each code of a batch by itself:

        - identical codes give that code, bit for bit, at every t;
        - parallel codes keep their direction, so only the norm changes;
        - nearly opposite codes are computed in float64: within 1e-6 of the norm of the exact arc
          of the given codes down to 1e-6 rad from opposite;
        - opposite codes have no plane of their own: one is chosen from a fixed seed, the same at
          every call, on every device, whatever the state of the global random generator;
        - a zero code has no direction: the result is `lerp`, which keeps the other direction;
        - codes with a single component have no sphere: the result is `lerp`.

    Example:
        >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 0.5)
        tensor([0.7071, 0.7071])
    """
    require_codes("a", a, latent_dims)
    require_match("a", a, "b", b, latent_dims)
    out_dtype = torch.promote_types(a.dtype, b.dtype)
    dtype = compute_dtype(a, b) if origin is None else compute_dtype(a, b, origin)
    weight = _weight(t, a, b, latent_dims).to(dtype)
    if weight.ndim:
        weight = weight.flatten(weight.ndim - latent_dims)
    start, end = (flatten_codes(x, latent_dims, dtype) for x in (a, b))
    if origin is None:
        centre, (u, v) = None, (start, end)
    else:
        require_match("a", a, "origin", origin, latent_dims)
        require_match("b", b, "origin", origin, latent_dims)
        centre = flatten_codes(origin, latent_dims, dtype)
        u, v = start - centre, end - centre
    result, easy = _slerp_easy(u, v, weight)
    if centre is not None:
        result = result + centre
    if not bool(easy.all()):
        rows, shape = ~easy, result.shape
        t_rows = weight.expand(*shape[:-1], 1)[rows]
        first, last = (x.expand(shape)[rows] for x in (start, end))
        around = None if centre is None else centre.expand(shape)[rows]
        exact = _slerp_exact(first, last, around, t_rows)
        result = torch.where(easy[..., None], result, torch.zeros_like(result))
        result = put_rows(result, rows, exact)
    return unflatten_codes(result, latent_shape(a, latent_dims)).to(out_dtype)


def _slerp_easy(start: Tensor, end: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Spherical interpolation of `(*, D)` around zero for codes of common lengths at common angles.

    Returns:
        results `(*, D)`, and where they hold `(*)`: elsewhere they are whatever came out.
    """
    length_a, length_b = length(start), length(end)
    # beyond these lengths products leave float32's range; 1 in their place keeps gradients finite
    common = torch.minimum(length_a, length_b) > 1e-12
    common = common & (torch.maximum(length_a, length_b) < 1e12)
    ones = torch.ones_like(length_a)
    length_a, length_b = (torch.where(common, x, ones) for x in (length_a, length_b))
    cosine = dot(start, end) / (length_a * length_b)
    # arccos loses digits towards 1
    easy = common & (cosine.abs() < 0.9) & (weight != 0) & (weight != 1)
    omega = torch.arccos(torch.where(easy, cosine, torch.zeros_like(cosine)))
    norm = _lerp(length_a, length_b, weight)
    over = norm / torch.sin(omega)
    from_a = torch.sin((1 - weight) * omega) * over / length_a
    from_b = torch.sin(weight * omega) * over / length_b
    result = torch.addcmul(from_a * start, from_b, end)
    return result, easy.expand(*result.shape[:-1], 1).squeeze(-1)


def _slerp_exact(start: Tensor, end: Tensor, centre: Tensor | None, weight: Tensor) -> Tensor:
    """Spherical interpolation of rows `(N, D)` around `centre`, in float64, for every case."""
    a, b, t = (x.double() for x in (start, end, weight))
    if centre is None:
        result = _slerp(a, b, t)
    else:
        result = _slerp(a - centre.double(), b - centre.double(), t) + centre.double()
    # After the origin is added back, the fixed points are no longer exact by themselves.
    result = torch.where((t == 0) | (a == b).all(-1, keepdim=True), a, result)
    return torch.where(t == 1, b, result).to(start.dtype)


def _weight(t: float | Tensor, a: Tensor, b: Tensor, latent_dims: int) -> Tensor:
    """Return `t` shaped for the codes, checked against the batch of both."""
    weight = batch_scalar("t", t, a, latent_dims)
    if weight.ndim:
        broadcast_batch(
            ("t", batch_shape(weight, latent_dims)),
            ("a", batch_shape(a, latent_dims)),
            ("b", batch_shape(b, latent_dims)),
        )
    return weight


def _lerp(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """Interpolate from the nearer end, which makes `lerp(a, b, t) == lerp(b, a, 1 - t)`."""
    result = torch.lerp(start, end, weight)  # it takes the nearer end
    at_start, at_end = weight == 0, weight == 1
    # Written out because -0.0 + 0.0 is 0.0 and 0 * inf is NaN.
    if bool((at_start | at_end).any()):
        result = torch.where(at_end, end, torch.where(at_start, start, result))
    return result


def _slerp(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """Spherical interpolation of `(*, D)` around zero; `weight` broadcasts as `(*, 1)`."""
    straight = _lerp(start, end, weight)
    if start.shape[-1] == 1:
        return straight
    u, length_u = unit_and_length(start)
    v, length_v = unit_and_length(end)
    p, m = _frame(u, v)
    theta = (weight - 0.5) * angle_between_units(u, v)
    direction = torch.cos(theta) * p - torch.sin(theta) * m
    curved = _lerp(length_u, length_v, weight) * direction
    return torch.where((length_u == 0) | (length_v == 0), straight, curved)


def _frame(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the orthonormal frame along `u + v` and `u - v`, `(*, D)` each."""
    p, sum_length = unit_and_length(u + v)
    m, difference_length = unit_and_length(u - v)
    # The shorter of the two carries the rounding errors, so it is the one made orthogonal.
    narrow = sum_length >= difference_length
    m = torch.where(narrow, unit_and_length(m - dot(m, p) * p)[0], m)
    p = torch.where(narrow, p, unit_and_length(p - dot(p, m) * m)[0])
    opposite = sum_length <= _ANTIPODAL_EPS * torch.finfo(u.dtype).eps
    if bool(opposite.any()):
        p = torch.where(opposite, _perpendicular(m), p)
    return p, m


def _perpendicular(m: Tensor) -> Tensor:
    """Return a fixed choice of unit vectors perpendicular to unit vectors `(*, D)`, D >= 2.

    Of two perpendicular seeded axes the one further from `m` is projected, so the result is well
    conditioned for every `m`, and the same for `m` and `-m`.
    """
    generator = torch.Generator(device="cpu").manual_seed(_PLANE_SEED)
    axes = torch.randn(2, m.shape[-1], generator=generator, dtype=torch.float64)
    first = axes[0] / length(axes[0])
    second = axes[1] - dot(axes[1], first) * first
    second = second / length(second)
    first, second = (axis.to(device=m.device, dtype=m.dtype) for axis in (first, second))
    axis = torch.where(dot(m, first).abs() <= dot(m, second).abs(), first, second)
    axis = unit_and_length(axis - dot(axis, m) * m)[0]
    return unit_and_length(axis - dot(axis, m) * m)[0]
