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
from .spectral import spectral_benchmark, spectral_report

Step = Callable[[], object]

ROUND_SECONDS = 0.2  # a quick step is repeated until a round takes about this long
DIRECTION = "smile"
STRENGTH = 2.0


@dataclass(frozen=True)
class NodeBenchmark:
    """How often each step is timed."""

    rounds: Annotated[int, "pairs of runs per step, after one that warms up"] = 15


def run_benchmark(photo: Tensor, settings: NodeBenchmark) -> dict[str, Any]:
    """Time the nodes against direct calls on one photo with one face.

    Args:
        photo: `(H, W, 3)` in [0, 1].
        settings: see there.

    Returns:
        For each step the median milliseconds of both ways and the median ratio node / direct;
        `spectral`: what latent spectral decomposition costs.
    """
    model, rounds = load_face_model(bundled_face_model_path()), settings.rounds
    with torch.inference_mode():
        steps = {
            **_single_steps(photo, model),
            "encode + edit + paste back": (
                lambda: _through_nodes(photo, model),
                lambda: _directly(photo, model),
            ),
        }
        return {
            "photo": f"{photo.shape[1]} x {photo.shape[0]}",
            "rounds": rounds,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "steps": {name: _compare(*pair, rounds) for name, pair in steps.items()},
            "spectral": spectral_benchmark(rounds),
        }


def report(figures: Mapping[str, Any]) -> str:
    """The figures as a Markdown table."""
    head = ("step", "node, ms", "direct calls, ms", "ratio")
    rows = (
        (name, f"{step['node_ms']:.2f}", f"{step['direct_ms']:.2f}", f"{step['ratio']:.3f}")
        for name, step in figures["steps"].items()
    )
    facts = (
        f"Photo {figures['photo']}, {figures['rounds']} alternating rounds, torch "
        f"{figures['torch']}, {figures['threads']} threads."
    )
    return "\n\n".join([facts, markdown_table(head, rows), spectral_report(figures["spectral"])])


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
    }


def _seconds(step: Step, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def _single_steps(photo: Tensor, model: FaceModel) -> dict[str, tuple[Step, Step]]:
    latent, edited = _edited(photo, model)
    batch = FaceLatent(edited.samples.expand(32, -1).clone(), model.space)
    context = edited.contexts[0]
    assert context is not None  # Encode Face always states the photo

    def paste() -> Tensor:
        return _paste(photo, context, model, edited.samples[0])

    return {
        "encode": (
            lambda: _encode_node(photo, model),
            lambda: _encode(photo, model),
        ),
        "add + decode, 1 face": (
            lambda: _add_and_decode_nodes(latent, model),
            lambda: _add_and_decode(latent.samples, model),
        ),
        "decode, 32 faces": (
            lambda: _run(DecodeFace, face_model=model, face_latent=batch),
            lambda: _as_image(model.decode(batch.samples)),
        ),
        "paste back": (lambda: _run(PasteBack, face_model=model, face_latent=edited), paste),
    }


def _run(node: Any, **inputs: object) -> Any:
    """What a node hands on; inputs left out have their defaults."""
    return node().execute(**inputs)


def _encode_node(photo: Tensor, model: FaceModel) -> Any:
    return _run(EncodeFace, image=photo[None], face_model=model)


def _encode(photo: Tensor, model: FaceModel) -> tuple[Tensor, Tensor]:
    face = load_finder().find(photo)[0]
    crop, transform = align(photo, face.landmarks, model.template)
    return model.encode(crop[None]), transform


def _add_and_decode(codes: Tensor, model: FaceModel) -> Tensor:
    vector = model.directions[DIRECTION].vector
    return _as_image(model.decode(latent_ops.add(codes, vector, STRENGTH)))


def _as_image(pictures: Tensor) -> Tensor:
    """The host's IMAGE layout, which a script that hands pictures on needs as well."""
    return pictures.clamp(0, 1).permute(0, 2, 3, 1).contiguous()


def _add_and_decode_nodes(latent: FaceLatent, model: FaceModel) -> object:
    (edited,) = _run(
        AddDirection, face_latent=latent, direction=model.directions[DIRECTION], strength=STRENGTH
    )
    return _run(DecodeFace, face_model=model, face_latent=edited)


def _edited(photo: Tensor, model: FaceModel) -> tuple[FaceLatent, FaceLatent]:
    latent, _ = _encode_node(photo, model)
    (edited,) = _run(
        AddDirection, face_latent=latent, direction=model.directions[DIRECTION], strength=STRENGTH
    )
    return latent, edited


def _through_nodes(photo: Tensor, model: FaceModel) -> object:
    _, edited = _edited(photo, model)
    return _run(PasteBack, face_model=model, face_latent=edited)


def _directly(photo: Tensor, model: FaceModel) -> Tensor:
    face = load_finder().find(photo)[0]
    crop, transform = align(photo, face.landmarks, model.template)
    code = model.encode(crop[None])
    edited = latent_ops.add(code, model.directions[DIRECTION].vector, STRENGTH)
    context = PhotoContext(
        photo, transform, model.template.size, face.landmarks, code[0], "benchmark", 0
    )
    return _paste(photo, context, model, edited[0])


def _paste(photo: Tensor, context: PhotoContext, model: FaceModel, code: Tensor) -> Tensor:
    (edit,) = plan_edits(model, [PhotoFace(context)], code[None])
    return paste_back(photo, context, edit)
