"""Good files of every kind that the product reads, small, to be spoilt."""

from __future__ import annotations

import io
import json
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from ....cli.demo import WORKFLOWS
from ....cli.runner.convert import to_prompt
from ....cli.runner.folders import Folders
from ....cli.runner.prepare import node_classes
from ....cli.sample_photo import astronaut
from ....models.architectures.stylegan2.layout import Layout, file_specs
from ....models.face_model import bundled_digits_model_path, load_face_model
from ....models.face_model.file import save_face_model
from ....models.files.values import save_direction, save_latent
from ....models.geometry.templates import FFHQ
from ....models.imaging.photos import to_uint8
from ....models.spectral.basis import LatentBasis
from ....models.spectral.basis_file import save_basis
from ....models.values import Direction, FaceLatent, PhotoContext

_SIDE = 160  # pixels of the photo that workflows and readers get
# Quick ones; together they use most of the nodes.
_WORKFLOWS = (
    "Add a smile", "Attribute sliders", "Blend and average", "Copy expression", "Distance matrix",
    "Edit a clip", "Grow older and younger", "LSD denoise digits", "LSD face anomaly map",
    "LSD face spectrum", "LSD rotate digit", "Morph two faces", "Morph two photos",
    "Remove a feature", "Set age in years", "VAE latent arithmetic",
    "With own weights - StyleGAN2 SeFa directions", "With own weights - convert",
    "With own weights - sample StyleGAN2", "With own weights - style mix",
)  # fmt: skip
STYLEGAN2_FILE = "stylegan2-ffhq.safetensors"  # as workflows name it


class Samples(NamedTuple):
    """Good inputs by kind.

    Attributes:
        values: directions, latents, bases and models: name of the kind to files' bytes.
        foreign: files of other programs, for `convert`.
        photos: picture files by suffix.
        workflows: JSON of shipped workflows, as saved from the canvas and as prompts.
        models: files that workflows ask for, by name.
        photo: where the photo lies that workflows load.
    """

    values: dict[str, list[bytes]]
    foreign: list[bytes]
    photos: list[tuple[str, bytes]]
    workflows: list[Any]
    models: dict[str, bytes]
    photo: Path


def make_samples(folder: Path) -> Samples:
    """Write what workflows read into a folder, and keep the rest as bytes."""
    portrait = Image.fromarray(to_uint8(astronaut()[:220, 110:330].numpy()))
    portrait = portrait.resize((_SIDE, _SIDE))
    photo = folder / "photos" / "example.png"
    photo.parent.mkdir(parents=True, exist_ok=True)
    portrait.save(photo)
    stylegan2 = _stylegan2()
    checkpoint = _saved({"g_ema": stylegan2}, zipped=True)
    file = folder / STYLEGAN2_FILE
    save_face_model(file, stylegan2, {"name": "small"}, FFHQ.resized(32))
    models = {file.name: file.read_bytes(), file.with_suffix(".pt").name: checkpoint}
    values = _values(folder)
    values["model"].append(models[file.name])
    foreign, workflows = [checkpoint, *_foreign()], _workflows(photo.parent)
    return Samples(values, foreign, _photos(portrait), workflows, models, photo)


def _workflows(folder: Path) -> list[Any]:
    texts = [(WORKFLOWS / f"{name}.json").read_text(encoding="utf-8") for name in _WORKFLOWS]
    canvas = [json.loads(text) for text in texts]
    classes, titles = node_classes(Folders([folder], folder, {}, "pillow"))
    return [*canvas, *(to_prompt(graph, classes, titles) for graph in canvas)]


def _stylegan2() -> dict[str, torch.Tensor]:
    """The tensors of a generator of 32 pixels, with random weights."""
    layout, generator = Layout(32, 32, 32, 2, 0, (8, 8, 4, 4)), torch.Generator().manual_seed(0)
    return {
        name: 0.5 * torch.randn([n or 1 for n in spec.shape], generator=generator)
        for name, spec in file_specs(layout, {}).items()
    }


def _values(folder: Path) -> dict[str, list[bytes]]:
    path = bundled_digits_model_path()
    model, file = load_face_model(path), folder / "sample.safetensors"
    space, size = model.space, model.template.size
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(space.shape, generator=generator)

    def written(save: Callable[[Path, Any], None], value: object) -> bytes:
        save(file, value)
        return file.read_bytes()

    context = PhotoContext(
        torch.rand(9, 8, 3, generator=generator),
        torch.tensor([[0.5, 0.0, 1.0], [0.0, 0.5, 1.0]], dtype=torch.float64),
        size, torch.rand(5, 2, generator=generator).double(), vector, "a", 0,
        alpha=torch.ones(9, 8),
    )  # fmt: skip
    latent = FaceLatent(vector[None].repeat(2, 1), space, (context, None), {"batch_index": [0, 1]})
    rows = torch.linalg.qr(torch.randn(vector.numel(), 4, generator=generator))[0].T
    basis = LatentBasis(rows.reshape(4, *space.shape).contiguous(), ("a", "b"), space)
    direction = Direction(vector, space, "smile", "one sd", (-2.0, 3.0), 0.9, "ridge")
    batch = Direction(vector[None].repeat(3, 1), space, "three")
    return {
        "direction": [written(save_direction, direction), written(save_direction, batch)],
        "latent": [written(save_latent, latent)],
        "basis": [written(save_basis, basis)],
        "model": [path.read_bytes()],
    }


def _foreign() -> list[bytes]:
    """Checkpoints and arrays as other programs write them; pickles with calls in them."""
    state = OrderedDict(
        (f"convs.{n}.conv.weight", torch.zeros(1, 4, 4, 3, 3)) for n in range(3)
    ) | {"input.input": torch.zeros(1, 4, 4, 4), "style.1.weight": torch.zeros(8, 8)}
    found = [_saved({"g_ema": state, "args": {"size": 8}}, zipped) for zipped in (True, False)]
    found.append(_saved(state, True))
    for array in (np.zeros((1, 512), np.float32), np.zeros((14, 512)), np.zeros((3, 1, 512))):
        file = io.BytesIO()
        np.save(file, array)
        found.append(file.getvalue())
    file = io.BytesIO()
    np.savez(file, act_mean=np.zeros(4), act_comp=np.zeros((2, 1, 4)), act_stdev=np.ones(2))
    found.append(file.getvalue())
    for protocol in (0, 2, 4):
        found.append(pickle.dumps({"G_ema": _Call(), "state": [1, 2.5, "a", (None,)]}, protocol))
    return found


class _Call:
    """Pickled as a call that would write a file."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("hostile_case_was_run", "w")


def _saved(value: object, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def _photos(portrait: Image.Image) -> list[tuple[str, bytes]]:
    small = portrait.resize((64, 64))
    numbers = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 15
    frames: dict[str, Any] = {"save_all": True, "append_images": [small.rotate(90)] * 2}
    exif = Image.Exif()
    exif[0x0112] = 6
    files: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (small, "jpeg", {"exif": exif, "comment": b"a"}),
        (small, "jpeg", {"progressive": True}),
        (small, "png", {"exif": exif}),
        (small.convert("P"), "png", {"transparency": 3}),
        (small.convert("RGBA"), "png", frames),
        (Image.fromarray(numbers), "png", {}),
        (small, "webp", {"lossless": True, "exif": exif}),
        (small, "webp", frames),
        (small, "tiff", {"compression": "tiff_lzw"}),
        (Image.fromarray(numbers), "tiff", {}),
        (small, "tiff", frames),
        (small, "gif", {**frames, "duration": 50}),
        (small, "bmp", {}),
    ]
    found = []
    for picture, kind, options in files:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        found.append((kind, file.getvalue()))
    return found
