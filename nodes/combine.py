"""Which codes meet which direction or which other codes, and whose photo the result belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from ..models.errors import FaceLatentsError
from ..models.layers import choose_layers, keep_layers, lift_direction
from ..models.space import LatentSpace, require_same_space
from ..models.values import Direction, FaceLatent, PhotoContext

W_SPACES = ("w", "w_plus")  # their codes lie around their mean, not around zero


def vector_for(latent: FaceLatent, direction: Direction, node: str, layers: str = "all") -> Tensor:
    """The direction's vector(s), `(*shape)` or `(N, *shape)`, ready to meet the codes.

    Args:
        latent: the codes.
        direction: of the same space; or of w, for codes of the same model's w_plus: the same step
            in each layer.
        node: its name, for messages.
        layers: the vector is 0 outside these, see `models.layers.parse_layers`.

    Raises:
        SpaceMismatchError: the direction belongs to another space; both are named.
        FaceLatentsError: a batch of directions that fits neither one face nor one each; layers
            that the codes do not have.
    """
    direction = lift_direction(direction, latent.space)
    require_same_space(
        latent.space, direction.space, f"{node}: the face latent and direction '{direction.name}'"
    )
    chosen = layers_for(layers, latent.space, node)
    vector = keep_layers(direction.vector.to(latent.samples.device), chosen)
    count = len(vector) if vector.ndim > latent.space.latent_dims else 1
    if count not in (1, len(latent)) and len(latent) != 1:
        raise FaceLatentsError(
            f"{node}: direction '{direction.name}' is a batch of {count} directions, the face "
            f"latent holds {len(latent)} faces. Use one direction, or one per face."
        )
    return vector


def vectors_by_name(
    latent: FaceLatent, directions: Iterable[Direction], node: str
) -> dict[str, Tensor]:
    """Vectors `(*shape)` ready to meet the codes, the members of a batch of directions numbered.

    Raises:
        SpaceMismatchError, FaceLatentsError: see `vector_for`.
    """
    found: dict[str, Tensor] = {}
    for direction in directions:
        vector = vector_for(latent, direction, node)
        many = vector.ndim > latent.space.latent_dims
        for index, single in enumerate(vector if many else vector.unsqueeze(0), start=1):
            name = f"{direction.name} {index}" if many else direction.name
            repeated = sum(other == name or other.startswith(f"{name} (") for other in found)
            found[f"{name} ({repeated + 1})" if repeated else name] = single
    return found


def layers_for(text: str, space: LatentSpace, node: str) -> tuple[int, ...] | None:
    """As `models.layers.choose_layers`, with the node's name in errors."""
    try:
        return choose_layers(text, space)
    except FaceLatentsError as error:
        raise FaceLatentsError(f"{node}: {error}") from error


def pair(
    a: FaceLatent, b: FaceLatent, node: str, names: tuple[str, str] = ("a", "b")
) -> tuple[Tensor, Tensor]:
    """Codes of two face latents whose batches fit: equal, or one of them a single face.

    Raises:
        SpaceMismatchError: they are in different spaces.
        FaceLatentsError: the batches do not fit.
    """
    require_same_space(a.space, b.space, f"{node}: inputs {names[0]} and {names[1]}")
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise FaceLatentsError(
            f"{node}: input {names[0]} holds {len(a)} faces and {names[1]} {len(b)}. Give both the "
            "same number, or one of them a single face (Select Face Latent takes one out)."
        )
    return a.samples, b.samples.to(a.samples.device)


def both_faces(a: FaceLatent, b: FaceLatent, pair: int) -> bool:
    """True where both sides of a pair are faces; a single one meets all of the other side."""
    sides = [latent.contexts[pair if len(latent) > 1 else 0] for latent in (a, b)]
    return all(context is None or context.has_face for context in sides)


def result_of_pair(a: FaceLatent, b: FaceLatent, samples: Tensor) -> FaceLatent:
    """New codes that belong to the photos of `a`, or of `b` where a face of `a` has none."""
    own, other = a.with_samples(samples).contexts, b.with_samples(samples).contexts
    contexts = tuple(x if x is not None else y for x, y in zip(own, other, strict=True))
    return replace(a.with_samples(samples), contexts=contexts)


def origin_of(latent: FaceLatent) -> Tensor | None:
    """Around which point arcs between the codes run; None: around zero."""
    return mean_of(latent) if latent.space.name in W_SPACES else None


def first_photo(latent: FaceLatent) -> PhotoContext | None:
    """The photo that frames or a mean of several faces go back into: the first one known."""
    return next((context for context in latent.contexts if context is not None), None)


def mean_of(latent: FaceLatent) -> Tensor | None:
    """The mean code of the latent's space on the latent's device, where the model states it."""
    mean = latent.space.mean
    return None if mean is None else mean.to(latent.samples.device)
