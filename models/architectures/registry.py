"""Which architecture a checkpoint has: told by tensor names and shapes, never by file name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import UnsupportedModelError
from ..files.tensors import Header, TensorSpec
from . import digits
from .capabilities import FaceNet
from .face import file as face_file
from .stylegan2 import file as stylegan2_file


@dataclass(frozen=True)
class Architecture:
    """One kind of checkpoint: how it is told from others, and how its network is built.

    Attributes:
        name: one word, for messages.
        description: one phrase, for messages.
        detect: whether tensors of these names and shapes are of this kind.
        expected: every tensor that a file for which `detect` is true must hold.
        load: the network of checked tensors, and of the file's metadata.
    """

    name: str
    description: str
    detect: Callable[[Mapping[str, tuple[int, ...]]], bool]
    expected: Callable[[Mapping[str, tuple[int, ...]]], dict[str, TensorSpec]]
    load: Callable[[Mapping[str, Tensor], Mapping[str, str]], FaceNet]


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        face_file.NAME,
        "face model of shape and appearance (mesh, eigenfaces and a renderer)",
        face_file.detect,
        face_file.expected,
        face_file.load,
    ),
    Architecture(
        digits.NAME,
        "digit model (convolutional autoencoder, 28 x 28 grey pictures)",
        digits.detect,
        digits.expected,
        digits.load,
    ),
    Architecture(
        stylegan2_file.NAME,
        "StyleGAN2 generator, 32 to 1024 px, with or without an e4e or pSp encoder",
        stylegan2_file.detect,
        stylegan2_file.expected,
        stylegan2_file.load,
    ),
)


def detect_architecture(header: Header, shapes: Mapping[str, tuple[int, ...]]) -> Architecture:
    """The architecture whose names and shapes a checkpoint has.

    Args:
        header: of the file, for the message.
        shapes: tensor name to shape, without what does not belong to the network.

    Raises:
        UnsupportedModelError: no architecture fits; shows names seen and architectures known.
    """
    for architecture in ARCHITECTURES:
        if architecture.detect(shapes):
            return architecture
    names = sorted(shapes)
    seen = ", ".join(f"{name} {list(shapes[name])}" for name in names[:8])
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    known = "; ".join(f"{a.name}: {a.description}" for a in ARCHITECTURES)
    raise UnsupportedModelError(
        f"{header.path}: not a face model known here. Its tensors: {seen or 'none'}{more}. "
        f"Known architectures: {known}. If it is a "
        "model of another program, convert it first: Convert Weights, or face-latents convert."
    )
