"""What the latent_ops tests share: tolerances per dtype, code shapes, and strategies for codes."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

# Relative tolerance of a result whose inputs and output are rounded to the dtype.
TOLERANCE = {
    torch.float16: 2e-3,
    torch.bfloat16: 1.6e-2,
    torch.float32: 2e-6,
    torch.float64: 1e-13,
}

# (latent shape, latent_dims): z, w_plus, and a VAE latent whose channels equal a batch of 4.
SHAPES = (((16,), 1), ((3, 8), 2), ((4, 8, 8), 3))

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def gaussian(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return seeded standard normal numbers, independent of the global generator."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def float64(tensor: Tensor) -> np.ndarray:
    """Return a tensor as a float64 NumPy array."""
    return tensor.detach().cpu().double().numpy()


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors agree bit for bit, signed zeros and NaN included."""
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and torch.equal(a.contiguous().view(integer), b.contiguous().view(integer))
    )


def codes_strategy(size: int, magnitude: float = 100.0) -> st.SearchStrategy[Tensor]:
    """Draw one float64 code of a given size, zeros and repeats included."""
    component = st.floats(-magnitude, magnitude, allow_subnormal=False)
    return st.lists(component, min_size=size, max_size=size).map(
        lambda values: torch.tensor(values, dtype=torch.float64)
    )
