"""A training of the face model that takes seconds."""

from __future__ import annotations

from functools import partial

import pytest
from face_latents.lab.training.face import adversarial, attribute_net, export, run, samples
from face_latents.lab.training.face.attribute_net import AttributeNet
from face_latents.lab.training.face.critic import Critic
from face_latents.models.architectures.face.renderer import Renderer
from face_latents.models.architectures.face.retoucher import Retoucher
from face_latents.models.fit.safe_range import safe_range


@pytest.fixture
def small_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of few channels, and reports on few faces and strengths: the steps are the same."""
    smaller = {
        (run, "Renderer"): partial(Renderer, wide=8, deep=16, fine=8, blocks=(1, 1, 1)),
        (run, "Retoucher"): partial(Retoucher, fine=8, wide=8, deep=16, blocks=1),
        (attribute_net, "AttributeNet"): partial(AttributeNet, 8),
        (adversarial, "Critic"): partial(Critic, width=8),
        (adversarial, "measure"): partial(samples.measure, number=2),
        (samples, "_SHOWN"): 2,
        (export, "safe_range"): partial(safe_range, step=2.0),
    }
    for (module, name), value in smaller.items():
        monkeypatch.setattr(module, name, value)
