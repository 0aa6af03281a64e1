"""Safetensors files from anyone: what is read, and what is refused with which words."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from face_latents.models.errors import UnsupportedModelError
from face_latents.models.files import header as safeheader
from face_latents.models.files import tensors as safefile
from face_latents.models.files.tensors import (
    TensorSpec,
    load_tensors,
    read_header,
    save_tensors,
    tensors_hash,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file


def craft(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(shape: list[object], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "b.weight": torch.randn(3, 5, generator=generator),
        "a.half": torch.randn(7, generator=generator).half(),
        "flag": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 4),
        "bytes": torch.arange(5, dtype=torch.uint8),
    }


def test_round_trip(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "new" / "folder" / "x.safetensors"
    save_tensors(path, tensors, {"name": "Gesicht ä", "b": "2"})
    loaded, metadata = load_tensors(path)
    assert metadata == {"name": "Gesicht ä", "b": "2"}
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    assert load_file(path).keys() == tensors.keys()  # the library reads it too
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def test_same_input_gives_same_bytes(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    metadata = {str(i): "x" * i for i in range(20)}
    save_tensors(tmp_path / "a", tensors, metadata)
    shuffled = dict(reversed(tensors.items()))
    save_tensors(tmp_path / "b", shuffled, dict(reversed(metadata.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_non_contiguous(tmp_path: Path) -> None:
    save_tensors(tmp_path / "x", {"a": torch.arange(6.0).reshape(2, 3).T})
    loaded, _ = load_tensors(tmp_path / "x", expect={"a": (3, 2)})
    assert torch.equal(loaded["a"], torch.arange(6.0).reshape(2, 3).T)


def test_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    save_tensors(path, {"a": torch.ones(2)})
    before = path.read_bytes()

    def broken(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(safefile.os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        save_tensors(path, {"a": torch.zeros(2)})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_save_refuses(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="'a' holds 1 values"):
        save_tensors(tmp_path / "x", {"a": torch.tensor([1.0, float("nan")])})
    with pytest.raises(UnsupportedModelError, match="complex64"):
        save_tensors(tmp_path / "x", {"a": torch.zeros(2, dtype=torch.complex64)})
    with pytest.raises(TypeError):
        save_tensors(tmp_path / "x", {}, {"a": 1})  # type: ignore[dict-item]
    assert not list(tmp_path.iterdir())


def test_hash_covers_name_type_shape_and_values() -> None:
    a = torch.arange(6.0)
    hashes = {
        tensors_hash(value)
        for value in (
            {"a": a},
            {"b": a},
            {"a": a.reshape(2, 3)},
            {"a": a.double()},
            {"a": a + 1},
            {"a": a, "c": a},
        )
    }
    assert len(hashes) == 6
    assert tensors_hash({"a": a, "c": a}) == tensors_hash({"c": a.clone(), "a": a.clone()})


def old_torch_file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1)}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def torch_file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1)}, buffer)
    return buffer.getvalue()


def zip_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", "y")
    return buffer.getvalue()


NOT_SAFETENSORS = {
    "pickle": (pickle.dumps({"a": [1, 2]}), "pickle"),
    "pickle 0": (pickle.dumps({"a": [1, 2]}, protocol=0), "pickle"),
    "old pt": (old_torch_file(), "pickle"),
    "pt": (torch_file(), "zip archive or PyTorch"),
    "zip": (zip_file(), "zip archive"),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
    "empty": (b"", "empty"),
    "short": (b"abc", "not a safetensors file"),
    "noise": (bytes(range(7, 255)), "not a safetensors file"),
    "json": (b'{"workflow": 1}', "JSON"),
}

ONE = entry([1], 0, 4)
MALFORMED = {
    "huge header": (craft(b"{}", length=2**63), "header claims"),
    "header past end": (craft(b'{"a":', length=4000), "truncated"),
    "bad utf-8": (craft(b'{"\xff":1}'), "not valid JSON"),
    "bad json": (craft(b'{"a":}'), "not valid JSON"),
    "deep json": (craft(b'{"a":' + b"[" * 200_000), "not valid JSON"),
    "endless number": (craft(b'{"a":' + b"9" * 100_000 + b"}"), "not valid JSON"),
    "nan": (craft(b'{"a":NaN}'), "not valid JSON"),
    "duplicate": (craft(b'{"a":{},"a":{}}'), "'a' stands twice"),
    "duplicate inside": (craft(b'{"a":{"dtype":"F32","dtype":"U8"}}'), "'dtype' stands twice"),
    "metadata": (craft({"__metadata__": {"a": 1}}), "__metadata__"),
    "metadata list": (craft({"__metadata__": []}), "__metadata__"),
    "no object": (craft({"a": 3}, b""), "dtype, shape and data_offsets"),
    "extra field": (craft({"a": {**ONE, "code": "x"}}, b"1234"), "dtype, shape and data_offsets"),
    "dtype": (craft({"a": entry([1], 0, 4, "OBJECT")}, b"1234"), "'OBJECT' is not supported"),
    "dtype type": (craft({"a": entry([1], 0, 4, ["F32"])}, b"1234"), "is not supported"),  # type: ignore[arg-type]
    "negative": (craft({"a": entry([-1], 0, 4)}, b"1234"), "whole number"),
    "bool size": (craft({"a": entry([True], 0, 4)}, b"1234"), "whole number"),
    "float size": (craft({"a": entry([1.0], 0, 4)}, b"1234"), "whole number"),
    "many dims": (craft({"a": entry([1] * 5000, 0, 4)}, b"1234"), "at most 16"),
    "overflow": (craft({"a": entry([2**40, 2**40], 0, 4)}, b"1234"), "needs"),
    "overflow to zero": (craft({"a": entry([2**31, 2**31, 4], 0, 0)}), "needs"),
    "offset order": (craft({"a": entry([1], 4, 0)}, b"1234"), "needs"),
    "size": (craft({"a": entry([2], 0, 4)}, b"1234"), "needs 8 bytes"),
    "negative offset": (craft({"a": entry([1], -4, 0)}, b"1234"), "data_offsets"),
    "overlap": (craft({"a": ONE, "b": entry([1], 2, 6)}, b"123456"), "overlaps"),
    "same place": (craft({"a": ONE, "b": ONE}, b"1234"), "overlaps"),
    "gap": (craft({"a": ONE, "b": entry([1], 8, 12)}, b"1" * 12), "gap"),
    "gap at start": (craft({"a": entry([1], 4, 8)}, b"1" * 8), "gap"),
    "truncated": (craft({"a": entry([4], 0, 16)}, b"1234"), "truncated"),
    "trailing": (craft({"a": ONE}, b"123456"), "2 bytes follow"),
}


@pytest.mark.parametrize("case", [*NOT_SAFETENSORS, *MALFORMED])
def test_refused_with_a_reason(tmp_path: Path, case: str) -> None:
    content, words = {**NOT_SAFETENSORS, **MALFORMED}[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    for read in (read_header, load_tensors):
        with pytest.raises(UnsupportedModelError) as caught:
            read(path)
        assert words in str(caught.value)
        assert str(path) in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="no such file"):
        read_header(tmp_path / "none.safetensors")
    with pytest.raises(UnsupportedModelError, match="not a file"):
        read_header(tmp_path)
    with pytest.raises(UnsupportedModelError, match="no such file"):
        read_header("a\0b")


def test_header_that_begins_like_a_pickle(tmp_path: Path) -> None:
    # a header of 0x0280 bytes puts the pickle signature 80 02 at the start of a good file
    raw = json.dumps({"a": ONE}).encode()
    (tmp_path / "x").write_bytes(craft(raw + b" " * (0x0280 - len(raw)), bytes(4)))
    assert read_header(tmp_path / "x").shapes == {"a": (1,)}


@pytest.mark.parametrize("body", ["tensors", "duplicates"])
def test_large_hostile_header_needs_little_memory(tmp_path: Path, body: str) -> None:
    name = "a" if body == "duplicates" else "{}"
    text = b",".join(
        b'"%s":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}'
        % name.format(i).encode()
        for i in range(20_000)
    )
    (tmp_path / "x").write_bytes(craft(b"{" + text + b"}", b"1234"))
    tracemalloc.start()
    with pytest.raises(UnsupportedModelError):
        load_tensors(tmp_path / "x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_non_finite_weights_are_named(tmp_path: Path) -> None:
    data = struct.pack("<4f", 1.0, float("inf"), float("nan"), 0.0)
    (tmp_path / "x").write_bytes(craft({"net.w": entry([4], 0, 16)}, data))
    with pytest.raises(UnsupportedModelError, match=r"'net\.w' holds 2 values"):
        load_tensors(tmp_path / "x")
    loaded, _ = load_tensors(tmp_path / "x", require_finite=False)
    assert loaded["net.w"].isnan().sum() == 1


def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program shortens it, or puts another in its place, after its header was checked."""
    file, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    tensors = {"x": torch.arange(100_000.0)}
    layout = safeheader._check_layout

    def change(act: Callable[[], object]) -> None:
        save_tensors(file, tensors)
        save_tensors(other, {"y": torch.ones(3)})

        def check(*arguments: Any) -> None:
            layout(*arguments)
            act()

        monkeypatch.setattr(safeheader, "_check_layout", check)

    change(lambda: os.truncate(file, 5000))
    with pytest.raises(UnsupportedModelError, match="shortened while it was read"):
        load_tensors(file)
    change(lambda: os.replace(other, file) if other.exists() else None)
    found, _ = load_tensors(file)
    assert torch.equal(found["x"], tensors["x"])


def test_expectations_list_everything(tmp_path: Path) -> None:
    save_tensors(
        tmp_path / "x",
        {"a": torch.ones(2, 3), "b": torch.ones(2, dtype=torch.int32), "extra": torch.ones(1)},
    )
    with pytest.raises(UnsupportedModelError) as caught:
        load_tensors(tmp_path / "x", expect={"a": (3, 2), "b": (None,), "c": (1,), "d": ()})
    message = str(caught.value)
    for words in (
        "missing: c, d",
        "unexpected: extra",
        "a: expected shape [3, 2], got [2, 3]",
        "b: expected type F16 or BF16 or F32 or F64, got I32",
    ):
        assert words in message
    good = {"a": (None, 3), "b": TensorSpec((2,), ("I32",)), "extra": (1,)}
    assert load_tensors(tmp_path / "x", expect=good)[0].keys() == good.keys()


def test_header_limit_is_within_the_format() -> None:
    assert safeheader.MAX_HEADER_BYTES <= 100_000_000


@settings(max_examples=200, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    keep=st.integers(0, 10_000),
)
def test_damaged_files_never_crash(
    changes: list[tuple[int, int]], keep: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    save_tensors(path, {"a": torch.ones(2, 2), "b": torch.zeros(3)}, {"k": "v"})
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(bytes(content[: keep % (2 * len(content))]))
    try:
        load_tensors(path)
    except UnsupportedModelError:
        return  # refused in words; any other exception fails the test


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_counted(bad: float) -> None:
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        safefile.check_finite("x", torch.full((9,), torch.finfo(dtype).max, dtype=dtype), "f")
        values = torch.zeros(3, 5, dtype=dtype)
        safefile.check_finite("x", values, "f")
        values[1, 2:] = bad
        with pytest.raises(UnsupportedModelError, match="3 values"):
            safefile.check_finite("x", values, "f")
    safefile.check_finite("x", torch.zeros(0, 4), "f")
