"""The shipped workflows as templates: their cards, and how they lie on the canvas."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import host_server
import pytest
from face_latents import NODE_CLASS_MAPPINGS

EVERY = sorted((host_server.PACK / "workflows").glob("*.json"))
APPS = {
    "Add a smile",
    "Attribute sliders",
    "Copy expression",
    "Grow older and younger",
    "Morph two faces",
    "Morph two photos",
}

# A window of 1920 x 1080 without the canvas's bars. The classic canvas draws no text below 0.6.
WINDOW = (1760, 900)
LEAST_SCALE = 0.6
STACKED = {"LSD denoise digits"}  # too long for one row: some nodes feed the one below them

every = pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return workflow


def box(node: dict[str, Any]) -> tuple[float, float, float, float]:
    """Left, top (of the title), right, bottom."""
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - 30, x + width, y + height


def apart(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def inside(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] >= b[0] and a[1] >= b[1] and a[2] <= b[2] and a[3] <= b[3]


def needs_own_files(workflow: dict[str, Any]) -> bool:
    text = json.dumps(workflow)
    weights = (host_server.STYLEGAN2_FILE, host_server.STYLEGAN2_WEIGHTS)
    return any(name in text for name in weights) or '"folder' in text


def test_cards_are_named_for_people_and_those_that_need_files_come_last():
    own = [needs_own_files(read(path)) for path in EVERY]
    assert own == sorted(own)
    assert any(own)
    for path, needs in zip(EVERY, own, strict=True):
        assert re.fullmatch(r"[A-Z][A-Za-z0-9 -]+", path.stem)
        assert path.stem.startswith("With own ") == needs


@every
def test_it_fits_a_screen_and_nothing_overlaps(path):
    workflow = read(path)
    boxes = {node["id"]: box(node) for node in workflow["nodes"]}
    groups = [(x, y, x + w, y + h) for x, y, w, h in (g["bounding"] for g in workflow["groups"])]
    edges = list(zip(*boxes.values(), *groups, strict=True))
    width, height = max(edges[2]) - min(edges[0]), max(edges[3]) - min(edges[1])
    assert min(WINDOW[0] / width, WINDOW[1] / height) >= LEAST_SCALE
    for (first, a), (second, b) in combinations(boxes.items(), 2):
        assert apart(a, b), (first, second)
    for a, b in combinations(groups, 2):
        assert apart(a, b), (a, b)
    for node, a in boxes.items():
        assert all(inside(a, group) or apart(a, group) for group in groups), node
        assert sum(inside(a, group) for group in groups) == (0 if node == 1 else 1), node


@every
def test_wires_run_from_left_to_right(path):
    workflow = read(path)
    boxes = {node["id"]: box(node) for node in workflow["nodes"]}
    for _, origin, _, target, _, _ in workflow["links"]:
        a, b = boxes[origin], boxes[target]
        below = path.stem in STACKED and a[0] == b[0] and a[3] <= b[1]
        assert a[2] < b[0] or below, (origin, target)


@every
def test_the_note_is_readable_in_both_renderers(path):
    """Nodes 2.0 draws code within a line dark on dark; a block of it is readable."""
    workflow = read(path)
    (note,) = (node for node in workflow["nodes"] if node["type"] == "MarkdownNote")
    text = note["widgets_values"][0]
    assert "`" not in re.sub(r"^ *```\n.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    for node in workflow["nodes"]:
        if node["type"] == "LoadImage":
            assert "marked as missing" in text  # what the canvas says before a photo is chosen


@every
def test_an_app_shows_inputs_and_outputs_that_are_there(path):
    workflow = read(path)
    app = workflow["extra"].get("linearData")
    assert (app is not None) == (path.stem in APPS)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for number, name, *_ in app["inputs"] if app else ():
        node = nodes[number]
        widgets = {found["widget"]["name"] for found in node["inputs"] if "widget" in found}
        drawn = node["type"] == "FaceLatentsSliders" and name == "sliders"  # by the canvas script
        assert name in widgets or drawn, (number, name)
    told = [(name, str(more)) for _, name, *more in app["inputs"]] if app else []
    assert len(set(told)) == len(told)  # two photos, both of an input "image", by a description
    for number in app["outputs"] if app else ():
        kind = nodes[number]["type"]
        assert kind.startswith("Save") or NODE_CLASS_MAPPINGS[kind].OUTPUT_NODE
