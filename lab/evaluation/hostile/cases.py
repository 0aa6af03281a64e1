"""A hostile case: what it gives to the product, and where."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ....cli.runner.execute import Executor
from ....cli.runner.graph import read_workflow_file
from ....cli.runner.prepare import prepare
from ....models.convert import convert
from ....models.errors import FaceLatentsError
from ....models.face_model import bundled_face_model_path, load_face_model
from ....models.files.model_directions import direction_facts
from ....models.files.values import load_direction, load_latent, save_direction, save_latent
from ....models.imaging.photo_files.read import read_header, read_photo
from ....models.imaging.photo_files.write import encode_photo
from ....models.imaging.photos import load_image
from ....models.spectral.basis_file import load_basis, save_basis
from ....models.values import FaceLatent
from ....nodes.sliders.panel import panel_of
from ....nodes.sliders.preview.protocol import SWITCHES, Previews, RefusedError, list_directions
from ....nodes.sliders.preview.sessions import Sessions, session_of
from .mutate import mutate_bytes, mutate_json, mutate_safetensors, to_json
from .samples import Samples

KINDS = (
    "direction", "latent", "basis", "model", "foreign", "photo", "workflow", "request"
)  # fmt: skip
_ALIKE = 8  # workflow cases in a row made of one workflow: what they share runs once
_ENDINGS = {"foreign": "pt", "workflow": "json", "request": "json"}


class Bench:
    """What cases share: good inputs, a model, a session of sliders, the runner's cache."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.model = load_face_model(bundled_face_model_path())
        self.names = list(self.model.directions)
        sessions = Sessions()
        codes = self.model.sample(2, 0)
        latent = FaceLatent(codes, self.model.space)
        self.session = sessions.add(session_of(self.model, panel_of(self.model), latent, {}))
        self.previews = Previews(sessions)
        self.executor: Executor | None = None

    def make(self, kind: str, number: int, rng: random.Random) -> tuple[str, bytes]:
        """The ending and the contents of a case's file."""
        if kind in self.samples.values:
            return "safetensors", mutate_safetensors(rng.choice(self.samples.values[kind]), rng)
        if kind == "photo":
            suffix, data = rng.choice(self.samples.photos)
            return suffix, mutate_bytes(data, rng)
        if kind == "foreign":
            return _ENDINGS[kind], mutate_bytes(rng.choice(self.samples.foreign), rng)
        if kind == "workflow":
            alike = random.Random(number // (_ALIKE * len(KINDS)))
            return _ENDINGS[kind], to_json(
                mutate_json(alike.choice(self.samples.workflows), rng), rng
            )
        strengths: Any = {name: rng.uniform(-3, 3) for name in rng.sample(self.names, 2)}
        depth = rng.random()  # what is right up to here is the deeper in
        if 0.2 < depth < 0.5:
            strengths = mutate_json(strengths, rng)
        switches = {name: rng.random() < 0.5 for name in SWITCHES}
        good = {"id": self.session, "strengths": strengths, "sequence": 3, "side": 300, **switches}
        return _ENDINGS[kind], to_json(good if depth < 0.5 else mutate_json(good, rng), rng)

    def read(self, kind: str, file: Path, target: Path) -> None:
        """Give a case to the product, and use what comes of it.

        Args:
            kind: of `KINDS`.
            file: the case.
            target: the only folder into which anything may be written.

        Raises:
            FaceLatentsError: it was refused.
        """
        readers: dict[str, Callable[[Path, Path], None]] = {
            "direction": _read_direction,
            "latent": _read_latent,
            "basis": _read_basis,
            "model": _read_model,
            "foreign": _convert,
            "photo": _read_photo,
            "workflow": self._run_workflow,
            "request": self._ask,
        }
        readers[kind](file, target)

    def _run_workflow(self, file: Path, target: Path) -> None:
        for name, data in self.samples.models.items():
            (target / "models" / name).write_bytes(data)
        job = prepare(file, target, photos=self.samples.photo.parent)
        self.executor = self.executor or Executor(job.classes)
        for _ in job.run(executor=self.executor):
            pass

    def _ask(self, file: Path, target: Path) -> None:
        body = file.read_bytes()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        with contextlib.suppress(RefusedError):
            list_directions(headers, body[:200].decode("utf-8", "replace"))
        try:
            self.previews.draw(*self.previews.accept(headers, body))
        except RefusedError as refusal:
            if refusal.answer.status == 503:
                raise RuntimeError(str(refusal)) from refusal  # the model should not be busy
            raise


def _read_direction(file: Path, target: Path) -> None:
    save_direction(target / "again.safetensors", load_direction(file))


def _read_latent(file: Path, target: Path) -> None:
    latent = load_latent(file)
    save_latent(target / "again.safetensors", latent.take(range(len(latent))))


def _read_basis(file: Path, target: Path) -> None:
    save_basis(target / "again.safetensors", load_basis(file))


def _read_model(file: Path, target: Path) -> None:
    direction_facts(file)
    model = load_face_model(file)
    with torch.inference_mode():
        pictures = model.decode(model.sample(1, 0))
    if not bool(torch.isfinite(pictures).all()):
        raise FaceLatentsError("a model whose pictures are no numbers")


def _convert(file: Path, target: Path) -> None:
    convert(file, target / "converted.safetensors")


def _read_photo(file: Path, target: Path) -> None:
    read_header(file)
    load_image(file)
    photo = read_photo(file)
    for name in ("again.png", "again.jpg", "again.webp", "again.tif"):
        encode_photo(photo, target / name)
    if file.suffix == ".png":
        json.dumps(read_workflow_file(file))
