"""Seeds: all 64 bits count, and small ones give what PyTorch gives."""

import doctest

import pytest
import torch
from face_latents.latent_ops import complete_basis, seeds, stratified_folds


def draws(seed):
    made = seeds.generator(seed)
    return torch.cat([torch.randn(700, generator=made), torch.rand(700, generator=made)])


def test_below_32_bits_numbers_are_pytorch_s():
    for seed in (0, 7, 2**32 - 1):
        made = torch.Generator().manual_seed(seed)
        expected = torch.cat([torch.randn(700, generator=made), torch.rand(700, generator=made)])
        assert torch.equal(draws(seed), expected)


def test_every_bit_counts():
    some = [3, *(3 ^ 1 << bit for bit in range(64)), 3 << 32, (3 << 32) + 5, (5 << 32) + 3]
    found = torch.stack([draws(seed) for seed in some])
    assert len(found.unique(dim=0)) == len(some)
    assert torch.equal(draws((5 << 32) + 3), found[-1])
    correlations = torch.corrcoef(found[:, :700]) - torch.eye(len(some))
    assert float(correlations.abs().max()) < 0.2  # 5 standard deviations of 700 numbers
    assert abs(float(found[:, :700].std()) - 1) < 0.02
    assert abs(float(found[:, 700:].mean()) - 0.5) < 0.01


def test_what_is_drawn_by_a_seed_uses_all_of_it():
    start = torch.eye(8)[:1]
    drawn = [complete_basis(start, 8, method="random", seed=seed) for seed in (5, 5 + 2**33)]
    assert not torch.equal(*drawn)
    labels = torch.arange(40) % 2
    assert not torch.equal(*(stratified_folds(labels, 5, seed) for seed in (1, 1 + 2**40)))


def test_other_seeds_are_refused():
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="from 0 to 18446744073709551615"):
            seeds.generator(seed)


def test_the_example_holds():
    assert doctest.testmod(seeds).failed == 0
