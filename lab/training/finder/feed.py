"""A second process that composes training pictures while the first one trains.

The pictures go round in fixed buffers of shared memory: the trainer draws from what is there, at
its own speed, and the oldest are replaced. A run is therefore not reproducible bit by bit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor

from ....models.errors import FaceLatentsError
from ...data.finder import Bank, load_bank
from .crops import polisher_crops, refiner_crops
from .scenes import SCENE, detector_scenes

CAPACITY = {"scenes": 6144, "crops": 16384, "close": 8192}  # pictures kept
CHUNK = {"scenes": 32, "crops": 64, "close": 32}  # pictures made at a time
FIRST_CHUNKS = 16  # made before training starts

Parts = tuple[Tensor, ...]
_CPU = torch.device("cpu")


def _scenes(bank: Bank, count: int, generator: torch.Generator) -> Parts:
    made = detector_scenes(bank, count, generator)
    outside = made.ignore[:, 4::8, 4::8]
    return _bytes(made.images), made.landmarks, made.size, made.present, outside


def _crops(bank: Bank, count: int, generator: torch.Generator) -> Parts:
    images, points, is_face = refiner_crops(bank, count, generator)
    return _bytes(images), points, is_face


def _close(bank: Bank, count: int, generator: torch.Generator) -> Parts:
    images, points = polisher_crops(bank, count, generator)
    return _bytes(images), points


MAKERS: dict[str, Callable[[Bank, int, torch.Generator], Parts]] = {
    "scenes": _scenes,
    "crops": _crops,
    "close": _close,
}
SHAPES: dict[str, tuple[tuple[tuple[int, ...], torch.dtype], ...]] = {
    "scenes": (
        ((3, SCENE, SCENE), torch.uint8),
        ((5, 5, 2), torch.float32),
        ((5,), torch.float32),
        ((5,), torch.bool),
        ((SCENE // 8, SCENE // 8), torch.bool),
    ),
    "crops": (((3, 64, 64), torch.uint8), ((5, 2), torch.float32), ((), torch.bool)),
    "close": (((3, 96, 96), torch.uint8), ((5, 2), torch.float32)),
}


def _bytes(images: Tensor) -> Tensor:
    return (images * 255).round().to(torch.uint8)


def _produce(
    data_dir: Path, cache: Path, seed: int, buffers: dict[str, list[Tensor]], made: Tensor
) -> None:
    torch.set_num_threads(1)
    parent = os.getppid()
    bank = load_bank(data_dir, cache)
    generator = torch.Generator().manual_seed(seed)
    while os.getppid() == parent:  # ends with its trainer, however that ended
        for number, (kind, tensors) in enumerate(buffers.items()):
            at = int(made[number]) % CAPACITY[kind]
            parts = MAKERS[kind](bank, CHUNK[kind], generator)
            for buffer, part in zip(tensors, parts, strict=True):
                buffer[at : at + CHUNK[kind]] = part
            made[number] += CHUNK[kind]


class Feed:
    """Context manager around the composing process, which starts when the first picture is drawn.

    Args:
        data_dir: the folder with `faces/` and `portraits_context/`.
        cache: file of the picture bank.
        seed: of pictures and choice.
        kinds: of `MAKERS`, those that are drawn.
        device: where pictures are handed over.
    """

    def __init__(
        self,
        data_dir: Path,
        cache: Path,
        seed: int,
        kinds: tuple[str, ...],
        device: torch.device = _CPU,
    ) -> None:
        self.device = device
        self.buffers = {
            kind: [
                torch.zeros(CAPACITY[kind], *shape, dtype=dtype).share_memory_()
                for shape, dtype in SHAPES[kind]
            ]
            for kind in kinds
        }
        self.made = torch.zeros(len(kinds), dtype=torch.int64).share_memory_()
        self.generator = torch.Generator().manual_seed(seed)
        self.process = multiprocessing.get_context("spawn").Process(
            target=_produce, args=(data_dir, cache, seed, self.buffers, self.made), daemon=True
        )

    def __enter__(self) -> Feed:
        return self

    def _start(self) -> None:
        self.process.start()
        least = min(CHUNK[kind] for kind in self.buffers) * FIRST_CHUNKS
        while int(self.made.min()) < least:
            if not self.process.is_alive():
                raise FaceLatentsError(
                    "The process that composes the training pictures ended early; what it printed "
                    "says why."
                )
            time.sleep(0.5)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.pid is not None:
            self.process.terminate()
            self.process.join()

    def draw(self, kind: str, count: int) -> Parts:
        """Random pictures (B, 3, H, W) float in [0, 1] and what belongs to them: for "scenes"
        landmarks, sizes, presence, outside cells; for "crops" landmarks, is_face; for "close"
        landmarks."""
        if self.process.pid is None:
            self._start()
        number = list(self.buffers).index(kind)
        filled = min(int(self.made[number]), CAPACITY[kind])
        rows = torch.randint(filled, (count,), generator=self.generator)
        images, *parts = (buffer[rows].to(self.device) for buffer in self.buffers[kind])
        return images.float().div_(255), *parts
