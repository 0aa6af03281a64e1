"""What becomes of each tensor of a file: taken, dropped for a reason, or made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..architectures.stylegan2.layers import Dense, leaky_relu, normalise
from ..architectures.stylegan2.layout import Layout
from .inert import Refusal
from .torch_files.storage import TensorRef

MAPPING_RATE = 0.01  # learning rate multiplier that every published mapping network has
_DRAWN = 4096  # codes whose mean stands for a missing one
_ROW = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


@dataclass
class Plan:
    """The conversion of one file.

    Attributes:
        source_format: "rosinality", "nvidia-ada", "e4e" or "psp".
        left: tensors of the file that nothing was decided about yet, by their path.
        taken: name in the new file -> path in the old one.
        tensors: name in the new file -> values, views of the old file where possible.
        dropped: path in the old file -> why.
        made: name in the new file -> how it was made.
        encoder_type: "e4e" or "psp" where there is an encoder.
    """

    source_format: str
    left: dict[str, TensorRef]
    taken: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    encoder_type: str | None = None

    def take(
        self, path: str, name: str, change: Callable[[Tensor], Tensor] = lambda tensor: tensor
    ) -> None:
        """Keep a tensor of the old file under a name of the new one.

        Raises:
            Refusal: it is missing, or cannot be changed in this way.
        """
        if path not in self.left:
            seen = ", ".join(sorted(self.left)[:8])
            raise Refusal(f"tensor '{path}' is missing. There are, among others: {seen or 'none'}.")
        reference = self.left.pop(path)
        try:
            tensor = change(reference.view())
            if tensor.dtype == torch.float64:
                tensor = tensor.float()  # networks compute in single precision
        except (RuntimeError, IndexError) as error:
            raise Refusal(
                f"tensor '{path}' has the shape {list(reference.shape)}, which does not fit."
            ) from error
        if name in self.tensors:
            raise Refusal(f"two of its tensors would become '{name}': '{path}' is one of them.")
        self.taken[name], self.tensors[name] = path, tensor

    def make(self, name: str, tensor: Tensor, how: str) -> None:
        """Add a tensor that the old file does not have."""
        self.tensors[name], self.made[name] = tensor, how

    def drop(self, path: str, why: str) -> None:
        """Leave a tensor of the old file out."""
        del self.left[path]
        self.dropped[path] = why

    def drop_kernel(self, path: str, gain: float) -> None:
        """Leave out a blur kernel, which is not trained.

        Raises:
            Refusal: it is not the kernel that every network has, `[1, 3, 3, 1]` times `gain`.
        """
        kernel = self.left[path].view()
        standard = torch.outer(_ROW, _ROW) * gain
        if kernel.shape != standard.shape or not torch.allclose(
            kernel.float(), standard, rtol=1e-3, atol=1e-6
        ):
            raise Refusal(
                f"'{path}' is not the usual blur kernel [1, 3, 3, 1], so the network would draw "
                "differently here. Such networks are not known here."
            )
        self.drop(path, "the standard blur kernel, built in")


def mean_rows(tensor: Tensor) -> Tensor:
    """A mean code of shape (512,), (1, 512), (layers, 512) or (1, layers, 512), as (512,) where
    it is the same in each layer, else as (layers, 512)."""
    if tensor.dim() == 3 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.dim() == 2 and bool((tensor == tensor[:1]).all()):
        tensor = tensor[0]
    return tensor


def drawn_mean(tensors: Mapping[str, Tensor], layout: Layout) -> Tensor:
    """The mean of w over random z, the same every time, `(w_dim,)` float32.

    Args:
        tensors: of the generator, checked.
        layout: without classes.
    """
    generator = torch.Generator().manual_seed(0)
    x = normalise(torch.randn(_DRAWN, layout.z_dim, generator=generator))
    for number in range(1, layout.mapping_layers + 1):
        weight = tensors[f"style.{number}.weight"].float()
        layer = Dense(weight.shape[1], weight.shape[0], MAPPING_RATE)
        bias = tensors[f"style.{number}.bias"].float()
        layer.load_state_dict({"weight": weight, "bias": bias})
        x = leaky_relu(layer(x))
    return x.mean(0)


DRAWN_MEAN = f"the mean of {_DRAWN:,} random codes, as the file does not state it"
