"""What the network pickles of StyleGAN2-ADA may name, and what stands for it here.

These files hold whole network objects together with the source code of their classes, as one
text each. The code is dropped unread; fields of objects become plain `Record` values.
"""

from __future__ import annotations

from collections.abc import Mapping

from .inert import Budget, Builder, Record, Refusal
from .torch_files.legacy import read_legacy
from .torch_files.storage import TENSOR_NAMES, Storage

_PERSISTENCE = 6  # version of the format that is known


def explain_name(name: str) -> str | None:
    """More about a refused name, where it is a known kind of file."""
    if name.startswith("dnnlib.tflib."):
        return (
            "it is a network pickle of the TensorFlow StyleGAN. Convert it to PyTorch first, with "
            "legacy.py of NVIDIA's stylegan2-ada-pytorch "
            "(python legacy.py --source IN.pkl --dest OUT.pkl), then convert the result here."
        )
    if name.startswith(("torch.nn.modules.", "__main__.", "models.", "model.", "training.")):
        return (
            f"it holds whole objects of a program ('{name[:120]}') instead of tensors. Nothing in "
            "it was run. Load it with that program and save only the state_dict()."
        )
    return None


def _network(arguments: tuple[object, ...]) -> Record:
    """A network object from (its description,): class name, source code, fields."""
    (facts,) = arguments
    if type(facts) is not dict or facts.get("type") != "class":
        raise TypeError("a network without a description")
    if facts.get("version") != _PERSISTENCE:
        raise Refusal(
            "its networks are saved in another version of NVIDIA's format than the known one, "
            f"{_PERSISTENCE}."
        )
    name, state = facts.get("class_name"), facts.get("state")
    if type(name) is not str or type(state) is not dict:
        raise TypeError("a network without a name or fields")
    return Record(name, state)


def _storage(arguments: tuple[object, ...], budget: Budget) -> Storage:
    """A storage saved as a file of its own within the pickle."""
    (content,) = arguments
    if isinstance(content, bytes):
        content = memoryview(bytearray(content))  # tensors are made of writable memory only
    if type(content) is not memoryview:
        raise TypeError("numbers that are no bytes")
    # a storage holds no further file, so its pickle may not name one
    storage = read_legacy(content, TENSOR_NAMES, budget=budget)
    if type(storage) is not Storage:
        raise TypeError("numbers that are no storage")
    return storage


def network_names(budget: Budget) -> Mapping[str, Builder | None]:
    """What these pickles may name; those inside them take from the same budget."""
    return {
        **TENSOR_NAMES,
        "torch.storage._load_from_bytes": lambda arguments: _storage(arguments, budget),
        "torch_utils.persistence._reconstruct_persistent_obj": _network,
    }
