"""Morph's easing and preview strip; strengths over frames."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.latent_ops import EASINGS, keyframe_frames
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.nodes import host
from nodes_support import random_latent, tiny_model
from PIL import Image

MODEL = tiny_model()


def morph(**inputs: object) -> object:
    settings = {"frames": 13, "path": "slerp", "loop": False} | inputs
    return NODE_CLASS_MAPPINGS["FaceLatentsMorph"]().execute(**settings)


@pytest.mark.parametrize("easing", EASINGS)
@pytest.mark.parametrize("loop", [False, True])
def test_every_easing_passes_through_every_keyframe(easing, loop):
    keyframes = random_latent(MODEL, 4)
    (frames,) = morph(face_latent=keyframes, easing=easing, loop=loop)
    at = keyframe_frames(keyframes.samples, 13, loop=loop)
    assert torch.equal(frames.samples[at], keyframes.samples)


def test_without_easing_nothing_has_changed():
    keyframes = random_latent(MODEL, 3)
    result = morph(face_latent=keyframes)
    assert isinstance(result, tuple)
    assert torch.equal(result[0].samples, morph(face_latent=keyframes, easing="linear")[0].samples)
    with pytest.raises(FaceLatentsError, match="'easing' must be one of"):
        morph(face_latent=keyframes, easing="bounce")


@pytest.mark.parametrize("frames", [2, 5, 40])
def test_a_model_shows_a_strip(frames, monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path / "temp")
    keyframes = random_latent(MODEL, 2)
    with torch.inference_mode():
        shown = morph(face_latent=keyframes, frames=frames, face_model=MODEL)
    (image,) = shown["ui"]["images"]
    assert image["type"] == "temp"
    strip = Image.open(Path(tmp_path) / "temp" / image["filename"])
    assert strip.width > strip.height
    plain = morph(face_latent=keyframes, frames=frames)
    assert torch.equal(shown["result"][0].samples, plain[0].samples)


def test_a_strip_of_another_models_faces_is_refused():
    with pytest.raises(SpaceMismatchError, match="Morph: model 'tiny'"):
        morph(face_latent=random_latent(tiny_model("b" * 16), 2), face_model=MODEL)
