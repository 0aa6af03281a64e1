"""The immutable values that travel on wires between nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .errors import FaceLatentsError
from .space import LatentSpace, require_same_space

_LARGEST_CROP = 8192  # pixels along a side; the largest known network draws 1024
_LARGEST_STRENGTH = 1e6  # end of a safe range; natural ones lie below 10


@dataclass(frozen=True, eq=False)
class PhotoContext:
    """Where a face came from: all that is needed to put its edit back into the photo.

    Attributes:
        photo: `(H, W, 3)` float32 on the CPU, nominally in [0, 1].
        transform: `(2, 3)` float64, photo pixel (x, y, 1) -> aligned crop pixel; pixel centres
            lie at integer coordinates.
        size: the aligned crop is `size x size` pixels.
        landmarks: `(5, 2)` float64 in photo pixels: left eye, right eye, nose, left mouth
            corner, right mouth corner, left being the viewer's left; `(0, 2)` where the model
            encodes whole pictures.
        code: `(*shape)`, the unedited code; an edit is measured against it.
        photo_key: equal for faces of the same photo.
        face_index: which face of that photo, 0 being the largest.
        alpha: `(H, W)` in [0, 1] where the photo had an alpha channel.
        has_face: False for a photo in which no face was found and which is to stay as it is. Its
            code is the model's mean, in place of a face; its landmarks are `(0, 2)`.
    """

    photo: Tensor
    transform: Tensor
    size: int
    landmarks: Tensor
    code: Tensor
    photo_key: str
    face_index: int
    alpha: Tensor | None = None
    has_face: bool = True

    def __post_init__(self) -> None:
        for name, allowed in (("transform", [(2, 3)]), ("landmarks", [(5, 2), (0, 2)])):
            got = tuple(getattr(self, name).shape)
            if got not in allowed:
                raise FaceLatentsError(f"Photo context: {name} has shape {got}, not {allowed[0]}.")
        if self.photo.ndim != 3 or self.photo.shape[-1] != 3:
            raise FaceLatentsError(
                f"Photo context: the photo has shape {tuple(self.photo.shape)}, not (H, W, 3)."
            )
        if not self.photo.numel() or not self.photo.is_floating_point():
            raise FaceLatentsError("Photo context: the photo is empty or not of floating point.")
        if self.alpha is not None and self.alpha.shape != self.photo.shape[:2]:
            raise FaceLatentsError(
                f"Photo context: alpha has shape {tuple(self.alpha.shape)}, the photo "
                f"{tuple(self.photo.shape[:2])}."
            )
        (a, b, _), (c, d, _) = self.transform.tolist()
        if not 0 < abs(a * d - b * c) < math.inf:
            raise FaceLatentsError("Photo context: the transform maps the photo to a line.")
        if not 0 < self.size <= _LARGEST_CROP or self.face_index < 0:
            raise FaceLatentsError(
                f"Photo context: a crop of {self.size} pixels, face {self.face_index}; expected "
                f"1 to {_LARGEST_CROP} pixels and a face from 0 up."
            )


@dataclass(frozen=True, eq=False)
class FaceLatent:
    """A batch of codes in one latent space, each with the photo it came from, if any.

    Attributes:
        samples: `(B, *space.shape)`, floating point, B >= 1.
        space: the space of every code.
        contexts: one `PhotoContext` or None per code; all None when left out.
        extras: the other entries of a host LATENT dict, handed back by To VAE Latent.
    """

    samples: Tensor
    space: LatentSpace
    contexts: tuple[PhotoContext | None, ...] = ()
    extras: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = tuple(self.samples.shape)
        if shape[1:] != self.space.shape or not shape or shape[0] < 1:
            raise FaceLatentsError(
                f"A face latent of space {self.space.describe()} needs codes of shape "
                f"(batch, {', '.join(map(str, self.space.shape))}) with at least one code; "
                f"got {shape}."
            )
        if not self.samples.is_floating_point():
            raise FaceLatentsError(
                f"A face latent holds floating point codes; got {self.samples.dtype}."
            )
        if not self.contexts:
            object.__setattr__(self, "contexts", (None,) * shape[0])
        if len(self.contexts) != shape[0]:
            raise FaceLatentsError(
                f"A face latent of {shape[0]} codes got {len(self.contexts)} photo contexts."
            )
        for context in self.contexts:
            if context is not None and tuple(context.code.shape) != self.space.shape:
                raise FaceLatentsError(
                    f"Photo context: its code has shape {tuple(context.code.shape)}, not "
                    f"{self.space.shape}."
                )

    def __len__(self) -> int:
        return self.samples.shape[0]

    @property
    def faces(self) -> list[int]:
        """Which of the codes are faces: all but those of photos without one."""
        return [i for i, found in enumerate(self.contexts) if found is None or found.has_face]

    def take(self, indices: Sequence[int]) -> FaceLatent:
        """Some of the codes, one or more, with their photos."""
        contexts = tuple(self.contexts[i] for i in indices)
        return replace(self, samples=self.samples[list(indices)], contexts=contexts)

    def with_samples(self, samples: Tensor) -> FaceLatent:
        """The same faces with new codes `(N, *space.shape)`.

        Contexts stay when N equals the old batch size; a single context serves all N codes
        (morph frames of one photo). Otherwise no code can be traced to a photo, and the
        contexts are dropped.
        """
        count = samples.shape[0]
        if count == len(self):
            contexts = self.contexts
        elif len(self) == 1:
            contexts = self.contexts * count
        else:
            contexts = (None,) * count
        return replace(self, samples=samples, contexts=contexts)


def join_latents(items: Sequence[FaceLatent]) -> FaceLatent:
    """One batch out of several, in order; extras are the first one's.

    Raises:
        FaceLatentsError: when there is nothing to join.
        SpaceMismatchError: when the spaces differ.
    """
    if not items:
        raise FaceLatentsError("There are no face latents to join: connect at least one.")
    first = items[0]
    for number, item in enumerate(items[1:], start=2):
        require_same_space(first.space, item.space, f"Face latents 1 and {number} to be joined")
    dtype = first.samples.dtype
    for item in items[1:]:
        dtype = torch.promote_types(dtype, item.samples.dtype)
    samples = torch.cat([item.samples.to(first.samples.device, dtype) for item in items])
    contexts = tuple(context for item in items for context in item.contexts)
    return FaceLatent(samples, first.space, contexts, dict(first.extras))


def require_safe_range(name: str, safe_range: tuple[float, float]) -> None:
    """Refuse ends of a direction's range that are no strengths or stand the wrong way round.

    Raises:
        FaceLatentsError: naming the direction and the range.
    """
    low, high = safe_range
    if not -_LARGEST_STRENGTH <= low <= high <= _LARGEST_STRENGTH:
        raise FaceLatentsError(
            f"Direction '{name}' has the safe range {low:g} to {high:g}; expected two strengths, "
            f"the smaller one first, within {_LARGEST_STRENGTH:g}."
        )


@dataclass(frozen=True, eq=False)
class Reading:
    """An attribute in a unit of its own, as a linear function of the code.

    Attributes:
        weights: `(*shape)`, what each number of a code adds.
        zero: what a code of zeros reads.
        unit: e.g. "years" or "degrees".
        least: what faces without the attribute read, where there is no less of it than none.
    """

    weights: Tensor
    zero: float
    unit: str
    least: float | None = None

    def __post_init__(self) -> None:
        if not self.weights.is_floating_point() or not math.isfinite(self.zero):
            raise FaceLatentsError(f"A reading in {self.unit} is made of finite numbers.")

    def of(self, codes: Tensor) -> Tensor:
        """Values `(B,)` of codes `(B, *shape)`, float32 or wider."""
        flat = codes.flatten(1).to(torch.promote_types(codes.dtype, torch.float32))
        return flat @ self.weights.flatten().to(flat) + self.zero

    def change(self, vectors: Tensor) -> Tensor:
        """By how much values grow, `(B,)`, where vectors `(B, *shape)` are added to codes."""
        return self.of(vectors) - self.zero


@dataclass(frozen=True, eq=False)
class Direction:
    """A vector of a latent space along which one attribute changes.

    Attributes:
        vector: `(*space.shape)`, or `(N, *space.shape)` for a batch; adding it once is
            strength 1.
        space: the space it belongs to.
        name: the attribute, e.g. `"smile"`.
        unit: what strength 1 means, e.g. "one standard deviation of smile".
        safe_range: strengths (low, high) at which pictures were found natural.
        accuracy: held-out figure, as `method` words it; None where not measured.
        method: how it was made.
        group: where users look for it, e.g. "expression".
        reading: the attribute in its own unit; None where it has none.
    """

    vector: Tensor
    space: LatentSpace
    name: str
    unit: str = ""
    safe_range: tuple[float, float] = (-3.0, 3.0)
    accuracy: float | None = None
    method: str = ""
    group: str = ""
    reading: Reading | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.vector.shape)
        if shape != self.space.shape and shape[1:] != self.space.shape:
            raise FaceLatentsError(
                f"Direction '{self.name}' has shape {shape}; space {self.space.describe()} needs "
                f"{self.space.shape}, or a batch of them."
            )
        if not self.vector.numel() or not self.vector.is_floating_point():
            raise FaceLatentsError(
                f"Direction '{self.name}' holds no floating point numbers: shape {shape}, "
                f"{self.vector.dtype}."
            )
        if self.reading is not None and self.reading.weights.shape != self.space.shape:
            raise FaceLatentsError(
                f"The reading of direction '{self.name}' has shape "
                f"{tuple(self.reading.weights.shape)}, one code {self.space.shape}."
            )
        require_safe_range(self.name, self.safe_range)
        if self.accuracy is not None and not math.isfinite(self.accuracy):
            raise FaceLatentsError(f"Direction '{self.name}' has accuracy {self.accuracy}.")

    def move(self, codes: Tensor, amounts: Tensor) -> Tensor:
        """Codes `(B, *space.shape)` along the vector, by amounts `(B,)` of the reading's unit."""
        assert self.reading is not None
        vector = self.vector.to(codes)
        strengths = amounts / self.reading.change(vector[None])
        return codes + strengths.view(-1, *[1] * vector.dim()) * vector
