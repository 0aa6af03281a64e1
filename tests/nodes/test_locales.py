"""The translations name every node, input and output of the pack, and nothing that is gone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import face_latents
import pytest
from face_latents import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from face_latents.nodes.model.load import BUNDLED
from face_latents.nodes.sliders.panel import rows_of_model

PACK = Path(face_latents.__file__).parent
LOCALES = PACK / "locales"
LANGUAGES = ("ja", "zh")
languages = pytest.mark.parametrize("language", LANGUAGES)

# What the canvas would read as its own message syntax (values, links to messages, plurals).
SYNTAX = re.compile(r"[{}@|]")
SCRIPT = {"zh": re.compile(r"[\u4e00-\u9fff]"), "ja": re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")}
# A text of the panel: translate("one " + "two", ...)
TRANSLATED = re.compile(r'translate\(\s*((?:"[^"]*"(?:\s*\+\s*)?)+)')
VALUE = re.compile(r"\{\w+\}")
SAME_IN_EVERY_LANGUAGE = {"a", "b", "c", "d", "k", "t"}


def load(language: str, name: str) -> dict:
    return json.loads((LOCALES / language / f"{name}.json").read_text(encoding="utf-8"))


def inputs_of(node_id: str) -> dict[str, tuple]:
    declared = NODE_CLASS_MAPPINGS[node_id].INPUT_TYPES()
    return {**declared.get("required", {}), **declared.get("optional", {})}


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    return [str(value)]


@languages
def test_every_node_is_translated_and_none_is_gone(language):
    assert set(load(language, "nodeDefs")) == set(NODE_CLASS_MAPPINGS)


@languages
def test_every_input_and_output_is_translated_and_none_is_gone(language):
    for node_id, entry in load(language, "nodeDefs").items():
        outputs = len(NODE_CLASS_MAPPINGS[node_id].RETURN_TYPES)
        assert set(entry) == {"display_name", "description", "inputs", "outputs"}, node_id
        assert set(entry["inputs"]) == set(inputs_of(node_id)), node_id
        assert set(entry["outputs"]) == {str(number) for number in range(outputs)}, node_id
        for part in (*entry["inputs"].values(), *entry["outputs"].values()):
            assert set(part) == {"name", "tooltip"}, node_id


@languages
def test_every_text_is_in_its_language(language):
    for node_id, entry in load(language, "nodeDefs").items():
        for text in texts(entry):
            known = text.lower() in SAME_IN_EVERY_LANGUAGE
            assert known or SCRIPT[language].search(text), (node_id, text)
            assert not SYNTAX.search(text), (node_id, text)
            assert text.strip() == text


@languages
def test_display_names_are_told_apart(language):
    names = [entry["display_name"] for entry in load(language, "nodeDefs").values()]
    assert len(set(names)) == len(names) == len(NODE_DISPLAY_NAME_MAPPINGS)


@languages
def test_every_menu_is_translated(language):
    parts = {part for node in NODE_CLASS_MAPPINGS.values() for part in node.CATEGORY.split("/")}
    # ComfyUI translates a menu called "model" itself.
    assert set(load(language, "main")["nodeCategories"]) == parts - {"model"}


@languages
def test_options_keep_the_words_that_stand_on_the_node(language):
    """Choices are not translated by the canvas, so their explanation has to use their own words."""
    for node_id, entry in load(language, "nodeDefs").items():
        for name, (kind, settings) in inputs_of(node_id).items():
            if not isinstance(kind, list):
                continue
            for option in map(str, kind):
                if f"{option}:" in settings["tooltip"]:
                    assert option in entry["inputs"][name]["tooltip"], (node_id, name, option)


def words_of_the_panel() -> set[str]:
    """What the scripts of the panel say, and the names of its groups, sliders and presets."""
    words = {"missing", "your own", "other"}  # the groups that the scripts name
    for script in (PACK / "web" / "js" / "sliders").glob("*.js"):
        for found in TRANSLATED.finditer(script.read_text("utf-8")):
            words.add("".join(re.findall(r'"([^"]*)"', found[1])))
    for row in rows_of_model(BUNDLED):
        words |= {row["label"], row["group"]}
    return words | set(json.loads((PACK / "web" / "presets.json").read_text("utf-8")))


@languages
def test_every_word_of_the_panel_is_translated_and_none_is_gone(language):
    translated = load(language, "main")["faceLatents"]
    assert set(translated) == words_of_the_panel()
    for text, found in translated.items():
        assert sorted(VALUE.findall(found)) == sorted(VALUE.findall(text)), text
        assert SCRIPT[language].search(found) or text == "{label}: {low}, 0 and {high}", text
