"""Training the bundled face model: linear codes, controls, renderer, retoucher, directions, one
file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from ....models.architectures.face import file as rendered
from ....models.architectures.face.net import RenderedFaceNet
from ....models.architectures.face.renderer import Renderer
from ....models.architectures.face.retoucher import Retoucher
from ....models.face_model import FaceModel, load_face_model
from ....models.files.tensors import load_tensors, save_tensors
from ...data.faces import FaceSet, load_faces
from ...data.mouths import open_mouths
from ..devices import training_device
from . import render, retouch, spotless
from .adversarial import Lessons
from .attribute_net import AttributeNet, train_attribute_net
from .directions import ATTRIBUTES
from .edits import told_to_controls
from .export import encode_all, export_face, regressed
from .linear import fit_linear
from .motion_fields import control_parity, fit_fields
from .openness import fit_openness
from .views import in_frame

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FaceTraining:
    """How long each stage of the face model is trained, on what, and where."""

    components: Annotated[int, "length of a code without its controls"] = 1024 - len(ATTRIBUTES)
    reader_steps: Annotated[int, "of each attribute network that teaches the renderer"] = 2400
    warm_steps: Annotated[int, "of the renderer on pixels alone"] = render.Settings.warm_steps
    steps: Annotated[int, "of the renderer in all"] = render.Settings.steps
    batch: Annotated[int, "faces a step; about 128 on CUDA"] = render.Settings.batch
    retouch_warm_steps: Annotated[int, "of the retoucher without critic"] = (
        retouch.Settings.warm_steps
    )
    retouch_steps: Annotated[int, "of the retoucher in all"] = retouch.Settings.steps
    spotless_steps: Annotated[int, "leaving out spots"] = spotless.Settings.steps
    max_tier: Annotated[int, "1 uses only the stricter part of the training faces"] = 2
    cache_dir: Annotated[Path | None, "keeps the aligned crops for the next run"] = None
    device: Annotated[str | None, "where networks are trained; null: CUDA if there is one"] = None
    seed: Annotated[int, "of everything random"] = 0
    resume: Annotated[bool, "take up earlier stages; false begins anew"] = True


def train_face(
    data_dir: str | Path,
    out_file: str | Path,
    settings: FaceTraining,
    *,
    progress: Progress = lambda stage, done, total: None,
) -> FaceModel:
    """Train the face model and write it to a file.

    Beside that file lie what each stage made (`NAME.linear.safetensors`, and so for `control`,
    `reader0`, `reader1`, `state`, `retouch.state`, `spotless.state`), the curves
    (`NAME.curve.csv`, `.png`, `NAME.retouch.curve.csv`, `.png`, `NAME.spotless.curve.csv`, `.png`)
    and samples (`NAME.samples.png`, `NAME.retouch.samples.png`). A run that was stopped goes on
    from them.

    Args:
        data_dir: folder of `metadata.csv` and the face zips.
        out_file: the safetensors file to write.
        settings: see there. What is fitted in closed form is fitted on the CPU.
        progress: called with (stage, done, total).

    Raises:
        FaceLatentsError: the data are not there, or there is no such device.
    """
    place, seed, batch = training_device(settings.device), settings.seed, settings.batch

    def load(split: str, tier: int) -> FaceSet:
        return load_faces(
            data_dir,
            split,
            max_tier=tier,
            cache_dir=settings.cache_dir,
            progress=lambda done, total: progress(f"align {split}", done, total),
        )

    out_file = Path(out_file)
    kept = {
        part: out_file.with_name(f"{out_file.stem}.{part}.safetensors")
        for part in (
            *("linear", "control", "reader0", "reader1"),
            *("state", "retouch.state", "spotless.state"),
        )
    }
    if not settings.resume:
        for path in kept.values():
            path.unlink(missing_ok=True)
    train, val = load("train", settings.max_tier), load("val", 2)
    tensors = _kept(
        kept["linear"], lambda: _linear_part(train, settings.components, seed, progress)
    )
    tensors |= _kept(kept["control"], lambda: control_tensors(train, progress))
    shown = train.to(place)
    readers = [
        _reader(kept[f"reader{i}"], shown, settings.reader_steps, seed + i, i == 1, progress)
        for i in range(2)
    ]
    torch.manual_seed(seed)
    controls = len(ATTRIBUTES)
    net = untrained_net(tensors, Renderer(min(256, len(tensors["linear.std"])), controls))
    stages = (
        render.Settings(settings.steps, batch, warm_steps=settings.warm_steps, seed=seed),
        retouch.Settings(
            warm_steps=settings.retouch_warm_steps,
            steps=settings.retouch_steps,
            batch=max(2, batch * 2 // 3),  # and half as many to be undone
            seed=seed,
        ),
        spotless.Settings(steps=settings.spotless_steps, batch=min(batch, 8), seed=seed),
    )
    codes = encode_all(net, train)
    scores, directions = regressed(net, codes, train)
    fixed = torch.stack(list(directions.values()))
    tensors |= told_to_controls(fixed) | openness_tensors(net, codes, train)
    net = untrained_net(tensors, net.renderer)
    framed = in_frame(net, train)
    lessons = Lessons(net, fixed, framed, val, encode_all(net, framed), readers).to(place)
    drawing = render.RenderTraining(lessons, stages[0], kept["state"])
    drawing.run(progress)
    net = untrained_net(tensors, drawing.shown.renderer.cpu())
    net.retoucher = Retoucher(controls).to(memory_format=torch.channels_last)
    lessons = replace(lessons, net=net.to(place))
    retouching = retouch.RetouchTraining(lessons, stages[1], kept["retouch.state"])
    retouching.run(progress)
    lessons = replace(lessons, net=retouching.shown)
    cleaning = spotless.SpotlessTraining(lessons, stages[2], kept["spotless.state"])
    cleaning.run(progress)
    progress("directions", 0, 1)
    vectors = (scores, directions)
    export_face(out_file, tensors, cleaning.net.cpu(), vectors, len(train), val, stages)
    return load_face_model(out_file)


def untrained_net(tensors: Mapping[str, Tensor], renderer: Renderer) -> RenderedFaceNet:
    """The network of fitted eigenfaces and of what is known of controls, with any renderer.

    What is not known of controls is 0; a retoucher is not there yet.
    """
    count, _, rows, _ = tensors["linear.components"].shape
    controls, _, side, _ = tensors["control.fields"].shape
    net = RenderedFaceNet(count, 2 * rows, deepcopy(renderer), controls, side)
    net.load_state_dict(net.state_dict() | rendered.state_of(tensors))
    net.prepare()
    return net.eval().requires_grad_(False)


def control_tensors(train: FaceSet, progress: Progress) -> dict[str, Tensor]:
    """The controls as they stand in a file."""
    fields = fit_fields(train, progress).half()
    return {"control.fields": fields, "control.parity": control_parity()}


def openness_tensors(net: RenderedFaceNet, codes: Tensor, train: FaceSet) -> dict[str, Tensor]:
    """How open mouths are, as it stands in a file, given the codes `(N, K)` of the faces."""
    labels = open_mouths(train)
    known = labels.isfinite()
    weights = fit_openness(net.coefficients(codes[known]), labels[known], net.parity)
    return {"control.open": weights}


def _kept(path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors of an earlier run, or made now and written for the next."""
    if path.is_file():
        return load_tensors(path)[0]
    tensors = {name: tensor.contiguous() for name, tensor in make().items()}
    save_tensors(path, tensors, {})
    return tensors


def _linear_part(
    train: FaceSet, components: int, seed: int, progress: Progress
) -> dict[str, Tensor]:
    def tell(stage: str) -> None:
        progress(stage, 0, 1)

    return fit_linear(train.crops, components, seed=seed, progress=tell)


def _reader(
    path: Path, train: FaceSet, steps: int, seed: int, coarse: bool, progress: Progress
) -> AttributeNet:
    def make() -> dict[str, Tensor]:
        made = train_attribute_net(train, steps=steps, seed=seed, coarse=coarse, progress=progress)
        return made.cpu().state_dict()

    reader = AttributeNet(coarse=coarse)
    reader.load_state_dict(_kept(path, make))
    return reader.eval()
