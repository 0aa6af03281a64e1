"""Batches end well: nothing half written, nothing twice, what is done is not done again."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from face_latents.cli.main import main
from face_latents.cli.runner.batch import store as store_module
from face_latents.cli.runner.batch.store import PARTIAL, OutputStore, Staged
from face_latents.cli.runner.execute import Executor, RunResult
from face_latents.cli.runner.outcome import Outcome
from face_latents.models.errors import FaceLatentsError
from PIL import Image

COUNT = 5


def flow(prefix="face", constant=False):
    """Load Image to Save Image; with a second loader whose picture no photo changes."""
    nodes = [
        {"id": 1, "type": "LoadImage", "widgets_values": ["x.png", "image"]},
        {"id": 2, "type": "ImageFlip", "widgets_values": ["x-axis: vertically"]},
        {"id": 3, "type": "SaveImage", "widgets_values": [prefix]},
    ]
    nodes[0]["outputs"] = nodes[1]["outputs"] = [{"name": "IMAGE", "type": "IMAGE"}]
    nodes[1]["inputs"] = [{"name": "image", "type": "IMAGE", "link": 1}]
    nodes[2]["inputs"] = [{"name": "images", "type": "IMAGE", "link": 2}]
    links = [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]
    if constant:
        fixed = {"id": 8, "type": "LoadImage", "widgets_values": ["0.png", "image"]}
        saver = {"id": 9, "type": "SaveImage", "widgets_values": ["fixed"]}
        saver["inputs"] = [{"name": "images", "type": "IMAGE", "link": 3}]
        nodes += [{**fixed, "outputs": nodes[0]["outputs"]}, saver]
        links.append([3, 8, 0, 9, 0, "IMAGE"])
    return {"nodes": nodes, "links": links}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(COUNT):
        Image.new("RGB", (8, 6), (40 * number, 9, 9)).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "flow.json").write_text(json.dumps(flow()))
    return tmp_path


def run(place, *options):
    args = ["run", str(place / "flow.json"), "--input", str(place / "in"), "--no-progress"]
    return main([*args, "--output", str(place / "out"), *options])


def manifest(place):
    rows = (place / "out" / "manifest.jsonl").read_text().splitlines()
    return {Path(line["photo"]).name: line for line in map(json.loads, rows)} | {"rows": len(rows)}


def pictures(place):
    return sorted(
        path.relative_to(place / "out").as_posix() for path in (place / "out").rglob("*.p*")
    )


def stop_at(monkeypatch, number, error):
    """Let the photo with this number raise in the middle of a pass."""
    whole, calls = Executor.run, []

    def run_and_stop(self, *given):
        result = whole(self, *given)
        calls.append(1)
        if len(calls) == number:
            raise error
        return result

    monkeypatch.setattr(Executor, "run", run_and_stop)
    return calls


def test_an_interrupted_batch_is_resumed_without_a_trace(place, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_at(patch, 3, KeyboardInterrupt())
        assert run(place) == 130
    assert "Stopped after 2 photos; --resume goes on." in capsys.readouterr().err
    assert pictures(place) == ["face_00001_.png", "face_00002_.png"]
    assert not (place / "out" / PARTIAL).exists()
    calls = stop_at(monkeypatch, 0, None)
    assert run(place, "--resume") == 0
    assert len(calls) == COUNT - 2
    assert pictures(place) == [f"face_0000{number + 1}_.png" for number in range(COUNT)]
    told = manifest(place)
    assert told.pop("rows") == COUNT == len(told)
    assert "2 photos are done already." in capsys.readouterr().err
    assert run(place, "--resume") == 0
    assert len(calls) == COUNT - 2
    assert manifest(place)["rows"] == COUNT


def test_a_crash_at_any_point_costs_one_photo_and_leaves_no_other_twice(place, monkeypatch):
    class Crash(BaseException):
        """As if the power went."""

    with monkeypatch.context() as patch:
        stop_at(patch, 3, Crash())
        patch.setattr(OutputStore, "__exit__", lambda *_: None)
        with pytest.raises(Crash):
            run(place)
    assert (place / "out" / PARTIAL).exists()
    with (place / "out" / "manifest.jsonl").open("a") as file:
        file.write('{"photo": "cut o')  # a line that was being written
    replace = store_module.os.replace
    moved = []

    def crash_before_moving(source, target):
        final = target.suffix == ".png" and PARTIAL not in target.parts
        moved.extend([target] if final else [])
        if len(moved) == 2:
            raise Crash
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(store_module.os, "replace", crash_before_moving)
        with pytest.raises(Crash):
            run(place, "--resume")
    assert manifest(place)["rows"] == 4  # one of them says more than is there
    assert run(place, "--resume") == 0
    told = manifest(place)
    assert told.pop("rows") == COUNT == len(told)
    assert sorted(name for line in told.values() for name in line["outputs"]) == pictures(place)
    assert not (place / "out" / PARTIAL).exists()


def test_what_changed_or_went_is_done_again(place, monkeypatch, capsys):
    (place / "in" / "bad.png").write_bytes(b"no picture")
    assert run(place) == 1
    captured = capsys.readouterr().err
    assert "1 photos failed or are damaged:\n  bad.png  'Load Image' (node 1): " in captured
    calls = stop_at(monkeypatch, 0, None)
    Image.new("RGB", (8, 6), (1, 2, 3)).save(place / "in" / "1.png")  # another photo
    (place / "out" / "face_00004_.png").unlink()
    (place / "in" / "0.png").rename(place / "in" / "new.png")  # a name may be part of the result's
    assert run(place, "--resume") == 1
    assert "bad.png" in capsys.readouterr().err  # listed every time
    assert len(calls) == 3
    told = manifest(place)
    assert told["rows"] == COUNT + 2  # 0.png, which is not among the photos any more, and bad.png
    assert told["1.png"]["outputs"] == ["face_00006_.png"]
    calls.clear()
    assert run(place, "--resume", "--set", "2.flip_method=y-axis: horizontally") == 1
    assert len(calls) == COUNT  # other settings
    calls.clear()
    (place / "flow.json").write_text(json.dumps(flow("other")))
    assert run(place, "--resume") == 1
    assert len(calls) == COUNT
    assert run(place, "--resume") == 1
    assert len(calls) == COUNT


def test_what_no_photo_changes_is_saved_once(place):
    (place / "flow.json").write_text(json.dumps(flow(constant=True)))
    (place / "in" / "1.png").write_bytes(b"no picture")
    assert run(place, "--set", "1.image=*") == 1
    assert [name for name in pictures(place) if "fixed" in name] == ["fixed_00001_.png"]
    told = manifest(place)
    assert told.pop("rows") == COUNT
    good = [line["outputs"] for line in told.values() if line["error"] is None]
    assert all("fixed_00001_.png" in outputs for outputs in good)
    assert len(pictures(place)) == COUNT


def test_a_failed_photo_leaves_nothing(place, monkeypatch):
    stop_at(monkeypatch, 2, FaceLatentsError("no luck"))
    assert run(place) == 1
    assert len(pictures(place)) == COUNT - 1
    assert manifest(place)["1.png"]["outputs"] == []


def test_json_prints_a_line_for_each_photo(place, capsys):
    (place / "in" / "bad.png").write_bytes(b"no picture")
    assert run(place, "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["photo"]).name for line in lines[-2:]] == ["4.png", "bad.png"]
    assert lines[0]["files"] == [str(place / "out" / "face_00001_.png")]
    assert lines[-1]["error"].startswith("'Load Image' (node 1)")


def test_ctrl_c_waits_until_a_photo_s_files_are_in_place(tmp_path):
    with OutputStore(tmp_path) as store:
        folder = store.stage()
        (folder / "a_00001_.png").touch()
        ui = {"1": {"images": [{"filename": "a_00001_.png", "subfolder": "", "type": "output"}]}}
        outcome = Outcome(None, RunResult(ui), {}, tmp_path, {"1": ["a_00001_.png"]})
        (tmp_path / "A_00004_x.webp").touch()

        def interrupt(_):
            signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            store.commit(Staged(outcome, folder), write_down=interrupt)
        assert (tmp_path / "a_00005_.png").exists()
        assert not folder.exists()


def test_resume_needs_a_folder(place, capsys):
    args = ["run", str(place / "flow.json"), "--input", str(place / "in" / "1.png"), "--resume"]
    assert main([*args, "--output", str(place / "out")]) == 2
    assert "--resume needs --input FOLDER" in capsys.readouterr().err
