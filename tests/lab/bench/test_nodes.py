"""What is timed as a node and as direct calls does the same."""

from __future__ import annotations

import torch
from face_latents.lab.bench.nodes import step_pairs
from face_latents.models.face_model import FaceModel


def test_nodes_and_direct_calls_give_the_same(
    face_model: FaceModel, astronaut: torch.Tensor
) -> None:
    with torch.inference_mode():
        pairs = step_pairs(astronaut, face_model)
        encode, encode_directly = pairs.pop("encode")
        torch.testing.assert_close(encode().samples[0], encode_directly().code)
        for name, (node, direct) in pairs.items():
            ours, theirs = node().reshape(-1), direct().reshape(-1)
            torch.testing.assert_close(ours, theirs, msg=lambda text, name=name: f"{name}: {text}")
