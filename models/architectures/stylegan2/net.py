"""StyleGAN2 generator (Karras et al. 2020), optionally with an encoder, in plain torch.

z goes through the mapping network to w; a w+ code has one w per layer, two layers per resolution
("coarse" first). Layer 0 drives the first convolution; layer 2k + 1 the colours of resolution
4 * 2^k and the doubling convolution after it; layer 2k + 2 the second convolution of that
resolution.

Pictures are made one by one: one code shall give one picture, bit for bit, in every batch, and
convolution libraries choose their kernels, and thereby their rounding, by batch size. (oneDNN on a
CPU with AVX-512: 512 channels at 4 x 4 differ by 8e-6 between batches of 1 and 3, larger maps do
not; matrix products of 1 and of 3 rows differ as well.)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import FaceLatentsError
from ...threads import check_interrupt
from ..capabilities import Capabilities, FaceNet
from .encoders import StyleEncoder, encoder_input
from .layers import Constant, Dense, StyledConv, ToRGB, leaky_relu, normalise
from .layout import Layout
from .strips import block, pays_off

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_BLOCK = 16  # codes mapped at once, see `map`
_STD_SAMPLES = 512
_MAPPING_RATE = 0.01  # learning rate multiplier of the mapping network


class StyleGAN2Net(FaceNet):
    """Mapping and synthesis network; `encoder` is None where the file has none.

    `dtype` is the type of the activations and may be set at any time: weights, mapping, styles
    and the picture itself stay float32.
    """

    latent_avg: Tensor
    encoder_avg: Tensor | None

    space_name = "w_plus"

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.size, self.num_ws = layout.size, layout.num_ws
        self.z_dim, self.w_dim = layout.z_dim, layout.w_dim
        self.dtype = torch.float32
        self.encoder: StyleEncoder | None = None
        self.clamp: float | None = None
        w_dim, channels = layout.w_dim, layout.channels

        self.style = nn.Module()
        inputs = layout.z_dim + (w_dim if layout.classes else 0)
        for number in range(1, layout.mapping_layers + 1):
            layer = Dense(inputs if number == 1 else w_dim, w_dim, _MAPPING_RATE)
            self.style.add_module(str(number), layer)
        self.style_embed = Dense(layout.classes, w_dim) if layout.classes else None

        self.input = Constant(channels[0])
        self.conv1 = StyledConv(channels[0], channels[0], w_dim)
        self.to_rgb1 = ToRGB(channels[0], w_dim)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for coarse, fine in itertools.pairwise(channels):
            self.convs.append(StyledConv(coarse, fine, w_dim, up=True))
            self.convs.append(StyledConv(fine, fine, w_dim))
            self.to_rgbs.append(ToRGB(fine, w_dim))
        self.noises = nn.Module()
        for j in range(self.num_ws - 1):
            side = 2 ** ((j + 5) // 2)
            self.noises.register_buffer(f"noise_{j}", torch.zeros(1, 1, side, side))
        self.register_buffer("latent_avg", torch.zeros(w_dim))  # or (num_ws, w_dim)
        self.register_buffer("encoder_avg", None)  # None: latent_avg

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code, `(num_ws, w_dim)`."""
        return (self.num_ws, self.w_dim)

    def capabilities(self) -> Capabilities:
        """Codes of layers; pictures to codes only where the file has an encoder."""
        return Capabilities(
            decode=self.decode,
            encode=None if self.encoder is None else partial(self._encode, self.encoder),
            style_weight=self.style_weight,
            layers=self,
            precision=self,
            code_mean=self.mean_code().clone(),
            code_std=self.code_std(),
        )

    # no attribute `device`: the host's memory management writes one of its own
    def _place(self) -> torch.device:
        return self.latent_avg.device

    # --- codes ---------------------------------------------------------------------------------

    def map(self, z: Tensor, class_index: int | Tensor | None = None) -> Tensor:
        """z `(B, z_dim)` to w `(B, w_dim)` float32.

        Rows are computed in blocks of one size, so that they do not depend on each other.

        Args:
            z: standard normal; only its direction counts, its length is normalised.
            class_index: one class for all, or `(B,)`; only and always where the network has
                classes.

        Raises:
            FaceLatentsError: a class is missing, out of range, or given to a network without.
        """
        x = normalise(z.to(self._place(), torch.float32))
        labels = self._labels(class_index, len(z))
        if labels is not None and self.style_embed is not None:
            hot = F.one_hot(labels, self.layout.classes).float()
            x = torch.cat([x, normalise(_in_blocks(self.style_embed, hot))], 1)
        return _in_blocks(self._mapped, x)

    def _mapped(self, x: Tensor) -> Tensor:
        for layer in self.style.children():
            x = leaky_relu(layer(x))
        return x

    def _labels(self, class_index: int | Tensor | None, count: int) -> Tensor | None:
        classes = self.layout.classes
        if not classes:
            if class_index is None:
                return None
            raise FaceLatentsError(
                "This model has no classes, but a class was asked for. Leave the class empty."
            )
        if class_index is None:
            raise FaceLatentsError(
                f"This model draws faces of {classes} classes: give the number of one, from 0 to "
                f"{classes - 1}."
            )
        labels = torch.as_tensor(class_index, device=self._place()).expand(count)
        if bool(((labels < 0) | (labels >= classes)).any()):
            raise FaceLatentsError(
                f"There is no class {class_index}: this model has classes 0 to {classes - 1}."
            )
        return labels.long()

    def broadcast(self, w: Tensor) -> Tensor:
        """w `(B, w_dim)` to w+ `(B, num_ws, w_dim)`, the same in every layer; a new tensor."""
        return w[:, None].repeat(1, self.num_ws, 1)

    def truncate(self, w_plus: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Pull codes towards the mean: `mean + psi * (w - mean)`.

        Args:
            w_plus: `(B, num_ws, w_dim)`.
            psi: 1 leaves them, 0 gives the mean.
            cutoff: how many layers, from the first; None: all.
        """
        mean = self.mean_code().to(w_plus)
        count = self.num_ws if cutoff is None else min(max(cutoff, 0), self.num_ws)
        # lerp, and not the formula: exact where psi is 0 or 1
        pulled = torch.lerp(mean[:count], w_plus[:, :count], psi)
        return torch.cat([pulled, w_plus[:, count:]], 1)

    def mean_code(self) -> Tensor:
        """The mean of w in every layer, `(num_ws, w_dim)`."""
        return self.latent_avg.expand(self.num_ws, self.w_dim)

    @torch.no_grad()
    def code_std(self) -> Tensor:
        """Standard deviation of w, over `_STD_SAMPLES` random z, in every layer;
        `(num_ws, w_dim)`."""
        codes = self.sample_codes(_STD_SAMPLES, torch.Generator().manual_seed(0))[:, 0]
        return codes.std(0).expand(self.num_ws, self.w_dim).cpu().clone()

    def sample_codes(
        self,
        count: int,
        generator: torch.Generator,
        psi: float = 1.0,
        cutoff: int | None = None,
        class_index: int | None = None,
    ) -> Tensor:
        """Random codes `(count, num_ws, w_dim)` on the module's device.

        z is drawn face by face on the CPU, so the first codes of a larger batch are those of a
        smaller one. Where the network has classes and none is given, each face draws its own.
        """
        rows, labels = [], []
        for _ in range(count):
            if self.layout.classes and class_index is None:
                labels.append(torch.randint(self.layout.classes, (), generator=generator))
            rows.append(torch.randn(self.z_dim, generator=generator))
        classes = torch.stack(labels) if labels else class_index
        return self.truncate(self.broadcast(self.map(torch.stack(rows), classes)), psi, cutoff)

    # --- pictures ------------------------------------------------------------------------------

    def synthesize(self, w_plus: Tensor) -> Tensor:
        """w+ codes `(B, num_ws, w_dim)` to pictures `(B, 3, S, S)` float32, nominally in [-1, 1],
        with the file's own noise."""
        codes = w_plus.to(self._place(), torch.float32)
        noises = [getattr(self.noises, f"noise_{j}") for j in range(self.num_ws - 1)]
        pictures = [self._picture(code[None], noises) for code in codes]
        if not pictures:
            return codes.new_zeros(0, 3, self.size, self.size)
        return torch.cat(pictures) if len(pictures) > 1 else pictures[0]

    def _picture(self, code: Tensor, noises: Sequence[Tensor]) -> Tensor:
        ws, limit = code.unbind(1), self.clamp  # each (1, w_dim)
        x = self.input.input.to(self.dtype).contiguous(memory_format=torch.channels_last)
        x = self.conv1(x, ws[0], noises[0], limit)
        picture: Tensor = self.to_rgb1(x, ws[1], None, limit)
        convs = cast(list[StyledConv], list(self.convs))
        to_rgbs = cast(list[ToRGB], list(self.to_rgbs))
        for k, (up, conv, to_rgb) in enumerate(zip(convs[::2], convs[1::2], to_rgbs, strict=True)):
            check_interrupt()
            own = slice(2 * k + 1, 2 * k + 4)
            (w_up, w_conv, w_rgb), (up_noise, conv_noise) = ws[own], noises[own][:2]
            if pays_off(x, up, code):
                keep = k + 1 < len(to_rgbs)
                layers, pair = (up, conv, to_rgb), (up_noise, conv_noise)
                x, picture = block(layers, x, ws[own], pair, picture, limit, keep)
            else:
                x = conv(up(x, w_up, up_noise, limit), w_conv, conv_noise, limit)
                picture = to_rgb(x, w_rgb, picture, limit)
        return picture.contiguous()

    def decode(self, codes: Tensor) -> Tensor:
        """w+ codes `(B, num_ws, w_dim)` to pictures `(B, 3, S, S)` float32, nominally in [0, 1]."""
        return self.synthesize(codes) * 0.5 + 0.5

    def _encode(self, encoder: StyleEncoder, crops: Tensor) -> Tensor:
        """Crops `(B, 3, S, S)` in [0, 1] to w+ codes `(B, num_ws, w_dim)` float32."""
        average = self.latent_avg if self.encoder_avg is None else self.encoder_avg
        codes: Tensor = encoder(encoder_input(crops)) + average
        return codes

    def style_weight(self, layers: Sequence[int] | None = None) -> Tensor:
        """What each number of a w adds to the styles of convolutions, `(out, w_dim)` float32.

        Args:
            layers: of w+; None: all. The maps to colours, which only the last layer drives alone,
                take part where nothing else does: SeFa (Shen & Zhou 2021) leaves them out.

        Raises:
            FaceLatentsError: no such layer.
        """
        wanted = range(self.num_ws) if layers is None else sorted(set(layers))
        if not wanted or wanted[0] < 0 or wanted[-1] >= self.num_ws:
            raise FaceLatentsError(
                f"Layers go from 0 to {self.num_ws - 1} in this model, got {list(wanted)}."
            )
        convolutions = [self.conv1, *self.convs]
        chosen = [convolutions[layer] for layer in wanted if layer < len(convolutions)]
        modules = chosen or [[self.to_rgb1, *self.to_rgbs][-1]]
        return torch.cat([module.conv.modulation.weight.float() for module in modules])


def _in_blocks(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Apply `function` to blocks of `_BLOCK` rows, the last one filled up with zeros."""
    missing = -len(rows) % _BLOCK if len(rows) else _BLOCK
    filled = F.pad(rows, (0, 0, 0, missing))
    return torch.cat([function(block) for block in filled.split(_BLOCK)])[: len(rows)]
