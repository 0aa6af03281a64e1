"""Dense landmarks of an aligned face: 478 points with depth, and how sure they are."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bundled import bundled_file
from ..errors import UnsupportedModelError
from ..files.networks import without_numbers
from ..files.tensors import load_tensors
from ..geometry.similarity import similarity_transform
from ..geometry.templates import WIDE
from .landmarks_net import CROP_SIZE, POINTS, LandmarkNet, RefiningNet
from .net import fold

ARCHITECTURE = "dense_landmarks"
FIVE = (468, 473, 1, 61, 291)  # iris centres, tip of the nose, corners of the mouth


class DenseLandmarks(nn.Module):
    """Finds the points of MediaPipe's face mesh (468) and the irises (10).

    The crop is looked at twice: as it comes, then aligned by what was found, plain and mirrored,
    and there again at each point.

    Attributes:
        first: looks at the crop as it comes.
        refine: looks at the face aligned by what the first one found, and at each point of it.
        mirrored: `(478,)`, which point each is in a mirrored picture.
    """

    mirrored: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.refine = LandmarkNet(), RefiningNet()
        self.register_buffer("mirrored", torch.tensor(range(POINTS)), persistent=False)

    @torch.no_grad()
    def find(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Points of aligned crops.

        Args:
            crops: `(B, 3, S, S)` in [0, 1], about as template "wide" aligns them.

        Returns:
            Points `(B, 478, 3)` in shares of the side from the middle (x to the right, y down, z
            away from the viewer, in the same scale), and confidences `(B,)` in [0, 1] that there
            is a face.
        """
        crops = crops.float()
        first, confidence = self.glance(crops)
        five = first[:, list(FIVE), :2].cpu()
        target = (WIDE.points - 0.5).expand_as(five)
        # crop aligned anew -> crop
        back = similarity_transform(target, five).to(first)
        matrix, shift = back[:, :, :2], back[:, :, 2]
        theta = torch.cat([matrix, 2 * shift[:, :, None]], 2)
        grid = F.affine_grid(theta, [len(crops), 3, CROP_SIZE, CROP_SIZE], align_corners=False)
        source = crops
        if crops.shape[-1] >= 2 * CROP_SIZE:  # as fine as what is read, so that none is skipped
            source = F.interpolate(crops, size=(CROP_SIZE,) * 2, mode="area")
        again = F.grid_sample(source, grid, padding_mode="border", align_corners=False)
        both = torch.cat([again, again.flip(-1)])
        points, _ = self.refine(both.contiguous(memory_format=torch.channels_last))
        plain, turned = points.chunk(2)
        turned = turned[:, self.mirrored] * turned.new_tensor([-1.0, 1.0, 1.0])
        mean = (plain + turned) / 2
        size = matrix[:, :, 0].norm(dim=1)
        flat = mean[..., :2] @ matrix.mT + shift[:, None]
        placed = torch.cat([flat, mean[..., 2:] * size[:, None, None]], -1)
        return placed, confidence

    @torch.no_grad()
    def glance(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """As `find`, with a single look: a fifth of the work, points half as far off again."""
        small = F.interpolate(crops.float(), size=(CROP_SIZE,) * 2, mode="area")
        points, logit = self.first(small.contiguous(memory_format=torch.channels_last))
        return points, logit.sigmoid()


@lru_cache(maxsize=4)
def load_dense_landmarks(path: str | Path | None = None) -> DenseLandmarks:
    """As `read_dense_landmarks`, but each file is read only once."""
    return read_dense_landmarks(path)


def read_dense_landmarks(path: str | Path | None = None) -> DenseLandmarks:
    """From a checkpoint as `face-latents train landmarks` writes it; None: the bundled one.

    Raises:
        UnsupportedModelError: the file is no such checkpoint, or it is damaged.
    """
    path = bundled_file("landmarks.safetensors") if path is None else Path(path)
    tensors, metadata = load_tensors(path)
    if metadata.get("architecture") != ARCHITECTURE:
        raise UnsupportedModelError(
            f"{path.name} holds no dense landmarks: its metadata names the architecture "
            f"'{metadata.get('architecture', 'none')}', expected '{ARCHITECTURE}'."
        )
    with without_numbers():
        landmarks = DenseLandmarks()
    try:
        floats = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
        landmarks.load_state_dict(floats, assign=True)
        mirrored = torch.tensor(json.loads(metadata["mirrored"]))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{path.name} does not fit the landmark network: {error}"
        ) from error
    if not torch.equal(mirrored.flatten().sort().values, torch.arange(POINTS)):
        raise UnsupportedModelError(
            f"{path.name} does not say which of the {POINTS} points is which in a mirrored picture."
        )
    landmarks.mirrored = mirrored.flatten()
    fold(landmarks)
    return landmarks.to(memory_format=torch.channels_last).requires_grad_(False)
