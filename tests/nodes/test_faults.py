"""Every node that computes: smaller batches, then the CPU, then a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from face_latents.cli.runner.session import call_node
from face_latents.models.errors import FaceLatentsError
from face_latents.nodes import host
from loop_support import case
from nodes_support import TinyNet, encode, photos, random_latent, tiny_model

MODEL = tiny_model()
OUT_OF_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory")
FAULTS = (OUT_OF_MEMORY, RuntimeError("CUDA error: an illegal memory access was encountered"))


def faces(count=3):
    return encode(MODEL, photos(count))


def moved(count=3):
    """Edited faces of photos."""
    found = faces(count)
    return found.with_samples(found.samples + MODEL.directions["smile"].vector)


def encode_again():
    crops = call_node(
        "FaceLatentsEncode", image=photos(3, 64, 64), face_model=MODEL, already_aligned=True
    )
    return crops[0].samples


NODES = {  # each with a network at work, and the tensor or value that it gives
    "Encode": encode_again,
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
def test_smaller_batches_then_the_cpu_then_a_sentence(name, card):
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
