"""What the canvas shows of each node is complete."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import face_latents
import pytest
from face_latents import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS, WEB_DIRECTORY

PACKAGE = Path(face_latents.__file__).parent
WIRES = {
    "FACE_MODEL", "FACE_LATENT", "FACE_DIRECTION", "IMAGE", "MASK", "LATENT", "FLOAT", "INT",
    "STRING", "BOOLEAN", "FACE_LANDMARKS", "LATENT_BASIS",
}  # fmt: skip
EXPECTED = {
    "LoadModel", "Encode", "Decode", "AddDirection", "ScaleDirection", "Lerp", "Slerp", "Distance",
    "LoadDirection", "SaveDirection", "LoadLatent", "SaveLatent", "Sample", "RemoveFeature",
    "SetAttribute", "ConditionDirection", "Morph", "Mean", "DistanceMatrix", "PasteBack",
    "FromVAELatent", "ToVAELatent", "Join", "Select", "DirectionBetween", "Sliders",
    "StrengthCurve", "AddDirectionFrames", "AttributeSheet",
    "Disentanglement", "FaceMap",
    "LSDDenoise", "LSDSpectrum", "LSDRotate", "BuildBasis", "BuildBasisFolders", "LoadBasis",
    "SaveBasis", "AnomalyMap", "FitDirection", "FitDirectionFolders", "FitDirectionTable",
    "PCADirections", "SeFaDirections", "StyleMix", "Crop", "PasteEdited",
    "ConvertWeights",
}  # fmt: skip

nodes = pytest.mark.parametrize("node_id", sorted(NODE_CLASS_MAPPINGS))


def inputs_of(node_id: str) -> dict[str, tuple]:
    declared = NODE_CLASS_MAPPINGS[node_id].INPUT_TYPES()
    assert set(declared) <= {"required", "optional", "hidden"}
    return {**declared.get("required", {}), **declared.get("optional", {})}


def test_every_node_of_the_pack_is_there():
    assert {f"FaceLatents{name}" for name in EXPECTED} <= set(NODE_CLASS_MAPPINGS)
    assert set(NODE_CLASS_MAPPINGS) == set(NODE_DISPLAY_NAME_MAPPINGS)
    assert len(set(NODE_DISPLAY_NAME_MAPPINGS.values())) == len(NODE_DISPLAY_NAME_MAPPINGS)


@nodes
def test_node_describes_itself(node_id):
    node = NODE_CLASS_MAPPINGS[node_id]
    assert node_id.startswith("FaceLatents")
    assert node.CATEGORY.startswith("face latents/")
    assert len(node.DESCRIPTION) > 40
    assert node.DESCRIPTION.endswith(".")
    assert len(node.SEARCH_ALIASES) >= 3
    assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES) == len(node.OUTPUT_TOOLTIPS)
    assert set(node.RETURN_TYPES) <= WIRES


@nodes
def test_every_input_has_a_tooltip_and_fits_the_function(node_id):
    node = NODE_CLASS_MAPPINGS[node_id]
    signature = inspect.signature(getattr(node, node.FUNCTION))
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    declared = inputs_of(node_id)
    for name, (kind, settings) in declared.items():
        assert len(settings["tooltip"]) > 12, name
        assert isinstance(kind, list) or kind in WIRES, name
        assert takes_any or name in signature.parameters, name
    if not takes_any:
        assert set(signature.parameters) - {"self"} == set(declared)


@nodes
def test_numbers_have_limits_that_hold_their_default(node_id):
    for name, (kind, settings) in inputs_of(node_id).items():
        if kind in ("FLOAT", "INT"):
            assert settings["min"] <= settings["default"] <= settings["max"], name
        if isinstance(kind, list) and kind:
            assert settings["default"] in kind, name


def test_what_a_person_drags_is_a_slider():
    for node_id, name in (
        ("FaceLatentsAddDirection", "strength"),
        ("FaceLatentsScaleDirection", "factor"),
        ("FaceLatentsLerp", "t"),
        ("FaceLatentsSlerp", "t"),
        ("FaceLatentsStyleMix", "amount"),
        ("FaceLatentsRemoveFeature", "strength"),
        ("FaceLatentsSample", "truncation_psi"),
    ):
        assert inputs_of(node_id)[name][1]["display"] == "slider", (node_id, name)


def test_pictures_on_nodes_come_back_after_a_reload():
    for name in ("AttributeSheet", "Disentanglement", "DistanceMatrix", "FaceMap", "Morph"):
        assert NODE_CLASS_MAPPINGS[f"FaceLatents{name}"].HAS_INTERMEDIATE_OUTPUT


@nodes
def test_help_page_names_every_input_and_output(node_id):
    page = (PACKAGE / WEB_DIRECTORY / "docs" / f"{node_id}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {NODE_DISPLAY_NAME_MAPPINGS[node_id]}\n")
    for name in (*inputs_of(node_id), *NODE_CLASS_MAPPINGS[node_id].RETURN_NAMES):
        assert f"**{name}**" in page, name


def test_no_help_page_without_a_node():
    pages = {path.stem for path in (PACKAGE / WEB_DIRECTORY / "docs").glob("*.md")}
    assert pages == set(NODE_CLASS_MAPPINGS)


def test_host_modules_are_imported_in_one_file_only():
    imports = re.compile(
        r"^\s*(?:import|from)\s+(?:comfy\w*|folder_paths|server|execution)\b|"
        r"import_module\(\s*[\"'](?:comfy|folder_paths|server)|sys\.path\.",
        re.MULTILINE,
    )
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).parts
        own_programs = ("tests", "lab", "build")  # never imported by the host
        if parts[0] in own_programs or parts[0].startswith(".") or parts[-1] == "host.py":
            continue
        assert not imports.search(path.read_text(encoding="utf-8")), path
