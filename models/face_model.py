"""A loaded face model: network, latent space, alignment template and bundled directions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from .align import TIGHT, WIDE, AlignmentTemplate
from .errors import FaceLatentsError, UnsupportedModelError
from .registry import FaceNet, detect_architecture
from .safefile import check_expected, load_tensors, read_header, save_tensors, tensors_hash
from .space import LatentSpace
from .values import Direction

DIRECTION_PREFIX = "directions."
_TEMPLATES = {TIGHT.name: TIGHT, WIDE.name: WIDE}


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
    """

    module: nn.Module
    space: LatentSpace
    template: AlignmentTemplate
    directions: Mapping[str, Direction]
    metadata: Mapping[str, str]
    name: str

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

    def sample(self, count: int, seed: int, truncation_psi: float = 1.0) -> Tensor:
        """Random codes `(count, *space.shape)` float32 on the CPU.

        Normal with the mean and standard deviation of the training codes, then pulled towards the
        mean: `mean + truncation_psi * (z - mean)`. The same seed gives the same faces on every
        device, and the first faces of a larger batch are those of a smaller one.

        Raises:
            FaceLatentsError: count below 1.
        """
        if count < 1:
            raise FaceLatentsError(f"Sample: the number of faces must be 1 or more, got {count}.")
        generator = torch.Generator(device="cpu").manual_seed(int(seed) & (2**64 - 1))
        # one draw per face: the generator's fast path depends on the number of values drawn
        codes = torch.stack(
            [torch.randn(self.space.shape, generator=generator) for _ in range(count)]
        )
        if self.space.std is not None:
            codes = codes * self.space.std
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
    net = architecture.load(net_tensors)
    count = net.code_shape
    # whitened spaces: mean 0 and standard deviation 1 by construction
    space = LatentSpace(net.space_name, count, model_id, torch.zeros(count), torch.ones(count))
    return FaceModel(
        module=cast(nn.Module, net),
        space=space,
        template=_template(path, metadata, net.size),
        directions=_directions(path, tensors, metadata, space),
        metadata=metadata,
        name=metadata.get("name", Path(path).stem),
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
    return Path(__file__).parent / "bundled" / "face.safetensors"


@lru_cache(maxsize=1)
def bundled_direction_names() -> list[str]:
    """Names of the bundled directions, read from the file's header only."""
    return direction_names(bundled_face_model_path())


def direction_names(path: str | Path) -> list[str]:
    """Names of the directions in a face model file, in the order its metadata lists them."""
    header = read_header(path)
    names = [n.removeprefix(DIRECTION_PREFIX) for n in header.tensors if _is_direction(n)]
    listed = list(_json_object(path, header.metadata, "directions"))
    return sorted(names, key=lambda n: (listed.index(n) if n in listed else len(listed), n))


def _is_direction(tensor_name: str) -> bool:
    return tensor_name.startswith(DIRECTION_PREFIX)


def _json_object(path: str | Path, metadata: Mapping[str, str], key: str) -> dict[str, object]:
    try:
        value = json.loads(metadata.get(key, "{}"))
    except (ValueError, RecursionError) as error:
        raise UnsupportedModelError(f"{path}: metadata '{key}' is not valid JSON.") from error
    if not isinstance(value, dict):
        raise UnsupportedModelError(f"{path}: metadata '{key}' must be a JSON object.")
    return value


def _template(path: str | Path, metadata: Mapping[str, str], size: int) -> AlignmentTemplate:
    facts = _json_object(path, metadata, "template")
    name = str(facts.get("name", TIGHT.name))
    if "points" not in facts:
        return _TEMPLATES.get(name, TIGHT).resized(size)
    try:
        points = torch.tensor(facts["points"], dtype=torch.float64)
        return AlignmentTemplate(name, points, size)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UnsupportedModelError(
            f"{path}: the alignment template must list 5 points (x, y) as fractions of the crop "
            f"({error})."
        ) from error


def _directions(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    space: LatentSpace,
) -> dict[str, Direction]:
    described = _json_object(path, metadata, "directions")
    found = {n.removeprefix(DIRECTION_PREFIX): t for n, t in tensors.items() if _is_direction(n)}
    order = [n for n in described if n in found] + sorted(set(found) - set(described))
    result = {}
    for name in order:
        if tuple(found[name].shape) != space.shape:
            raise UnsupportedModelError(
                f"{path}: direction '{name}' has shape {list(found[name].shape)}, expected "
                f"{list(space.shape)}."
            )
        facts = described.get(name, {})
        result[name] = direction_from_facts(path, name, found[name], space, facts)
    return result


def direction_from_facts(
    path: str | Path, name: str, vector: Tensor, space: LatentSpace, facts: object
) -> Direction:
    """Build a Direction from its vector and the JSON object that describes it.

    Raises:
        UnsupportedModelError: the description is malformed.
    """
    try:
        if not isinstance(facts, dict):
            raise TypeError("not an object")
        low, high = (float(value) for value in facts.get("safe_range", (-3.0, 3.0)))
        accuracy = facts.get("accuracy")
        return Direction(
            vector=vector.float(),
            space=space,
            name=name,
            unit=str(facts.get("unit", "")),
            safe_range=(low, high),
            accuracy=None if accuracy is None else float(accuracy),
            method=str(facts.get("method", "")),
        )
    except (TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{path}: the description of direction '{name}' is malformed ({error})."
        ) from error
