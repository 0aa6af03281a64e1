"""A loaded face model: network, latent space, alignment template and bundled directions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from .architectures.registry import FaceNet, LayeredNet, RetouchingNet, detect_architecture
from .architectures.statistics import CodeStatistics
from .bundled import bundled_file
from .errors import FaceLatentsError, UnsupportedModelError
from .files.model_directions import DIRECTION_PREFIX, json_object, read_directions
from .files.model_directions import direction_names as direction_names
from .files.tensors import check_expected, load_tensors, read_header, save_tensors, tensors_hash
from .geometry.templates import FFHQ, TIGHT, WHOLE, WIDE, AlignmentTemplate
from .space import LatentSpace, layered_spaces, require_same_space
from .values import Direction

_TEMPLATES = {template.name: template for template in (TIGHT, WIDE, FFHQ, WHOLE)}


@dataclass(frozen=True, eq=False)
class FaceModel:
    """Everything a node needs to encode, edit and decode faces.

    Attributes:
        module: the network; what device management moves. It offers `encode` and `decode`.
        space: the space of its codes; `space.model_id` is the hash of the network's tensors.
        template: how photos are aligned for it; `template.size` is the side of a crop.
        directions: by name, in the order of the file.
        metadata: the file's string metadata (licence, training data, metrics, ...).
        name: display name.
        statistics: the mixture that `sample` draws from; None: normal with the space's mean and
            standard deviation.
        spaces: every space whose codes `to_decodable` takes, by name; `space` is one of them.
    """

    module: nn.Module
    space: LatentSpace
    template: AlignmentTemplate
    directions: Mapping[str, Direction]
    metadata: Mapping[str, str]
    name: str
    statistics: CodeStatistics | None = None
    spaces: Mapping[str, LatentSpace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.spaces:
            object.__setattr__(self, "spaces", {self.space.name: self.space})

    @property
    def device(self) -> torch.device:
        """Where the network is now."""
        for tensor in (*self.module.parameters(), *self.module.buffers()):
            return tensor.device
        return torch.device("cpu")

    def encode(self, crops: Tensor) -> Tensor:
        """Codes of aligned crops.

        Args:
            crops: `(B, 3, S, S)` in [0, 1], any device; S is `template.size`.

        Returns:
            `(B, *space.shape)` float32 on the module's device.

        Raises:
            FaceLatentsError: another shape, or values that are not finite.
        """
        size = self.template.size
        if crops.dim() != 4 or tuple(crops.shape[1:]) != (3, size, size):
            raise FaceLatentsError(
                f"Encode: {self.name} needs aligned crops of shape (batch, 3, {size}, {size}), "
                f"got {tuple(crops.shape)}. Use Encode Face, which aligns photos."
            )
        crops = crops.to(self.device, torch.float32)
        if not bool(torch.isfinite(crops).all()):
            raise FaceLatentsError(
                "Encode: the picture holds values that are not numbers (NaN or infinite). "
                "Check the node that made it."
            )
        return cast(FaceNet, self.module).encode(crops)

    def decode(self, codes: Tensor) -> Tensor:
        """Pictures of codes.

        Args:
            codes: `(B, *space.shape)`, any device and floating type.

        Returns:
            `(B, 3, S, S)` float32 on the module's device, nominally in [0, 1], not clamped.

        Raises:
            FaceLatentsError: another shape.
        """
        if tuple(codes.shape[1:]) != self.space.shape or codes.dim() != 1 + self.space.latent_dims:
            raise FaceLatentsError(
                f"Decode: {self.name} needs codes of shape (batch, "
                f"{', '.join(map(str, self.space.shape))}), got {tuple(codes.shape)}."
            )
        return cast(FaceNet, self.module).decode(codes.to(self.device, torch.float32))

    def retouches(self, before: Tensor, after: Tensor) -> bool:
        """Whether the model fits an edit to the photo's own face, see `edited_photos`.

        Args:
            before, after: `(*space.shape)` each. True for edits along directions of the model
                itself, where it has a retoucher.
        """
        retouches = getattr(self.module, "retouches", None)
        if retouches is None:
            return False
        change = (after.to("cpu", torch.float32) - before.to("cpu", torch.float32))[None]
        return bool(retouches(change))

    def drawn(self, codes: Tensor) -> Tensor:
        """Codes `(B, *space.shape)` of a model that `retouches` as `(B, 3, S, S)`, on the module's
        device: what `edited_photos` needs of codes that it is given again and again."""
        return cast(RetouchingNet, self.module).drawn(codes.to(self.device, torch.float32))

    def edited_photos(
        self, crops: Tensor, before: Tensor, after: Tensor, drawn: Tensor | None = None
    ) -> Tensor:
        """Faces of photos, edited: for edits that `retouches` is true of.

        Args:
            crops: `(B, 3, S, S)` in [0, 1], any device; S is `template.size`.
            before, after: `(B, *space.shape)`, codes of the crops, and after the edit.
            drawn: what `drawn` made of `before`, if it is at hand.

        Returns:
            `(B, 3, S, S)` float32 on the module's device, not clamped; a crop whose codes are equal
            is returned as it is.
        """
        net = cast(RetouchingNet, self.module)
        crops, before, after = (
            tensor.to(self.device, torch.float32) for tensor in (crops, before, after)
        )
        if drawn is not None:
            drawn = drawn.to(self.device)
        return net.edited_photos(crops, before, after, drawn=drawn)

    def motion(self, before: Tensor, after: Tensor) -> Tensor | None:
        """How the model itself moves a face on the way from one code to another.

        Args:
            before, after: `(*space.shape)` each.

        Returns:
            `(2, S, S)` float32 on the CPU, (dx, dy) in shares of the crop's side: the face at x
            comes from x + u. None for a model that moves nothing by itself.
        """
        motion = getattr(self.module, "motion_between", None)
        if motion is None:
            return None
        codes = (code.to(self.device, torch.float32)[None] for code in (before, after))
        with torch.no_grad():
            moved: Tensor = motion(*codes)[0].cpu()
        return moved

    def to_decodable(self, codes: Tensor, space: LatentSpace) -> Tensor:
        """Codes of any of the model's spaces in its own one.

        z is mapped to w, and w put into every layer of w_plus.

        Args:
            codes: `(B, *space.shape)`, any device and floating type.
            space: the one they are in.

        Returns:
            `(B, *self.space.shape)` float32 on the module's device.

        Raises:
            SpaceMismatchError: a space of another model, or one the model does not have.
            FaceLatentsError: z codes of a model with classes: they do not say which class.
        """
        codes = codes.to(self.device, torch.float32)
        if space.same_as(self.space):
            return codes
        known = self.spaces.get(space.name)
        if known is None or not known.same_as(space):
            require_same_space(self.space, space, f"Model '{self.name}' and the codes")
        net = cast(LayeredNet, self.module)  # no other network has more than one space
        return net.broadcast(net.map(codes) if space.name == "z" else codes)

    def sample(
        self,
        count: int,
        seed: int,
        truncation_psi: float = 1.0,
        *,
        cutoff: int | None = None,
        class_index: int | None = None,
    ) -> Tensor:
        """Random codes `(count, *space.shape)` float32 on the CPU.

        Normal with the mean and standard deviation of the training codes (a network may state
        another one, `random_std`), then pulled towards the mean: `mean + truncation_psi * (z -
        mean)`. Where the model states a mixture of classes, a class is drawn first, and its centre
        takes the place of the mean. The same seed gives the same faces on every device, and the
        first faces of a larger batch are those of a smaller one. A network that maps z to w draws
        z, and its w are pulled towards the mean of w.

        Args:
            count: how many.
            seed: which.
            truncation_psi: 1 leaves codes as they are drawn, 0 gives the mean.
            cutoff: of w_plus codes, pull only so many of the first layers; None: all.
            class_index: of a network with classes, which one to draw; None: each face draws one.

        Raises:
            FaceLatentsError: count below 1; cutoff or class_index for a model that has no layers
                or no classes, or no such class.
        """
        if count < 1:
            raise FaceLatentsError(f"Sample: the number of faces must be 1 or more, got {count}.")
        generator = torch.Generator(device="cpu").manual_seed(int(seed) & (2**64 - 1))
        if isinstance(self.module, LayeredNet):
            drawn = self.module.sample_codes(count, generator, truncation_psi, cutoff, class_index)
            return drawn.cpu()
        if cutoff is not None or class_index is not None:
            what = "layers to truncate apart" if class_index is None else "classes to draw"
            raise FaceLatentsError(
                f"Sample: model '{self.name}' has no {what}; only models of the StyleGAN2 kind "
                "may. Leave these inputs at their default."
            )
        if self.statistics is not None:
            return self.statistics.sample(count, generator, truncation_psi)
        # one draw per face: the generator's fast path depends on the number of values drawn
        codes = torch.stack(
            [torch.randn(self.space.shape, generator=generator) for _ in range(count)]
        )
        std = getattr(self.module, "random_std", self.space.std)
        if std is not None:
            codes = codes * std
        codes = codes * truncation_psi
        return codes if self.space.mean is None else codes + self.space.mean


def load_face_model(path: str | Path) -> FaceModel:
    """Load a face model; its architecture is told by tensor names and shapes.

    Raises:
        UnsupportedModelError: no safetensors file, unknown architecture, damaged tensors,
            or a direction that does not fit.
    """
    header = read_header(path)
    shapes = {n: s for n, s in header.shapes.items() if not n.startswith(DIRECTION_PREFIX)}
    architecture = detect_architecture(header, shapes)
    check_expected(header, architecture.expected(shapes), shapes)
    tensors, metadata = load_tensors(path)
    net_tensors = {name: tensors[name] for name in shapes}
    model_id = tensors_hash(net_tensors)
    if metadata.get("model_id", model_id) != model_id:
        raise UnsupportedModelError(
            f"{path}: the tensors do not match the identity written in the file; the file is "
            "damaged or was altered. Fetch it again."
        )
    net = architecture.build(net_tensors, metadata)
    shape, statistics = net.code_shape, net.code_statistics
    mean, std = torch.zeros(shape), getattr(net, "code_std", torch.ones(shape))
    spaces: dict[str, LatentSpace] = {}
    if isinstance(net, LayeredNet):
        spaces = layered_spaces(model_id, net.z_dim, net.mean_code().clone(), net.code_std())
    elif statistics is not None:
        mean, std = statistics.mean, statistics.std
    space = spaces.get(net.space_name) or LatentSpace(net.space_name, shape, model_id, mean, std)
    return FaceModel(
        module=cast(nn.Module, net),
        space=space,
        template=_template(path, metadata, net.size),
        directions=read_directions(path, tensors, metadata, space),
        metadata=metadata,
        name=metadata.get("name", Path(path).stem),
        statistics=statistics,
        spaces=spaces,
    )


def save_face_model(
    path: str | Path,
    net_tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    template: AlignmentTemplate,
    directions: Mapping[str, Direction] | None = None,
) -> str:
    """Write a face model file and return its model identity.

    Args:
        path: the target; replaced atomically.
        net_tensors: the network's own tensors, as its architecture expects them.
        metadata: facts to keep (name, licence, training_data, metrics, ...).
        template: the alignment it was trained with.
        directions: bundled directions; they do not enter the identity.
    """
    model_id = tensors_hash(net_tensors)
    tensors, described = dict(net_tensors), {}
    for name, direction in (directions or {}).items():
        tensors[DIRECTION_PREFIX + name] = direction.vector.float()
        described[name] = {
            "unit": direction.unit,
            "safe_range": list(direction.safe_range),
            "accuracy": direction.accuracy,
            "method": direction.method,
        }
    facts = dict(metadata)
    facts["model_id"] = model_id
    facts["template"] = json.dumps(
        {"name": template.name, "points": template.points.tolist(), "size": template.size}
    )
    facts["directions"] = json.dumps(described)
    save_tensors(path, tensors, facts)
    return model_id


def bundled_face_model_path() -> Path:
    """The face model that ships with the package."""
    return bundled_file("face.safetensors")


def bundled_digits_model_path() -> Path:
    """The model of handwritten digits that ships with the package."""
    return bundled_file("digits.safetensors")


@lru_cache(maxsize=1)
def bundled_direction_names() -> list[str]:
    """Names of the bundled directions, read from the file's header only."""
    return direction_names(bundled_face_model_path())


def _template(path: str | Path, metadata: Mapping[str, str], size: int) -> AlignmentTemplate:
    facts = json_object(path, metadata, "template")
    name = str(facts.get("name", TIGHT.name))
    if "points" not in facts:
        return _TEMPLATES.get(name, TIGHT).resized(size)
    try:
        points = torch.tensor(facts["points"], dtype=torch.float64)
        if points.numel() == 0:
            points = points.reshape(0, 2)
        return AlignmentTemplate(name, points, size)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UnsupportedModelError(
            f"{path}: the alignment template must list 5 points (x, y) as fractions of the crop, "
            f"or none for whole pictures ({error})."
        ) from error
