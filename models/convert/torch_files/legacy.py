"""PyTorch's older file format: five pickles, then the numbers of one storage after the other."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from ..inert import Budget, Builder, Refusal
from ..restricted_pickle import read_pickle
from .storage import Storage, make_storage

MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


def looks_legacy(data: memoryview, start: int = 0) -> bool:
    """True where a file of this format begins: its first pickle is a number, written in 10 bytes,
    after a protocol."""
    return bytes(data[start + 2 : start + 14]) == b"\x8a\x0a" + MAGIC.to_bytes(10, "little")


def read_legacy(
    data: memoryview,
    names: Mapping[str, Builder | None],
    *,
    budget: Budget | None = None,
    explain: Callable[[str], str | None] = lambda name: None,
) -> object:
    """The object in a file of this format; its tensors are described, not read.

    Raises:
        Refusal: as `read_pickle`, or the storages do not fit the file.
    """
    budget = budget or Budget()
    magic, position = read_pickle(data, 0, {}, budget=budget)
    version, position = read_pickle(data, position, {}, budget=budget)
    system, position = read_pickle(data, position, {}, budget=budget)
    if magic != MAGIC or version != _VERSION or type(system) is not dict:
        raise Refusal("not a file of PyTorch, or of a version not known here.")
    if system.get("little_endian") is not True:
        raise Refusal("it was written on a machine with another order of bytes.")
    storages: dict[str, Storage] = {}

    def stored(identity: tuple[object, ...]) -> Storage:
        key, storage = make_storage(identity)
        known = storages.setdefault(key, storage)
        if (known.dtype, known.count) != (storage.dtype, storage.count):
            raise Refusal("one storage is described in two ways.")
        return known

    value, position = read_pickle(
        data, position, names, persistent=stored, budget=budget, explain=explain
    )
    keys, position = read_pickle(data, position, {}, budget=budget)
    if type(keys) is not list or len(keys) != len(storages):
        raise Refusal("the list of its storages is damaged. Fetch the file again.")
    for key in keys:
        storage = storages.get(key) if type(key) is str else None
        if storage is None or storage.data is not None:
            raise Refusal("the list of its storages is damaged. Fetch the file again.")
        header = bytes(data[position : position + 8])
        count = struct.unpack("<q", header)[0] if len(header) == 8 else -1
        position += 8
        if count != storage.count or position + storage.size > len(data):
            raise Refusal("it is truncated or damaged. Fetch the file again.")
        storage.data = data[position : position + storage.size]
        position += storage.size
    return value
