"""Paste Back, sheet, table, preview and command line show the same edit of the same photo."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from face_latents.cli.main import main
from face_latents.models.paste.edit import FaceEdit, PhotoEdit
from face_latents.models.paste.face import SURROUNDINGS, PhotoFace, cut_face
from face_latents.models.values import FaceLatent
from face_latents.nodes import host
from face_latents.nodes.measure import effects, sheet
from face_latents.nodes.model import paste_back as paste_node
from face_latents.nodes.sliders.preview import sessions, views
from nodes_support import run
from PIL import Image
from preview_support import Bench, as_bytes, pixels

STRENGTH = 2.0
CALLERS = (paste_node, sheet, effects, sessions)


@pytest.fixture(autouse=True)
def temp_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path / "temp")
    monkeypatch.setattr(host.stand_alone, "models", tmp_path)


@pytest.fixture
def planned(monkeypatch):
    """Every edit that was planned, in order."""
    edits: list[FaceEdit] = []
    for module in CALLERS:
        plan = module.plan_edits

        def record(*args, plan=plan, **settings):
            found = plan(*args, **settings)
            edits.extend(found)
            return found

        monkeypatch.setattr(module, "plan_edits", record)
    return edits


@pytest.fixture
def latent(encoded_astronaut):
    return encoded_astronaut


def in_square(latent: FaceLatent, side: int, surroundings: float = 1.0) -> FaceLatent:
    """The same code of a photo that is only the square around the face."""
    square = PhotoFace(latent.contexts[0]).in_square(side, surroundings).context
    return FaceLatent(latent.samples, latent.space, (square,))


def paste(model, latent, strength: float = STRENGTH) -> torch.Tensor:
    """The photo from Paste Back, `(H, W, 3)`."""
    direction = model.directions["smile"]
    edited = run(
        "FaceLatentsAddDirection", face_latent=latent, direction=direction, strength=strength
    )[0]
    return run("FaceLatentsPasteBack", face_model=model, face_latent=edited)[0][0]


def draw_cell(model, latent, monkeypatch) -> torch.Tensor:
    """The one cell of a sheet, `(side, side, 3)`."""
    drawn = []

    def record(rows, *args, **settings):
        drawn.extend(rows)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(sheet, "picture_grid", record)
    run(
        "FaceLatentsAttributeSheet",
        face_model=model,
        face_latent=latent,
        direction=model.directions["smile"],
        strengths=f"{STRENGTH}",
        view="in the photo",
    )
    return drawn[0][0].permute(1, 2, 0)


def draw_table(model, latent, monkeypatch) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture of the smile that the judge sees, `(3, S, S)`, and the table's first row."""
    seen, read = [], effects._read_attributes

    def record(pictures, template):
        seen.append(pictures)
        return read(pictures, template)

    monkeypatch.setattr(effects, "_read_attributes", record)
    text = run(
        "FaceLatentsDisentanglement",
        face_model=replace(model, directions={"smile": model.directions["smile"]}),
        face_latent=latent,
        strength=STRENGTH,
        measure=effects.JUDGE,
    )[1]
    assert text.splitlines()[1].startswith("smile,")
    row = [float(value) for value in text.splitlines()[1].split(",")[1:]]
    return seen[0][0], torch.tensor(row)


def test_everything_edits_the_same_picture_in_the_same_way(
    face_model, latent, planned, monkeypatch
):
    paste(face_model, latent)
    draw_cell(face_model, latent, monkeypatch)
    draw_table(face_model, latent, monkeypatch)
    Bench(latent, model=face_model).ask(strengths={"smile": STRENGTH})
    first, from_sheet, from_table, *_, from_preview = planned
    assert isinstance(first, PhotoEdit)
    for other in (from_sheet, from_table, from_preview):
        assert isinstance(other, PhotoEdit)
        assert other.maps.extent == first.maps.extent
        assert torch.equal(other.maps.stacked(), first.maps.stacked())


def test_the_command_line_writes_what_paste_back_gives(face_model, latent, astronaut, tmp_path):
    photo, out = tmp_path / "photo.png", tmp_path / "edited.png"
    Image.fromarray(as_bytes(astronaut).numpy()).save(photo)
    assert main(["edit", str(photo), "--set", f"smile={STRENGTH}", "-o", str(out)]) == 0
    written = torch.from_numpy(np.asarray(Image.open(out).convert("RGB")).copy())
    saved = paste(face_model, latent).clamp(0, 1) * 255  # as the host's Save Image: cut off
    assert torch.equal(written, saved.to(torch.uint8))


def test_the_preview_is_what_paste_back_gives(face_model, latent):
    square = in_square(latent, views.LEAST_SIDE)
    bench = Bench(square, model=face_model)
    assert torch.equal(bench.session.views.small[0].context.photo, square.contexts[0].photo)
    shown = pixels(bench.ask(strengths={"smile": STRENGTH}))
    assert torch.equal(shown, as_bytes(paste(face_model, square)))
    edited = run(
        "FaceLatentsSliders",
        face_model=face_model,
        face_latent=square,
        strengths=json.dumps({"smile": STRENGTH}),
        keep_others=False,
    )[0]
    pasted = run("FaceLatentsPasteBack", face_model=face_model, face_latent=edited)[0][0]
    assert torch.equal(shown, as_bytes(pasted))


def test_a_cell_of_the_sheet_is_what_paste_back_gives(face_model, latent, monkeypatch):
    scene = in_square(latent, face_model.template.size, SURROUNDINGS)
    cell = draw_cell(face_model, scene, monkeypatch)
    # the square's square is cut at a shift of 0, but for rounding
    torch.testing.assert_close(cell, paste(face_model, scene), atol=1e-4, rtol=0)


def test_the_table_tells_of_what_paste_back_gives(face_model, latent, monkeypatch):
    context = latent.contexts[0]
    unedited, up, down = (
        cut_face(photo, context, context.size)
        for photo in (
            context.photo,
            paste(face_model, latent),
            paste(face_model, latent, -STRENGTH),
        )
    )
    seen, row = draw_table(face_model, latent, monkeypatch)
    assert (seen - up).abs().mean() < 0.25 * (up - unedited).abs().mean()
    more, less = effects._read_attributes(torch.stack([up, down]), face_model.template)
    # the table's photos are as fine as the crop, the astronaut's own is finer
    torch.testing.assert_close(row, more - less, atol=0.03, rtol=0)
