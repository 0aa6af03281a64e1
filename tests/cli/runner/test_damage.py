"""Damaged workflow files: whatever is in them, the answer is a sentence, never a crash."""

import copy
import json
from contextlib import suppress

import pytest
from face_latents.cli.runner.convert import load_prompt
from face_latents.cli.runner.graph import WorkflowError
from face_latents.cli.runner.validate import validate_prompt
from hypothesis import given, settings
from hypothesis import strategies as st


class Load:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "go"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {"min": 0}), "mode": (["a", "b"],)}}

    @classmethod
    def VALIDATE_INPUTS(cls, seed):
        return bool(seed > 0)


class Save:
    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}, "optional": {"name": ("STRING", {})}}


CLASSES = {"Load": Load, "Save": Save}

GRAPH = {
    "version": 0.4,
    "nodes": [
        {
            "id": 1,
            "type": "Load",
            "mode": 0,
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            "widgets_values": [3, "fixed", "a"],
            "properties": {"Node name for S&R": "Load"},
        },
        {
            "id": 2,
            "type": "sub",
            "mode": 0,
            "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
            "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
            "properties": {"proxyWidgets": [["4", "name"]]},
            "widgets_values": ["x"],
        },
        {"id": 3, "type": "Save", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}]},
        {"id": 7, "type": "PrimitiveNode", "widgets_values": ["y", "fixed"]},
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
    "definitions": {
        "subgraphs": [
            {
                "id": "sub",
                "name": "Sub",
                "inputs": [{"name": "image", "type": "IMAGE"}],
                "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
                "nodes": [
                    {
                        "id": 4,
                        "type": "Reroute",
                        "inputs": [{"name": "", "type": "*", "link": 8}],
                        "outputs": [{"name": "", "type": "*"}],
                    },
                ],
                "links": [
                    {"id": 8, "origin_id": -10, "origin_slot": 0, "target_id": 4, "target_slot": 0},
                    {"id": 9, "origin_id": 4, "origin_slot": 0, "target_id": -20, "target_slot": 0},
                ],
            }
        ]
    },
}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 20),
    st.floats(allow_nan=True),
    st.sampled_from(["", "1", "Load", "sub", "IMAGE", "*", "\0"]),
    st.just([]),
    st.just({}),
    st.just([1, 0]),
    st.just(["1", 0]),
    st.just([[]]),
    st.just({"name": None}),
)


def places(value, path=()):
    """Every path into a JSON value."""
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from places(item, (*path, key))


def replaced(value, path, new, delete):
    result = copy.deepcopy(value)
    target = result
    for key in path[:-1]:
        target = target[key]
    if delete:
        del target[path[-1]]
    else:
        target[path[-1]] = new
    return result


def load(data):
    prompt, *_ = load_prompt(data, CLASSES)
    return validate_prompt(prompt, CLASSES)


def test_the_sound_files_load():
    prompt = load(GRAPH)
    assert prompt["3"]["inputs"]["images"] == ["1", 0]
    assert load(prompt) == prompt


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_one_damaged_place_in_a_graph(data):
    path = data.draw(st.sampled_from([path for path in places(GRAPH) if path]))
    damaged = replaced(GRAPH, path, data.draw(scalars), data.draw(st.booleans()))
    with suppress(WorkflowError):  # any other error fails the test
        load(damaged)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_one_damaged_place_in_api_json(data):
    sound = load(GRAPH)
    path = data.draw(st.sampled_from([path for path in places(sound) if path]))
    damaged = replaced(sound, path, data.draw(scalars), data.draw(st.booleans()))
    with suppress(WorkflowError):  # any other error fails the test
        load(damaged)


def test_a_very_long_row_of_reroutes_is_refused():
    nodes = [{"id": 0, "type": "Load"}]
    links = []
    for i in range(1, 3000):
        slot = {"name": "", "type": "*", "link": i}
        nodes.append({"id": i, "type": "Reroute", "inputs": [slot]})
        links.append([i, i - 1, 0, i, 0, "*"])
    nodes.append(
        {"id": 9999, "type": "Save", "inputs": [{"name": "images", "type": "IMAGE", "link": 9}]}
    )
    links[8] = [9, 2999, 0, 9999, 0, "IMAGE"]
    with pytest.raises(WorkflowError, match="too many reroutes"):
        load({"nodes": nodes, "links": links})


def test_subgraphs_that_multiply_are_refused():
    """Nine times ten of each other: a billion nodes from a few kB."""
    subgraphs = [
        {
            "id": f"s{level}",
            "name": "",
            "nodes": [{"id": n, "type": f"s{level + 1}"} for n in range(10)],
        }
        for level in range(9)
    ]
    graph = {
        "nodes": [{"id": 1, "type": "s0"}],
        "links": [],
        "definitions": {"subgraphs": subgraphs},
    }
    with pytest.raises(WorkflowError, match="more than 20,000 nodes"):
        load(graph)


def test_deeply_nested_json_is_refused(tmp_path):
    from face_latents.cli.runner.graph import read_workflow_file

    path = tmp_path / "deep.json"
    path.write_text("[" * 200_000)
    with pytest.raises(WorkflowError, match="not readable as JSON"):
        read_workflow_file(path)
    path.write_text('{"a": ' + "9" * 5000 + "}")
    with pytest.raises(WorkflowError):
        load(read_workflow_file(path))
    definitions = {"id": "a", "name": "a", "nodes": [], "definitions": {"subgraphs": []}}
    for _ in range(5000):
        definitions = {**definitions, "definitions": {"subgraphs": [definitions]}}
    with pytest.raises(WorkflowError):
        load({"nodes": [], "definitions": {"subgraphs": [definitions]}})


def test_json_that_is_not_finite_is_refused_where_a_number_is_needed():
    data = json.loads(json.dumps(GRAPH).replace("[3,", "[NaN,"))
    with pytest.raises(WorkflowError, match="whole number"):
        load(data)
