"""The bundled face finder on pictures it never saw: scikit-image's astronaut, cat and cup."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from face_latents.models.errors import FaceLatentsError, UnsupportedModelError
from face_latents.models.files.tensors import load_tensors, save_tensors
from face_latents.models.finder.checkpoint import BUNDLED, load_finder
from face_latents.models.finder.faces import FaceFinder
from face_latents.models.finder.landmarks import landmark_boxes
from face_latents.models.finder.net import FinderNet, fold
from face_latents.models.finder.pyramid import (
    PAD_MULTIPLE,
    canvases,
    crop_from,
    photo_pyramid,
    turn_back,
)
from face_latents.models.finder.quick import quick_form
from face_latents.models.geometry.similarity import similarity_transform, transform_points
from face_latents.models.imaging.align import align_with_transform

# Marked by eye in skimage.data.astronaut(): (x, y) of eyes, nose tip, corners of the mouth.
ASTRONAUT = torch.tensor(
    [[203.0, 98.0], [246.0, 103.0], [222.5, 127.0], [203.0, 141.0], [242.0, 144.0]],
    dtype=torch.float64,
)
BETWEEN_EYES = float((ASTRONAUT[0] - ASTRONAUT[1]).norm())


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return load_finder()


def resized(photo: torch.Tensor, side: int) -> torch.Tensor:
    image = photo.permute(2, 0, 1).unsqueeze(0)
    image = F.interpolate(image, (side, side), mode="bilinear", antialias=True)
    return image[0].permute(1, 2, 0).contiguous()


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Mean point distance in distances between the eyes."""
    between_eyes = (expected[0] - expected[1]).norm()
    return float((found - expected).norm(dim=-1).mean() / between_eyes)


def test_finds_the_astronaut(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    faces = finder.find(astronaut)
    assert len(faces) == 1
    assert faces[0].score > 0.8
    assert error(faces[0].landmarks, ASTRONAUT) < 0.06
    assert faces[0].landmarks.dtype == torch.float64
    left, top, right, bottom = faces[0].box.tolist()
    assert left < 203
    assert right > 246
    assert top < 85
    assert bottom > 155
    assert faces[0].size == pytest.approx(math.sqrt((right - left) * (bottom - top)), rel=1e-5)


@pytest.mark.parametrize("side", [128, 200, 350, 700, 1024, 1600])
def test_any_size(finder: FaceFinder, astronaut: torch.Tensor, side: int) -> None:
    faces = finder.find(resized(astronaut, side))
    assert len(faces) == 1
    expected = (ASTRONAUT + 0.5) * side / 512 - 0.5
    assert error(faces[0].landmarks, expected) < 0.07


def test_smallest_promised_face(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    """24 px in a photo of 1024 px."""
    small = resized(astronaut, 122)
    photo = torch.full((1024, 1024, 3), 0.45)
    photo[500:622, 300:422] = small
    faces = finder.find(photo)
    assert len(faces) == 1
    expected = (ASTRONAUT + 0.5) * 122 / 512 - 0.5 + torch.tensor([300.0, 500.0])
    assert error(faces[0].landmarks, expected) < 0.12
    assert 18 < faces[0].size < 30


def test_face_that_fills_the_frame(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    faces = finder.find(astronaut[50:185, 160:285])
    assert len(faces) == 1
    assert error(faces[0].landmarks, ASTRONAUT - torch.tensor([160.0, 50.0])) < 0.07


def turn_about_the_face(degrees: float) -> torch.Tensor:
    """The astronaut turned, as a transform into 400 x 400 pixels."""
    angle = math.radians(degrees)
    rotation = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )
    centre = torch.tensor([225.0, 150.0], dtype=torch.float64)
    shift = torch.tensor([200.0, 200.0]) - rotation @ centre
    return torch.cat([rotation, shift.unsqueeze(1)], 1)


@pytest.mark.parametrize("degrees", [-45, -30, -15, 15, 30, 45])
def test_roll(finder: FaceFinder, astronaut: torch.Tensor, degrees: int) -> None:
    matrix = turn_about_the_face(degrees)
    turned = align_with_transform(astronaut, matrix, 400).permute(1, 2, 0)
    faces = finder.find(turned)
    assert len(faces) == 1
    assert error(faces[0].landmarks, transform_points(matrix, ASTRONAUT)) < 0.08


@pytest.mark.parametrize("degrees", [75, 90, 105, 150, 180, 210, 270])
def test_lying_and_upside_down(finder: FaceFinder, astronaut: torch.Tensor, degrees: int) -> None:
    matrix = turn_about_the_face(degrees)
    turned = align_with_transform(astronaut, matrix, 400).permute(1, 2, 0)
    faces = finder.find(turned)
    assert len(faces) == 1
    assert error(faces[0].landmarks, transform_points(matrix, ASTRONAUT)) < 0.08
    width, height = (faces[0].box[2:] - faces[0].box[:2]).tolist()
    assert (width > height) == (degrees in (75, 90, 105, 270))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_photo_gives_the_turned_face(
    finder: FaceFinder, astronaut: torch.Tensor, quarters: int
) -> None:
    """Also where the photo is no square, and its pyramid's sides are odd."""
    photo = astronaut[:381, 60:413]
    height, width = photo.shape[:2]
    plain, turned = finder.find(photo), finder.find(photo.rot90(quarters))
    assert len(turned) == 1
    size = torch.tensor([[float(width), float(height)]])
    back = turn_back(turned[0].landmarks[None], size, quarters)[0]
    assert error(back, plain[0].landmarks) < 0.005
    corners = turn_back(turned[0].box.reshape(1, 2, 2).double(), size, quarters)[0]
    box = torch.cat([corners.amin(0), corners.amax(0)])
    assert float((box - plain[0].box).abs().max()) < 1.0


def test_faces_lying_either_way_in_one_photo(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    photo = torch.cat([astronaut[:270, 90:360].rot90(quarters) for quarters in (1, 2, 3)], 1)
    faces = sorted(finder.find(photo), key=lambda face: float(face.box[0]))
    across = [(face.landmarks[1] - face.landmarks[0]).tolist() for face in faces]
    rolls = [round(math.degrees(math.atan2(y, x)) / 90) % 4 for x, y in across]
    assert rolls == [3, 2, 1]  # quarters of a full turn, clockwise


def test_turned_photos_are_not_looked_at_where_a_face_is_upright(
    finder: FaceFinder, astronaut: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    look = finder.detector.forward
    monkeypatch.setattr(finder.detector, "forward", lambda x: seen.append(x.shape) or look(x))
    assert len(finder.find(astronaut)) == 1
    assert len(seen) == 2  # the finest level, and the others
    assert len(finder.find(astronaut.rot90())) == 1
    assert len(seen) == 2 + 4 * 2


def test_mirrored_photo_gives_mirrored_landmarks(
    finder: FaceFinder, astronaut: torch.Tensor
) -> None:
    plain = finder.find(astronaut)[0]
    mirrored = finder.find(astronaut.flip(1))
    assert len(mirrored) == 1
    back = mirrored[0].landmarks[[1, 0, 2, 4, 3]] * torch.tensor([-1.0, 1.0]) + torch.tensor(
        [511.0, 0.0]
    )
    assert error(back, plain.landmarks) < 0.04


def test_landmarks_follow_sub_pixel_motion(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    """Video: half a pixel of motion moves the landmarks by half a pixel, not by a cell."""
    still = finder.find(align_with_transform(astronaut, shifted(0.0), 400).permute(1, 2, 0))[0]
    moved = finder.find(align_with_transform(astronaut, shifted(0.5), 400).permute(1, 2, 0))[0]
    motion = (moved.landmarks - still.landmarks).mean(0)
    assert float((motion - torch.tensor([0.5, 0.0])).abs().max()) < 0.35


def shifted(by: float) -> torch.Tensor:
    return torch.tensor([[1.0, 0.0, -50.0 + by], [0.0, 1.0, 0.0]], dtype=torch.float64)


def test_thirty_faces(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    head = astronaut[20:200, 130:310]
    canvas = torch.full((1100, 1300, 3), 0.4)
    expected = []
    for index in range(30):
        side = 90 + 4 * index
        top, left = 10 + index // 6 * 218, 8 + index % 6 * 215
        canvas[top : top + side, left : left + side] = resized(head, side)
        points = (ASTRONAUT - torch.tensor([130.0, 20.0]) + 0.5) * side / 180 - 0.5
        expected.append(points + torch.tensor([left, top]))
    faces = finder.find(canvas)
    assert 28 <= len(faces) <= 31
    hits = sum(min(error(face.landmarks, points) for face in faces) < 0.12 for points in expected)
    assert hits >= 28
    sizes = [face.size for face in faces]
    assert sizes == sorted(sizes, reverse=True)
    assert len(finder.find(canvas, max_faces=5)) == 5


def faceless() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    ramp = torch.linspace(0, 1, 400).reshape(1, -1, 1).expand(300, 400, 3)
    return {
        "noise": torch.rand(300, 400, 3, generator=generator),
        "gradient": ramp,
        "black": torch.zeros(64, 64, 3),
        "coffee": torch.from_numpy(skimage.data.coffee().copy()),
        "cat": torch.from_numpy(skimage.data.chelsea().copy()),
    }


@pytest.mark.parametrize("name", ["noise", "gradient", "black", "coffee", "cat"])
def test_no_face_gives_an_empty_list(finder: FaceFinder, name: str) -> None:
    assert finder.find(faceless()[name]) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (2, 3, 3), (17, 15, 3)])
def test_tiny_photos(finder: FaceFinder, shape: tuple[int, ...]) -> None:
    assert finder.find(torch.rand(shape)) == []


def test_eight_bit_agrees_with_float(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    eight = finder.find((astronaut * 255).round().to(torch.uint8))[0]
    plain = finder.find(astronaut)[0]
    assert error(eight.landmarks, plain.landmarks) < 1e-3


def test_nan_pixels(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    photo = astronaut.clone()
    photo[300:400, 50:300] = float("nan")
    photo[100, 100] = float("inf")
    before = photo.clone()
    faces = finder.find(photo)
    assert len(faces) == 1
    assert error(faces[0].landmarks, ASTRONAUT) < 0.06
    assert torch.equal(photo.nan_to_num(7.0), before.nan_to_num(7.0))
    assert finder.find(torch.full((100, 100, 3), float("nan"))) == []


def test_8k_photo_without_a_float_copy(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    photo = torch.full((4320, 7680, 3), 110, dtype=torch.uint8)
    large = (resized(astronaut, 1500) * 255).round().to(torch.uint8)
    photo[2000:3500, 5000:6500] = large
    converted = []
    original = torch.Tensor.to

    def spy(self: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        converted.append(self.numel())
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "to", spy)
        faces = finder.find(photo)
    assert len(faces) == 1
    expected = (ASTRONAUT + 0.5) * 1500 / 512 - 0.5 + torch.tensor([5000.0, 2000.0])
    assert error(faces[0].landmarks, expected) < 0.06
    assert max(converted) < photo.numel() / 6


def test_deterministic(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    first, second = finder.find(astronaut)[0], finder.find(astronaut)[0]
    assert torch.equal(first.landmarks, second.landmarks)
    assert first.score == second.score


def test_landmarks_may_take_part_in_training(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    face = finder.find(astronaut)[0]
    shift = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    (face.landmarks + shift).square().sum().backward()
    assert shift.grad is not None
    assert not face.box.is_inference()


def test_min_score(finder: FaceFinder, astronaut: torch.Tensor) -> None:
    assert finder.find(astronaut, min_score=1.01) == []
    assert len(finder.find(astronaut, min_score=0.05)) >= 1


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 4), (1, 64, 64, 3), (0, 64, 3)])
def test_wrong_photos_are_refused(finder: FaceFinder, shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceLatentsError, match="photo"):
        finder.find(torch.zeros(shape))


def test_wrong_count_is_refused(finder: FaceFinder) -> None:
    with pytest.raises(FaceLatentsError, match="max_faces"):
        finder.find(torch.zeros(8, 8, 3), max_faces=0)


def test_loading_is_cached() -> None:
    assert load_finder() is load_finder()


def test_metadata_of_the_bundled_file() -> None:
    tensors, metadata = load_tensors(BUNDLED)
    assert metadata["architecture"] == "face_finder"
    assert "FairFace" in metadata["training_data"]
    assert "CC BY 4.0" in metadata["training_data"]
    assert metadata["license"]
    assert BUNDLED.stat().st_size < 2 * 1024 * 1024
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())


@pytest.mark.parametrize("damage", ["missing", "extra", "shape", "architecture", "config", "size"])
def test_damaged_checkpoints_are_refused(tmp_path: Path, damage: str) -> None:
    tensors, metadata = load_tensors(BUNDLED)
    name = sorted(tensors)[0]
    if damage == "missing":
        del tensors[name]
    elif damage == "extra":
        tensors["something.else"] = torch.zeros(3)
    elif damage == "shape":
        tensors[name] = torch.zeros(7)
    elif damage == "architecture":
        metadata["architecture"] = "eigenfaces"
    elif damage == "config":
        metadata["config"] = "[]"
    else:
        metadata["config"] = '{"width": 1000000, "deep": 128}'
    path = tmp_path / "finder.safetensors"
    save_tensors(path, tensors, metadata)
    with pytest.raises(UnsupportedModelError, match=r"finder\.safetensors"):
        load_finder(path)


def test_round_trip_of_a_fresh_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = fold(FinderNet(8, 16))
    path = tmp_path / "fresh.safetensors"
    metadata = {"architecture": "face_finder", "config": '{"width": 8, "deep": 16}'}
    save_tensors(path, {k: v.contiguous() for k, v in net.state_dict().items()}, metadata)
    loaded = load_finder(path)
    image = torch.rand(1, 3, 48, 64) - 0.5
    torch.testing.assert_close(loaded.detector(image), net.detector(image), atol=1e-5, rtol=1e-5)
    crops = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(loaded.refiner(crops)[0], net.refiner(crops)[0])


@pytest.mark.parametrize("batch", [1, 3])
def test_the_quick_form_answers_the_same(batch: int) -> None:
    torch.manual_seed(2)
    net = FinderNet(8, 16).train()
    image, crops = torch.rand(batch, 3, 80, 96) - 0.5, torch.rand(batch, 3, 64, 64)
    net.detector(image)
    net.refiner(crops)
    fold(net)
    slow = copy.deepcopy(net)
    with torch.no_grad():
        for layout in (torch.channels_last, torch.contiguous_format):
            fast = quick_form(copy.deepcopy(net).to(memory_format=layout).detector)
            expected = slow.detector(image)
            torch.testing.assert_close(fast(image), expected, atol=1e-5, rtol=1e-4)
        found = quick_form(copy.deepcopy(net).refiner)(crops)
        for value, expected in zip(found, slow.refiner(crops), strict=True):
            torch.testing.assert_close(value, expected, atol=1e-3, rtol=1e-4)


def test_folding_changes_nothing() -> None:
    torch.manual_seed(1)
    net = FinderNet(8, 16).train()
    image, crops = torch.rand(2, 3, 64, 64), torch.rand(4, 3, 64, 64)
    net.detector(image)
    net.refiner(crops)  # sets the running statistics
    net.eval()
    with torch.no_grad():
        detected, refined = net.detector(image), net.refiner(crops)
        folded = fold(net)
        torch.testing.assert_close(folded.detector(image), detected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(folded.refiner(crops)[0], refined[0], atol=1e-3, rtol=1e-4)
    assert not any("running_mean" in name for name in folded.state_dict())


def test_pyramid_halves_until_a_whole_face_is_small() -> None:
    levels = photo_pyramid(torch.rand(1024, 700, 3))
    sizes = [tuple(level.image.shape[1:]) for level in levels]
    assert sizes[0] == (683, 467)
    assert max(sizes[-1]) <= 56
    for level in levels:
        covered = level.image.shape[2] * level.step[0], level.image.shape[1] * level.step[1]
        assert covered[0] == pytest.approx(700, abs=level.step[0])
        assert covered[1] == pytest.approx(1024, abs=level.step[1])


@pytest.mark.parametrize("shape", [(1024, 700), (90, 2500), (2500, 40), (60, 61), (12, 9)])
def test_canvases_hold_every_level_once(shape: tuple[int, int]) -> None:
    levels = photo_pyramid(torch.rand(*shape, 3))
    placed = canvases(levels)
    assert len(placed) == min(2, len(levels))
    covered = [torch.zeros(canvas.image.shape[2:]) for canvas in placed]
    numbers = []
    for canvas, marks in zip(placed, covered, strict=True):
        assert all(side % PAD_MULTIPLE == 0 for side in canvas.image.shape[2:])
        owners = canvas.owners(levels, 8)
        for number, left, top in canvas.places:
            rows, columns = levels[number].image.shape[1:]
            assert left % PAD_MULTIPLE == top % PAD_MULTIPLE == 0
            area = (slice(top, top + rows), slice(left, left + columns))
            assert torch.equal(canvas.image[(0, slice(None), *area)], levels[number].image - 0.5)
            marks[area] += 1
            assert (owners[top // 8 : -(-(top + rows) // 8), left // 8 : -(-(left + columns) // 8)]
                    == number).all()  # fmt: skip
            numbers.append(number)
        assert marks.max() == 1
        assert (canvas.image[0, :, marks == 0] == 0).all()
        # a cell has an owner exactly where a level reaches into it
        assert torch.equal(owners >= 0, F.max_pool2d(marks[None], 8)[0] > 0)
    assert numbers == list(range(len(levels)))


@pytest.mark.parametrize("scale", [0.1, 0.13, 0.31, 0.6, 0.7, 1.4])
def test_crops_come_from_the_level_that_suits_them(scale: float) -> None:
    # waves that any of the crops can still show, seen turned
    y, x = torch.meshgrid(torch.arange(900.0), torch.arange(1100.0), indexing="ij")
    photo = torch.stack([(x / 90).sin(), (y / 70).cos(), ((x + y) / 110).sin()], -1) / 2 + 0.5
    angle = math.radians(20)
    linear = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = linear.double() * scale
    shift = torch.tensor([32.0, 32.0]) - linear @ torch.tensor([550.0, 450.0]).double()
    transform = torch.cat([linear, shift.unsqueeze(1)], 1)
    crop = crop_from(photo_pyramid(photo), photo, transform, 64)
    expected = align_with_transform(photo, transform, 64)
    assert crop.shape == (3, 64, 64)
    assert (crop - expected).abs().max() < 0.004


def test_boxes_follow_the_landmarks() -> None:
    upright = landmark_boxes(ASTRONAUT.unsqueeze(0))[0]
    moved = landmark_boxes((ASTRONAUT * 2 + 10).unsqueeze(0))[0]
    torch.testing.assert_close(moved, upright * 2 + 10, atol=1e-3, rtol=1e-5)
    assert landmark_boxes(torch.zeros(0, 5, 2)).shape == (0, 4)
    transform = similarity_transform(ASTRONAUT, ASTRONAUT)
    torch.testing.assert_close(transform, torch.eye(3).double()[:2], atol=1e-9, rtol=0)
