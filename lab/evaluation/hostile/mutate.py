"""Changing bytes and JSON at random, towards values that programs stumble over."""

from __future__ import annotations

import copy
import json
import random
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from ....models.errors import FaceLatentsError
from ....models.files.header import DTYPES
from ....models.files.tensors import CHECKSUM, save_tensors, tensors_hash

_NUMBERS = (0, -1, 1, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 0.5, 5, 1e18, -1e308, float("nan"), float("inf"), 2**63, 10**400, "", "a",
    "NaN", "../../outside", "/outside", "\x00", "ß\U0001f600", "x" * 5000, [], {}, [[]], [1, 2],
    {"a": 1}, [None] * 50,
)  # fmt: skip


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to four changes: bits, bytes, numbers, parts cut off, doubled, emptied or moved."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not changed:
            break
        # headers, where most of a reader's decisions hang, are as likely as all the rest
        reach = len(changed) if rng.random() < 0.5 else min(len(changed), 400)
        at, length = rng.randrange(reach), rng.randint(1, 40)
        match rng.randrange(8):
            case 0 | 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                changed[at] = rng.randrange(256)
            case 3:
                size = rng.choice("HIQ")
                order = rng.choice("<>") + size
                number = rng.choice(_NUMBERS) % (1 << 8 * struct.calcsize(order))
                packed = struct.pack(order, number)
                changed[at : at + len(packed)] = packed
            case 4:
                del changed[at:]
            case 5:
                changed[at:at] = changed[at : at + length] * rng.randint(1, 9)
            case 6:
                changed[at : at + length] = bytes(length)
            case _:
                other = rng.randrange(len(changed))
                changed[at : at + length] = changed[other : other + length]
    return bytes(changed)


def mutate_json(value: Any, rng: random.Random) -> Any:
    """One to three changes of values, keys or order somewhere in a JSON value; texts that hold JSON
    are opened.
    """
    changed = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        changed = _mutated(changed, rng, 0)
    return changed


def _mutated(value: Any, rng: random.Random, depth: int) -> Any:
    down = rng.random() < 0.85 and depth < 12
    if isinstance(value, dict) and value and down:
        key, other = rng.choice(list(value)), rng.choice(list(value))
        match rng.randrange(12):
            case 0:
                del value[key]
            case 1:
                value[rng.choice(("x", "", key + "x", other))] = value.pop(key)
            case _:
                value[key] = _mutated(value[key], rng, depth + 1)
        return value
    if isinstance(value, list) and value and down:
        at = rng.randrange(len(value))
        match rng.randrange(12):
            case 0:
                del value[at]
            case 1:
                value.append(copy.deepcopy(value[at]))
            case 2:
                rng.shuffle(value)
            case _:
                value[at] = _mutated(value[at], rng, depth + 1)
        return value
    if isinstance(value, str) and value[:1] in ("{", "[") and down:
        try:
            return json.dumps(_mutated(json.loads(value), rng, depth + 1))
        except ValueError:
            pass
    small = isinstance(value, (int, float)) and abs(value) < 1e300
    if small and not isinstance(value, bool) and rng.random() < 0.5:
        return value * rng.choice((-1, 0, 2, 1000, 1e-9, 1e30))
    return copy.deepcopy(rng.choice(_VALUES))


def to_json(value: Any, rng: random.Random) -> bytes:
    """JSON as bytes, now and then with a fault in the text itself."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    if rng.random() < 0.05:
        return b"[" * rng.choice((50, 5000, 60_000)) + text
    return mutate_bytes(text, rng) if rng.random() < 0.15 else text


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """A safetensors file changed in its bytes; in its header, which stays readable as JSON; or in
    what it holds, with a right header and checksum.

    Without those a checksum mostly goes, so that what lies behind it is reached.
    """
    way = rng.random()
    if way < 0.25:
        return mutate_bytes(data, rng)
    header, rest = _header(data)
    if way < 0.65:
        return _well_formed(header.get("__metadata__", {}), load(data), rng) or data
    if rng.random() < 0.8:
        header.get("__metadata__", {}).pop("checksum", None)
    part = "__metadata__" if rng.random() < 0.7 and "__metadata__" in header else None
    if part is None:
        header = mutate_json(header, rng)
    else:
        header[part] = mutate_json(header[part], rng)
        if rng.random() < 0.9 and isinstance(header[part], dict):  # texts, as the format wants
            header[part] = {
                k: v if isinstance(v, str) else json.dumps(v) for k, v in header[part].items()
            }
    if rng.random() < 0.3:
        rest = mutate_bytes(rest, rng) if rng.random() < 0.5 else _special_floats(rest, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _well_formed(
    metadata: dict[str, Any], tensors: dict[str, Tensor], rng: random.Random
) -> bytes | None:
    """A file of changed texts and tensors; None where they cannot be written."""
    metadata.pop(CHECKSUM, None)
    for _ in range(rng.randint(1, 3)):
        if metadata and rng.random() < 0.5:
            _change_text(metadata, rng)
        elif tensors:
            _change_tensor(tensors, rng)
    if "model_id" in metadata and rng.random() < 0.8:
        metadata["model_id"] = tensors_hash(tensors)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.safetensors"
        try:
            save_tensors(file, tensors, metadata)
        except (FaceLatentsError, UnicodeError):  # NaN, or half a letter
            return None
        return file.read_bytes()


def _change_text(metadata: dict[str, Any], rng: random.Random) -> None:
    deep = sorted(set(metadata) - {"kind", "format_version"})  # refused at the door
    key = rng.choice(deep if deep and rng.random() < 0.9 else sorted(metadata))
    try:
        value = json.loads(metadata[key])
    except ValueError:
        value = metadata[key]
    value = mutate_json(value, rng)
    metadata[key] = value if isinstance(value, str) else json.dumps(value)
    if rng.random() < 0.1:
        del metadata[key]


def _change_tensor(tensors: dict[str, Tensor], rng: random.Random) -> None:
    name, other = rng.choice(sorted(tensors)), rng.choice(sorted(tensors))
    tensor = tensors[name]
    changes: tuple[Callable[[], Tensor], ...] = (
        lambda: tensor.flatten(),
        lambda: tensor[None],
        lambda: tensor[:0] if tensor.dim() else tensor,
        lambda: tensor[: max(1, len(tensor) // 2)] if tensor.dim() else tensor[None, None],
        lambda: tensor.flatten()[:1].reshape(()) if tensor.numel() else tensor.float(),
        lambda: torch.cat([tensor, tensor]) if tensor.dim() else tensor.repeat(3),
        lambda: tensor.transpose(0, -1) if tensor.dim() else tensor[None],
        lambda: tensor.to(rng.choice(list(DTYPES.values()))),
        lambda: (tensor.double() * rng.choice((0, -1, 1e4, 1e30, 1e-30))).to(tensor.dtype),
        lambda: torch.full_like(tensor, rng.choice((0, 1, 100))),
        lambda: tensors[other],
    )
    tensors[name] = rng.choice(changes)().contiguous().clone()
    if rng.random() < 0.15:
        names = (name + "x", "", "photo.0", "alpha.0", "extras.x", "context.0.code", "a" * 300)
        tensors[rng.choice(names)] = tensors.pop(name)


def _special_floats(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = 4 * rng.randrange(max(1, len(data) // 4))
        changed[at : at + 4] = struct.pack("<f", rng.choice((float("nan"), float("inf"), 3e38, 0)))
    return bytes(changed[: len(data)])
