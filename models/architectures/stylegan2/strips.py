"""One resolution of the generator in strips of rows, for large pictures on a CPU.

Maps of a whole layer at 512 or 1024 pixels are fetched from and given back to the system again and
again, which takes as long as the arithmetic. A strip goes through both convolutions and to colours
while it is in the cache, and the last resolution keeps no maps at all. Each strip computes the few
rows of its neighbours that it needs anew, so the result is that of whole maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...threads import check_interrupt
from .layers import Prepared, StyledConv, ToRGB, blur, double_size, finish

SMALLEST = 1 << 22  # numbers in a layer's map; below, whole maps are as fast
STRIP = 1 << 21  # numbers in a strip
FEWEST_ROWS = 8


def pays_off(x: Tensor, up: StyledConv, w_plus: Tensor) -> bool:
    """True on a CPU, for large maps, where no gradient is wanted."""
    if x.device.type != "cpu" or (torch.is_grad_enabled() and w_plus.requires_grad):
        return False
    return 4 * x.shape[2] * x.shape[3] * up.energy.shape[0] > SMALLEST


def block(
    layers: tuple[StyledConv, StyledConv, ToRGB],  # one after the other
    x: Tensor,  # (1, in, h, h) channels_last
    ws: Sequence[Tensor],  # three of (1, w_dim)
    noises: Sequence[Tensor],  # two of (1, 1, 2 h, 2 h)
    picture: Tensor,  # (1, 3, h, h) float32
    limit: float | None,
    keep: bool,  # the maps, for a next resolution
) -> tuple[Tensor, Tensor]:
    """One resolution: the doubling convolution, the next one, and colours.

    Returns:
        The maps `(1, out, 2 h, 2 h)` (empty unless `keep`), and the picture `(1, 3, 2 h, 2 h)`.
    """
    up, conv, to_rgb = layers
    first, second = (
        layer.prepare_kernel(w, noise, x.dtype)
        for layer, w, noise in zip((up, conv), ws[:2], noises, strict=True)
    )
    kernel = to_rgb.kernel(ws[2], x.dtype)
    side, channels = 2 * x.shape[2], len(second.bias)
    maps = torch.empty(
        (1, channels, side if keep else 0, side),
        dtype=x.dtype,
        memory_format=torch.channels_last,
    )
    colours = picture.new_empty(1, 3, side, side)
    rows = max(FEWEST_ROWS, STRIP // (side * channels))
    for top in range(0, side, rows):
        check_interrupt()
        bottom = min(top + rows, side)
        y = _doubled_rows(x, first, max(top - 1, 0), min(bottom + 1, side), limit)
        y = F.conv2d(
            _bordered(y, top == 0, bottom == side), second.kernel, second.bias, padding=(0, 1)
        )
        y = finish(y, second.noise[:, :, top:bottom], limit)
        if keep:
            maps[:, :, top:bottom] = y
        colours[:, :, top:bottom] = to_rgb.colours(y, kernel, limit)
    return maps, colours + double_size(picture)


def _doubled_rows(x: Tensor, layer: Prepared, top: int, bottom: int, limit: float | None) -> Tensor:
    """Rows `top` to `bottom` (not included) of the doubling convolution of `x`."""
    side = 2 * x.shape[2]
    # The filter reads rows top - 1 to bottom + 1 of the spread maps; row m of those comes from the
    # rows m / 2 - 1 to m / 2 of x.
    first, last = max(0, (top - 2) // 2), min(x.shape[2] - 1, (bottom + 1) // 2)
    y = F.conv_transpose2d(x[:, :, first : last + 1], layer.kernel.transpose(0, 1), stride=2)
    start = max(top - 1, 0) - 2 * first
    end = min(bottom + 2, side + 1) - 2 * first
    y = _bordered(y[:, :, start:end], top == 0, bottom == side)
    y = blur(y, layer.bias, rows=0)
    return finish(y, layer.noise[:, :, top:bottom], limit)


def _bordered(y: Tensor, above: bool, below: bool) -> Tensor:
    """With a row of zeros above or below, where the picture ends."""
    return F.pad(y, (0, 0, int(above), int(below))) if above or below else y
