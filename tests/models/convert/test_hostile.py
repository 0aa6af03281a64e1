"""Files made to do harm, and broken ones: told why, nothing run, nothing written."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from convert_support import (
    LAYOUT,
    Pickled,
    encoder_checkpoint,
    nvidia_file,
    nvidia_modules,
    port_state,
)
from face_latents.models.convert import convert
from face_latents.models.errors import FaceLatentsError, UnsupportedModelError
from stylegan2_support import small_layout, small_tensors
from torch import Tensor


def refuse(file: Path, told: str) -> None:
    """Hold that a file is refused with these words, and nothing is written beside it."""
    out = file.parent / "out" / "new.safetensors"
    before = sorted(file.parent.iterdir())
    with pytest.raises(UnsupportedModelError, match=told) as caught:
        convert(file, out)
    assert str(file) in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert sorted(file.parent.iterdir()) == before


class Payload:
    """Pickled as a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def payloads(mark: Path) -> dict[str, Payload]:
    import os
    import runpy
    import subprocess

    code = f"open({str(mark)!r}, 'w')"
    return {
        "system": Payload(os.system, f"touch {mark}"),
        "eval": Payload(eval, code),
        "exec": Payload(exec, code),
        "open": Payload(open, str(mark), "w"),
        "getattr": Payload(getattr, [], "append"),
        "subprocess": Payload(subprocess.Popen, ["touch", str(mark)]),
        "run_path": Payload(runpy.run_path, str(mark)),
        "load": Payload(torch.load, str(mark)),
        "jit": Payload(torch.jit.load, str(mark)),
        "import": Payload(__import__, "antigravity"),
    }


@pytest.mark.parametrize("kind", list(payloads(Path("x"))))
@pytest.mark.parametrize("place", ["0", "2", "4", "5", "zip", "legacy", "inside", "storage"])
def test_calls_are_not_made(tmp_path: Path, kind: str, place: str) -> None:
    mark, file = tmp_path / "mark", tmp_path / "bad.pkl"
    payload = payloads(mark)[kind]
    if place.isdigit():
        file.write_bytes(pickle.dumps(payload, protocol=int(place)))
    elif place in ("zip", "legacy"):
        checkpoint = {"g_ema": port_state(small_tensors(LAYOUT)), "args": payload}
        torch.save(checkpoint, file, _use_new_zipfile_serialization=place == "zip")
    elif place == "inside":
        nvidia_file(file, extra=payload)
    else:  # in the file of a storage, within the pickle
        inner = io.BytesIO()
        torch.save(payload, inner, _use_new_zipfile_serialization=False)
        load = Payload(torch.storage._load_from_bytes, inner.getvalue())
        with nvidia_modules():
            file.write_bytes(pickle.dumps({"G_ema": Pickled("Generator", {"x": load}, "")}))
    refuse(file, "Nothing in it was run")
    assert not mark.exists()


def test_neither_pickle_nor_torch_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = small_tensors(LAYOUT)
    checkpoint = {"g_ema": port_state(tensors), "latent_avg": tensors["latent_avg"]}
    torch.save(checkpoint, tmp_path / "zip.pt")
    torch.save(checkpoint, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(encoder_checkpoint(tensors), tmp_path / "e4e.pt")
    nvidia_file(tmp_path / "net.pkl")

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was opened")

    for place in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, place, forbidden)
    monkeypatch.setattr(torch, "load", forbidden)
    monkeypatch.setattr("builtins.exec", forbidden)
    for file in sorted(tmp_path.iterdir()):
        convert(file, tmp_path / "new.safetensors")


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (b"\x80\x02cos\nsystem\n.", "posix.system|os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"(ios\nsystem\n.", "instruction"),
        (b"\x80\x02(cbuiltins\nset\no.", "instruction"),
        (b"\x80\x02\x82\x01.", "instruction"),
        (b"\x80\x02\x83\x01\x01.", "instruction"),
        (b"\x80\x02]\x85\x81.", "impossible|damaged"),
        (b"\x80\x02]X\x01\x00\x00\x00a)R.", "calls 'str'"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "calls 'torch.FloatStorage'"),
        (b"\x80\x02K\x01}b.", "impossible"),
        (b"\x80\x02ccollections\nOrderedDict\n}b.", "impossible"),
        (b"\x80\x02K\x01Q.", "points to"),
        (b"\x80\x02Pabc\n.", "instruction"),
        (b"\x80\x02B\xff\xff\xff\xff12.", "damaged"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff12.", "damaged|impossible"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f12.", "letters"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f.", "instruction"),
        (b"\x80\x02\x8a\xff" + b"1" * 255 + b".", "whole number"),
        (b"\x80\x02]r\xff\xff\xff\xffK\x01j\xfe\xff\xff\xff.", "damaged"),
        (b"\x80\x02.", "damaged"),
        (b"\x80\x02t.", "damaged"),
        (b"\x80\x09N.", "protocol"),
        (b"\x80\x02}]]s.", "impossible"),
        (b"\x80\x02}\x8a\x08" + ((1 << 61) - 1).to_bytes(8, "little") + b"Ns.", "a key"),
        (b"\x80\x04\x8f(]\x90.", "impossible"),
        (b"\x80\x02" + b"N" * 300_000 + b".", "steps"),
        (b"\x80\x02" + b"(" * 300_000, "nested"),
        (b"\x80\x02" + b"}" * 300_000, "steps"),
        (b"\x80\x02c" + b"a" * 1000 + b"\nb\n.", "letters"),
    ],
)
def test_programs(tmp_path: Path, program: bytes, told: str) -> None:
    file = tmp_path / "bad.pkl"
    file.write_bytes(program + b"\x00" * 16)
    refuse(file, told)


def test_nested_storages(tmp_path: Path) -> None:
    content: object = torch.ones(1).untyped_storage()
    for _ in range(2):
        inner = io.BytesIO()
        torch.save(content, inner, _use_new_zipfile_serialization=False)
        content = Payload(torch.storage._load_from_bytes, inner.getvalue())
    file = tmp_path / "bad.pkl"
    file.write_bytes(pickle.dumps(content))
    refuse(file, "_load_from_bytes")


def test_one_storage_opened_again_and_again(tmp_path: Path) -> None:
    inner = io.BytesIO()
    many = OrderedDict((str(n), {}) for n in range(2000))
    torch.save(many, inner, _use_new_zipfile_serialization=False)
    content = inner.getvalue()
    calls = b"ctorch.storage\n_load_from_bytes\nq\x01" + b"B" + struct.pack("<I", len(content))
    program = b"\x80\x03(" + calls + content + b"q\x02\x85R" + b"h\x01h\x02\x85R" * 5000 + b"t."
    file = tmp_path / "bad.pkl"
    file.write_bytes(program)
    refuse(file, "no storage|steps")


@pytest.mark.parametrize("kind", ["laughs", "tuples", "itself", "deep"])
def test_nested_containers(tmp_path: Path, kind: str) -> None:
    nested: object = [torch.zeros(1)]
    if kind == "laughs":
        for _ in range(30):
            nested = [nested] * 10
    elif kind == "tuples":
        for _ in range(60):
            nested = (nested, nested)
    elif kind == "itself":
        assert isinstance(nested, list)
        nested.append(nested)
    else:
        for _ in range(300):
            nested = [nested]
    file = tmp_path / "bad.pt"
    torch.save({"g_ema": port_state(small_tensors(LAYOUT)), "args": nested}, file)
    refuse(file, "nested")
    torch.save({"args": nested}, file)
    refuse(file, "args")


def members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def checkpoint_file(file: Path) -> None:
    tensors = small_tensors(LAYOUT)
    torch.save({"g_ema": port_state(tensors), "latent_avg": tensors["latent_avg"]}, file)


def test_compressed_members(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x00" * 5_000_000)
    refuse(file, "compressed")


def test_a_zip_that_python_wrote(tmp_path: Path) -> None:
    plain, file = tmp_path / "plain.pt", tmp_path / "net.pt"
    checkpoint_file(plain)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members(plain).items():
            archive.writestr(name, content)
    convert(file, tmp_path / "a.safetensors")
    convert(plain, tmp_path / "b.safetensors")
    a, b = ((tmp_path / name).read_bytes()[-1000:] for name in ("a.safetensors", "b.safetensors"))
    assert a == b


def test_members_are_checked(tmp_path: Path) -> None:
    plain, file = tmp_path / "plain.pt", tmp_path / "bad.pt"
    checkpoint_file(plain)
    held = members(plain)
    root = next(iter(held)).split("/")[0]

    def write(changed: dict[str, bytes | None], more: int = 0) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in {**held, **changed}.items():
                if content is not None:
                    archive.writestr(name, content)
            for number in range(more):
                archive.writestr(f"{root}/data/x{number}", b"")

    plain.unlink()
    write({f"{root}/data/0": None})
    refuse(file, "numbers of a tensor are missing")
    write({f"{root}/data/0": b"1234"})
    refuse(file, "numbers of a tensor are missing")
    write({f"{root}/byteorder": b"big"})
    refuse(file, "order of bytes")
    write({f"{root}/data.pkl": None})
    refuse(file, "not one that PyTorch wrote")
    write({"other/data.pkl": b"."})
    refuse(file, "not one that PyTorch wrote")
    write({f"{root}/code/net.py": b"", f"{root}/constants.pkl": b""})
    refuse(file, "TorchScript")
    write({}, more=20_001)
    refuse(file, "members")


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inner.pt", b"x")
        archive.writestr("readme.txt", b"x")
    refuse(file, "readme.txt")


def tensor_call(function: Callable[..., object], *arguments: object) -> dict[str, object]:
    """A checkpoint one of whose tensors is made by a call."""
    tensors = small_tensors(LAYOUT)
    broken = {**port_state(tensors), "style.1.weight": Payload(function, *arguments)}
    return {"g_ema": broken, "latent_avg": tensors["latent_avg"]}


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (32, 32), (0, 0)),  # one number a thousand times
        (0, (1 << 30, 1 << 30), (0, 0)),
        (1000, (32, 32), (32, 1)),
        (0, (32, 32), (32, 2)),
        (-1, (32, 32), (32, 1)),
        (0, (32, -32), (32, 1)),
        (0, (32, 32), (32, -1)),
        (0, (32, 32), (32,)),
        (0, (1,) * 30, (1,) * 30),
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_impossible_tensors(
    tmp_path: Path, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], zipped: bool
) -> None:
    count = 32 if shape == (32, 32) and stride == (0, 0) else 1024
    storage = torch.zeros(count)._typed_storage()
    call = tensor_call(
        torch._utils._rebuild_tensor_v2, storage, offset, shape, stride, False, OrderedDict()
    )
    file = tmp_path / "bad.pt"
    torch.save(call, file, _use_new_zipfile_serialization=zipped)
    refuse(file, "impossible value")


def test_tensors_that_share_numbers(tmp_path: Path) -> None:
    tensors = small_tensors(small_layout(32, dim=512, width=4, mapping_layers=40))
    state = port_state(tensors)
    for number in range(2, 41):
        state[f"style.{number}.weight"] = state["style.1.weight"]
    file = tmp_path / "bad.pt"
    torch.save({"g_ema": state, "latent_avg": tensors["latent_avg"]}, file)
    refuse(file, "share the same numbers")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("conv1.conv.weight", torch.full((1, 16, 16, 3, 3), float("nan")), "NaN"),
        ("latent_avg", torch.full((32,), float("inf")), "infinite"),
        ("conv1.conv.weight", torch.zeros(1, 16, 16, 5, 5), "expected shape"),
        ("conv1.conv.weight", torch.zeros(16, 16, 3, 3), "expected shape"),
        ("conv1.conv.weight", torch.zeros(1, 16, 16, 3, 3).long(), "I64"),
        ("conv1.conv.weight", None, "conv1.conv.weight"),
        ("noises.noise_3", None, "noises.noise_3"),
        ("style.2.weight", None, "one layer"),
        ("extra.weight", torch.zeros(3), "unexpected: extra.weight"),
        ("latent_avg", torch.rand(7, 32), "latent_avg"),
        ("conv_clamp", torch.tensor([3.0, 4.0]), "conv_clamp"),
    ],
)
def test_wrong_weights(tmp_path: Path, name: str, value: Tensor | None, told: str) -> None:
    tensors: dict[str, Tensor] = {**small_tensors(LAYOUT)}
    state = port_state(tensors)
    checkpoint: dict[str, object] = {"g_ema": state, "latent_avg": tensors["latent_avg"]}
    target: dict[str, object] = checkpoint if name == "latent_avg" else state  # type: ignore[assignment]
    if value is None:
        del target[name]
    else:
        target[name] = value
    file = tmp_path / "bad.pt"
    torch.save(checkpoint, file)
    refuse(file, told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"state_dict": {"layer.weight": torch.zeros(3)}, "epoch": 3}, "state_dict, epoch"),
        ({"g_ema": {}}, "no tensors"),
        ({"g_ema": None}, "no tensors"),
        ({"g_ema": {"generator.progression.0.conv": torch.zeros(3)}}, "generator.progression"),
        ({"unet.weight": torch.zeros(3)}, "unet.weight"),
        ([torch.zeros(3)] * 3, "a list of 3"),
        (None, "None"),
        (torch.nn.Linear(2, 2), "state_dict"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_checkpoints_of_something_else(
    tmp_path: Path, content: object, told: str, zipped: bool
) -> None:
    file = tmp_path / "other.pt"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    refuse(file, told)


class TensorFlow:
    """Stands for the network class in pickles of the TensorFlow StyleGAN."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return _TensorFlowNetwork, ()


class _TensorFlowNetwork:
    pass


def test_tensorflow_pickle(tmp_path: Path) -> None:
    content = pickle.dumps((TensorFlow(),) * 3, protocol=2)
    old = f"c{__name__}\n_TensorFlowNetwork\n".encode()
    assert old in content
    file = tmp_path / "old.pkl"
    file.write_bytes(content.replace(old, b"cdnnlib.tflib.network\nNetwork\n"))
    refuse(file, "legacy.py")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\x80", "empty"),
        (b"<!doctype html><html>not found", "web page"),
        (b'{"error": "not found"}    ', "known here"),
        (b"version https://git-lfs.github.com/spec/v1", "known here"),
        (struct.pack("<Q", 40) + b'{"a": 1}' + b" " * 40, "dtype, shape and data_offsets"),
        (b"PK\x03\x04" + b"\x00" * 40, "zip archive is truncated"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order'", "damaged"),
    ],
)
def test_files_of_other_kinds(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "other.pt"
    file.write_bytes(content)
    refuse(file, told)


def test_folders_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    refuse(tmp_path / "folder", "no file")
    refuse(tmp_path / "none.pt", "no such file")


@pytest.mark.parametrize("kind", ["zip", "legacy", "nvidia"])
def test_damage_never_escapes(tmp_path: Path, kind: str) -> None:
    """Cut short or with changed bytes anywhere, a file is converted or refused, nothing else."""
    good, file, out = (tmp_path / name for name in ("good", "bad", "new.safetensors"))
    if kind == "nvidia":
        nvidia_file(good)
    else:
        tensors = small_tensors(LAYOUT)
        checkpoint = {"g_ema": port_state(tensors), "latent_avg": tensors["latent_avg"]}
        torch.save(checkpoint, good, _use_new_zipfile_serialization=kind == "zip")
    content = good.read_bytes()
    draw = random.Random(0)
    refused = 0
    for number in range(90):
        damaged = bytearray(content)
        if number % 3 == 0:
            del damaged[draw.randrange(len(content)) :]
        else:
            for _ in range(draw.choice([1, 4, 30])):
                place = draw.randrange(len(content) if number % 3 == 1 else 4000)
                damaged[place] = draw.randrange(256)
        file.write_bytes(damaged)
        try:
            convert(file, out)
        except FaceLatentsError:
            refused += 1
    assert refused > 45
