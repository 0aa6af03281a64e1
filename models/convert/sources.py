"""Opening a file of another program: which kind it is, and what lies in it, without running it."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .inert import Budget, Name, Opaque, Record, Refusal
from .npy import MAGIC, read_npy, read_npz
from .nvidia_names import explain_name, network_names
from .restricted_pickle import read_pickle
from .safetensors import read_safetensors
from .torch_files.legacy import looks_legacy, read_legacy
from .torch_files.storage import TENSOR_NAMES, TensorRef
from .torch_files.zip import read_zip

_WRAPPED = "module."
_MAX_DEPTH = 40
_MAX_VALUES = 100_000
_MODULE_FIELDS = ("_parameters", "_buffers", "_modules")


@dataclass(frozen=True, eq=False)
class Source:
    """An opened file.

    Attributes:
        kind: "torch", "pickle", "safetensors", "npy" or "npz".
        value: plain containers around `TensorRef`; for "npy" an array, for "npz" arrays by name.
        size: of the file, in bytes.
    """

    kind: str
    value: object
    size: int


def open_source(path: Path) -> Source:
    """Open a file as what its first bytes say it is.

    The file is mapped, not read: tensors are views of it until they are used.

    Raises:
        Refusal: not one of the kinds known here, damaged, or holding more than data.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if not path.is_file() or size < 16:
        raise Refusal("it is empty, or no file.")
    with path.open("rb") as file:
        start = file.read(64)
        if start.startswith(MAGIC):
            return Source("npy", read_npy(path), size)
        if start[8:9] == b"{":
            return Source("safetensors", unwrapped(read_safetensors(path)), size)
        # a private copy, so that tensors may be made of it; nothing ever writes to it
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    if start.startswith(b"PK"):
        if (arrays := read_npz(path)) is not None:
            return Source("npz", arrays, size)
        return Source("torch", unwrapped(read_zip(data, TENSOR_NAMES, explain_name)), size)
    if looks_legacy(data):
        value = read_legacy(data, TENSOR_NAMES, explain=explain_name)
        return Source("torch", unwrapped(value), size)
    if start[0] == 0x80 or start[:1] in (b"(", b"c"):
        budget = Budget()
        names = network_names(budget)
        value, _ = read_pickle(data, 0, names, budget=budget, explain=explain_name)
        return Source("pickle", value, size)
    if start.lstrip().startswith(b"<"):
        raise Refusal("it is a web page: the download saved an error or log-in page.")
    raise Refusal(
        "not a kind of file known here. Known are PyTorch .pt files, network .pkl files of "
        "StyleGAN2-ADA, and .npy arrays."
    )


def unwrapped(value: object, depth: int = 0) -> object:
    """Containers without the prefix that training on several devices puts before every name."""
    if type(value) is not dict or depth > 2:
        return value
    inner = {key: unwrapped(item, depth + 1) for key, item in value.items()}
    if inner and all(str(key).startswith(_WRAPPED) for key in inner):
        return {str(key).removeprefix(_WRAPPED): item for key, item in inner.items()}
    return inner


def tensors_in(value: object) -> dict[str, TensorRef]:
    """Every tensor in nested containers, by its path, such as `g_ema.style.1.weight`.

    Raises:
        Refusal: absurdly many values, or nested absurdly deep, as in containers of themselves.
    """
    found: dict[str, TensorRef] = {}
    waiting: list[tuple[str, object, int]] = [("", value, 0)]
    visits = 0
    while waiting:
        path, item, depth = waiting.pop()
        if isinstance(item, TensorRef):
            found[path] = item
            continue
        entries = _entries(item)
        if entries is None:
            continue
        visits += 1 + len(entries)
        if depth > _MAX_DEPTH or visits > _MAX_VALUES:
            raise Refusal("its contents are nested in a way that no model file is.")
        for key, inner in reversed(entries):
            waiting.append((f"{path}.{key}" if path else key, inner, depth + 1))
    return found


def _entries(item: object) -> list[tuple[str, object]] | None:
    if isinstance(item, Record):
        fields = [item.state.get(name) for name in _MODULE_FIELDS]
        if any(type(field) is dict for field in fields):
            return [
                (str(key), inner)
                for field in fields
                if isinstance(field, dict)
                for key, inner in field.items()
            ]
        item = item.state
    if isinstance(item, dict):
        return [(str(key)[:200], inner) for key, inner in item.items()]
    if isinstance(item, (list, tuple)):
        return [(str(number), inner) for number, inner in enumerate(item)]
    return None


def described(value: object) -> str:
    """What a value is, in a few words for a refusal."""
    if isinstance(value, Mapping):
        names = [str(key)[:60] for key in value]
        shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        return f"its keys: {shown or 'none'}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, (Record, Opaque)):
        return f"an object of kind {value.kind[:80]}"
    if isinstance(value, Name):
        return f"the name {value.full[:80]}"
    if value is None or isinstance(value, (str, int, float)):
        return repr(value)[:80]
    if isinstance(value, TensorRef):
        return f"a tensor of shape {list(value.shape)}"
    return f"a value of type {type(value).__name__}"
