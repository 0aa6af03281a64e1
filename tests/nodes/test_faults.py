"""Every node that computes: smaller batches, then the CPU, then a sentence."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.cli.runner.session import call_node
from face_latents.models.errors import FaceLatentsError
from face_latents.models.spectral.basis import LatentBasis
from face_latents.nodes import host
from face_latents.nodes.direction import photo_folders
from loop_support import case
from nodes_support import (
    CODES,
    SIZE,
    TinyNet,
    encode,
    mesh_face,
    photos,
    random_latent,
    tiny_model,
    with_net,
)
from PIL import Image


class Weighted(TinyNet):
    """A network with a weight that SeFa reads."""

    def style_weight(self, layers=None):
        return self.basis.T * torch.linspace(3, 1, CODES)

    def capabilities(self):
        return replace(super().capabilities(), style_weight=self.style_weight)


MODEL = with_net(tiny_model(), Weighted())
OUT_OF_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory")
FAULTS = (OUT_OF_MEMORY, RuntimeError("CUDA error: an illegal memory access was encountered"))


def faces(count=3):
    return encode(MODEL, photos(count))


def moved(count=3):
    """Edited faces of photos."""
    found = faces(count)
    return found.with_samples(found.samples + MODEL.directions["smile"].vector)


def encode_again(**more):
    image = photos(3, 64, 64)
    faces, _ = call_node(
        "FaceLatentsEncode", image=image, face_model=MODEL, already_aligned=True, **more
    )
    return faces.samples


def two_groups():
    """Codes that differ along the third number."""
    latents = random_latent(MODEL, 20, 1), random_latent(MODEL, 20, 2)
    return latents[0], latents[1].with_samples(latents[1].samples + 3 * torch.eye(CODES)[2])


def fit(node, **given):
    """The direction, of which the safe range asks the network."""
    direction, _, chart = call_node(node, face_model=MODEL, keep_still="", **given)
    assert chart.shape[0] == 1
    return direction.vector


def found(node):
    return call_node(node, face_model=MODEL, face_latent=random_latent(MODEL, 20), count=2)[2]


def basis():
    return LatentBasis(torch.eye(CODES), ("a",), MODEL.space)


NODES = {  # each with a network at work, and the tensor or value that it gives
    "Encode": encode_again,
    "Encode, refined": lambda: encode_again(refine_steps=2),
    "Morph": lambda: strip_of_morph(),
    "FitDirection": lambda: fit(
        "FaceLatentsFitDirection", faces_without=two_groups()[0], faces_with=two_groups()[1]
    ),
    "FitDirectionFolders": lambda: fit(
        "FaceLatentsFitDirectionFolders", folder_without="people/off", folder_with="people/on"
    ),
    "FitDirectionTable": lambda: fit("FaceLatentsFitDirectionTable", folder="all", table=""),
    "BuildBasisFolders": lambda: (
        call_node("FaceLatentsBuildBasisFolders", face_model=MODEL, folders="people")[0].vectors
    ),
    "PCADirections": lambda: found("FaceLatentsPCADirections"),
    "SeFaDirections": lambda: found("FaceLatentsSeFaDirections"),
    "AnomalyMap": lambda: call_node(
        "FaceLatentsAnomalyMap", face_model=MODEL, face_latent=faces(), basis=basis(), k=CODES
    )[0],
    "Decode": lambda: call_node(
        "FaceLatentsDecode", face_model=MODEL, face_latent=random_latent(MODEL, 5)
    )[0],
    "PasteBack": lambda: call_node("FaceLatentsPasteBack", face_model=MODEL, face_latent=moved())[
        0
    ],
    "AttributeSheet": lambda: call_node(
        "FaceLatentsAttributeSheet",
        face_model=MODEL,
        face_latent=random_latent(MODEL, 2),
        direction=MODEL.directions["smile"],
    )[0],
    "DistanceMatrix": lambda: call_node(
        "FaceLatentsDistanceMatrix", face_model=MODEL, face_latent=random_latent(MODEL, 4)
    )[0],
    "FaceMap": lambda: call_node(
        "FaceLatentsFaceMap", face_model=MODEL, face_latent=random_latent(MODEL, 6)
    )[0],
    "Sliders": lambda: (
        call_node(
            "FaceLatentsSliders",
            face_model=MODEL,
            face_latent=random_latent(MODEL, 3),
            strengths='{"smile": 1}',
        )[0].samples
    ),
    "Disentanglement": lambda: call_node(
        "FaceLatentsDisentanglement", face_model=MODEL, face_latent=random_latent(MODEL, 3)
    )[0],
}


def strip_of_morph():
    node = NODE_CLASS_MAPPINGS["FaceLatentsMorph"]
    given = {"frames": 4, "path": "lerp", "loop": False}
    shown = getattr(node(), node.FUNCTION)(
        face_latent=random_latent(MODEL, 2), face_model=MODEL, **given
    )["ui"]["images"][0]
    with Image.open(host.temp_directory() / shown["subfolder"] / shown["filename"]) as picture:
        return torch.from_numpy(np.array(picture)).float() / 255


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """Folders of photos, darker and lighter, each of which is a face as it is."""
    monkeypatch.setattr(host.stand_alone, "input", tmp_path / "input")
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path / "temp")
    random = np.random.default_rng(0)
    table = []
    for folder in ("people/off", "people/on", "all"):
        (tmp_path / "input" / folder).mkdir(parents=True)
        for number in range(10):
            light = 120 if folder == "people/on" or (folder == "all" and number % 2) else 40
            pixels = random.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8) + np.uint8(light)
            Image.fromarray(pixels).save(tmp_path / "input" / folder / f"{number}.png")
            table.append(f"{number}.png,{number % 2}")
    (tmp_path / "input" / "all" / "table.csv").write_text("\n".join(table[-10:]))

    def whole(path, model, number, min_score):
        with Image.open(path) as picture:
            return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255, float("inf")

    monkeypatch.setattr(photo_folders, "_align", whole)


@pytest.fixture
def card(monkeypatch):
    """A device beside the CPU: what it can do says `allow`, a function of the batch."""

    class Card:
        in_use = True
        error = OUT_OF_MEMORY
        most = 0  # faces that fit onto it
        most_on_cpu = 1000
        failures = 0

    def load(module, memory_required=0):
        Card.in_use = True
        return torch.device("cpu")

    def move(module):
        Card.in_use = False
        return torch.device("cpu")

    def guarded(plain):
        def call(self, items):
            if len(items) > (Card.most if Card.in_use else Card.most_on_cpu):
                Card.failures += 1
                raise Card.error
            return plain(self, items)

        return call

    monkeypatch.setattr(host, "load_to_device", load)
    monkeypatch.setattr(host, "move_to_cpu", move)
    monkeypatch.setattr(host, "compute_device", lambda: torch.device("cuda"))
    plain = {name: getattr(TinyNet, name) for name in ("encode", "decode")}

    def switch(most=1000, error=OUT_OF_MEMORY, most_on_cpu=1000):
        Card.most, Card.error, Card.most_on_cpu, Card.failures = most, error, most_on_cpu, 0
        Card.in_use = True
        for name, function in plain.items():
            monkeypatch.setattr(TinyNet, name, guarded(function))
        return Card

    return switch


@pytest.mark.parametrize("name", NODES)
def test_smaller_batches_then_the_cpu_then_a_sentence(name, card, folders):
    run = NODES[name]
    card()
    wanted = run()
    for most, error in ((1, OUT_OF_MEMORY), *((0, fault) for fault in FAULTS)):
        state = card(most, error)
        with case(most=most, error=error):
            torch.testing.assert_close(run(), wanted, rtol=0, atol=1.01 / 255)
            assert state.failures or most
    for error, words in zip(FAULTS, ("not enough memory", "device failed"), strict=True):
        card(0, error, most_on_cpu=0)
        with case(error=error), pytest.raises(FaceLatentsError, match=words):
            run()


def test_faults_of_the_work_itself_are_not_taken_for_those_of_a_device():
    assert host.device_fault(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert host.device_fault(ValueError("CUDA error")) is None
    assert host.device_fault(RuntimeError("CUDA error: unspecified launch failure\nmore")) == (
        "CUDA error: unspecified launch failure"
    )


def test_a_network_can_be_moved_to_the_cpu_and_back():
    module = torch.nn.Linear(2, 2)
    assert host.move_to_cpu(module).type == "cpu"
    assert host.load_to_device(module).type == host.compute_device().type


def test_edits_of_photos_go_on_on_the_cpu_as_well(card, face_model):
    """Morph Photos and Paste Back, whose networks move a photo's own pixels."""
    state, editor = card(), face_model.capabilities.editor

    class Guarded:
        extent = editor.extent

        def edit(self, crops, *codes, draft=False):
            if len(crops) > (state.most if state.in_use else state.most_on_cpu):
                raise state.error
            return editor.edit(crops, *codes, draft=draft)

    able = replace(face_model.capabilities, editor=Guarded())
    model = replace(face_model, capabilities=able)
    found = encode(model, photos(2, 150, 200), mesh_face(100, 75, 30))
    changed = found.with_samples(found.samples + model.directions["smile"].vector)
    nodes = {
        "FaceLatentsPasteBack": {"face_latent": changed},
        "FaceLatentsMorphPhotos": {"face_latent": changed, "photos": found, "size": 64},
    }
    for name, given in nodes.items():
        card()
        (wanted, *_) = call_node(name, face_model=model, **given)
        for most, error in ((1, OUT_OF_MEMORY), *((0, fault) for fault in FAULTS)):
            card(most, error)
            with case(name=name, most=most, error=error):
                shown = call_node(name, face_model=model, **given)[0]
                torch.testing.assert_close(shown, wanted, rtol=0, atol=1.01 / 255)
        card(0, FAULTS[1], most_on_cpu=0)
        with case(name=name), pytest.raises(FaceLatentsError, match="device failed"):
            call_node(name, face_model=model, **given)


def test_every_node_that_computes_is_tested():
    """A module computes that imports `compute`, or one that does."""
    nodes = Path(host.__file__).parent
    imported = {path: _imports(path, nodes) for path in nodes.rglob("*.py")}
    computing = {nodes / "compute.py"}
    while more := {path for path in imported if imported[path] & computing} - computing:
        computing |= more
    files = {path.relative_to(nodes).with_suffix("").as_posix() for path in computing}
    found = {
        node_id.removeprefix("FaceLatents")
        for node_id, node in NODE_CLASS_MAPPINGS.items()
        if node.__module__.split(".nodes.")[1].replace(".", "/") in files
    }
    # Latent Distance draws nothing; Morph Photos has a test of its own; Load and Save Direction do
    # without the small picture that they draw
    assert found - {"Distance", "MorphPhotos", "LoadDirection", "SaveDirection"} == {
        name.split(",")[0] for name in NODES
    }


def _imports(path, nodes):
    """The modules of the nodes that a module imports; packages count for nothing."""
    found = set()
    for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(item, ast.ImportFrom) or not item.level:
            continue
        base = path.parents[item.level - 1].joinpath(*(item.module or "").split("."))
        names = [base, *(base / alias.name for alias in item.names)]
        found |= {name.with_suffix(".py") for name in names if nodes in name.parents}
    return found


def test_no_node_calls_a_network_on_its_own():
    """All go through `compute`; the live preview answers 503 and is asked again."""
    nodes = Path(host.__file__).parent
    pattern = r"model\.(decode|encode|edit_photos|module)\("
    found = {
        path.relative_to(nodes).as_posix()
        for path in nodes.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert found == {"compute.py", "sliders/preview/sessions.py"}
