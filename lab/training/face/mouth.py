"""Training of the mouth painter against a critic, on canonical faces whose mouths are open.

The painter learns the colours of what it cannot see; anything finer is judged by the critic only,
so that teeth come out as teeth and not as the mean of all teeth.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.architectures.face.mouth import (
    CONDITIONS,
    GAP,
    SLOPE,
    MouthPainter,
    mouth_shapes,
)
from ....models.architectures.face.pose import measure_pose
from ....models.architectures.face.shape import lip_gap
from ....models.charts import picture_grid
from ....models.errors import FaceLatentsError
from ....models.imaging.light import luminance
from ....models.imaging.maps import gaussian_blur
from ....models.paste.pixels import detail_energy
from ...data.canonical import CanonicalFaces
from ..loop import Run, Session, Stage
from ..optimise import early_decay, set_rate, update_average

RATE = 5e-4
COLOURS, PIXELS = 12.0, 2.0  # weights of the losses, beside 1 for realism
COLOUR_BLUR = 2.5  # pixels: finer than that, the critic judges
R1_WEIGHT, R1_EVERY = 2.0, 6  # gradient penalty (Mescheder et al. 2018), in some of the steps
EMA_DECAY = 0.998
PLACES = 6
MOST_GAP, MOST_YAW, MOST_PITCH = 0.14, 28.0, 22.0  # of faces whose mouths are learnt from
BLURRED = 0.4  # share of the mouths that are too soft to learn from
SHARP_TIMES = 4  # that each of the sharp faces counts
EXPOSURE, CAST = 0.35, 0.08  # log of the factors on a picture's light, and on each channel


class MouthCritic(nn.Module):
    """Mouths `(B, 3, h, w)` in [0, 1], the opening, and how lips part, to maps of scores."""

    def __init__(self, mask: Tensor, width: int = 32) -> None:
        super().__init__()
        self.mask = nn.Buffer(mask, persistent=False)
        _, high, broad = mask.shape
        self.places = nn.Parameter(torch.randn(PLACES, high // 2, broad // 2) * 0.1)
        self.enter = nn.Conv2d(28 + PLACES + CONDITIONS, width, 3, 1, 1)
        self.look = nn.ModuleList(
            [nn.Conv2d(width, 2 * width, 3, 2, 1), nn.Conv2d(2 * width, 3 * width, 3, 2, 1)]
        )
        self.score = nn.Conv2d(3 * width, 1, 3, 1, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, mouths: Tensor, shapes: Tensor) -> Tensor:
        """Scores `(B, N)`."""
        soft = F.avg_pool2d(F.pad(mouths, (1, 1, 1, 1), mode="replicate"), 3, 1)
        mask = self.mask.expand(len(mouths), -1, -1, -1)
        x = F.pixel_unshuffle(torch.cat([mouths * 4 - 2, (mouths - soft) * 10, mask], 1), 2)
        here = self.places.expand(len(x), -1, -1, -1)
        shape = shapes[:, :, None, None].expand(-1, -1, *x.shape[2:])
        x = torch.cat([x, here, shape], 1).contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(self.enter(x), SLOPE)
        for layer in self.look:
            x = F.leaky_relu(layer(x), SLOPE)
        scores: Tensor = self.score(x).flatten(1)
        return scores


def open_mouths(
    painter: MouthPainter, faces: CanonicalFaces, mean: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The mouths of faces that show their inside, seen from about the front.

    Args:
        painter: whose box is cut.
        faces: of a set.
        mean: `(478, 3)`, the mean frontal shape.

    Returns:
        Mouths `(M, 3, h, w)` uint8, their `mouth_shapes` `(M, 3)`, and how sharp they are `(M,)`.
    """
    pose, frontal = measure_pose(faces.points, mean)
    gap = lip_gap(frontal)
    front = (pose[:, 0].abs() < MOST_YAW) & (pose[:, 1].abs() < MOST_PITCH)
    chosen = ((gap > GAP[0]) & (gap < MOST_GAP) & front).nonzero().flatten()
    mouths = faces.pictures[chosen][painter.box].contiguous()
    inside = painter.mask[0, 1:-1, 1:-1]
    sharp = list[float]()
    for mouth in mouths:
        picture = mouth.float() / 255
        light, detail = (one[0, 1:-1, 1:-1] for one in (luminance(picture), detail_energy(picture)))
        energy = (detail * inside).sum() / inside.sum()
        sharp.append(float(energy.sqrt() / ((light * inside).sum() / inside.sum() + 0.1)))
    return mouths, mouth_shapes(frontal[chosen]), torch.tensor(sharp)


def mouths_to_learn(
    painter: MouthPainter, faces: CanonicalFaces, sharp: CanonicalFaces, mean: Tensor
) -> tuple[Tensor, Tensor]:
    """Mouths `(N, 3, h, w)` uint8 that are sharp enough, and their shapes `(N, 3)`.

    Raises:
        FaceLatentsError: no face shows the inside of its mouth.
    """
    mouths, shapes, detail = open_mouths(painter, faces, mean)
    if not len(mouths):
        raise FaceLatentsError("No face of the training data has an open mouth to learn from.")
    least = detail.quantile(BLURRED)
    more, their_shapes, their_detail = open_mouths(painter, sharp, mean)
    kept, also = detail > least, their_detail > least
    return (
        torch.cat([mouths[kept]] + [more[also]] * SHARP_TIMES),
        torch.cat([shapes[kept]] + [their_shapes[also]] * SHARP_TIMES),
    )


class MouthTraining:
    """Painter and critic in training, and the painter's running mean.

    Args:
        painter: prepared, untrained.
        mouths: its box of canonical faces, `(N, 3, h, w)` uint8.
        shapes: `(N, 3)`, their `mouth_shapes`.
        steps, batch, seed: of the training.
    """

    def __init__(
        self, painter: MouthPainter, mouths: Tensor, shapes: Tensor, steps: int, batch: int,
        seed: int,
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        self.painter, self.mouths, self.shapes = painter, mouths, shapes
        self.steps, self.batch, self.seed = steps, batch, seed
        self.critic = MouthCritic(painter.mask)
        self.average = copy.deepcopy(painter).eval()
        self.own = torch.optim.Adam(self.painter.parameters(), RATE, (0.0, 0.99), fused=True)
        self.other = torch.optim.Adam(self.critic.parameters(), RATE, (0.0, 0.99), fused=True)

    def run(self, stem: Path, session: Session, report: Callable[[], None]) -> MouthPainter:
        """Train to the end, or to that of the session; the mean painter.

        Raises:
            Paused: the session is over.
        """
        modules = {"painter": self.painter, "average": self.average, "critic": self.critic}
        run = Run(stem, modules, {"own": self.own, "other": self.other}, session)
        run.advance(
            Stage(
                "paint", self.step, steps=self.steps, log_every=100, save_every=500, report=report
            )
        )
        return self.average

    def draw(self, done: int) -> tuple[Tensor, Tensor]:
        """Mouths in [0, 1], half of them mirrored, in varied light; and their shapes."""
        generator = torch.Generator().manual_seed(self.seed + 1 + done)
        rows = torch.randint(len(self.mouths), (self.batch,), generator=generator)
        mouths = self.mouths[rows].float() / 255
        if done % 2:
            mouths = mouths.flip(-1)
        light = torch.randn(self.batch, 1, 1, 1, generator=generator) * EXPOSURE
        cast = torch.randn(self.batch, 3, 1, 1, generator=generator) * CAST
        return mouths ** (light + cast).clamp(-0.8, 0.8).exp(), self.shapes[rows]

    def step(self, done: int, share: float) -> dict[str, Tensor]:
        """One step of both."""
        mouths, shapes = self.draw(done)
        rate = min(1.0, (done + 1) / 100) * (1.0 if share < 0.6 else max(0.02, (1 - share) / 0.4))
        set_rate(self.own, RATE * rate)
        set_rate(self.other, RATE * rate)
        mask = self.painter.mask
        painted = self.painter(self.painter.around(mouths), shapes)
        error = (painted - mouths) * mask
        whole = mouths + error
        losses = {
            "colours": gaussian_blur(error, COLOUR_BLUR).abs().mean() / mask.mean(),
            "pixels": error.abs().mean() / mask.mean(),
            "realism": F.softplus(-self.critic(whole, shapes)).mean(),
        }
        loss = COLOURS * losses["colours"] + PIXELS * losses["pixels"] + losses["realism"]
        self.own.zero_grad(set_to_none=True)
        loss.backward(inputs=list(self.painter.parameters()))
        self.own.step()
        losses["critic"] = self.judge(mouths, whole.detach(), shapes, done % R1_EVERY == 0)
        update_average(self.average, self.painter, early_decay(EMA_DECAY, done))
        return losses

    def judge(self, mouths: Tensor, painted: Tensor, shapes: Tensor, penalised: bool) -> Tensor:
        """One step of the critic, and its loss without the penalty."""
        mouths = mouths.requires_grad_(penalised)
        real = self.critic(mouths, shapes)
        loss = F.softplus(-real).mean() + F.softplus(self.critic(painted, shapes)).mean()
        total = loss
        if penalised:
            (slope,) = torch.autograd.grad(real.mean(1).sum(), mouths, create_graph=True)
            total = loss + R1_WEIGHT * R1_EVERY / 2 * slope.square().sum((1, 2, 3)).mean()
        self.other.zero_grad(set_to_none=True)
        total.backward()
        self.other.step()
        return loss


@torch.no_grad()
def draw_mouths(training: MouthTraining, path: Path) -> None:
    """Mouths, and the same painted."""
    rows = torch.linspace(0, len(training.mouths) - 1, 24).long()
    mouths, shapes = training.mouths[rows].float() / 255, training.shapes[rows]
    average = training.average
    painted = mouths + average.mask * (average(average.around(mouths), shapes) - mouths)
    sheet = [half for pair in zip(mouths.split(6), painted.split(6), strict=True) for half in pair]
    picture_grid(sheet, [], [], theme="light").save(path)
