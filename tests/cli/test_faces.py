"""The commands on real photos: encode, edit, morph, distance, demo; and how errors are told."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from face_latents.cli import demo as demo_module
from face_latents.cli import example_folders
from face_latents.cli.example_folders import GROUPS, VARIATIONS
from face_latents.cli.main import main
from face_latents.cli.runner.session import call_node
from face_latents.models.files.values import load_latent
from face_latents.models.imaging.photos import load_image
from PIL import Image
from skimage import data

pytestmark = pytest.mark.usefixtures("face_model")  # loaded once, not by every command


@pytest.fixture(scope="module")
def portraits(tmp_path_factory):
    """The astronaut's head, and its mirror image."""
    folder = tmp_path_factory.mktemp("portraits")
    head = Image.fromarray(data.astronaut()).crop((110, 0, 350, 240))
    head.save(folder / "a.png")
    head.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "b.png")
    return folder


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_encode_writes_a_latent_that_loads(portraits, tmp_path, capsys):
    out = tmp_path / "deep" / "a.safetensors"
    assert main(["encode", str(portraits / "a.png"), str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"photo": str(portraits / "a.png"), "output": str(out), "faces": 1}
    assert main(["encode", str(portraits / "a.png"), str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    latent = load_latent(out)
    assert len(latent) == 1
    assert latent.contexts[0] is not None
    assert latent.contexts[0].photo.shape == (240, 240, 3)


def test_edit_changes_the_face_and_leaves_the_corners(portraits, tmp_path, capsys):
    out = tmp_path / "e.png"
    args = ["edit", str(portraits / "a.png"), "--set", "Smile=2", "--set", "age=-1", "-o", str(out)]
    assert main(args) == 0
    assert capsys.readouterr().out == f"{out}\n"
    change = np.abs(pixels(out) - pixels(portraits / "a.png"))
    assert change.max() > 8
    assert change[:20, :20].max() <= 1
    assert change[-10:, -10:].max() <= 1


def test_edit_without_a_change_gives_the_photo_back(portraits, tmp_path):
    out = tmp_path / "e.png"
    assert main(["edit", str(portraits / "a.png"), "--set", "smile=0", "-o", str(out)]) == 0
    assert np.array_equal(pixels(out), pixels(portraits / "a.png"))


def test_edit_can_give_the_face_only(portraits, tmp_path, capsys):
    out = tmp_path / "e.jpg"
    assert main(["edit", str(portraits / "a.png"), "--crop", "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"photo": str(portraits / "a.png"), "outputs": [str(out)]}
    width, height = Image.open(out).size
    assert width == height


def test_morph_as_animation_and_as_frames(portraits, tmp_path, capsys):
    photos = [str(portraits / "a.png"), str(portraits / "b.png")]
    for name in ("m.gif", "m.webp"):
        out = tmp_path / name
        assert main(["morph", *photos, "-o", str(out), "--frames", "5", "--loop"]) == 0
        assert Image.open(out).n_frames == 5
    frames = tmp_path / "frames"
    assert main(["morph", *photos, "-o", str(frames), "--frames", "3", "--path", "spline"]) == 0
    assert str(frames / "frame_00003.png") in capsys.readouterr().out
    assert main(["morph", *photos, "-o", str(frames), "--frames", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["outputs"]
    assert told == [str(path) for path in sorted(frames.iterdir())]
    assert [path.name for path in sorted(frames.iterdir())] == [
        f"frame_{number:05}.png" for number in (1, 2, 3)
    ]


def test_distance_prints_a_symmetric_matrix(portraits, capsys):
    names = ["a.png", "b.png", "a.png"]
    assert main(["distance", *(str(portraits / name) for name in names)]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == names
    matrix = np.array([[float(value) for value in line.split()[1:]] for line in lines])
    assert np.array_equal(matrix, matrix.T)
    assert matrix[0, 2] == 0
    assert matrix[0, 1] > 0
    assert main(["distance", "--json", *(str(portraits / name) for name in names)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(photo).name for photo in told["photos"]] == names
    assert np.allclose(told["distances"], matrix, atol=5e-5)
    # a mirror image is the same person
    assert main(["distance", *(str(portraits / n) for n in names[:2]), "--part", "identity"]) == 0
    first = capsys.readouterr().out.splitlines()[1]
    assert float(first.split()[2]) < 0.2 * matrix[0, 1]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["edit", "{a}", "--set", "smile", "-o", "x.png"], "DIRECTION=STRENGTH"),
        (["edit", "{a}", "--set", "wings=1", "-o", "x.png"], "no direction 'wings'. There are: "),
        (["edit", "{a}", "--set", "smile=99", "-o", "x.png"], "at most"),
        (["edit", "{a}", "-o", "x.mov"], "has to end in"),
        (["edit", "none.png", "-o", "x.png"], "no photo 'none.png'"),
        (["encode", "{a}", "x.pt"], "has to end in .safetensors"),
        (["morph", "{a}", "-o", "x.gif"], "at least two photos"),
        (["morph", "{a}", "{a}", "-o", "x.mp4"], "morph writes .gif, .webp"),
        (["morph", "{a}", "{a}", "-o", "x.gif", "--frames", "0"], "at least 1"),
        (["distance", "{a}"], "at least two photos"),
        (["distance", "{a}", "{a}", "--metric", "miles"], "'miles', which is not among"),
        (["run", "none.json"], "no workflow file 'none.json'"),
        (["train", "face"], "needs --data DIR"),
        (["evaluate", "finder", "--data", "nowhere"], "no folder 'nowhere'"),
        (["edit", "{a}", "--models", "nowhere", "-o", "x.png"], "no folder 'nowhere'"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(args, why, portraits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    filled = [arg.format(a=portraits / "a.png") for arg in args]
    assert main(filled) == 2
    captured = capsys.readouterr()
    assert why in captured.err
    assert captured.err.startswith("face-latents: ")
    assert "Traceback" not in captured.err
    assert not list(tmp_path.iterdir())


def test_no_face_names_the_photo(tmp_path, capsys):
    Image.new("RGB", (200, 150), (90, 120, 90)).save(tmp_path / "wall.png")
    out = tmp_path / "x.png"
    assert main(["edit", str(tmp_path / "wall.png"), "-o", str(out)]) == 2
    assert "wall.png: No face was found" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_where_there_is_none(portraits, tmp_path, capsys):
    args = ["edit", str(portraits / "a.png"), "--device", "cuda", "-o", str(tmp_path / "x.png")]
    assert main(args) == 2
    assert "no usable CUDA device" in capsys.readouterr().err


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(ValueError, match="no workflow file"):
        main(["--debug", "run", str(tmp_path / "none.json")])


def test_interrupt_exits_130(monkeypatch, capsys):
    def interrupted(text):
        raise KeyboardInterrupt

    monkeypatch.setattr("face_latents.cli.arith.evaluate", interrupted)
    assert main(["arith", "1"]) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; from face_latents.cli.main import build_parser; build_parser().format_help();"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_run_on_a_folder_with_a_bad_photo(portraits, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes((portraits / name).read_bytes())
    Image.new("RGB", (80, 80)).save(folder / "black.png")
    for name in ("c.heic", "d.HEIC", "e.dng", "notes.txt", ".hidden"):
        (folder / name).touch()
    workflow = str(demo_module.WORKFLOWS / "Add a smile.json")
    out = tmp_path / "out"
    args = ["run", workflow, "--input", str(folder), "--output", str(out), "--no-progress"]
    assert main([*args, "--check"]) == 0
    captured = capsys.readouterr()
    assert "3 pass(es)" in captured.out
    assert captured.err == (
        f"Left out of {folder}: 2 .heic, 1 .dng, 1 .txt. Save HEIC and raw photos as JPEG, PNG or "
        "TIFF.\n"
    )
    assert not out.exists()
    assert main(args) == 1
    captured = capsys.readouterr()
    assert "1 photos failed or are damaged" in captured.err
    assert "black.png" in captured.err
    saved = [line for line in captured.out.splitlines() if "/temp/" not in line]
    names = {"a.png": "add_a_smile_00001_.png", "b.png": "add_a_smile_00002_.png"}
    assert saved == [f"{folder / photo} -> {out / name}" for photo, name in names.items()]
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [Path(line["photo"]).name for line in lines] == ["a.png", "b.png", "black.png"]
    assert [line["outputs"] for line in lines] == [[names["a.png"]], [names["b.png"]], []]
    assert [line["error"] is None for line in lines] == [True, True, False]
    assert "No face was found" in lines[2]["error"]
    assert all(line["seconds"] > 0 for line in lines)


def test_saved_picture_of_a_shipped_workflow_carries_it(portraits, tmp_path):
    workflow = demo_module.WORKFLOWS / "Add a smile.json"
    args = ["run", str(workflow), "--input", str(portraits / "a.png"), "--output", str(tmp_path)]
    assert main([*args, "--set", "Add Direction.strength=0"]) == 0
    saved = Image.open(tmp_path / "add_a_smile_00001_.png")
    nodes = {node["id"]: node for node in json.loads(saved.text["workflow"])["nodes"]}
    edit = next(node for node in nodes.values() if node["type"] == "FaceLatentsAddDirection")
    assert edit["widgets_values"] == [0.0]
    assert np.array_equal(np.asarray(saved), np.asarray(Image.open(portraits / "a.png")))


def test_example_folders_hold_photos_that_differ_in_the_smile(portrait_file, face_model):
    smile = face_model.directions["smile"].vector
    means = {}
    for group in GROUPS:
        paths = sorted((portrait_file.parent / group).iterdir())
        assert len(paths) == len(VARIATIONS)
        assert len({path.read_bytes() for path in paths}) == len(paths)
        images = [load_image(path)[0] for path in paths]
        encoded = [call_node("FaceLatentsEncode", image=i, face_model=face_model) for i in images]
        means[group] = torch.cat([latent.samples for latent, _ in encoded]).mean(0)
    reached = (means["smiling"] - means["serious"]) @ smile / smile.square().sum()
    assert float(reached) > 1  # strength; the edits differ by 3


def test_run_takes_a_folder_for_a_workflow_that_loads_no_picture(portraits, tmp_path, capsys):
    workflow = str(demo_module.WORKFLOWS / "LSD rotate digit.json")
    assert main(["run", workflow, "--input", str(portraits), "--check"]) == 0
    assert main(["run", workflow, "--input", str(portraits / "a.png"), "--check"]) != 0
    assert "no Load Image node" in capsys.readouterr().err


@pytest.fixture
def one_example_photo(monkeypatch):
    """A photo in each example folder of a demo."""
    monkeypatch.setattr(example_folders, "VARIATIONS", VARIATIONS[:1])


@pytest.mark.usefixtures("one_example_photo")
def test_demo_writes_the_sheet_and_prints_its_path_last(portraits, tmp_path, monkeypatch, capsys):
    """On a few workflows; tests/test_workflows.py runs every one."""
    shown = {"Add a smile", "Morph two photos", "VAE latent arithmetic"}
    need_weights = "With own weights - convert", "With own weights - style mix"
    flows = tmp_path / "flows"
    flows.mkdir()
    for name in (*shown, *need_weights):
        (flows / f"{name}.json").write_bytes((demo_module.WORKFLOWS / f"{name}.json").read_bytes())
    monkeypatch.setattr(demo_module, "WORKFLOWS", flows)
    assert main(["demo", str(portraits / "a.png"), "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(tmp_path / "contact_sheet.jpg")
    assert sum(line.startswith("[") for line in lines) == len(shown) + 2
    # those whose model cannot be shipped are named, with the reason
    skipped = [line.split(":")[0] for line in lines if "skipped: it needs a model" in line]
    assert skipped == [f"{name}.json" for name in need_weights]
    assert Image.open(lines[-1]).height > 250 * len(shown)
    assert {path.name for path in (tmp_path / "input").iterdir() if path.is_dir()} == {
        *GROUPS,
        demo_module.MIRRORED,
    }


@pytest.mark.usefixtures("one_example_photo")
def test_demo_tells_of_a_workflow_that_fails(portraits, tmp_path, monkeypatch, capsys):
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "odd.json").write_text(
        json.dumps({"nodes": [{"id": 1, "type": "Alien"}], "links": []})
    )
    monkeypatch.setattr(demo_module, "WORKFLOWS", flows)
    assert main(["demo", str(portraits / "a.png"), "--output", str(tmp_path / "out")]) == 1
    assert "Alien (node 1)" in capsys.readouterr().err
