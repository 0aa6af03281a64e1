"""Training the bundled face model: linear codes, controls, renderer, retoucher, directions, one
file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
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
from ..loop import Progress, Session, silent
from ..optimise import training_device
from . import render, retouch, spotless
from .adversarial import Lessons
from .attribute_net import train_attribute_net
from .directions import ATTRIBUTES
from .edits import describe_controls
from .export import encode_all, export_face, regress_directions
from .linear import fit_linear
from .motion_fields import control_parity, fit_fields
from .openness import fit_openness
from .views import in_frame


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
    minutes: Annotated[float | None, "pause after so many; the same command goes on"] = None
    resume: Annotated[bool, "take up earlier stages; false begins anew"] = True


def train_face(
    data_dir: str | Path,
    out_file: str | Path,
    settings: FaceTraining,
    *,
    progress: Progress = silent,
) -> FaceModel:
    """Train the face model and write it to a file.

    Beside that file lie what each stage made (`NAME.linear.safetensors`, `NAME.control`), state and
    curve of each network (`NAME.reader0`, `NAME.reader1`, `NAME.renderer`, `NAME.retoucher`,
    `NAME.spotless`; see `lab/training/loop.py`) and samples (`NAME.renderer.samples.png`,
    `NAME.retoucher.samples.png`). A run that was stopped goes on from them.

    Args:
        data_dir: folder of `metadata.csv` and the face zips.
        out_file: the safetensors file to write.
        settings: see there. What is fitted in closed form is fitted on the CPU.
        progress: called with (stage, done, total).

    Raises:
        FaceLatentsError: the data are not there, or there is no such device.
        Paused: the minutes are over.
    """
    device, seed, out_file = training_device(settings.device), settings.seed, Path(out_file)
    session = Session.start(settings.resume, settings.minutes, progress)
    stem = out_file.with_suffix("")
    load = partial(load_faces, data_dir, cache_dir=settings.cache_dir, progress=progress)
    train, val = load("train", max_tier=settings.max_tier), load("val")
    tensors = _kept(stem, "linear", session, lambda: _linear_part(train, settings, progress))
    tensors |= _kept(stem, "control", session, lambda: control_tensors(train, progress))
    on_device = train.to(device)
    readers = [
        train_attribute_net(
            on_device, settings.reader_steps, seed + i, i == 1, _part(stem, f"reader{i}"), session
        )
        for i in range(2)
    ]
    torch.manual_seed(seed)
    renderer = Renderer(min(256, len(tensors["linear.std"])), len(ATTRIBUTES))
    net = untrained_net(tensors, renderer)
    codes = encode_all(net, train)
    scores, directions = regress_directions(net, codes, train)
    fixed = torch.stack(list(directions.values()))
    tensors |= describe_controls(fixed) | openness_tensors(net, codes, train)
    net = untrained_net(tensors, net.renderer)
    framed = in_frame(net, train)
    lessons = Lessons(net, fixed, framed, val, encode_all(net, framed), readers).to(device)
    stages = _stage_settings(settings)
    net = _train_networks(tensors, lessons, stages, stem, session)
    progress("directions", 0, 1)
    export_face(out_file, tensors, net, (scores, directions), len(train), val, stages)
    return load_face_model(out_file)


Stages = tuple[render.Settings, retouch.Settings, spotless.Settings]


def _stage_settings(settings: FaceTraining) -> Stages:
    batch, seed = settings.batch, settings.seed
    return (
        render.Settings(settings.steps, batch, warm_steps=settings.warm_steps, seed=seed),
        retouch.Settings(
            warm_steps=settings.retouch_warm_steps,
            steps=settings.retouch_steps,
            batch=max(2, batch * 2 // 3),  # and half as many to be undone
            seed=seed,
        ),
        spotless.Settings(steps=settings.spotless_steps, batch=min(batch, 8), seed=seed),
    )


def _train_networks(
    tensors: Mapping[str, Tensor], lessons: Lessons, stages: Stages, stem: Path, session: Session
) -> RenderedFaceNet:
    """Train renderer and retoucher, then the latter to leave out spots; on the CPU again."""
    device = lessons.codes.device
    drawing = render.RenderTraining(lessons, stages[0], _part(stem, "renderer"), session)
    drawing.run()
    net = untrained_net(tensors, drawing.shown.renderer.cpu())
    net.retoucher = Retoucher(len(ATTRIBUTES)).to(memory_format=torch.channels_last)
    lessons = replace(lessons, net=net.to(device))
    retouching = retouch.RetouchTraining(lessons, stages[1], _part(stem, "retoucher"), session)
    retouching.run()
    lessons = replace(lessons, net=retouching.shown)
    cleaning = spotless.SpotlessTraining(lessons, stages[2], _part(stem, "spotless"), session)
    cleaning.run()
    return cleaning.net.cpu()


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


def _part(stem: Path, name: str) -> Path:
    return stem.with_name(f"{stem.name}.{name}")


def _kept(
    stem: Path, name: str, session: Session, make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Tensors of an earlier session, or made now and written for the next."""
    path = _part(stem, f"{name}.safetensors")
    if session.resume and path.is_file():
        return load_tensors(path)[0]
    tensors = {key: tensor.contiguous() for key, tensor in make().items()}
    save_tensors(path, tensors, {})
    return tensors


def _linear_part(train: FaceSet, settings: FaceTraining, progress: Progress) -> dict[str, Tensor]:
    return fit_linear(
        train.crops,
        settings.components,
        seed=settings.seed,
        progress=lambda stage: progress(stage, 0, 1),
    )
