"""Measuring StyleGAN2 synthesis: what is said without a reference, and how figures are told."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from face_latents.lab import commands as lab
from face_latents.lab.bench.stylegan2 import (
    KINDS,
    StyleGAN2Benchmark,
    _convolution_share,
    network_of,
    run_stylegan2,
    stylegan2_report,
)
from face_latents.models.errors import FaceLatentsError
from stylegan2_support import small_layout, small_tensors


def test_without_a_checkout_it_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(FaceLatentsError, match="reference=DIR"):
        run_stylegan2(StyleGAN2Benchmark(tmp_path))


def test_the_recorded_command_names_no_place_of_this_machine() -> None:
    args = Namespace(what="stylegan2", options=["reference=/home/me/code", "size=64"], data=None)
    args.model = None
    args.options += ["recogniser=mine:embed"]
    args.options += ["cache_dir=/home/me/crops", "out_dir=/home/me/sheets", "pictures=/home/me"]
    command = lab._command(args)
    assert "/home/me" not in command
    assert "reference=DIR size=64 recogniser=MODULE:FUNCTION" in command


def test_the_report_tells_every_kind() -> None:
    one = {"seconds": 2.0, "ratio": 3.5, "cpu_seconds": 4.0, "peak_mb": 512.0, "difference": 1e-6}
    one |= {"convolutions": 0.875, "ratios": [3.25, 3.5, 3.75]}
    figures = {
        "size": 64,
        "rounds": 2,
        "torch": "2",
        "threads": 1,
        "kinds": dict.fromkeys(KINDS, one),
    }
    rows = stylegan2_report(figures).splitlines()[-len(KINDS) :]
    assert [row.split(" | ")[0] for row in rows] == [f"| {kind}" for kind in KINDS]
    assert all(
        "3.50" in row and "512" in row and "4.00" in row and "3.25 to 3.75" in row for row in rows
    )


def test_the_share_of_convolutions_is_that_of_their_time() -> None:
    x, kernel = torch.randn(1, 64, 64, 64), torch.randn(64, 64, 3, 3)
    with torch.inference_mode():
        convolving = _convolution_share(lambda: torch.conv2d(x, kernel), 3)
        adding = _convolution_share(lambda: x + x, 3)
    assert adding == 0
    assert 0 < convolving <= 1


def test_weights_of_a_reference_are_taken_without_its_kernels() -> None:
    tensors = small_tensors(small_layout(32, dim=8))
    average = tensors.pop("latent_avg")
    state = {**tensors, "convs.0.conv.blur.kernel": torch.ones(4, 4)}
    net = network_of(state, average)
    assert torch.equal(net.latent_avg, average)
    assert torch.equal(net.state_dict()["conv1.conv.weight"], tensors["conv1.conv.weight"])
