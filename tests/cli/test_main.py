"""The command as a program: what it prints where."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from face_latents.cli.main import main
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FLOW = {
    "nodes": [
        {"id": 1, "type": "PrimitiveInt", "outputs": [{"type": "INT"}], "widgets_values": [8]},
        {"id": 2, "type": "PreviewAny", "inputs": [{"name": "source", "type": "*", "link": 1}]},
    ],
    "links": [[1, 1, 0, 2, 0, "INT"]],
}


def redirect(monkeypatch):
    """Standard output and error as those of a Windows program whose output goes to a file."""
    streams = []
    for name in ("stdout", "stderr"):
        streams.append(io.TextIOWrapper(io.BytesIO(), encoding="cp1252", write_through=True))
        monkeypatch.setattr(sys, name, streams[-1])
    return streams


def test_names_in_letters_that_the_output_does_not_have_are_escaped(monkeypatch, tmp_path):
    streams = redirect(monkeypatch)
    folder = tmp_path / "\u0151\u4eba"
    folder.mkdir()
    name = os.fsdecode(b"\xff.json")  # no text in UTF-8, the encoding of file names here
    for path in (folder / "flow.json", tmp_path / name):
        try:
            path.write_text(json.dumps(FLOW))
        except OSError:
            continue  # a system that takes only text for names
        assert main(["run", str(path), "--check", "--output", str(tmp_path)]) == 0
    assert main(["run", str(folder / "none.json")]) == 2
    out, err = (stream.buffer.getvalue().decode("cp1252") for stream in streams)
    assert "\\u0151\\u4eba" in out
    assert "can run: 1 pass(es)" in out
    assert "\\u0151\\u4eba" in err


def test_a_batch_goes_on_behind_a_photo_with_such_a_name(monkeypatch, tmp_path):
    redirect(monkeypatch)
    (tmp_path / "in").mkdir()
    for name in ("\u4eba1.png", "\u4eba2.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / "in" / name)
    slots = [{"name": "images", "type": "IMAGE", "link": 1}]
    nodes = [
        {"id": 1, "type": "LoadImage", "widgets_values": ["x.png", "image"]},
        {"id": 2, "type": "SaveImage", "inputs": slots, "widgets_values": ["a"]},
    ]
    nodes[0]["outputs"] = [{"name": "IMAGE", "type": "IMAGE"}]
    flow = {"nodes": nodes, "links": [[1, 1, 0, 2, 0, "IMAGE"]]}
    (tmp_path / "flow.json").write_text(json.dumps(flow))
    args = ["run", str(tmp_path / "flow.json"), "--input", str(tmp_path / "in")]
    assert main([*args, "--output", str(tmp_path / "\u4eba")]) == 0
    assert len(list((tmp_path / "\u4eba").glob("*.png"))) == 2


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{capsys.readouterr().out.split()[-1]}"' in project
