"""A tiny face model and hand-made landmarks, for testing nodes without a checkpoint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.architectures.capabilities import Capabilities
from face_latents.models.face_model import FaceModel
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.space import LatentSpace
from face_latents.models.values import Direction, FaceLatent
from torch import Tensor, nn

SIZE, CODES = 32, 24


class TinyNet(nn.Module):
    """An orthonormal linear map between pictures and codes."""

    basis: Tensor

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        basis = torch.linalg.qr(torch.randn(3 * SIZE * SIZE, CODES, generator=generator))[0]
        self.register_buffer("basis", basis.T.contiguous())
        self.batches: list[int] = []

    def encode(self, crops: Tensor) -> Tensor:
        self.batches.append(len(crops))
        return (crops.flatten(1) - 0.5) @ self.basis.T

    def decode(self, codes: Tensor) -> Tensor:
        self.batches.append(len(codes))
        return (codes @ self.basis + 0.5).reshape(-1, 3, SIZE, SIZE)

    def capabilities(self) -> Capabilities:
        """Methods are looked up at each call, so that a test may replace them."""
        return Capabilities(
            decode=lambda codes: self.decode(codes), encode=lambda crops: self.encode(crops)
        )


def tiny_model(model_id: str = "a" * 16, name: str = "tiny") -> FaceModel:
    space = LatentSpace("z", (CODES,), model_id, torch.zeros(CODES), torch.ones(CODES))
    generator = torch.Generator().manual_seed(1)
    directions = {
        attribute: Direction(
            torch.randn(CODES, generator=generator),
            space,
            attribute,
            unit=f"one standard deviation of {attribute}",
            safe_range=(-2.0, 3.0),
            accuracy=0.9,
            method="made up",
        )
        for attribute in ("smile", "age")
    }
    net = TinyNet()
    able, template = net.capabilities(), TIGHT.resized(SIZE)
    return FaceModel(net, able, space, template, directions, {"licence": "CC0"}, name)


def with_net(model: FaceModel, net: TinyNet) -> FaceModel:
    """The model with another network."""
    return replace(model, module=net, capabilities=net.capabilities())


def photos(count: int = 1, height: int = 90, width: int = 110, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.rand(count, height, width, channels, generator=generator)


def mesh_face(x: float, y: float, eyes: float = 20.0, points: int = 478) -> dict[str, object]:
    """A MediaPipe face whose eyes are `eyes` pixels apart, centred at (x, y); pixel centres are at
    integers, where the host counts from the edge of the first one."""
    landmarks = np.full((points, 2), (x, y), dtype=np.float32)
    landmarks[[33, 133]] = (x - eyes / 2 - 2, y - 8), (x - eyes / 2 + 2, y - 8)
    landmarks[[362, 263]] = (x + eyes / 2 - 2, y - 8), (x + eyes / 2 + 2, y - 8)
    landmarks[[1, 61, 291]] = (x, y + 4), (x - eyes / 3, y + 12), (x + eyes / 3, y + 12)
    landmarks[[10, 152]] = (x, y - eyes), (x, y + eyes)
    if points > 473:
        landmarks[[468, 473]] = (x - eyes / 2, y - 8), (x + eyes / 2, y - 8)
    return {"landmarks_xy": landmarks + 0.5, "bbox_xyxy": (0, 0, 0, 0), "score": 0.9}


def landmarks_for(image: Tensor, *faces: dict[str, object]) -> dict[str, object]:
    """FACE_LANDMARKS with the same faces in each photo of a batch; one in the middle if none."""
    count, height, width = image.shape[:3]
    found = list(faces) or [mesh_face(width / 2, height / 2)]
    return {"frames": [found] * count, "image_size": (height, width), "connection_sets": {}}


def run(node_id: str, **inputs: object) -> tuple:
    """Run a node as the host does; returns its outputs."""
    node = NODE_CLASS_MAPPINGS[node_id]
    with torch.inference_mode():
        result = getattr(node(), node.FUNCTION)(**inputs)
    return result["result"] if isinstance(result, dict) else result


def encode(
    model: FaceModel, image: Tensor, *faces: dict[str, object], **more: object
) -> FaceLatent:
    settings = {"faces": "all", "index": 0, "min_score": 0.5} | more
    return run(
        "FaceLatentsEncode",
        image=image,
        face_model=model,
        face_landmarks=landmarks_for(image, *faces),
        **settings,
    )[0]


def random_latent(model: FaceModel, count: int = 1, seed: int = 3) -> FaceLatent:
    generator = torch.Generator().manual_seed(seed)
    return FaceLatent(torch.randn(count, CODES, generator=generator), model.space)
