"""The words that users type into the canvas's search find the nodes that they mean."""

from __future__ import annotations

import pytest
from face_latents import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

# The canvas (Fuse, threshold 0.3 over a distance of 100) finds a node when all words of a query
# stand in one of its texts, no further back than this. It forgives misspellings on top of that, and
# shows 64 nodes, those with the words in their own names first: "age" alone shows im-age nodes.
FARTHEST = 30

EDITS = {"Sliders", "AddDirection", "LoadDirection"}
FITS = {"FitDirection", "FitDirectionFolders", "FitDirectionTable"}
MEANT = {
    "glasses": EDITS | {"RemoveFeature", "SetAttribute"},
    "beard": EDITS | {"RemoveFeature", "SetAttribute"},
    "age slider": {"Sliders"},
    "slider age": {"Sliders"},
    "face age": {"Sliders", "SetAttribute"},
    "older": EDITS | {"SetAttribute", "AttributeSheet"},
    "younger": EDITS | {"SetAttribute", "AttributeSheet"},
    "expression": EDITS | {"SetAttribute"},
    "copy expression": {"CopyExpression"},
    "live portrait": {"CopyExpression"},
    "smile": EDITS | {"RemoveFeature", "SetAttribute"},
    "pose": EDITS,
    "light": EDITS,
    "gender": EDITS,
    "remove glasses": {"RemoveFeature"},
    "stylegan": {"LoadModel", "Sample", "Encode", "Decode", "StyleMix", "SeFaDirections"},
    "import weights": {"ConvertWeights"},
    "pkl": {"ConvertWeights"},
    "stylegan2 weights": {"ConvertWeights", "LoadModel"},
    "safetensors": {"LoadModel", "SaveDirection", "SaveLatent", "SaveBasis", "LoadDirection"},
    "face swap": {"PasteBack"},
    "qwen edit": {"Crop", "PasteEdited"},
    "flux kontext": {"Crop", "PasteEdited"},
    "face detailer": {"Crop", "PasteEdited"},
    "detect face": {"Encode"},
    "portrait": {"Sliders", "Encode", "Sample"},
    "edit face": {"Sliders", "AddDirection"},
    "custom slider": FITS,
    "own direction": FITS | {"DirectionBetween"},
    "train direction": FITS,
    "morph faces": {"Morph"},
    "average face": {"Mean"},
    "same person": {"Distance", "DistanceMatrix"},
    "video": {"Encode", "Morph", "AddDirectionFrames", "StrengthCurve"},
    "face tracking": {"Encode"},
    "flicker": {"Encode"},
    "lsd": {"LSDDenoise", "LSDRotate", "LSDSpectrum", "BuildBasis", "LoadBasis", "AnomalyMap"},
}


def finds(query: str, node_id: str) -> bool:
    """Whether the canvas lists the node, without its forgiveness for misspellings."""
    words = query.lower().split()
    aliases = NODE_CLASS_MAPPINGS[node_id].SEARCH_ALIASES
    texts = [node_id, NODE_DISPLAY_NAME_MAPPINGS[node_id], *aliases]
    return any(all(0 <= text.lower().find(word) <= FARTHEST for word in words) for text in texts)


@pytest.mark.parametrize("query", MEANT)
def test_a_word_finds_the_nodes_that_are_meant(query):
    found = {name for name in MEANT[query] if finds(query, f"FaceLatents{name}")}
    assert found == MEANT[query]


@pytest.mark.parametrize("query", ["glasses", "beard", "older", "expression", "smile"])
def test_a_word_of_an_edit_does_not_list_the_whole_pack(query):
    found = [node_id for node_id in NODE_CLASS_MAPPINGS if finds(query, node_id)]
    assert len(found) <= 8


def test_aliases_are_words_to_type():
    for node_id, node in NODE_CLASS_MAPPINGS.items():
        aliases = node.SEARCH_ALIASES
        assert len(set(aliases)) == len(aliases), node_id
        for alias in aliases:
            assert alias == alias.strip().lower(), (node_id, alias)
            assert 0 < len(alias) <= FARTHEST, (node_id, alias)
