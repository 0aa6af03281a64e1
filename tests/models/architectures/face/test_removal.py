"""What edits take away: rims that are drawn onto faces, by the bundled model."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.architectures.capabilities import Removal
from face_latents.models.architectures.face.net import FaceShapeAppearanceNet
from face_latents.models.architectures.face.points import LEFT_IRIS, RIGHT_IRIS
from face_latents.models.architectures.face.removal import remove
from face_latents.models.face_model import FaceModel
from face_latents.models.imaging.edit_maps import EditMaps

FACES = 4
DARK = 0.08


def rims_on(points: torch.Tensor, size: int) -> torch.Tensor:
    """Thick round rims and a bridge at faces' eyes, `(B, 1, size, size)` in [0, 1]."""
    axis = (torch.arange(size) + 0.5) / size - 0.5
    left, right = (points[:, iris[0], :2, None, None] for iris in (LEFT_IRIS, RIGHT_IRIS))

    def ring(eye: torch.Tensor) -> torch.Tensor:
        x, y = (axis - eye[:, 0]) / 0.115, (axis[:, None] - eye[:, 1] - 0.015) / 0.085
        return ((0.09 - ((x.square() + y.square()).sqrt() - 1).abs()) / 0.03).clamp(0, 1)

    between = (axis > left[:, 0] + 0.11) & (axis < right[:, 0] - 0.11)
    bridge = between & ((axis[:, None] - (left[:, 1] + right[:, 1]) / 2).abs() < 0.012)
    return torch.maximum(torch.maximum(ring(left), ring(right)), bridge.float())[:, None]


@pytest.fixture(scope="module")
def net(face_model: FaceModel) -> FaceShapeAppearanceNet:
    assert isinstance(face_model.module, FaceShapeAppearanceNet)
    return face_model.module


@pytest.fixture(scope="module")
def worn(
    face_model: FaceModel, net: FaceShapeAppearanceNet
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Faces, the same with rims, where these are, and codes of the latter."""
    faces = face_model.decode(face_model.sample(FACES, seed=3, truncation_psi=0.6)).clamp(0, 1)
    rims = rims_on(net.points(face_model.encode(faces)), faces.shape[-1])
    glasses = faces + rims * (DARK - faces)
    return faces, glasses, rims, face_model.encode(glasses)


def removals(model: FaceModel, share: float) -> list[Removal]:
    return [Removal(model.directions["glasses"], torch.full((FACES,), share))]


@torch.no_grad()
@pytest.mark.parametrize("draft", [False, True])
def test_rims_are_found_and_skin_drawn_there(face_model, net, worn, draft) -> None:
    faces, glasses, rims, codes = worn
    points = net.points(codes)
    truth, own, rims = (
        net.read_canonical(pictures, points, draft=draft)
        for pictures in (faces, glasses, rims.expand(-1, 3, -1, -1))
    )
    pictures, cover = remove(net, own, codes, removals(face_model, 1.0), {})
    covered = (cover * rims[:, :1]).sum((1, 2, 3)) / rims[:, :1].sum((1, 2, 3))
    assert (covered > 0.75).all()
    before, after = (((p - truth).abs() * rims).sum((1, 2, 3)) for p in (own, pictures))
    assert (after < 0.45 * before).all()
    below = slice(own.shape[-1] * 2 // 3, None)  # mouth and chin
    assert float(cover[:, :, below].mean()) < 0.01


@torch.no_grad()
def test_a_share_of_it_goes(face_model, net, worn) -> None:
    _, glasses, _, codes = worn
    own = net.read_canonical(glasses, net.points(codes), draft=True)
    found = {}
    whole, all_of_it = remove(net, own, codes, removals(face_model, 1.0), found)
    assert list(found) == [face_model.directions["glasses"]]
    half, some_of_it = remove(net, own, codes, removals(face_model, 0.5), found)
    torch.testing.assert_close(half - own, (whole - own) / 2)
    torch.testing.assert_close(some_of_it, all_of_it / 2)
    same, none_of_it = remove(net, own, codes, removals(face_model, 0.0), {})
    assert torch.equal(same, own)
    assert not none_of_it.any()


def test_minus_glasses_lays_skin_over_rims_and_changes_nothing_else(face_model, worn) -> None:
    _, glasses, _, codes = worn
    vector = face_model.directions["glasses"].vector
    after = face_model.possible(codes, codes - 8 * vector)
    editor = face_model.capabilities.editor
    assert editor is not None
    for stacked in face_model.edit_photos(glasses, codes, after, draft=True):
        maps = EditMaps.unstacked(stacked, editor.extent)
        assert not maps.motion.any()
        assert not maps.change.any()
        assert 0.01 < float(maps.weight.mean()) < 0.2


def test_faces_alone_and_together_lose_the_same(face_model, worn) -> None:
    _, glasses, _, codes = worn
    after = face_model.possible(codes, codes - 2 * face_model.directions["glasses"].vector)
    together = face_model.edit_photos(glasses, codes, after, draft=True)
    alone = face_model.edit_photos(glasses[1:2], codes[1:2], after[1:2], draft=True)
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)


def test_what_was_never_there_is_not_looked_for(face_model, worn) -> None:
    faces, *_ = worn
    codes = face_model.encode(faces)
    glasses = face_model.directions["glasses"]
    assert glasses.reading is not None
    bare = codes - (glasses.reading.of(codes) / 0.42)[:, None] * glasses.vector
    after = face_model.possible(bare, bare - 2 * glasses.vector)
    assert not face_model.edit_photos(faces, bare, after, draft=True)[:, :6].any()


def test_a_grey_photo_stays_grey(face_model, worn) -> None:
    _, glasses, _, _ = worn
    grey = glasses.mean(1, keepdim=True).expand_as(glasses)
    codes = face_model.encode(grey)
    after = face_model.possible(codes, codes - 8 * face_model.directions["glasses"].vector)
    maps = face_model.edit_photos(grey, codes, after, draft=True)
    weight, face = maps[:, 5:6], maps[:, 6:]
    spread = (face.amax(1) - face.amin(1)) * weight[:, 0]
    assert float(weight.max()) > 0.5
    assert float(spread.max()) < 0.02
