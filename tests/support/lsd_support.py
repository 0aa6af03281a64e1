"""A model of bars whose labels and style are known exactly, for tests of the LSD evaluation."""

from __future__ import annotations

import torch
from face_latents.lab.evaluation.lsd.model import Digits, MeasuredModel
from face_latents.models.architectures.capabilities import Capabilities
from face_latents.models.face_model import FaceModel
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.space import LatentSpace
from torch import Tensor, nn

SIDE, LABELS, SIZE = 16, 4, 12


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Bars(nn.Module):
    """A linear model whose labels are four bright bars and whose style is faint pattern."""

    def __init__(self) -> None:
        super().__init__()
        atoms = torch.zeros(SIZE, SIDE, SIDE)
        for label in range(LABELS):
            atoms[label, 1:-1, 1 + 4 * label : 3 + 4 * label] = 1
        atoms[LABELS:] = normal(SIZE - LABELS, SIDE, SIDE, seed=5)
        flat = torch.linalg.qr(atoms.flatten(1).T.double()).Q.T.float()
        flat[:LABELS] *= flat[:LABELS].sum(1, keepdim=True).sign()
        self.register_buffer("atoms", flat * 2)
        self.scale = 4.0  # of the atoms' squared length

    def encode(self, crops: Tensor) -> Tensor:
        return crops[:, 0].flatten(1) @ self.atoms.T / self.scale

    def decode(self, codes: Tensor) -> Tensor:
        return (codes @ self.atoms).view(-1, 1, SIDE, SIDE).expand(-1, 3, -1, -1)


class BarClassifier(nn.Module):
    """Logits: the light in each bar."""

    def forward(self, pictures: Tensor) -> Tensor:
        bars = [pictures[:, 0, 1:-1, 1 + 4 * n : 3 + 4 * n].mean((1, 2)) for n in range(LABELS)]
        return 10 * torch.stack(bars, 1)


def measured_model() -> MeasuredModel:
    space = LatentSpace("z", (SIZE,), "bars", torch.zeros(SIZE), torch.ones(SIZE))
    net = Bars()
    able = Capabilities(net.decode, net.encode)
    model = FaceModel(net, able, space, TIGHT.resized(SIDE), {}, {}, "bars")
    return MeasuredModel(model, BarClassifier())


def bars(count: int, seed: int = 0) -> Digits:
    """Pictures of bars with a faint style of their own, in [0, 1]."""
    labels = torch.arange(count) % LABELS
    codes = 0.2 * normal(count, SIZE, seed=seed)
    codes[:, :LABELS] = 2 * torch.nn.functional.one_hot(labels, LABELS).float()
    return Digits(measured_model().decode(codes), labels)
