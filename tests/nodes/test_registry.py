"""The decorator: a class states each thing once, and its `execute` gets checked inputs."""

from __future__ import annotations

import inspect

import pytest
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.errors import FaceLatentsError
from face_latents.nodes import registry, widgets
from nodes_support import random_latent, tiny_model

MODEL = tiny_model()
BIG_SEED = 2**63 + 12345  # not a float


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(registry, "NODES", {})
    monkeypatch.setattr(registry, "DISPLAY_NAMES", {})

    @registry.node("FaceLatentsExample", "Example", widgets.EDIT)
    class Example:
        """An example
        in two lines.
        """

        ALIASES = "one, two words"
        OUTPUTS = {"image": ("IMAGE", "A picture."), "info": ("STRING", "A text.")}
        INPUTS = {
            "face_latent": widgets.face_latent("Faces."),
            "count": widgets.integer((3, 1, 9), "How many."),
            "seed": widgets.seed("Which."),
            "file": widgets.listing(lambda: files, "A file."),
        }
        OPTIONAL = {
            "theme": widgets.theme(),
            "face_model": widgets.face_model(),
            "loop": widgets.switch(False, "Again."),
        }

        def execute(self, **inputs):
            return inputs

    files: list[str] = []
    Example.files = files
    return Example


def test_the_protocol_is_made_of_what_the_class_states(example):
    assert {"FaceLatentsExample": example} == registry.NODES
    assert registry.DISPLAY_NAMES == {"FaceLatentsExample": "Example"}
    assert example.DESCRIPTION == "An example in two lines."
    assert example.CATEGORY == "face latents/edit"
    assert example.SEARCH_ALIASES == ["one", "two words"]
    assert example.RETURN_TYPES == ("IMAGE", "STRING")
    assert example.RETURN_NAMES == ("image", "info")
    assert example.OUTPUT_TOOLTIPS == ("A picture.", "A text.")
    declared = example.INPUT_TYPES()
    assert list(declared) == ["required", "optional"]
    assert declared["required"]["count"] == (
        "INT", {"default": 3, "min": 1, "max": 9, "tooltip": "How many."}
    )  # fmt: skip
    assert declared["optional"]["theme"][0] == ["dark", "light"]
    assert declared is not example.INPUT_TYPES()


def test_a_listing_is_read_whenever_the_canvas_asks(example):
    assert example.INPUT_TYPES()["required"]["file"] == ([], {"tooltip": "A file."})
    example.files.append("a.safetensors")
    kind, settings = example.INPUT_TYPES()["required"]["file"]
    assert kind == ["a.safetensors"]
    assert settings == {"tooltip": "A file.", "default": "a.safetensors"}


def test_inputs_arrive_checked_in_order_and_complete(example):
    latent = random_latent(MODEL)
    given = example().execute(file="x", loop=1, seed=BIG_SEED, face_latent=latent, set_smile=2.0)
    assert list(given.items()) == [
        ("face_latent", latent),
        ("count", 3),
        ("seed", BIG_SEED),
        ("file", "x"),
        ("theme", "dark"),
        ("face_model", None),
        ("loop", True),
        ("set_smile", 2.0),
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"face_latent": None}, "'face_latent' needs a face latent.*got nothing"),
        ({"count": 10}, "'count' must be between 1 and 9; it is 10"),
        ({"count": 2.5}, "'count' needs a whole number"),
        ({"seed": -1}, "'seed' must be 0 or more"),
        ({"theme": "pink"}, "'theme' must be one of 'dark', 'light'"),
        ({"face_model": "tiny"}, "'face_model' needs a face model.*got a str"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(example, wrong, message):
    inputs = {"face_latent": random_latent(MODEL), "file": "x"} | wrong
    with pytest.raises(FaceLatentsError, match=message):
        example().execute(**inputs)


def test_defaults_are_stated_once():
    for node_id, node in NODE_CLASS_MAPPINGS.items():
        for name, parameter in inspect.signature(node.execute).parameters.items():
            assert parameter.default is inspect.Parameter.empty, (node_id, name)
