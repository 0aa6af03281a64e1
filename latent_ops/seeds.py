"""Random numbers from seeds of 64 bits."""

from __future__ import annotations

import torch

_FIRST, _LENGTH = 3, 624  # where the words of the Mersenne Twister lie in a generator's state
_WORD = 2**32


def generator(seed: int) -> torch.Generator:
    """Return a generator on the CPU whose numbers depend on all 64 bits of a seed.

    PyTorch seeds the CPU's generator with the lower 32 bits alone. Here the words of the upper half
    are laid over those of the lower half, moved on by one, so that swapped halves differ. Sums of
    Mersenne Twisters are Mersenne Twisters, as their rule is linear.

    Args:
        seed: 0 to 2**64 - 1; below 2**32 the numbers are those of `torch.Generator.manual_seed`.

    Raises:
        ValueError: a seed out of that range.

    Example:
        >>> draws = [torch.randint(1000, (3,), generator=generator(s)) for s in (7, 7, 7 + 2**32)]
        >>> [torch.equal(draws[0], other) for other in draws[1:]]
        [True, False]
    """
    if not 0 <= seed < _WORD * _WORD:
        raise ValueError(f"A seed is from 0 to {_WORD * _WORD - 1}, but this one is {seed}.")
    lower = torch.Generator().manual_seed(seed % _WORD)
    if seed >= _WORD:
        upper = torch.Generator().manual_seed(seed // _WORD).get_state().view(torch.int64)
        state = lower.get_state().view(torch.int64)
        words = slice(_FIRST, _FIRST + _LENGTH)
        state[words] ^= upper[words].roll(1)
        lower.set_state(state.view(torch.uint8))
    return lower
