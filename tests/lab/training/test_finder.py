"""The finder's training scenes, targets, losses and state, on a bank of drawn faces."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from face_latents.lab.data.finder import Bank, Tiles, pyramid, row_landmarks
from face_latents.lab.training.finder import run as training
from face_latents.lab.training.finder.augment import augment
from face_latents.lab.training.finder.compose import sample, tile_transforms
from face_latents.lab.training.finder.crops import polisher_crops, refiner_crops
from face_latents.lab.training.finder.loss import (
    cell_centres,
    cell_targets,
    detector_loss,
    mined_crops,
    refiner_loss,
)
from face_latents.lab.training.finder.scenes import SCENE, detector_scenes, face_masks
from face_latents.lab.training.loop import Session
from face_latents.models.files.tensors import load_tensors
from face_latents.models.finder.checkpoint import read_finder
from face_latents.models.finder.landmarks import POLISHER_TEMPLATE, REFINER_TEMPLATE
from face_latents.models.finder.net import soft_argmax
from face_latents.models.geometry.similarity import similarity_transform, transform_points

CPU = torch.device("cpu")
DEVICES = [
    CPU,
    pytest.param(
        torch.device("cuda"),
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ),
]
COLOURS = torch.tensor(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]], dtype=torch.uint8
)


def drawn_tiles(count: int, side: int) -> Tiles:
    """Grey tiles with one coloured dot per landmark, so that a test can find them again."""
    generator = torch.Generator().manual_seed(5)
    images = torch.full((count, 3, side, side), 90, dtype=torch.uint8)
    shape = (REFINER_TEMPLATE.pixels() + 0.5) / 64 - 0.5
    landmarks = torch.zeros(count, 5, 2)
    axis = torch.arange(side)
    for index in range(count):
        shift = torch.rand(2, generator=generator) * 0.06 * side
        points = (shape * side * 1.1 + side / 2 + shift).float()
        landmarks[index] = points
        for (x, y), colour in zip(points.tolist(), COLOURS, strict=True):
            disc = (axis[None] - x) ** 2 + (axis[:, None] - y) ** 2 < (0.05 * side) ** 2
            images[index][:, disc] = colour.unsqueeze(1)
    return Tiles(pyramid(images, 3), landmarks, torch.full((count, 2), float(side)))


@pytest.fixture(scope="module")
def bank() -> Bank:
    generator = torch.Generator().manual_seed(6)
    noise = torch.randint(60, 120, (6, 3, 96, 96), dtype=torch.uint8, generator=generator)
    return Bank(drawn_tiles(8, 112), drawn_tiles(4, 104), pyramid(noise, 3))


def test_tiles_land_where_asked(bank: Bank) -> None:
    """The dot drawn at each landmark is found at the landmark that the transform reports."""
    generator = torch.Generator().manual_seed(0)
    index = torch.arange(8)
    size, angle = torch.full((8,), 60.0), torch.linspace(-0.8, 0.8, 8)
    centre = torch.full((8, 2), 64.0)
    transform, points, _ = tile_transforms(bank.faces, index, size, centre, angle, generator)
    images = sample(
        bank.faces.levels, index, transform, SCENE, torch.zeros(8, dtype=torch.long), "border"
    )
    swapped = COLOURS[[1, 0, 2, 4, 3]]
    mirrored = 0
    for image, marks, roll in zip(images, points, angle.tolist(), strict=True):
        colours = torch.stack([image[:, round(y), round(x)] for x, y in marks.tolist()]) * 255
        flipped = bool((colours - swapped).abs().max() < (colours - COLOURS).abs().max())
        mirrored += flipped
        torch.testing.assert_close(
            colours, (swapped if flipped else COLOURS).float(), atol=12, rtol=0
        )
        eyes = marks[1] - marks[0]
        assert math.atan2(float(eyes[1]), float(eyes[0])) == pytest.approx(roll, abs=0.05)
    assert 0 < mirrored < 8


def test_scenes(bank: Bank) -> None:
    scenes = detector_scenes(bank, 24, torch.Generator().manual_seed(1))
    assert scenes.images.shape == (24, 3, SCENE, SCENE)
    assert float(scenes.images.min()) >= 0
    assert float(scenes.images.max()) <= 1
    assert scenes.landmarks.shape[2:] == (5, 2)
    assert bool(scenes.present.any())
    assert not bool(scenes.present.all())
    again = detector_scenes(bank, 24, torch.Generator().manual_seed(1))
    assert torch.equal(scenes.images, again.images)
    other = detector_scenes(bank, 24, torch.Generator().manual_seed(2))
    assert not torch.equal(scenes.images, other.images)


def test_masks_cover_the_features_and_differ() -> None:
    points = (REFINER_TEMPLATE.pixels() + 32).float().expand(6, 5, 2)
    masks = face_masks(points, torch.full((6,), 50.0), torch.Generator().manual_seed(0))
    x, y = points[0].mean(0).round().int().tolist()
    assert float(masks[:, 0, y, x].min()) > 0.9
    assert float(masks[:, 0, 0, 0].max()) < 0.5
    assert float((masks[0] - masks[1]).abs().max()) > 0.2


def test_crops(bank: Bank) -> None:
    images, points, is_face = refiner_crops(bank, 64, torch.Generator().manual_seed(1))
    assert images.shape == (64, 3, 64, 64)
    assert 20 < int(is_face.sum()) < 56
    home = REFINER_TEMPLATE.pixels()
    off = (points[is_face].double() - home).norm(dim=-1).mean(1)
    assert float(off.max()) < 25
    assert float(off.median()) < 8


def test_augment_keeps_the_range_and_the_input() -> None:
    images = torch.rand(12, 3, 32, 32)
    before = images.clone()
    changed = augment(images, torch.Generator().manual_seed(0))
    assert torch.equal(images, before)
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    assert not torch.equal(changed, images)


def one_face(size: float, x: float = 60.0, y: float = 60.0) -> tuple[torch.Tensor, ...]:
    shape = (REFINER_TEMPLATE.pixels() + 0.5) / 64 - 0.5
    points = (shape - shape.mean(0)) * size * 1.2 + torch.tensor([x, y])
    landmarks = torch.zeros(1, 2, 5, 2)
    landmarks[0, 0] = points.float()
    outside = torch.zeros(1, 16, 16, dtype=torch.bool)
    return landmarks, torch.tensor([[size, 0.0]]), torch.tensor([[True, False]]), outside


def test_targets_lie_at_the_face() -> None:
    targets = cell_targets(*one_face(30.0), SCENE)
    assert bool(targets.positive.any())
    cells = cell_centres(16, CPU)[targets.positive[0]]
    assert float((cells - 60).abs().max()) <= 0.16 * 30
    assert bool(targets.counted[0, 0, 0])
    assert not bool((targets.positive & ~targets.counted).any())


@pytest.mark.parametrize(("size", "left_out"), [(9.0, True), (80.0, True), (200.0, False)])
def test_faces_out_of_range_are_left_out_and_close_ups_are_background(
    size: float, left_out: bool
) -> None:
    targets = cell_targets(*one_face(size), SCENE)
    assert not bool(targets.positive.any())
    assert bool((~targets.counted).any()) == left_out


def perfect_output(targets: object) -> torch.Tensor:
    output = torch.zeros(1, 11, 16, 16)
    positive = targets.positive  # type: ignore[attr-defined]
    output[:, 0] = torch.where(positive, 12.0, -12.0)
    offsets = targets.landmarks - cell_centres(16, CPU)[None, :, :, None]  # type: ignore[attr-defined]
    output[:, 1:] = offsets.reshape(1, 16, 16, 10).permute(0, 3, 1, 2) / 16
    return output


def test_losses_vanish_for_perfect_outputs() -> None:
    targets = cell_targets(*one_face(30.0), SCENE)
    output = perfect_output(targets)
    score, place = detector_loss(output, targets)
    assert float(score) < 1e-6
    assert float(place) < 1e-6
    worse = output.clone()
    worse[:, 1] += 0.2
    assert float(detector_loss(worse, targets)[1]) > 0.01
    assert float(detector_loss(-output, targets)[0]) > 1
    points = torch.rand(3, 5, 2) * 64
    is_face = torch.tensor([True, False, True])
    logits = torch.tensor([20.0, -20.0, 20.0])
    judge, refine, error = refiner_loss(points, logits, points, is_face)
    assert float(judge + refine + error) < 1e-6


def test_mined_crops_are_aligned_by_the_detector() -> None:
    landmarks, size, present, outside = one_face(30.0)
    targets = cell_targets(landmarks, size, present, outside, SCENE)
    output = perfect_output(targets)
    images = torch.rand(1, 3, SCENE, SCENE)
    crops, points, is_face = mined_crops(images, output, targets, (landmarks, size, present), 4)
    count = int(targets.positive.sum())
    assert crops.shape[1:] == (3, 64, 64)
    assert int(is_face.sum()) == min(4, count)
    home = REFINER_TEMPLATE.pixels()
    matrix = similarity_transform(landmarks[0, 0], home)
    expected = transform_points(matrix, landmarks[0, 0]).float()
    torch.testing.assert_close(points[0], expected, atol=1e-3, rtol=0)


def test_soft_argmax_reads_a_peak() -> None:
    heatmaps = torch.full((1, 1, 16, 16), -20.0)
    heatmaps[0, 0, 3, 10] = 20.0
    expected = torch.tensor([[[10.5 * 4 - 0.5, 3.5 * 4 - 0.5]]])
    torch.testing.assert_close(soft_argmax(heatmaps, 64), expected, atol=1e-3, rtol=0)


def test_tables_count_from_the_corner() -> None:
    names = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    row = {f"{name}_{axis}": "10.5" for name in names for axis in "xy"}
    assert torch.equal(row_landmarks(row), torch.full((5, 2), 10.0, dtype=torch.float64))


class StubFeed:
    """Hands out the same pictures again and again."""

    def __init__(self, bank: Bank, device: torch.device = CPU) -> None:
        self.device, self.buffers = device, ("close",)
        generator = torch.Generator().manual_seed(4)
        scenes = detector_scenes(bank, 6, generator)
        self.parts = {
            "scenes": (
                scenes.images,
                scenes.landmarks,
                scenes.size,
                scenes.present,
                scenes.ignore[:, 4::8, 4::8],
            ),
            "crops": refiner_crops(bank, 8, generator),
            "close": polisher_crops(bank, 6, generator),
        }

    def draw(self, kind: str, count: int) -> tuple[torch.Tensor, ...]:
        return tuple(part.to(self.device) for part in self.parts[kind])


def small_run(folder: Path, device: torch.device = CPU) -> training.FinderRun:
    torch.manual_seed(0)
    return training.FinderRun(folder, device, Session())


def advance(run: training.FinderRun, stage: str, feed: StubFeed, steps: int) -> list[float]:
    """Steps at the full learning rate; what is to fall."""
    step = run.stage(stage, 1.0, feed).step  # type: ignore[arg-type]
    names = ("refine",) if stage == "polish" else ("detect", "judge", "refine")
    rows = [step(training.WARM_UP_STEPS, 0.0) for _ in range(steps)]
    return [sum(row[name].item() for name in names) for row in rows]


@pytest.mark.parametrize("device", DEVICES)
def test_steps_learn_and_the_mean_follows(bank: Bank, tmp_path: Path, device: torch.device) -> None:
    run, feed = small_run(tmp_path, device), StubFeed(bank, device)
    losses = advance(run, "find", feed, 8)
    assert sum(losses[-2:]) < 0.8 * sum(losses[:2])
    pairs = zip(run.net.parameters(), run.average.parameters(), strict=True)
    assert any(not torch.equal(value, mean) for value, mean in pairs)


def test_polishing_starts_from_the_refiner_and_changes_only_the_polisher(
    bank: Bank, tmp_path: Path
) -> None:
    run, feed = small_run(tmp_path), StubFeed(bank)
    run.start_polishing()
    for name, value in run.average.refiner.state_dict().items():
        assert torch.equal(value, run.net.polisher.state_dict()[name])
    before = {name: value.clone() for name, value in run.net.state_dict().items()}
    run.run.done["find"] = 0
    losses = advance(run, "polish", feed, 8)
    assert sum(losses[-2:]) < 0.8 * sum(losses[:2])
    for name, value in run.net.state_dict().items():
        if not name.startswith("polisher"):
            assert torch.equal(value, before[name])


def test_the_stages_run_one_after_the_other_and_are_exported(bank: Bank, tmp_path: Path) -> None:
    run, feed = small_run(tmp_path), StubFeed(bank)
    for stage in ("find", "polish"):
        run.run.advance(run.stage(stage, 1e-4, feed))  # type: ignore[arg-type]
    assert min(run.run.done.values()) >= 1
    assert {file.name for file in tmp_path.iterdir()} >= {
        *("finder.safetensors", "finder.state.safetensors", "finder.curve.csv"),
        f"samples_{sum(run.run.done.values()):06d}.png",
    }
    run.export({"recall_val": 0.5})
    assert read_finder(run.result).find(torch.full((40, 40, 3), 0.5)) == []
    _, metadata = load_tensors(run.result)
    assert json.loads(metadata["metrics"]) == {"recall_val": 0.5}


def test_close_crops_are_nearly_aligned(bank: Bank) -> None:
    images, points = polisher_crops(bank, 32, torch.Generator().manual_seed(1))
    assert images.shape == (32, 3, 96, 96)
    off = (points.double() - POLISHER_TEMPLATE.pixels()).norm(dim=-1).mean(1)
    assert float(off.median()) < 8
