"""Checks of what arrives on the wires; every message says what to do about it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..models.errors import FaceLatentsError, NoFaceError
from ..models.face_model import FaceModel
from ..models.space import LatentSpace, require_same_space
from ..models.spectral.basis import LatentBasis
from ..models.values import Direction, FaceLatent

logger = logging.getLogger(__name__)

T = TypeVar("T")

BRIGHTEST = 16.0  # brighter than any HDR photo; 0..255 pixels are far above


def _require(value: object, kind: type[T], name: str, wanted: str) -> T:
    if isinstance(value, kind):
        return value
    got = "nothing" if value is None else f"a {type(value).__name__}"
    raise FaceLatentsError(f"Input '{name}' needs {wanted}; it got {got}.")


def face_model(value: object, name: str = "face_model") -> FaceModel:
    return _require(value, FaceModel, name, "a face model: connect Load Face Model")


def face_latent(value: object, name: str = "face_latent") -> FaceLatent:
    latent = _require(
        value,
        FaceLatent,
        name,
        "a face latent: connect Encode Face, Load Face Latent or Sample Face (for a VAE latent, "
        "put From VAE Latent in between)",
    )
    if not torch.isfinite(latent.samples).all():
        raise FaceLatentsError(
            f"Input '{name}' holds values that are not numbers (NaN or infinite). The step before "
            "it went wrong: look for a strength that is far too large, or a damaged file."
        )
    return latent


def faces_only(value: object, name: str = "face_latent") -> FaceLatent:
    """A face latent without its photos that show no face, see `PhotoContext.has_face`.

    Raises:
        NoFaceError: no face is left.
    """
    latent = face_latent(value, name)
    faces = latent.faces
    if len(faces) == len(latent):
        return latent
    if not faces:
        raise NoFaceError(
            f"Input '{name}': no face was found in any of its photos, so there is nothing to work "
            "with. Use photos that show a face."
        )
    logger.info("Input '%s': %d photos without a face left out", name, len(latent) - len(faces))
    return latent.take(faces)


def direction(value: object, name: str = "direction") -> Direction:
    found = _require(
        value, Direction, name, "a direction: connect Load Direction or Direction Between"
    )
    if not torch.isfinite(found.vector).all():
        raise FaceLatentsError(
            f"Direction '{found.name}' on input '{name}' holds values that are not numbers (NaN "
            "or infinite); the file or the step that made it is damaged. Make it again."
        )
    return found


def latent_basis(value: object, name: str = "basis") -> LatentBasis:
    return _require(
        value,
        LatentBasis,
        name,
        "a quasi-eigen basis: connect Load Basis or one of the Build Quasi-Eigen Basis nodes",
    )


def same_model(
    model: FaceModel, space: LatentSpace, node: str, what: str = "the face latent"
) -> None:
    """Refuse codes of another model.

    Args:
        model: whose own space counts.
        space: of the codes.
        node: its name, for the message.
        what: has the codes, for the message.

    Raises:
        SpaceMismatchError: names both spaces.
    """
    require_same_space(model.space, space, f"{node}: model '{model.name}' and {what}")


def finite(value: object, name: str) -> float:
    """A number that is neither NaN nor infinite."""
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise FaceLatentsError(
            f"Input '{name}' needs a number; it got {value!r} ({type(value).__name__})."
        )
    result = float(value)
    if not math.isfinite(result):
        raise FaceLatentsError(
            f"Input '{name}' is {result}, which is not a usable number. Check the node that is "
            "connected to it: a division by zero is the usual reason."
        )
    return result


def whole(value: object, name: str, low: int, high: int | None = None) -> int:
    """A whole number within its limits."""
    # A seed of 64 bits does not fit into a float.
    result = value if isinstance(value, int) else finite(value, name)
    if result != int(result):
        raise FaceLatentsError(f"Input '{name}' needs a whole number; it got {result}.")
    if result < low or (high is not None and result > high):
        limits = f"{low} or more" if high is None else f"between {low} and {high}"
        raise FaceLatentsError(f"Input '{name}' must be {limits}; it is {int(result)}.")
    return int(result)


def text(value: object, name: str) -> str:
    """A text; half of a letter, which no file and no message can hold, becomes "?"."""
    return _require(value, str, name, "a text").encode("utf-8", "replace").decode()


def names_in(text: str) -> list[str]:
    """The names in `text`, separated by commas or lines."""
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def numbers_in(text: str, node: str, name: str, example: str) -> list[float]:
    """The numbers in `text`, separated by commas, semicolons, spaces or lines; none where empty.

    Raises:
        FaceLatentsError: a word that is not a finite number.
    """
    words = text.replace(",", " ").replace(";", " ").split()
    try:
        found = [float(word) for word in words]
    except ValueError as error:
        raise FaceLatentsError(
            f"{node}: {name} must be numbers separated by commas, such as {example}; got {text!r}."
        ) from error
    if not all(math.isfinite(number) for number in found):
        raise FaceLatentsError(f"{node}: {name} must be finite numbers; got {text!r}.")
    return found


def one_of(value: object, options: Any, name: str) -> str:
    """An entry of a list."""
    if value not in options:
        raise FaceLatentsError(
            f"Input '{name}' must be one of {', '.join(map(repr, options))}; it is {value!r}."
        )
    return str(value)


def image(value: object, name: str = "image") -> Tensor:
    """An IMAGE batch `(B, H, W, C)` as float32 on the CPU, C = 1, 3 or 4; pixels unchanged.

    Raises:
        FaceLatentsError: not an IMAGE, empty, of an unexpected shape, or with pixels that are
            NaN, infinite or in 0..255.
    """
    tensor = _require(value, Tensor, name, "an IMAGE (a batch of pictures)")
    shape = tuple(tensor.shape)
    if tensor.ndim != 4 or shape[-1] not in (1, 3, 4):
        raise FaceLatentsError(
            f"Input '{name}' needs pictures of shape (batch, height, width, 1, 3 or 4 channels); "
            f"it got {shape}."
        )
    if 0 in shape:
        raise FaceLatentsError(
            f"Input '{name}' is an empty batch (shape {shape}): no picture arrived. Check the "
            "node before it: a folder may be empty or a selection may have left nothing."
        )
    if not tensor.is_floating_point():
        raise FaceLatentsError(
            f"Input '{name}' holds {tensor.dtype} pixels; an IMAGE holds floating point values "
            "between 0 and 1. Divide by 255 first."
        )
    tensor = tensor.detach().to("cpu", torch.float32)
    low, high = (float(bound) for bound in torch.aminmax(tensor))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise FaceLatentsError(_broken_pixels(tensor, name))
    if high > BRIGHTEST:
        raise FaceLatentsError(
            f"Input '{name}' has pixel values up to {high:g}; an IMAGE holds values between 0 "
            "and 1. The node before it seems to work in 0..255: divide by 255."
        )
    return tensor


def _broken_pixels(tensor: Tensor, name: str) -> str:
    broken = ~torch.isfinite(tensor)
    index = int(broken.flatten(1).any(1).nonzero()[0])
    count = int(broken[index].any(-1).sum())
    y, x = (int(v) for v in broken[index].any(-1).nonzero()[0])
    return (
        f"Input '{name}': photo {index + 1} has {count} pixels that are not numbers (NaN or "
        f"infinite), the first at x = {x}, y = {y}. They come from the node before this one, "
        "often a VAE decode in half precision that overflowed (try --fp32-vae) or a division by "
        "zero. Nothing was made from them."
    )


def split_channels(photo: Tensor) -> tuple[Tensor, Tensor | None]:
    """Colour `(H, W, 3)` and alpha `(H, W)` or None of a photo `(H, W, C)`.

    Grey becomes three equal channels. Colour below transparent alpha is used as it is.
    """
    if photo.shape[-1] == 1:
        return photo.expand(-1, -1, 3), None
    if photo.shape[-1] == 4:
        return photo[..., :3], photo[..., 3]
    return photo, None


@contextmanager
def explain_errors(what: str) -> Iterator[None]:
    """Name the node in errors of the maths below it."""
    try:
        yield
    except FaceLatentsError:
        raise
    except (ValueError, TypeError) as error:
        raise FaceLatentsError(f"{what}: {error}") from error
