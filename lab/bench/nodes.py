"""What the nodes cost on top of the models: ratios measured side by side in one run.

Each step runs as a node and as the direct calls that a script would make; the two alternate, so
that a busy machine slows both, and the median of the pairwise ratios is reported.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.face_model import FaceModel, bundled_face_model_path, load_face_model
from ...models.finder.checkpoint import load_finder
from ...models.imaging.align import align
from ...models.paste.back import paste_back
from ...models.paste.edit import plan_edits
from ...models.paste.face import PhotoFace
from ...models.values import FaceLatent, PhotoContext
from ...nodes.edit.directions import AddDirection
from ...nodes.model.decode import DecodeFace
from ...nodes.model.encode import EncodeFace
from ...nodes.model.paste_back import PasteBack
from ..results import markdown_table
from .cold import cold_benchmark, cold_report
from .spectral import spectral_benchmark, spectral_report

Step = Callable[[], Any]

ROUND_SECONDS = 0.2  # a quick step is repeated until a round takes about this long
DIRECTION = "smile"
STRENGTH = 2.0


@dataclass(frozen=True)
class NodeBenchmark:
    """How often each step is timed."""

    rounds: Annotated[int, "pairs of runs per step, after one that warms up"] = 15
    cold_rounds: Annotated[int, "runs of each command in a new process"] = 5


def run_benchmark(photo: Tensor, settings: NodeBenchmark) -> dict[str, Any]:
    """Time the nodes against direct calls on one photo with one face.

    Args:
        photo: `(H, W, 3)` in [0, 1].
        settings: see there.

    Returns:
        For each step the median milliseconds of both ways, and median, least and most of the
        ratio node / direct;
        `spectral`: what latent spectral decomposition costs; `cold`: seconds of commands from
        nothing.
    """
    model, rounds = load_face_model(bundled_face_model_path()), settings.rounds
    with torch.inference_mode():
        pairs = step_pairs(photo, model)
        return {
            "photo": f"{photo.shape[1]} x {photo.shape[0]}",
            "rounds": rounds,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "steps": {name: _compare(*pair, rounds) for name, pair in pairs.items()},
            "spectral": spectral_benchmark(rounds),
            "cold": cold_benchmark(photo, settings.cold_rounds),
        }


def report(figures: Mapping[str, Any]) -> str:
    """The figures as a Markdown table."""
    head = ("step", "node, ms", "direct calls, ms", "ratio", "ratio of rounds")
    rows = (
        (
            name,
            f"{step['node_ms']:.2f}",
            f"{step['direct_ms']:.2f}",
            f"{step['ratio']:.3f}",
            f"{step['ratio_least']:.2f} to {step['ratio_most']:.2f}",
        )
        for name, step in figures["steps"].items()
    )
    facts = (
        f"Photo {figures['photo']}, {figures['rounds']} alternating rounds, torch "
        f"{figures['torch']}, {figures['threads']} threads."
    )
    others = (spectral_report(figures["spectral"]), cold_report(figures["cold"]))
    return "\n\n".join([facts, markdown_table(head, rows), *others])


def _compare(node: Step, direct: Step, rounds: int) -> dict[str, float]:
    _seconds(node, 1)
    repeats = max(1, round(ROUND_SECONDS / _seconds(direct, 1)))
    pairs = []
    for number in range(rounds):
        # Alternate who goes first: the second one finds warmer caches.
        order = (node, direct) if number % 2 else (direct, node)
        seconds = {step: _seconds(step, repeats) for step in order}
        pairs.append((seconds[node], seconds[direct]))
    return {
        "node_ms": 1000 * statistics.median(a for a, _ in pairs),
        "direct_ms": 1000 * statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
        "ratio_least": min(a / b for a, b in pairs),
        "ratio_most": max(a / b for a, b in pairs),
    }


def _seconds(step: Step, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def _run(node: Any, **inputs: object) -> Any:
    """What a node hands on first; inputs left out have their defaults."""
    return node().execute(**inputs)[0]


@dataclass(frozen=True, eq=False)
class _Nodes:
    """The steps as nodes do them."""

    photo: Tensor
    model: FaceModel

    def encode(self) -> FaceLatent:
        latent: FaceLatent = _run(EncodeFace, image=self.photo[None], face_model=self.model)
        return latent

    def add(self, latent: FaceLatent) -> FaceLatent:
        direction = self.model.directions[DIRECTION]
        edited: FaceLatent = _run(
            AddDirection, face_latent=latent, direction=direction, strength=STRENGTH
        )
        return edited

    def decode(self, latent: FaceLatent) -> object:
        return _run(DecodeFace, face_model=self.model, face_latent=latent)

    def paste(self, latent: FaceLatent) -> object:
        return _run(PasteBack, face_model=self.model, face_latent=latent)


@dataclass(frozen=True, eq=False)
class _DirectCalls:
    """The steps as a script would do them."""

    photo: Tensor
    model: FaceModel

    def encode(self) -> PhotoContext:
        face = load_finder().find(self.photo)[0]
        crop, transform = align(self.photo, face.landmarks, self.model.template)
        code = self.model.encode(crop[None])[0]
        size = self.model.template.size
        return PhotoContext(self.photo, transform, size, face.landmarks, code, "benchmark", 0)

    def add(self, codes: Tensor) -> Tensor:
        return latent_ops.add(codes, self.model.directions[DIRECTION].vector, STRENGTH)

    def decode(self, codes: Tensor) -> Tensor:
        """Pictures in the host's layout, which a script that hands them on needs as well."""
        return self.model.decode(codes).clamp(0, 1).permute(0, 2, 3, 1).contiguous()

    def paste(self, context: PhotoContext, code: Tensor) -> Tensor:
        (edit,) = plan_edits(self.model, [PhotoFace(context)], code[None])
        return paste_back(self.photo, context, edit)

    def edit_photo(self) -> Tensor:
        context = self.encode()
        return self.paste(context, self.add(context.code))


def step_pairs(photo: Tensor, model: FaceModel) -> dict[str, tuple[Step, Step]]:
    """Every step as nodes and as direct calls do it."""
    nodes, direct = _Nodes(photo, model), _DirectCalls(photo, model)
    latent, context = nodes.encode(), direct.encode()
    edited, code = nodes.add(latent), direct.add(context.code)
    codes = code.expand(32, -1).clone()
    batch = FaceLatent(codes, model.space)
    return {
        "encode": (nodes.encode, direct.encode),
        "add + decode, 1 face": (
            lambda: nodes.decode(nodes.add(latent)),
            lambda: direct.decode(direct.add(context.code[None])),
        ),
        "decode, 32 faces": (lambda: nodes.decode(batch), lambda: direct.decode(codes)),
        "paste back": (lambda: nodes.paste(edited), lambda: direct.paste(context, code)),
        "encode + edit + paste back": (
            lambda: nodes.paste(nodes.add(nodes.encode())),
            direct.edit_photo,
        ),
    }
