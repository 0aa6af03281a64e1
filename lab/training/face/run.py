"""Training the bundled face model: linear codes, controls, renderer, retoucher, directions, one
file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ....models.architectures.face import file as rendered
from ....models.architectures.face.net import RenderedFaceNet
from ....models.architectures.face.renderer import Renderer
from ....models.architectures.face.retoucher import Retoucher
from ....models.errors import FaceLatentsError
from ....models.face_model import FaceModel, load_face_model
from ....models.files.tensors import load_tensors, save_tensors
from ....models.geometry.templates import TIGHT, AlignmentTemplate
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


def train_face(
    data_dir: str | Path,
    out_file: str | Path,
    *,
    components: int = 1024 - len(ATTRIBUTES),
    reader_steps: int = 2400,
    warm_steps: int = render.Settings.warm_steps,
    steps: int = render.Settings.steps,
    batch: int = render.Settings.batch,
    retouch_warm_steps: int = retouch.Settings.warm_steps,
    retouch_steps: int = retouch.Settings.steps,
    spotless_steps: int = spotless.Settings.steps,
    max_tier: int = 2,
    template: AlignmentTemplate = TIGHT,
    cache_dir: str | Path | None = None,
    device: str | None = None,
    seed: int = 0,
    resume: bool = True,
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
        components: length of a code without its controls.
        reader_steps: of each attribute network that teaches the renderer, 64 faces each.
        warm_steps, steps: of the renderer: on pixels alone, and in all.
        batch: faces per step.
        retouch_warm_steps, retouch_steps: of the retoucher: without its critic, and in all.
        spotless_steps: in which the retoucher learns to leave out spots; at most 8 faces each.
        max_tier: 1 uses only the stricter part of the training faces.
        template: alignment and crop size.
        cache_dir: keeps the aligned crops for the next run.
        device: where networks are trained, such as "cuda" (then use a `batch` of about 128); by
            default on CUDA if there is one. What is fitted in closed form is fitted on the CPU.
        seed: of everything random.
        resume: take up earlier stages; False begins anew.
        progress: called with (stage, done, total).

    Raises:
        FaceLatentsError: the data are not there, the crops are not 128 pixels wide, or there is no
            such device.
    """
    if template.size != 128:
        raise FaceLatentsError(f"The renderer is trained at 128 pixels, not {template.size}.")

    place = training_device(device)

    def load(split: str, tier: int) -> FaceSet:
        return load_faces(
            data_dir,
            split,
            template=template,
            max_tier=tier,
            cache_dir=cache_dir,
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
    if not resume:
        for path in kept.values():
            path.unlink(missing_ok=True)
    train, val = load("train", max_tier), load("val", 2)
    tensors = _kept(kept["linear"], lambda: _linear_part(train, components, seed, progress))
    tensors |= _kept(kept["control"], lambda: control_tensors(train, progress))
    shown = train.to(place)
    readers = [
        _reader(kept[f"reader{i}"], shown, reader_steps, seed + i, i == 1, progress)
        for i in range(2)
    ]
    torch.manual_seed(seed)
    controls = len(ATTRIBUTES)
    net = untrained_net(tensors, Renderer(min(256, len(tensors["linear.std"])), controls))
    settings = (
        render.Settings(warm_steps=warm_steps, steps=steps, batch=batch, seed=seed),
        retouch.Settings(
            warm_steps=retouch_warm_steps,
            steps=retouch_steps,
            batch=max(2, batch * 2 // 3),  # and half as many to be undone
            seed=seed,
        ),
        spotless.Settings(steps=spotless_steps, batch=min(batch, 8), seed=seed),
    )
    codes = encode_all(net, train)
    scores, directions = regressed(net, codes, train)
    fixed = torch.stack(list(directions.values()))
    tensors |= told_to_controls(fixed) | openness_tensors(net, codes, train)
    net = untrained_net(tensors, net.renderer)
    framed = in_frame(net, train)
    lessons = Lessons(net, fixed, framed, val, encode_all(net, framed), readers).to(place)
    drawing = render.RenderTraining(lessons, settings[0], kept["state"])
    drawing.run(progress)
    net = untrained_net(tensors, drawing.shown.renderer.cpu())
    net.retoucher = Retoucher(controls).to(memory_format=torch.channels_last)
    lessons = replace(lessons, net=net.to(place))
    retouching = retouch.RetouchTraining(lessons, settings[1], kept["retouch.state"])
    retouching.run(progress)
    lessons = replace(lessons, net=retouching.shown)
    cleaning = spotless.SpotlessTraining(lessons, settings[2], kept["spotless.state"])
    cleaning.run(progress)
    progress("directions", 0, 1)
    vectors = (scores, directions)
    export_face(out_file, tensors, cleaning.net.cpu(), vectors, len(train), val, settings)
    return load_face_model(out_file)


def untrained_net(tensors: Mapping[str, Tensor], renderer: Renderer) -> RenderedFaceNet:
    """The network of a fitted linear part and controls, with any renderer."""
    weights = {rendered.PREFIX + n: t for n, t in renderer.state_dict().items()}
    return rendered.load({**tensors, **weights})


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

    return fit_linear(train.crops, components, seed=seed, half_colour=True, progress=tell)


def _reader(
    path: Path, train: FaceSet, steps: int, seed: int, coarse: bool, progress: Progress
) -> AttributeNet:
    def make() -> dict[str, Tensor]:
        made = train_attribute_net(train, steps=steps, seed=seed, coarse=coarse, progress=progress)
        return made.cpu().state_dict()

    reader = AttributeNet(coarse=coarse)
    reader.load_state_dict(_kept(path, make))
    return reader.eval()
