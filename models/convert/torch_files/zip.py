"""PyTorch's file format: a zip archive with a pickle, and the numbers of each storage in a member.

Members are never unpacked. PyTorch stores them as they are, so compressed ones are refused, and
with them every archive that grows when it is opened.

Format of archives: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from ..inert import Builder, Refusal
from ..restricted_pickle import read_pickle
from .storage import Storage, make_storage

_MAX_MEMBERS = 20_000
_MAX_COMMENT = 65_535
_END = struct.Struct("<4s4H2IH")
_END64_PLACE = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_FULL = 0xFFFFFFFF
_DAMAGED = "the zip archive is truncated or damaged. Fetch the file again."


def read_zip(
    data: memoryview,
    names: Mapping[str, Builder | None],
    explain: Callable[[str], str | None] = lambda name: None,
) -> object:
    """The object in a file of this format; its tensors are described, not read.

    Raises:
        Refusal: as `read_pickle`, or not an archive as PyTorch writes it.
    """
    try:
        members = _members(data)
    except (struct.error, IndexError, UnicodeError) as error:
        raise Refusal(_DAMAGED) from error
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if any("/code/" in name or name.endswith("/constants.pkl") for name in members):
        raise Refusal(
            "it is a TorchScript program, not a file of tensors. Fetch the checkpoint it was "
            "made from."
        )
    if len(pickles) != 1:
        shown = ", ".join(name[:60] for name in sorted(members)[:6])
        raise Refusal(
            f"a zip archive, but not one that PyTorch wrote. It holds: {shown or 'nothing'}. If a "
            "model lies in it, unpack it first."
        )
    root = pickles[0].removesuffix("data.pkl")
    order = members.get(f"{root}byteorder")
    if order is not None and bytes(order[:16]) != b"little":
        raise Refusal("it was written on a machine with another order of bytes.")
    storages: dict[str, Storage] = {}

    def stored(identity: tuple[object, ...]) -> Storage:
        key, storage = make_storage(identity)
        if key in storages:
            known = storages[key]
            if known.dtype != storage.dtype or known.count != storage.count:
                raise Refusal("one storage is described in two ways.")
            return known
        storage.data = members.get(f"{root}data/{key}")
        if storage.data is None or len(storage.data) != storage.size:
            raise Refusal("the numbers of a tensor are missing. Fetch the file again.")
        storages[key] = storage
        return storage

    value, _ = read_pickle(members[pickles[0]], 0, names, persistent=stored, explain=explain)
    return value


def _members(data: memoryview) -> dict[str, memoryview]:
    """Name -> bytes of every member, all stored uncompressed."""
    count, directory = _directory(data)
    position = directory
    if count > _MAX_MEMBERS:
        raise Refusal(f"a zip archive of {count:,} members, more than any model file has.")
    members: dict[str, memoryview] = {}
    for _ in range(count):
        fields = _ENTRY.unpack_from(data, position)
        signature, _, _, flags, method = fields[:5]
        packed, size, name_size, extra_size, comment_size = fields[8:13]
        start = fields[16]
        position += _ENTRY.size
        name = str(data[position : position + name_size], "utf-8")
        extra = bytes(data[position + name_size : position + name_size + extra_size])
        position += name_size + extra_size + comment_size
        if signature != b"PK\x01\x02":
            raise Refusal(_DAMAGED)
        if flags & 1 or method != 0:
            raise Refusal(
                f"member '{name[:60]}' of the zip archive is compressed or encrypted, which "
                "PyTorch never does. If somebody packed the model, unpack it first."
            )
        size, packed, start = _wide(extra, size, packed, start)
        local = _LOCAL.unpack_from(data, start)
        begin = start + _LOCAL.size + local[9] + local[10]
        if local[0] != b"PK\x03\x04" or packed != size or begin + size > directory:
            raise Refusal(_DAMAGED)
        if name in members:
            raise Refusal(f"member '{name[:60]}' stands twice in the zip archive.")
        members[name] = data[begin : begin + size]
    return members


def _directory(data: memoryview) -> tuple[int, int]:
    """Count of members, and where their list begins, which is where they end."""
    tail = max(len(data) - _MAX_COMMENT - _END.size, 0)
    place = bytes(data[tail:]).rfind(b"PK\x05\x06")
    if place < 0:
        raise Refusal(_DAMAGED)
    end = _END.unpack_from(data, tail + place)
    count, start = end[4], end[6]
    if tail + place >= _END64_PLACE.size:
        pointer = _END64_PLACE.unpack_from(data, tail + place - _END64_PLACE.size)
        if pointer[0] == b"PK\x06\x07":
            wide = _END64.unpack_from(data, pointer[2])
            if wide[0] != b"PK\x06\x06":
                raise Refusal(_DAMAGED)
            count, start = wide[7], wide[9]
    return count, start


def _wide(extra: bytes, size: int, packed: int, start: int) -> tuple[int, int, int]:
    """Sizes and place of a member of an archive beyond 4 GB, from the entry's extra field 1."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            values = [n for (n,) in struct.iter_unpack("<Q", extra[4 : 4 + length // 8 * 8])]
            values.reverse()
            size = values.pop() if size == _FULL else size
            packed = values.pop() if packed == _FULL else packed
            start = values.pop() if start == _FULL else start
            break
        extra = extra[4 + length :]
    return size, packed, start
