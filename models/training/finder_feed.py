"""A second process that composes training pictures while the first one trains.

The pictures go round in a fixed buffer of shared memory: the trainer draws from what is there, at
its own speed, and the oldest are replaced. A run is therefore not reproducible bit by bit.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from types import TracebackType

import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor

from ..architectures.finder import REFINER_SIZE
from .finder_data import load_bank
from .finder_scenes import MAX_FACES, SCENE, detector_scenes, refiner_crops

logger = logging.getLogger(__name__)

SCENES, CROPS = 6144, 16384
CHUNK_SCENES, CHUNK_CROPS = 32, 64
CELLS = SCENE // 8


def _allocate() -> dict[str, Tensor]:
    buffers = {
        "scene_images": torch.zeros(SCENES, 3, SCENE, SCENE, dtype=torch.uint8),
        "scene_landmarks": torch.zeros(SCENES, MAX_FACES, 5, 2),
        "scene_size": torch.zeros(SCENES, MAX_FACES),
        "scene_present": torch.zeros(SCENES, MAX_FACES, dtype=torch.bool),
        "scene_outside": torch.zeros(SCENES, CELLS, CELLS, dtype=torch.bool),
        "crop_images": torch.zeros(CROPS, 3, REFINER_SIZE, REFINER_SIZE, dtype=torch.uint8),
        "crop_landmarks": torch.zeros(CROPS, 5, 2),
        "crop_is_face": torch.zeros(CROPS, dtype=torch.bool),
        "made": torch.zeros(2, dtype=torch.int64),
    }
    return {name: buffer.share_memory_() for name, buffer in buffers.items()}


def _produce(data_dir: Path, cache: Path, seed: int, buffers: dict[str, Tensor]) -> None:
    torch.set_num_threads(1)
    parent = os.getppid()
    bank = load_bank(data_dir, cache)
    generator = torch.Generator().manual_seed(seed)
    made = buffers["made"]
    while os.getppid() == parent:  # ends with its trainer, however that ended
        scenes = detector_scenes(bank, CHUNK_SCENES, generator)
        at = int(made[0]) % SCENES
        rows = slice(at, at + CHUNK_SCENES)
        buffers["scene_images"][rows] = (scenes.images * 255).round().to(torch.uint8)
        buffers["scene_landmarks"][rows] = scenes.landmarks
        buffers["scene_size"][rows] = scenes.size
        buffers["scene_present"][rows] = scenes.present
        buffers["scene_outside"][rows] = scenes.ignore[:, 4::8, 4::8]
        made[0] += CHUNK_SCENES
        images, points, is_face = refiner_crops(bank, CHUNK_CROPS, generator)
        at = int(made[1]) % CROPS
        rows = slice(at, at + CHUNK_CROPS)
        buffers["crop_images"][rows] = (images * 255).round().to(torch.uint8)
        buffers["crop_landmarks"][rows] = points
        buffers["crop_is_face"][rows] = is_face
        made[1] += CHUNK_CROPS


class Feed:
    """Context manager around the composing process."""

    def __init__(self, data_dir: Path, cache: Path, seed: int) -> None:
        self.buffers = _allocate()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(
            target=_produce, args=(data_dir, cache, seed, self.buffers), daemon=True
        )
        self.generator = torch.Generator().manual_seed(seed)

    def __enter__(self) -> Feed:
        self.process.start()
        while int(self.buffers["made"][0]) < 16 * CHUNK_SCENES:
            if not self.process.is_alive():
                raise RuntimeError("the process that composes the training pictures ended early")
            time.sleep(0.5)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        self.process.join()

    def _rows(self, stream: int, capacity: int, count: int) -> Tensor:
        filled = min(int(self.buffers["made"][stream]), capacity)
        return torch.randint(filled, (count,), generator=self.generator)

    def scenes(self, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """images (B, 3, 128, 128) float, landmarks, size, present, outside (B, 16, 16)."""
        rows = self._rows(0, SCENES, count)
        b = self.buffers
        images = b["scene_images"][rows].float().div_(255)
        return (
            images,
            b["scene_landmarks"][rows],
            b["scene_size"][rows],
            b["scene_present"][rows],
            b["scene_outside"][rows],
        )

    def crops(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """images (B, 3, 64, 64) float, landmarks (B, 5, 2), is_face (B,)."""
        rows = self._rows(1, CROPS, count)
        b = self.buffers
        images = b["crop_images"][rows].float().div_(255)
        return images, b["crop_landmarks"][rows], b["crop_is_face"][rows]
