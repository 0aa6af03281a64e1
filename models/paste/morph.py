"""Photos mixed as their codes are: each moves to the mixed shape, and they dissolve together.

Classic morphing (Beier and Neely 1992; Wolberg 1998) with the face model's shapes as
correspondence. How much of each photo is seen is read off the code, so that whatever mixed the
codes (morph, lerp, mean, arithmetic) mixes the photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import FaceLatentsError
from ..face_model import FaceModel
from ..geometry.similarity import (
    compose_transforms,
    invert_transform,
    transform_points,
    transform_scale,
)
from ..imaging.edit_maps import EditMaps
from ..imaging.light import apply_log_odds
from ..imaging.maps import prepare_maps, sample_maps
from ..threads import check_interrupt, one_thread
from ..values import PhotoContext
from .back import paste_back
from .edit import RunModel, plan_edits, run_at_once
from .face import PhotoFace
from .mask import face_mask
from .pixels import crop_fractions, detail_energy, restore_detail

SEEN = 1e-3  # share of a photo in the mixture below which it is left out
CHANGED = 1e-2  # largest change of a number of the appearance that no photo accounts for
LEAST_WIDTH = 0.8  # of a portrait, in widths of the crop
FARTHEST = 0.25  # that the middle of a portrait is from that of the crop, in widths of the crop
ARC = (0.7, 3.0)  # lengths of mixtures over that of their mean that arcs account for
BORDER = 0.04  # sides of the crop over which a photo fades out before its own border
_FLOOR = 0.02  # values are kept this far from 0 and 1 when tones are matched
MASK_SIDE = 256


@dataclass(frozen=True, eq=False)
class View:
    """What a picture of a face shows.

    Attributes:
        transform: `(2, 3)` float64, its pixels to those of the model's aligned crop.
        height, width: in pixels.
    """

    transform: Tensor
    height: int
    width: int


def view_of(context: PhotoContext) -> View:
    """The one that a photo has of its face."""
    height, width = context.photo.shape[:2]
    return View(context.transform.to("cpu", torch.float64), height, width)


def portrait_view(faces: Sequence[PhotoFace], side: int, surroundings: float) -> View:
    """A square around an aligned face, which ends where the first of the photos ends.

    Args:
        faces: of one model, whose photos the square is to stay within as long as it shows most of
            the face.
        side: of the square, in pixels.
        surroundings: its width in widths of the crop, at most.
    """
    inner = torch.stack([_covered(face.context) for face in faces])
    low, high = inner[:, 0].amax(0), inner[:, 1].amin(0)
    width = max(LEAST_WIDTH, min(surroundings, float((high - low).amin())))
    most = torch.maximum(low + width / 2, high - width / 2)
    middle = torch.zeros(2, dtype=torch.float64).clamp(low + width / 2, most)
    middle = torch.where(high - low < width, (low + high) / 2, middle)
    middle = middle.clamp(-FARTHEST, FARTHEST)
    size = faces[0].context.size
    scale = width * size / side  # crop pixels in one of the square
    shift = (middle - width / 2 + 0.5) * size + scale / 2 - 0.5
    turn = torch.eye(2, dtype=torch.float64) * scale
    return View(torch.cat([turn, shift[:, None]], 1), side, side)


def _covered(context: PhotoContext) -> Tensor:
    """The upright part of the aligned crop and around it that a photo covers.

    `(2, 2)`: its upper left and lower right corner in shares of the side from the middle.
    """
    height, width = context.photo.shape[:2]
    corners = torch.tensor(
        [[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]],
        dtype=torch.float64,
    )
    placed = transform_points(context.transform.to("cpu", torch.float64), corners)
    ordered = ((placed + 0.5) / context.size - 0.5).sort(0).values
    return ordered[1:3]


def photo_shares(codes: Tensor, mixed: Tensor) -> tuple[Tensor, Tensor]:
    """How much of each of some codes is in a mixture of them (least squares).

    Args:
        codes: `(N, K)`.
        mixed: `(K,)`.

    Returns:
        Shares `(N,)`, from 0 on and 1 in all, and `(K,)`, what of the mixture they make: their sum,
        as long as the mixture is. Those on arcs (slerp) are longer than straight ones.
    """
    if len(codes) == 1:
        return codes.new_ones(1), codes[0]
    found = torch.linalg.lstsq(codes.double().mT, mixed.double()[:, None], driver="gelsd")
    parts = found.solution[:, 0].clamp(min=0)
    total = parts.sum()
    if not float(total) > 0:
        parts, total = torch.ones_like(parts), parts.new_tensor(float(len(parts)))
    shares = (parts / total).to(codes)
    return shares, total.clamp(*ARC).to(codes) * (shares @ codes)


class PhotoMorph:
    """Photos of faces that are drawn as mixtures of their codes.

    Args:
        model: what the faces were encoded with.
        faces: of one or more photos.
        view: what is drawn.
        dissolve: the whole photos, not only the faces: else what surrounds the face is the first
            photo's.
        run: applies the model.

    Raises:
        FaceLatentsError: a model that does not move photos.
    """

    def __init__(
        self,
        model: FaceModel,
        faces: Sequence[PhotoFace],
        view: View,
        *,
        dissolve: bool = True,
        run: RunModel = run_at_once,
    ) -> None:
        if model.capabilities.editor is None or "appearance" not in model.capabilities.parts:
            raise FaceLatentsError(
                f"Model '{model.name}' does not move the pixels of photos. Draw the mixed faces "
                "with Decode Face instead."
            )
        self.model, self.faces, self.view = model, faces, view
        self.dissolve, self.run = dissolve, run
        self.codes = torch.stack([face.code for face in faces])
        self.extent = model.capabilities.editor.extent
        self.look = model.capabilities.parts["appearance"]
        self.sources = [_Source.seen_in(view, face) for face in faces]
        size = model.template.size
        box = (0, 0, view.width, view.height)
        self.places = torch.stack(crop_fractions(view.transform, size, box, torch.device("cpu")))
        mask = face_mask(model.template.pixels(), size, MASK_SIDE)
        self.mask = sample_maps(mask[None], *self.places)

    @torch.no_grad()
    def draw(self, code: Tensor) -> Tensor:
        """The photos mixed as a code `(K,)` says: `(H, W, 3)` in [0, 1]."""
        code = code.detach().to("cpu", torch.float32)
        looks = self.codes[:, self.look]
        shares, mixture = photo_shares(looks, code[self.look])
        seen = [n for n, share in enumerate(shares.tolist()) if share > SEEN or (n == 0)]
        targets = code.repeat(len(seen), 1)
        targets[:, self.look] = looks[seen]
        crops = torch.stack([self.faces[n].crop for n in seen])
        maps = self.run("Moving photos", self.model.edit_photos, crops, self.codes[seen], targets)
        with one_thread():
            picture = self._dissolve(seen, shares[seen], maps.float().cpu())
        mixed = code.clone()
        mixed[self.look] = mixture
        return self._change(picture, mixed, code)

    def _dissolve(self, seen: Sequence[int], shares: Tensor, maps: Tensor) -> Tensor:
        """Photos moved by maps `(n, 9, N, N)` and mixed by shares `(n,)`: `(3, H, W)`."""
        moved = [self._move(self.sources[n], each) for n, each in zip(seen, maps, strict=True)]
        pictures, energies, covers = (torch.stack(each) for each in zip(*moved, strict=True))
        # Where a photo ends, the others go on; where all have ended, their borders are repeated.
        parts = shares[:, None, None, None] * (covers + 1e-4)
        parts = parts / parts.sum(0)
        mean, energy = (pictures * parts).sum(0), (energies * parts).sum(0)
        mean = restore_detail(mean, energy).clamp(0, 1)
        if self.dissolve:
            return mean
        first, mask = pictures[0], self.mask * shares.new_tensor(float(len(seen) > 1))
        return first + mask * (_match_tone(mean, first, mask) - first)

    def _move(self, source: _Source, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A photo in the view: `(3, H, W)`, energy of its detail, and how much it covers."""
        check_interrupt()
        around = (self.places - 0.5) / self.extent + 0.5
        per_square = (
            self.extent * self.model.template.size / float(transform_scale(self.view.transform))
        )
        values = sample_maps(prepare_maps(maps, per_square), *around)
        edit = EditMaps.unstacked(values, self.extent)
        picture, energy, cover = source.read(self.places + edit.motion)
        weight = edit.weight.clamp(0, 1)
        return picture + weight * (edit.face - picture), energy, cover

    def _change(self, picture: Tensor, mixed: Tensor, code: Tensor) -> Tensor:
        """The change of appearance that no photo accounts for, such as an edit after mixing."""
        photo = picture.permute(1, 2, 0).contiguous()
        if float((code - mixed).abs().amax()) <= CHANGED:
            return photo
        size = self.model.template.size
        marks = torch.zeros(0, 2, dtype=torch.float64)
        context = PhotoContext(photo, self.view.transform, size, marks, mixed, "", 0)
        return paste_back(
            photo,
            context,
            plan_edits(self.model, [PhotoFace(context)], code[None], run=self.run)[0],
        )


@dataclass(frozen=True, eq=False)
class _Source:
    """A photo at about the resolution of a view.

    Attributes:
        picture: `(3, H, W)` in [0, 1].
        energy: of its detail.
        to_grid: `(2, 3)` float32, shares of the crop to places of `grid_sample`.
        side: of the crop, in its pixels.
    """

    picture: Tensor
    energy: Tensor
    to_grid: Tensor
    side: float

    @classmethod
    def seen_in(cls, view: View, face: PhotoFace) -> _Source:
        """Shrunk to the view's resolution where it is finer."""
        photo = face.context.photo.permute(2, 0, 1)[None].float().clamp(0, 1)
        transform = face.context.transform.to("cpu", torch.float64)
        height, width = photo.shape[-2:]
        finer = float(transform_scale(view.transform) / transform_scale(transform))
        if finer > 1:
            small = (max(8, round(height / finer)), max(8, round(width / finer)))
            photo = F.interpolate(photo, small, mode="bicubic", antialias=True).clamp(0, 1)
        size = face.context.size
        # shares -> crop pixels -> photo pixels -> [-1, 1]
        shares = torch.tensor([[size, 0, -0.5], [0, size, -0.5]], dtype=torch.float64)
        places = torch.tensor(
            [[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1]], dtype=torch.float64
        )
        to_photo = compose_transforms(invert_transform(transform), shares)
        to_grid = compose_transforms(places, to_photo).float()
        return cls(
            photo[0],
            detail_energy(photo[0]),
            to_grid,
            size / float(transform_scale(transform)) * photo.shape[-1] / width,
        )

    def read(self, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Picture, energy and cover in [0, 1] at shares of the crop `(2, H, W)`."""
        matrix, shift = self.to_grid[:, :2], self.to_grid[:, 2]
        at = torch.einsum("ij,jhw->ihw", matrix, places) + shift[:, None, None]
        grid = at.permute(1, 2, 0)[None]
        picture = F.grid_sample(
            self.picture[None], grid, mode="bicubic", padding_mode="border", align_corners=False
        )[0].clamp(0, 1)
        energy = F.grid_sample(self.energy[None], grid, padding_mode="border", align_corners=False)[
            0
        ]
        size = at.new_tensor(self.picture.shape[:0:-1])[:, None, None]
        inside = ((1 - at.abs()) * size / 2).amin(0, keepdim=True)  # pixels from the border
        return picture, energy, (inside / (BORDER * self.side)).clamp(0, 1)


def _match_tone(picture: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """A picture `(3, H, W)` in the tone that another has around the edge of a mask `(1, H, W)`."""
    ring = mask.square() * (1 - mask)  # on the skin rather than on the hair
    total = ring.sum()
    if not float(total) > 0:
        return picture
    odds = torch.logit(torch.stack([picture, wanted]), eps=_FLOOR)
    shift = ((odds[1] - odds[0]) * ring).sum((1, 2)) / total
    return apply_log_odds(picture, shift[:, None, None])
