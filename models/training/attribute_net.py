"""A network that reads the attributes of directions off pixels, to teach the renderer.

It is no part of the shipped model, and not the judge of the evaluation either: that one must not
have taken part in training. Trained on real crops, mirrored, moved, blurred, noisy and partly
covered, so that no small pattern moves its readings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .directions import ATTRIBUTES, label
from .face_data import FaceSet

BINARY_SPAN = 4.0  # a binary label 0..1 becomes a value -2..2
LARGEST = 2.5  # of a value; others are standard deviations from the mean
PARITIES = tuple(float(attribute.parity) for attribute in ATTRIBUTES)
BINARY = tuple(
    a.name in ("smile", "gender_expression", "glasses", "beard", "mouth_open") for a in ATTRIBUTES
)


def attribute_values(faces: FaceSet, scales: FaceSet | None = None) -> Tensor:
    """Labels `(N, A)` on one scale, in the order of `ATTRIBUTES`: binary ones from -2 to 2, others
    in standard deviations of `scales` (the training faces), cut at 2.5."""
    columns = []
    for attribute, binary in zip(ATTRIBUTES, BINARY, strict=True):
        values = label(faces, attribute).float()
        if binary:
            columns.append((values - 0.5) * BINARY_SPAN)
            continue
        known = label(scales or faces, attribute).float()
        mean = known.mean() if attribute.parity > 0 else torch.zeros(())
        columns.append(((values - mean) / known.std()).clamp(-LARGEST, LARGEST))
    return torch.stack(columns, 1)


class AttributeNet(nn.Module):
    """`(B, 3, 128, 128)` in [0, 1] to `(B, A)`: logits of binary attributes, values of others."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(4)]
        before = 48
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
        self.head = nn.Linear(before, len(ATTRIBUTES))
        self.to(memory_format=torch.channels_last)

    def forward(self, crops: Tensor) -> Tensor:
        x = (crops * 4 - 2).contiguous(memory_format=torch.channels_last)
        x = self.body(x).float().mean((2, 3))
        return self.head(F.dropout(x, 0.3, self.training))


def reading_loss(outputs: Tensor, values: Tensor) -> Tensor:
    """`(B, A)`: cross entropy for binary attributes (values -2..2 are probabilities 0..1), squared
    error for the others."""
    chance = (values / BINARY_SPAN + 0.5).clamp(0, 1)
    crossed = F.binary_cross_entropy_with_logits(outputs, chance, reduction="none")
    squared = (outputs - values).square() / 2
    return torch.where(torch.tensor(BINARY), crossed, squared)


def as_values(outputs: Tensor) -> Tensor:
    """Outputs `(B, A)` on the scale of `attribute_values`."""
    return torch.where(torch.tensor(BINARY), (outputs.sigmoid() - 0.5) * BINARY_SPAN, outputs)


def disturbed(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Crops moved by up to 4 pixels, blurred, noisy, partly covered: `(B, 3, S, S)`."""
    number, _, size, _ = crops.shape
    padded = F.pad(crops, (4, 4, 4, 4), mode="replicate")
    x = torch.empty_like(crops)
    place = torch.randint(0, 9, (number, 2), generator=generator).tolist()
    for i, (top, left) in enumerate(place):
        x[i] = padded[i, :, top : top + size, left : left + size]
    soft = F.interpolate(F.avg_pool2d(x, 2), size=(size, size), mode="bilinear")
    share = torch.rand(number, 1, 1, 1, generator=generator)
    x = torch.lerp(x, soft, (share * 2 - 0.8).clamp(0, 1))
    strength = 0.06 * torch.rand(number, 1, 1, 1, generator=generator)
    x = x + strength * torch.randn(x.shape, generator=generator)
    holes = torch.randint(0, size - 24, (number, 2), generator=generator).tolist()
    for i, (top, left) in enumerate(holes):
        if i % 2:
            x[i, :, top : top + 24, left : left + 24] = x[i].mean((1, 2), keepdim=True)
    gain = 0.9 + 0.2 * torch.rand(number, 3, 1, 1, generator=generator)
    return (x * gain).clamp(0, 1)


def batches(number: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of indices, every index at most once per round."""
    size = min(size, number)
    while True:
        yield from torch.randperm(number, generator=generator)[: number // size * size].split(size)


def train_attribute_net(
    faces: FaceSet,
    *,
    steps: int = 4000,
    batch: int = 64,
    rate: float = 2e-3,
    seed: int = 0,
    width: int = 96,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> AttributeNet:
    """Train on real crops, in bfloat16 where convolutions are concerned."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    values, parity = attribute_values(faces), torch.tensor(PARITIES)
    net = AttributeNet(width).train()
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=0.1)
    chosen = batches(len(faces), batch, generator)
    for step in range(steps):
        index = next(chosen)
        crops, wanted = faces.floats(index), values[index]
        if step % 2:
            crops, wanted = crops.flip(-1), wanted * parity
        with torch.autocast("cpu", torch.bfloat16):
            outputs = net(disturbed(crops, generator))
        loss = reading_loss(outputs.float(), wanted).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            progress(f"attributes: loss {loss.item():.3f}", step, steps)
    return net.eval()
