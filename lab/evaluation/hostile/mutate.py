"""Changing bytes and JSON at random, towards values that programs stumble over."""

from __future__ import annotations

import copy
import json
import random
import struct
from typing import Any

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
    """A safetensors file changed in its bytes, or in its header, which stays readable as JSON.

    A checksum mostly goes, so that what lies behind it is reached.
    """
    if rng.random() < 0.35:
        return mutate_bytes(data, rng)
    (length,) = struct.unpack("<Q", data[:8])
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
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


def _special_floats(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = 4 * rng.randrange(max(1, len(data) // 4))
        changed[at : at + 4] = struct.pack("<f", rng.choice((float("nan"), float("inf"), 3e38, 0)))
    return bytes(changed[: len(data)])
