"""Networks that read attributes and the shape of the mouth off pixels, to teach the renderer.

They are no part of the shipped model, and not the judge of the evaluation either: that one must
not have taken part in training. A renderer that is taught by an ordinary network draws whatever
pattern moves its readings. So these are trained on real crops that are mirrored, moved, blurred,
noisy, partly covered, and changed for the worst within a small distance (adversarial training,
Madry et al. 2018): to move what such networks read, a picture has to show it (Santurkar et al.
2019, "Image synthesis with a single (robust) classifier").
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.architectures.face.planes import blur
from ...data.faces import FaceSet, landmarks_of
from ...evaluation.face.smile_shape import mouth_shape
from ..classifier import Fitting, fit_classifier
from ..loop import Session
from .directions import ATTRIBUTES, label

BINARY_SPAN = 4.0  # a binary label 0..1 becomes a value -2..2
LARGEST = 2.5  # of a value; others are standard deviations from the mean
GEOMETRY = ("mouth_width", "mouth_lift")  # read after the attributes, and never edited by name
PARITIES = (*[float(attribute.parity) for attribute in ATTRIBUTES], *[1.0 for _ in GEOMETRY])
BINARY = (*[attribute.binary for attribute in ATTRIBUTES], *[False for _ in GEOMETRY])
ATTACK = 0.012  # root mean square of the worst change of a pixel that readers are trained to bear


def attribute_values(faces: FaceSet, scales: FaceSet | None = None) -> Tensor:
    """Labels `(N, A + 2)` on one scale, in the order of `ATTRIBUTES` and `GEOMETRY`: binary ones
    from -2 to 2, others in standard deviations of `scales` (the training faces), cut at 2.5."""
    columns = []
    for attribute in ATTRIBUTES:
        values = label(faces, attribute).float()
        if attribute.binary:
            columns.append((values - 0.5) * BINARY_SPAN)
            continue
        known = label(scales or faces, attribute).float()
        mean = known.mean() if attribute.parity > 0 else torch.zeros(())
        columns.append(((values - mean) / known.std()).clamp(-LARGEST, LARGEST))
    shapes, known_shapes = _mouth_shapes(faces), _mouth_shapes(scales or faces)
    shapes = (shapes - known_shapes.mean(0)) / known_shapes.std(0)
    values = torch.cat([torch.stack(columns, 1), shapes.clamp(-LARGEST, LARGEST)], 1)
    return values.to(faces.crops.device)


def _mouth_shapes(faces: FaceSet) -> Tensor:
    return mouth_shape(torch.stack([landmarks_of(row) for row in faces.rows])).float()


class AttributeNet(nn.Module):
    """`(B, 3, 128, 128)` in [0, 1] to `(B, A + 2)`: logits of binary attributes, values of others.

    Args:
        width: channels of the first layers.
        coarse: look at 64 x 64 pixels.
    """

    def __init__(self, width: int = 64, coarse: bool = False) -> None:
        super().__init__()
        patch = 2 if coarse else 4
        shrink = nn.AvgPool2d(2) if coarse else nn.Identity()
        layers: list[nn.Module] = [shrink, nn.PixelUnshuffle(patch)]
        before = 3 * patch**2
        for i, share in enumerate((1, 5 / 3, 8 / 3, 10 / 3)):
            size, kernel = int(width * share), 3 if i == 0 else 1
            if i:
                layers.append(nn.PixelUnshuffle(2))
                before *= 4
            for convolution in (
                nn.Conv2d(before, size, kernel, padding=kernel // 2),
                nn.Conv2d(size, size, 3, padding=1),
            ):
                layers += [convolution, nn.BatchNorm2d(size), nn.ReLU()]
            before = size
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(before, len(BINARY))
        self.to(memory_format=torch.channels_last)

    def forward(self, crops: Tensor) -> Tensor:
        x = (crops * 4 - 2).contiguous(memory_format=torch.channels_last)
        x = self.body(x).float().mean((2, 3))
        scores: Tensor = self.head(F.dropout(x, 0.3, self.training))
        return scores


def reading_loss(outputs: Tensor, values: Tensor) -> Tensor:
    """`(B, A)`: cross entropy for binary attributes (values -2..2 are probabilities 0..1), squared
    error for the others."""
    chance = (values / BINARY_SPAN + 0.5).clamp(0, 1)
    crossed = F.binary_cross_entropy_with_logits(outputs, chance, reduction="none")
    squared = (outputs - values).square() / 2
    return torch.where(torch.tensor(BINARY, device=outputs.device), crossed, squared)


def as_values(outputs: Tensor) -> Tensor:
    """Outputs `(B, A)` on the scale of `attribute_values`."""
    binary = torch.tensor(BINARY, device=outputs.device)
    return torch.where(binary, (outputs.sigmoid() - 0.5) * BINARY_SPAN, outputs)


def _chances(number: int, generator: torch.Generator) -> Tensor:
    """`(number, 1, 1, 1)` from 0 to 1."""
    return torch.rand(number, 1, 1, 1, generator=generator, device=generator.device)


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=generator.device)


def _integers(end: int, number: int, generator: torch.Generator) -> list[list[int]]:
    """Pairs from 0 to `end` - 1."""
    size = (number, 2)
    return torch.randint(0, end, size, generator=generator, device=generator.device).tolist()


def disturb(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Crops moved by up to 4 pixels, blurred, noisy, partly covered: `(B, 3, S, S)`."""
    number, _, size, _ = crops.shape
    padded = F.pad(crops, (4, 4, 4, 4), mode="replicate")
    x = torch.empty_like(crops)
    place = _integers(9, number, generator)
    for i, (top, left) in enumerate(place):
        x[i] = padded[i, :, top : top + size, left : left + size]
    softer = F.interpolate(F.avg_pool2d(x, 2), size=(size, size), mode="bilinear")
    share = _chances(number, generator)
    x = torch.lerp(x, softer, (share * 2 - 0.8).clamp(0, 1))
    x = x + 0.06 * _chances(number, generator) * _noise(x, generator)
    holes = _integers(size - 24, number, generator)
    for i, (top, left) in enumerate(holes):
        if i % 2:
            x[i, :, top : top + 24, left : left + 24] = x[i].mean((1, 2), keepdim=True)
    gain = 0.9 + 0.2 * torch.rand(number, 3, 1, 1, generator=generator, device=x.device)
    return (x * gain).clamp(0, 1)


def view_drawn(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Crops as readers look at drawn ones: all moved by up to 3 pixels, some blurred, all noisy."""
    size = crops.shape[-1]
    ((top, left),) = _integers(7, 1, generator)
    padded = F.pad(crops.float(), (3, 3, 3, 3), mode="replicate")
    x = padded[..., top : top + size, left : left + size]
    share = 0.6 * _chances(len(x), generator)
    return torch.lerp(x, blur(x), share) + 0.03 * _chances(len(x), generator) * _noise(x, generator)


def train_attribute_net(
    faces: FaceSet, steps: int, seed: int, coarse: bool, stem: Path, session: Session
) -> AttributeNet:
    """Train on real crops, each changed for the worst by one step of root mean square `ATTACK`;
    in bfloat16 where convolutions are concerned.

    Args:
        faces: on the device of the training.
        steps: of 64 faces each.
        seed: of weights and disturbances.
        coarse: see `AttributeNet`.
        stem: names state and curve, see `Run`.
        session: see there.
    """
    torch.manual_seed(seed)
    device = faces.crops.device
    values, parity = attribute_values(faces), torch.tensor(PARITIES, device=device)
    net = AttributeNet(coarse=coarse).to(device)

    def read(crops: Tensor, wanted: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            outputs = net(crops)
        return reading_loss(outputs.float(), wanted).mean()

    def loss_of(index: Tensor, done: int, generator: torch.Generator) -> Tensor:
        crops, wanted = faces.floats(index), values[index]
        if done % 2:
            crops, wanted = crops.flip(-1), wanted * parity
        crops = disturb(crops, generator)
        # the change grows, so that the network first learns what there is to read
        size = ATTACK * min(1.0, 2 * done / steps)
        if size > 0:
            crops = worst_change(crops, partial(read, wanted=wanted), size, generator)
        return read(crops, wanted)

    how = Fitting(steps, 64, 2e-3, 0.1, 0.02, seed)
    fit_classifier(net, len(faces), loss_of, how, stem, session)
    return net


def worst_change(
    crops: Tensor, loss_of: Callable[[Tensor], Tensor], size: float, generator: torch.Generator
) -> Tensor:
    """Crops moved by root mean square `size` to where the loss is larger, from a random start."""
    start = crops + size / 2 * _noise(crops, generator)
    start.requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss_of(start), start)
    scale = gradient.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-12
    change = start.detach() - crops + size * gradient / scale
    change = change * (size / (change.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-12))
    return (crops + change).detach().clamp(0, 1)
