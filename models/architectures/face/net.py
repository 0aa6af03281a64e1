"""The network of a face model of pose, shape and appearance, see `file.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...finder.dense_landmarks import DenseLandmarks
from ...finder.landmarks_net import POINTS
from ...imaging.maps import sample_grid
from ...threads import check_interrupt
from ..capabilities import Capabilities, FaceNet, Removal
from .doubts import find_doubts
from .editor import EXTENT, Look, edit_maps, face_mask
from .eigenfaces import Eigenfaces
from .mesh import MeshMap, grid_places, map_mesh, polygon_mask
from .mouth import MouthPainter, mouth_shapes
from .points import INNER_LIPS
from .pose import POSE_NAMES, measure_pose
from .renderer import Renderer
from .shape import POSE_PARITY, FaceShape, angle_readings, parted

REACH = 0.26  # sides of the crop over which what lies beyond the face follows it
POSES = len(POSE_NAMES)
POSE_SAMPLED = (0.7, 0.5, 0.5, 0.0, 0.0, 0.0)  # of random codes: faces in the middle of the crop
FITTING = 250  # components from about here on are left out of random codes
MOTION = 0.1  # of shapes, beside appearances, as a change of pictures
FILLINGS = 4  # how often the hidden inside is drawn and fitted again


class FaceShapeAppearanceNet(FaceNet):
    """Codes `(B, K)`: pose (6), shape, appearance. All is computed in float32.

    The appearance is what a photo shows when every face has the same points, those of `canon`,
    whose lips are apart: eigenfaces at half the size, drawn sharp by the renderer. A face is its
    appearance, moved from the canonical points to its own.

    Attributes:
        canon: `(478, 3)`, points of the canonical face.
        triangles: `(T, 3)` of the mesh; those within lips and lids come first, and lie below.
        landmarks: finds the points of crops; not part of the model's file.
    """

    space_name = "z"
    extent = EXTENT
    canon: Tensor
    triangles: Tensor
    face_mask: Tensor
    mouth_mask: Tensor
    enlarge: Tensor

    def __init__(
        self,
        size: int,
        shapes: int,
        appearances: int,
        triangles: int,
        renderer: Renderer,
        painter: MouthPainter,
    ) -> None:
        super().__init__()
        self.size = size
        self.shape = FaceShape(shapes)
        self.appearance = Eigenfaces(appearances, size // 2)
        self.renderer, self.painter = renderer, painter
        self.landmarks: DenseLandmarks | None = None
        self.register_buffer("canon", torch.zeros(POINTS, 3))
        self.register_buffer("triangles", torch.zeros(triangles, 3, dtype=torch.int16))
        for name in ("face_mask", "mouth_mask", "enlarge"):
            self.register_buffer(name, torch.zeros(0), persistent=False)
        self._canonical: tuple[MeshMap, ...] = ()  # at the size, and at half of it
        self._mouth = (slice(0, 0), slice(0, 0))  # rows and columns of `mouth_mask`
        self.looks: dict[bool, Look] = {}  # at photos edited last, by whether for a draft

    @torch.no_grad()
    def prepare(self) -> None:
        """Derive what encoding and editing need from the stored tensors."""
        self.looks.clear()
        self.appearance.prepare()
        self.painter.prepare(self.canon)
        self.face_mask = face_mask(self.canon, self.size)
        half = self.size // 2
        self.mouth_mask = polygon_mask(self.canon, INNER_LIPS, half, 1.0)
        self._mouth = _even_box(self.mouth_mask)
        # cubic interpolation of a picture is linear in it
        small = torch.eye(half, device=self.canon.device)[None, None]
        self.enlarge = F.interpolate(small, (self.size, half), mode="bicubic")[0, 0]
        self._canonical = tuple(
            map_mesh(self.canon, self.triangles.long(), side, 1.0, REACH)
            for side in (self.size, half)
        )

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> FaceShapeAppearanceNet:
        self.looks.clear()  # another device, or other numbers
        super()._apply(fn, recurse)
        return self

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code."""
        return (POSES + len(self.shape.std) + len(self.appearance.std),)

    def split(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pose, shape and appearance of codes `(B, K)`."""
        shapes = len(self.shape.std)
        pose, shape, appearance = codes.float().split(
            [POSES, shapes, codes.shape[1] - POSES - shapes], 1
        )
        return pose, shape, appearance

    @property
    def parity(self) -> Tensor:
        """+1 or -1 for each number of a code, by which a mirrored face differs, `(K,)`."""
        pose = torch.tensor(POSE_PARITY, dtype=torch.int8, device=self.canon.device)
        return torch.cat([pose, self.shape.parity, self.appearance.parity])

    @property
    def picture_std(self) -> Tensor:
        """How much each number of a white code changes pictures, `(K,)`.

        That of the appearance is known: its components are orthonormal pictures. Shape and pose
        move what is drawn, which is no sum of pictures; they are made so small that they come
        after all of the appearance, shape before pose.
        """
        pose = torch.full((POSES,), MOTION * float(self.shape.std.min()), device=self.canon.device)
        return torch.cat([pose, self.shape.std * MOTION, self.appearance.std])

    def capabilities(self) -> Capabilities:
        """All that is asked of a face model but layers."""
        return Capabilities(
            decode=self.decode,
            encode=self.encode,
            encode_points=self.encode_points,
            quick_decode=self.quick_decode,
            mirror=self.mirror,
            style_weight=self.style_weight,
            editor=self,
            doubts=self.doubts,
            code_mean=torch.zeros(self.code_shape),
            code_std=torch.ones(self.code_shape),
            sample_std=self.sample_std,
            readings=angle_readings(self.shape, self.code_shape[0]),
            parts=self.parts,
        )

    @property
    def parts(self) -> dict[str, slice]:
        """Where pose, shape and appearance are in a code."""
        shape, end = POSES + len(self.shape.std), self.code_shape[0]
        return {
            "pose": slice(0, POSES),
            "shape": slice(POSES, shape),
            "appearance": slice(shape, end),
        }

    def points(self, codes: Tensor) -> Tensor:
        """Dense landmarks `(B, 478, 3)` of codes, in shares of the side from the middle."""
        pose, shape, _ = self.split(codes)
        return self.shape.points(pose, shape)

    def encode(self, crops: Tensor) -> Tensor:
        """Aligned crops `(B, 3, S, S)` in [0, 1] to codes `(B, K)`."""
        assert self.landmarks is not None  # set by whoever builds the network
        return self.encode_points(crops, self.landmarks.find(crops)[0])

    def doubts(self, crops: Tensor, codes: Tensor) -> list[str]:
        """What makes edits of crops `(B, 3, S, S)` look wrong, see `doubts.find_doubts`."""
        return find_doubts(self, crops, codes)

    def encode_points(self, crops: Tensor, points: Tensor) -> Tensor:
        """As `encode`, with dense landmarks `(B, 478, 3)`, in shares of the side from the middle;
        those that are NaN are found."""
        unknown = points.isnan()
        if bool(unknown.any()):
            assert self.landmarks is not None
            points = torch.where(unknown, self.landmarks.find(crops)[0], points)
        pose, frontal = measure_pose(points, self.shape.mean)
        small = F.interpolate(
            self.read_canonical(crops, points), size=(self.size // 2,) * 2, mode="area"
        )
        appearance = self.fit_canonical(small, parted(frontal))
        return torch.cat([*self.shape.whiten(pose, frontal), appearance], 1)

    def fit_canonical(self, small: Tensor, shown: Tensor) -> Tensor:
        """Appearances `(B, K)` of canonical pictures of half the size.

        Closed lips hide the mouth's inside. It is taken to be what the rest of the face makes
        likely: drawn and fitted in turn, as principal components of incomplete data are (Roweis
        1998).

        Args:
            small: `(B, 3, S / 2, S / 2)` in [0, 1].
            shown: `(B,)` in [0, 1], how much of the inside is seen.
        """
        appearance = self.appearance.fit(small)
        if not bool((shown < 1).any()):
            return appearance
        rows, columns = self._mouth
        part = self.appearance.part(slice(rows.start // 2, rows.stop // 2), columns.start // 2)
        seen = small[..., rows, columns]
        hidden = (1 - shown)[:, None, None, None] * self.mouth_mask[rows, columns]
        beside, appearance = appearance - self.appearance.fit(seen, part), 0 * appearance
        for _ in range(FILLINGS + 1):
            drawn = self.appearance.linear_sum(appearance, part)
            filled = self.appearance.fit(seen + hidden * (drawn - seen), part)
            appearance = beside + filled
        return appearance

    def read_canonical(self, crops: Tensor, points: Tensor, *, draft: bool = False) -> Tensor:
        """What crops `(B, 3, S, S)` with these points show on the canonical face, same shape; in
        drafts half as large."""
        mesh = self._canonical[draft]
        shift = mesh.spread((points - self.canon)[..., :2])
        places = grid_places(mesh.side, 1.0, crops.device) + shift.permute(0, 2, 3, 1)
        return sample_grid(crops, places * 2)

    def base(self, appearance: Tensor) -> Tensor:
        """The weighted sum of the components, `(B, 3, S, S)`, soft."""
        return self.enlarge @ self.appearance.linear_sum(appearance) @ self.enlarge.T

    def texture(self, appearance: Tensor) -> Tensor:
        """The canonical face of appearances `(B, K)`, sharp: `(B, 3, S, S)`."""
        drawn: Tensor = self.renderer(self.base(appearance))
        return drawn

    def draw(self, appearance: Tensor, *, draft: bool = False) -> Tensor:
        """As `texture`; drafts are soft and half as large."""
        return self.appearance.linear_sum(appearance) if draft else self.texture(appearance)

    def paint_mouth(self, canonical: Tensor, codes: Tensor) -> Tensor:
        """Canonical pictures whose mouths' insides are painted, for lips parted as those of codes.

        Args:
            canonical: `(B, 3, S, S)`, or half as large.
            codes: `(B, K)`.
        """
        return self.painter.paint(canonical, mouth_shapes(self.shape.frontal(self.split(codes)[1])))

    def warp(self, textures: Tensor, points: Tensor, side: int | None = None) -> Tensor:
        """Canonical pictures `(B, 3, S, S)` moved to these points, `(B, 3, side, side)`."""
        side = side or self.size
        places = grid_places(side, 1.0, textures.device)
        moved = []
        for texture, own in zip(textures, points, strict=True):
            check_interrupt()
            mesh = map_mesh(own, self.triangles.long(), side, 1.0, REACH)
            # blurred, as the edges of triangles show where a turned head folds
            shift = mesh.smooth(mesh.spread((self.canon - own)[None, :, :2])[0], side / self.size)
            grid = (places + shift.permute(1, 2, 0)) * 2
            moved.append(sample_grid(texture[None], grid[None]))
        return torch.cat(moved)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` to crops `(B, 3, S, S)` float32, nominally in [0, 1], not clamped."""
        return self.warp(self.texture(self.split(codes)[2]), self.points(codes))

    def quick_decode(self, codes: Tensor) -> Tensor:
        """As `decode`, soft: without the renderer, and moved at a quarter of the resolution."""
        small = self.appearance.linear_sum(self.split(codes)[2])
        moved = self.warp(small, self.points(codes), self.size // 4)
        return F.interpolate(moved, size=(self.size,) * 2, mode="bilinear", align_corners=False)

    def mirror(self, codes: Tensor) -> Tensor:
        """The codes `(B, K)` of the faces mirrored left to right."""
        return codes * self.parity.to(codes.dtype)

    @property
    def sample_std(self) -> Tensor:
        """Standard deviation of random codes, `(K,)`: fine components are less.

        Those of a face fit each other; drawn one by one they are streaks.
        """
        finer = torch.arange(len(self.appearance.std)) / FITTING
        pose = torch.tensor(POSE_SAMPLED)
        return torch.cat([pose, torch.ones(len(self.shape.std)), 1 / (1 + finer.square())])

    def style_weight(self, layers: Sequence[int] | None = None) -> Tensor:
        """What each number of a code adds to the soft picture of the mean face, half as large:
        `(3 S S / 4, K)`."""
        identity = torch.eye(self.code_shape[0], device=self.canon.device)
        origin = F.avg_pool2d(self.quick_decode(identity[:1] * 0), 2)
        weight = origin.new_empty(len(identity), origin.numel())  # one block: a hundred megabytes
        for rows, codes in zip(weight.split(16), identity.split(16), strict=True):
            rows.copy_((F.avg_pool2d(self.quick_decode(codes), 2) - origin).flatten(1))
        return weight.T

    def edit(
        self,
        photos: Tensor,
        before: Tensor,
        after: Tensor,
        removals: Sequence[Removal] = (),
        *,
        draft: bool = False,
    ) -> Tensor:
        """What edits do to photos `(B, 3, S, S)`, see `editor.edit_maps`."""
        return edit_maps(self, photos, before, after, removals, draft=draft)


def _even_box(mask: Tensor) -> tuple[slice, slice]:
    """Rows and columns, from even to even ones, around a mask; columns alike at both sides."""
    if not bool(mask.any()):
        return slice(0, 2), slice(0, len(mask))
    (top, bottom), (left, right) = (
        (int(line[0]), int(line[-1]) + 1) for line in (mask.amax(d).nonzero() for d in (1, 0))
    )
    left = min(left, len(mask) - right) // 2 * 2
    return slice(top // 2 * 2, -(-bottom // 2) * 2), slice(left, len(mask) - left)
