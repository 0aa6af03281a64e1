"""The subgraph blueprints: complete as files, and each runs as a node of a workflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import host_server
import numpy as np
import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.cli.runner.prepare import prepare
from face_latents.models.threads import one_thread
from face_latents.nodes import host
from nodes_support import run as run_node
from PIL import Image

EVERY = sorted((host_server.PACK / "subgraphs").glob("*.json"))
EDIT = host_server.PACK / "subgraphs" / "Edit a Face.json"
MORPH = host_server.PACK / "subgraphs" / "Morph Two Photos.json"
COPY = host_server.PACK / "subgraphs" / "Copy an Expression.json"
# The host's search looks at names before aliases: "age" would list all that has to do with images.
AGE = host_server.PACK / "subgraphs" / "Age in Years.json"

every = pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("input", "output", "temp"):  # the runner sets them
        monkeypatch.setattr(host.stand_alone, name, getattr(host.stand_alone, name))


def read(path: Path) -> dict[str, Any]:
    blueprint: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return blueprint


def in_a_workflow(path: Path, **values: object) -> dict[str, Any]:
    """A workflow as the canvas saves it: photos into the blueprint's node, the result saved."""
    blueprint = read(path)
    (shell,) = blueprint["nodes"]
    widgets = [entry["name"] for entry in shell["inputs"] if "widget" in entry]
    for name, value in values.items():
        shell["widgets_values"][widgets.index(name)] = value
    nodes, links = [shell], []
    for slot, entry in enumerate(shell["inputs"]):
        if entry["type"] == "IMAGE":
            number, link = len(nodes) + 1, len(links) + 1
            outputs = [{"name": "IMAGE", "type": "IMAGE", "links": [link]}]
            entry["link"] = link
            links.append([link, number, 0, 1, slot, "IMAGE"])
            nodes.append(plain(number, "LoadImage", ["example.png", "image"], [], outputs))
    number, link = len(nodes) + 1, len(links) + 1
    shell["outputs"][0]["links"] = [link]
    links.append([link, 1, 0, number, 0, "IMAGE"])
    images = [{"name": "images", "type": "IMAGE", "link": link}]
    nodes.append(plain(number, "SaveImage", ["result"], images, []))
    return {**blueprint, "nodes": nodes, "links": links, "last_node_id": number, "groups": []}


def plain(
    number: int, kind: str, values: list[object], inputs: list[Any], outputs: list[Any]
) -> dict[str, Any]:
    place = {"pos": [0, 300 * number], "size": [300, 200], "flags": {}, "order": 0, "mode": 0}
    sockets = {"inputs": inputs, "outputs": outputs, "properties": {}}
    return {"id": number, "type": kind, **place, **sockets, "widgets_values": values}


def run(workflow: dict[str, Any], portrait: Path, folder: Path) -> list[np.ndarray]:
    file = folder / "workflow.json"
    file.write_text(json.dumps(workflow), "utf-8")
    with one_thread():
        (outcome,) = prepare(file, folder / "out", settings=[], photos=portrait.parent).run()
    saved = sorted(outcome.saved("output"))
    return [np.asarray(Image.open(path).convert("RGB")) for path in saved]


def test_there_is_one_for_an_edit_a_morph_an_expression_and_an_age():
    assert {EDIT, MORPH, COPY, AGE} <= set(EVERY)


@every
def test_a_blueprint_is_one_node_that_says_what_it_is(path):
    blueprint = read(path)
    (shell,), (inner,) = blueprint["nodes"], blueprint["definitions"]["subgraphs"]
    assert shell["type"] == inner["id"]
    assert shell["title"] == inner["name"] == path.stem
    assert inner["category"] == "face latents"
    assert len(inner["description"]) > 40
    assert [entry["name"] for entry in shell["inputs"]] == [e["name"] for e in inner["inputs"]]
    assert [entry["name"] for entry in shell["outputs"]] == [e["name"] for e in inner["outputs"]]
    widgets = [entry["name"] for entry in shell["inputs"] if "widget" in entry]
    assert len(shell["widgets_values"]) == len(widgets)
    for node in inner["nodes"]:
        declared = NODE_CLASS_MAPPINGS[node["type"]].INPUT_TYPES()
        names = {name for group in declared.values() for name in group}
        assert {entry["name"] for entry in node["inputs"]} <= names


@pytest.mark.usefixtures("face_model")
def test_the_sliders_at_zero_give_the_photo_and_one_that_moves_changes_it(portrait_file, tmp_path):
    (same,) = run(in_a_workflow(EDIT), portrait_file, tmp_path)
    photo = np.asarray(Image.open(portrait_file).convert("RGB"))
    assert np.array_equal(same, photo)
    sliders = [e["name"] for e in read(EDIT)["nodes"][0]["inputs"] if "widget" in e]
    assert sliders == ["smile", "age", "head_turn", "glasses", "brightness"]
    pictures = [photo]
    for number, name in enumerate(sliders):
        folder = tmp_path / name
        folder.mkdir()
        (edited,) = run(in_a_workflow(EDIT, **{name: 1.5}), portrait_file, folder)
        pictures.append(edited)
        assert len({picture.tobytes() for picture in pictures}) == number + 2, name


@pytest.mark.usefixtures("face_model")
def test_a_morph_has_as_many_frames_as_asked_for(portrait_file, tmp_path):
    workflow = in_a_workflow(MORPH, frames=3, loop=False, size=128)
    frames = run(workflow, portrait_file, tmp_path)
    assert len(frames) == 3
    assert all(min(frame.shape[:2]) >= 64 and frame.std() > 3 for frame in frames)


@pytest.mark.usefixtures("face_model")
def test_an_expression_is_taken_over_as_far_as_asked_for(portrait_file, tmp_path):
    """The photo's mirror image has another expression, if only by a little."""
    pictures = {}
    for strength in (0.0, 1.1, 3.0):
        workflow = in_a_workflow(COPY, strength=strength)
        loaders = [node for node in workflow["nodes"] if node["type"] == "LoadImage"]
        loaders[1]["widgets_values"][0] = "mirrored/example.png"
        folder = tmp_path / f"{strength}"
        folder.mkdir()
        (pictures[strength],) = run(workflow, portrait_file, folder)
    assert np.array_equal(pictures[0.0], np.asarray(Image.open(portrait_file).convert("RGB")))
    changes = [np.abs(pictures[s].astype(float) - pictures[0.0]).mean() for s in (1.1, 3.0)]
    assert 0 < changes[0] < changes[1]


def test_an_age_is_set_in_years(face_model, portrait_file, tmp_path):
    reading = face_model.directions["age"].reading
    ages = []
    for years in (30.0, 60.0):
        folder = tmp_path / f"{years:.0f}"
        folder.mkdir()
        (picture,) = run(in_a_workflow(AGE, years=years), portrait_file, folder)
        image = torch.from_numpy(picture / np.float32(255))[None]
        faces = {"faces": "largest", "index": 0, "min_score": 0.5}
        latent, _ = run_node("FaceLatentsEncode", image=image, face_model=face_model, **faces)
        ages.append(float(reading.of(latent.samples)))
    assert ages[1] > ages[0] + 10
