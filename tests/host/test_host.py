"""The pack inside a real ComfyUI. Runs where COMFYUI_DIR points at a checkout, else is skipped.

COMFYUI_PYTHON names the host's interpreter (default: the checkout's own venv, else this one).
"""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import face_latents
import host_server
import pytest
from host_server import PACK, PACK_FOLDER, Host

WORKFLOWS = sorted((PACK / "workflows").glob("*.json"))
NODE_IDS = sorted(face_latents.NODE_CLASS_MAPPINGS)
BAD_PICTURES = ["nan", "empty", "pixel", "flat"]

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host for all tests, with the astronaut as the user's photo."""
    server = Host(tmp_path_factory.mktemp("host"))
    server.add_test_pictures()
    host_server.save_astronaut(server.base / "input" / "example.png")
    host_server.add_example_folders(server.base / "input")
    models = server.base / "models" / "face_latents"
    host_server.add_stylegan2_model(models)
    header = b'{"a":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}'
    (models / "truncated.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + b"\0" * 100
    )
    (models / "pickled.safetensors").write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00.")
    (models / "huge header.safetensors").write_bytes(b"\xff" * 7 + b"\x7f" + b"{}")
    with server:
        yield server


@pytest.fixture(scope="module")
def object_info(host: Host) -> dict[str, Any]:
    nodes: dict[str, Any] = host.get_json("/object_info")
    return nodes


def encode_prompt(host: Host, picture: str | None = None, **load_model: Any) -> dict[str, Any]:
    """The shortest prompt from a photo to a decoded face, every other input at its default."""
    prompt: dict[str, Any] = {
        "photo": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "model": node(host, "FaceLatentsLoadModel", **load_model),
        "encode": node(
            host, "FaceLatentsEncode", image=["photo", 0], face_model=["model", 0], faces="largest"
        ),
        "decode": node(
            host, "FaceLatentsDecode", face_model=["model", 0], face_latent=["encode", 0]
        ),
        "save": {
            "class_type": "SaveImage",
            "inputs": {"images": ["decode", 0], "filename_prefix": "tested"},
        },
    }
    if picture is not None:
        prompt["picture"] = {
            "class_type": "FaceLatentsTestPicture",
            "inputs": {"image": ["photo", 0], "kind": picture},
        }
        prompt["encode"]["inputs"]["image"] = ["picture", 0]
    return prompt


def node(host: Host, kind: str, **given: Any) -> dict[str, Any]:
    """A prompt node with every widget at its default except the given inputs."""
    inputs: dict[str, Any] = {}
    for name, spec in host.get_json(f"/object_info/{kind}")[kind]["input"]["required"].items():
        settings = spec[1] if len(spec) > 1 else {}
        if isinstance(spec[0], list):
            inputs[name] = settings.get("default", spec[0][0] if spec[0] else "")
        elif "default" in settings:
            inputs[name] = settings["default"]
    return {"class_type": kind, "inputs": {**inputs, **given}}


def test_the_host_imports_the_pack(host: Host) -> None:
    log = host.log()
    for sign in host_server.SIGNS_OF_FAILURE:
        assert sign not in log, log[-4000:]


def test_the_pack_adds_no_warning_to_the_log(tmp_path: Path) -> None:
    """What the host says at level WARNING is the same with and without the pack.

    The folder has a name that is no Python identifier, as a downloaded archive may give.
    """
    said = {}
    for folder in (None, "Face.Latents-main (1)"):
        with Host(
            tmp_path / str(folder), pack_folder=folder, arguments=["--verbose", "WARNING"]
        ) as server:
            listed = set(server.get_json("/object_info"))
            assert set(NODE_IDS) <= listed or folder is None
        said[folder] = {
            line for line in server.log().splitlines() if not line.startswith("Starting server")
        }
    assert said["Face.Latents-main (1)"] - said[None] == set()


def test_every_node_is_listed_with_its_texts(object_info: dict[str, Any]) -> None:
    assert set(NODE_IDS) <= set(object_info)
    for kind in NODE_IDS:
        listed = object_info[kind]
        assert listed["python_module"] == f"custom_nodes.{PACK_FOLDER}"
        assert listed["display_name"] == face_latents.NODE_DISPLAY_NAME_MAPPINGS[kind]
        assert listed["category"].startswith("face latents")
        assert listed["description"], kind
        assert len(listed["output_tooltips"]) == len(listed["output"]), kind
        for part in ("required", "optional"):
            for name, spec in listed["input"].get(part, {}).items():
                assert spec[1].get("tooltip"), f"{kind}.{name} has no tooltip"


@pytest.mark.parametrize("kind", NODE_IDS)
def test_the_help_page_is_served(host: Host, kind: str) -> None:
    assert host.get(f"/extensions/{PACK_FOLDER}/docs/{kind}.md").strip()


def test_templates_and_thumbnails_are_served(host: Host) -> None:
    listed = host.get_json("/workflow_templates")
    assert sorted(listed[PACK_FOLDER]) == [path.stem for path in WORKFLOWS]
    for path in WORKFLOWS:
        thumbnail = path.with_suffix(".jpg")
        for file in (path, thumbnail):
            served = host.get(f"/api/workflow_templates/{PACK_FOLDER}/{file.name}")
            assert served == file.read_bytes()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_gives_the_pixels_of_the_stand_alone_runner(
    host: Host, path: Path, tmp_path: Path
) -> None:
    compared = host_server.compare_with_runner(host, path, tmp_path / "out")
    assert compared.files, "the workflow saves nothing"
    assert compared.differing == ()
    assert "Traceback" not in host.log()


@pytest.mark.parametrize("picture", BAD_PICTURES)
def test_a_bad_picture_is_a_node_error_and_the_host_lives(host: Host, picture: str) -> None:
    report = host.run_error(encode_prompt(host, picture))
    assert report["node_type"] == "FaceLatentsEncode"
    assert report["exception_type"].split(".")[0] != "builtins"
    assert report["exception_message"].strip()
    assert host.alive()


def test_a_grey_picture_is_encoded(host: Host) -> None:
    entry = host.run(encode_prompt(host, "grey"))
    assert entry["status"]["status_str"] == "success", entry["status"]


@pytest.mark.parametrize(
    "name", ["truncated.safetensors", "pickled.safetensors", "huge header.safetensors"]
)
def test_a_bad_model_file_is_a_node_error_and_the_host_lives(host: Host, name: str) -> None:
    report = host.run_error(encode_prompt(host, face_model=name, model=name))
    assert report["node_type"] == "FaceLatentsLoadModel"
    assert name in report["exception_message"]
    assert host.alive()


def test_mixing_a_face_with_a_vae_latent_is_refused(host: Host) -> None:
    prompt = encode_prompt(host)
    del prompt["decode"], prompt["save"]
    prompt["empty"] = {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1},
    }
    prompt["vae"] = node(host, "FaceLatentsFromVAELatent", samples=["empty", 0])
    prompt["lerp"] = node(host, "FaceLatentsLerp", a=["encode", 0], b=["vae", 0])
    prompt["show"] = {"class_type": "PreviewAny", "inputs": {"source": ["lerp", 0]}}
    report = host.run_error(prompt)
    assert report["node_type"] == "FaceLatentsLerp"
    assert "vae" in report["exception_message"]
    assert host.alive()


def test_an_unknown_choice_is_refused_before_anything_runs(host: Host) -> None:
    with pytest.raises(ValueError, match="There is no face model"):
        host.run(encode_prompt(host, model="absent.safetensors"))
    assert host.alive()


def test_a_wire_of_another_type_is_refused_before_anything_runs(host: Host) -> None:
    prompt = encode_prompt(host)
    prompt["decode"]["inputs"]["face_latent"] = ["model", 0]
    with pytest.raises(ValueError, match="return_type_mismatch"):
        host.run(prompt)
    assert host.alive()


def test_a_file_outside_the_pack_is_not_served(host: Host) -> None:
    with pytest.raises(urllib.error.HTTPError):
        host.get(f"/extensions/{PACK_FOLDER}/../pyproject.toml")
    assert host.alive()
