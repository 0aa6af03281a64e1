"""Workflow files through the runner: saved pictures, --set, --input, previews, refusals."""

import json
import os

import numpy as np
import pytest
import torch
from face_latents.cli.runner.execute import NodeError
from face_latents.cli.runner.folders import Folders
from face_latents.cli.runner.graph import WorkflowError, read_workflow_file
from face_latents.cli.runner.overrides import parse_value, split_setting
from face_latents.cli.runner.prepare import prepare
from face_latents.cli.runner.schema import InputSpec
from loop_support import case
from PIL import Image

RUNS: list[str] = []


class Darken:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "go"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "factor": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0}),
                "keep": ("BOOLEAN", {"default": False}),
                "steps": ("INT", {"default": 1, "min": 1}),
                "mode": (["soft", "hard"],),
                "tool": ("TOOL",),
            }
        }

    def go(self, image, factor, keep, steps, mode, tool):
        RUNS.append("darken")
        if image.mean() > 0.99:
            raise ValueError("too bright")
        return (image if keep else image * factor,)


class Tool:
    RETURN_TYPES = ("TOOL",)
    FUNCTION = "go"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def go(self):
        RUNS.append("tool")
        return (object(),)


CLASSES = {"Darken": Darken, "Tool": Tool}


def graph():
    def node(node_id, kind, inputs=(), outputs=(), values=None, **more):
        slots = [{"name": n, "type": t, "link": link} for n, t, link in inputs]
        outs = [{"name": t, "type": t} for t in outputs]
        saved = {} if values is None else {"widgets_values": values}
        return {"id": node_id, "type": kind, "inputs": slots, "outputs": outs, **saved, **more}

    return {
        "version": 0.4,
        "nodes": [
            node(1, "LoadImage", (), ("IMAGE", "MASK"), ["face.png", "image"]),
            node(2, "Tool", (), ("TOOL",), title="Loader"),
            node(
                3,
                "Darken",
                [("image", "IMAGE", 1), ("tool", "TOOL", 2)],
                ("IMAGE",),
                [0.5, False, 1, "soft"],
                title="My darkener",
            ),
            node(4, "SaveImage", [("images", "IMAGE", 3)], (), ["sub/face"]),
            node(5, "PreviewImage", [("images", "IMAGE", 4)]),
        ],
        "links": [
            [1, 1, 0, 3, 0, "IMAGE"],
            [2, 2, 0, 3, 1, "TOOL"],
            [3, 3, 0, 4, 0, "IMAGE"],
            [4, 1, 0, 5, 0, "IMAGE"],
        ],
    }


@pytest.fixture
def place(tmp_path):
    RUNS.clear()
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("face.png", "other.png", "third.png")):
        picture(10 * number + 100).save(tmp_path / "in" / name)
    (tmp_path / "flow.json").write_text(json.dumps(graph()))
    return tmp_path


def picture(value, size=(6, 4)):
    return Image.new("RGB", size, (value, 20, 255 - value))


def run(place, *sets, photos="in", workflow="flow.json", **options):
    job = prepare(
        place / workflow,
        place / "out",
        settings=sets,
        photos=None if photos is None else place / photos,
        extra_classes=CLASSES,
    )
    return list(job.run(**options))


def pixels(path):
    return np.asarray(Image.open(path))


def test_one_photo_is_saved_as_the_host_saves_it(place):
    (outcome,) = run(place, photos="in/face.png")
    (path,) = outcome.saved("output")
    assert path == place / "out" / "sub" / "face_00001_.png"
    expected = (
        255 * (np.float32(pixels(place / "in" / "face.png")) / np.float32(255) * 0.5)
    ).astype(np.uint8)
    assert np.array_equal(pixels(path), expected)
    (preview,) = outcome.saved("temp")
    assert preview.parent == place / "out" / "temp"
    assert np.array_equal(pixels(preview), pixels(place / "in" / "face.png"))
    assert not list((place / "out").rglob("*.part"))


def test_saved_picture_carries_prompt_and_workflow(place):
    (outcome,) = run(place, "My darkener.factor=0.25", photos="in/other.png")
    text = Image.open(outcome.saved("output")[0]).text
    prompt = json.loads(text["prompt"])
    assert prompt["3"]["inputs"]["factor"] == 0.25
    assert prompt["1"]["inputs"]["image"] == "other.png"
    assert prompt["3"]["inputs"]["image"] == ["1", 0]
    nodes = {node["id"]: node for node in json.loads(text["workflow"])["nodes"]}
    assert nodes[3]["widgets_values"] == [0.25, False, 1, "soft"]
    assert nodes[1]["widgets_values"] == ["other.png", "image"]


def test_a_saved_picture_runs_again(place):
    (first,) = run(place, "3.factor=0.25", photos="in/face.png")
    (path,) = first.saved("output")
    (second,) = run(place, photos="in/face.png", workflow=path.relative_to(place))
    (again,) = second.saved("output")
    assert again.name == "face_00002_.png"
    assert np.array_equal(pixels(path), pixels(again))


def test_a_folder_runs_once_per_photo_and_models_load_once(place):
    outcomes = run(place)
    assert [outcome.photo.name for outcome in outcomes] == ["face.png", "other.png", "third.png"]
    assert RUNS == ["tool", "darken", "darken", "darken"]
    names = [outcome.saved("output")[0].name for outcome in outcomes]
    assert names == ["face_00001_.png", "face_00002_.png", "face_00003_.png"]
    assert outcomes[1].result.cached == ["2"]


def test_one_bad_photo_does_not_stop_the_others(place):
    Image.new("RGB", (4, 4), "white").save(place / "in" / "m.png")
    outcomes = run(place)
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, False, False]
    assert "'My darkener' (node 3) failed: ValueError: too bright" in str(outcomes[1].error)
    with pytest.raises(NodeError):
        run(place, keep_going=False)


def test_the_varying_loader_can_be_chosen_and_others_fixed(place):
    data = graph()
    data["nodes"].append(
        {
            "id": 9,
            "type": "LoadImage",
            "title": "Second",
            "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
            "widgets_values": ["face.png", "image"],
        }
    )
    data["links"][0] = [1, 9, 0, 3, 0, "IMAGE"]
    (place / "flow.json").write_text(json.dumps(data))
    chosen = [o.prompt["9"]["inputs"]["image"] for o in run(place, "Second.image=*")]
    assert chosen == ["face.png", "other.png", "third.png"]
    first = run(place)
    assert {o.prompt["9"]["inputs"]["image"] for o in first} == {"face.png"}
    fixed = run(place, "1.image=face.png")
    assert [o.prompt["9"]["inputs"]["image"] for o in fixed] == [
        "face.png",
        "other.png",
        "third.png",
    ]
    assert len(run(place, "1.image=face.png", "9.image=other.png")) == 1


def test_without_input_names_are_looked_up_beside_the_workflow(place):
    with pytest.raises(WorkflowError, match=r"no picture 'face\.png'"):
        run(place, photos=None)
    picture(90).save(place / "face.png")
    (outcome,) = run(place, photos=None)
    assert outcome.saved("output")


def test_a_picture_set_by_path_may_lie_anywhere(place, tmp_path_factory):
    path = tmp_path_factory.mktemp("far") / "away.png"
    picture(33).save(path)
    (outcome,) = run(place, f"Load Image.image={path}", photos=None)
    assert outcome.prompt["1"]["inputs"]["image"] == "away.png"


def test_a_set_value_replaces_a_link_only_where_there_is_a_widget(place):
    with pytest.raises(WorkflowError, match=r"takes only a link \(TOOL\) at 'tool'"):
        run(place, "3.tool=x")


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("nonsense", "is not understood"),
        ("Nobody.x=1", r"no node 'Nobody'.*My darkener \(3\)"),
        ("My darkener.power=1", "has no input 'power'. What can be set: factor, keep, steps, mode"),
        ("My darkener.factor=2", "at most 1.0, but is 2.0"),
        ("My darkener.factor=nan", "has to be a number"),
        ("My darkener.steps=1.5", "whole number"),
        ("My darkener.keep=maybe", "true or false"),
        ("My darkener.mode=medium", "not among its choices: soft, hard"),
        ("Load Image.image=missing.png", r"no picture 'missing\.png'"),
        ("Load Image.image=*", "needs --input"),
    ],
)
def test_settings_that_are_refused(place, setting, why):
    picture(90).save(place / "face.png")
    with pytest.raises(WorkflowError, match=why):
        run(place, setting, photos=None)
    assert RUNS == []


def test_ambiguous_node_names_list_the_candidates(place):
    data = graph()
    data["nodes"][1]["title"] = "My darkener"
    (place / "flow.json").write_text(json.dumps(data))
    with pytest.raises(WorkflowError, match=r"2 nodes are called 'my darkener'.*2 .*3 "):
        run(place, "my darkener.factor=1")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("INT", "3", 3),
        ("INT", "1e3", 1000),
        ("INT", "18446744073709551615", 2**64 - 1),
        ("FLOAT", "-0.5", -0.5),
        ("BOOLEAN", "Yes", True),
        ("BOOLEAN", "0", False),
        ("STRING", " a=b ", " a=b "),
        (["1", "2"], "2", "2"),
        ([1, 2], "2", 2),
    ],
)
def test_values_are_read_as_their_widget_would(kind, text, value):
    parsed = parse_value(InputSpec("x", kind, {}, True), text, "x")
    assert parsed == value
    assert type(parsed) is type(value)


def test_settings_split_where_they_should():
    assert split_setting("Add Direction.strength=2") == ("Add Direction", "strength", "2")
    assert split_setting("v1.5 node.a=b=c.d=e") == ("v1.5 node", "a", "b=c.d=e")
    assert split_setting("4:7.text=x.y") == ("4:7", "text", "x.y")


def test_a_checked_folder_names_nothing_before_all_is_checked(place):
    data = graph()
    data["nodes"][2]["widgets_values"][0] = 7.0
    (place / "flow.json").write_text(json.dumps(data))
    with pytest.raises(WorkflowError, match=r"at most 1\.0, but is 7\.0"):
        run(place)
    assert RUNS == []
    assert not (place / "out").exists()


def test_missing_and_empty_places(place):
    (place / "empty").mkdir()
    with pytest.raises(WorkflowError, match="no photo or folder"):
        run(place, photos="nowhere")
    with pytest.raises(WorkflowError, match="no picture in the folder"):
        run(place, photos="empty")
    (place / "empty" / "a.heic").touch()
    with pytest.raises(WorkflowError, match=r"It holds 1 \.heic\. Save HEIC"):
        run(place, photos="empty")
    with pytest.raises(WorkflowError, match="no workflow file"):
        run(place, workflow="none.json")
    (place / "flow.json").write_text("{ not json")
    with pytest.raises(WorkflowError, match="not readable as JSON"):
        run(place)
    with pytest.raises(WorkflowError, match="carries no workflow"):
        run(place, workflow="in/face.png")


@pytest.mark.parametrize("prefix", ["../../evil", "/tmp/evil", "", "a/../../b", "\ud800"])
def test_files_stay_inside_the_output_folder(place, prefix):
    with pytest.raises(NodeError, match="does not name a file inside the output folder"):
        run(place, f"Save Image.filename_prefix={prefix}", photos="in/face.png")


def test_names_that_no_file_has_are_looked_up_all_the_same(place):
    (place / "in" / "loop").symlink_to(place / "in" / "loop")
    if hasattr(os, "mkfifo"):
        os.mkfifo(place / "in" / "pipe.png")
    folders = Folders([place / "in"], place / "out")
    names = ("x" * 5000, "a/" * 3000, "\ud800", "a\0b", "loop", "loop/x.png", "pipe.png", "", "..")
    for name in names:
        with case(name=name):
            assert folders.find(name) is None
    assert folders.find("face.png") == place / "in" / "face.png"


def test_half_a_letter_in_a_workflow_can_be_told_of(place):
    """JSON can hold it; a terminal, a file or an answer cannot."""
    workflow = {"1": {"class_type": "No\ud800", "inputs": {"\udfff": "\ud83d\ude00"}}}
    (place / "flow.json").write_text(json.dumps(workflow))
    assert read_workflow_file(place / "flow.json") == {
        "1": {"class_type": "No?", "inputs": {"?": "\U0001f600"}}
    }
    with pytest.raises(WorkflowError, match=r"No\?"):
        run(place)


def test_numbers_go_on_after_the_highest(place):
    folder = place / "out" / "sub"
    folder.mkdir(parents=True)
    for name in ("face_00007_.png", "face_x_.png", "faces_00099_.png", "face_00003_.webp"):
        (folder / name).touch()
    (outcome,) = run(place, photos="in/face.png")
    assert outcome.saved("output")[0].name == "face_00008_.png"


def test_placeholders_take_the_values_that_the_run_has(place):
    data = graph()
    data["nodes"][0]["title"] = "Your photo"
    data["nodes"][3]["widgets_values"] = ["%Your photo.image%_%My darkener.factor%"]
    (place / "flow.json").write_text(json.dumps(data))
    names = [o.saved("output")[0].name for o in run(place, "My darkener.factor=0.25")]
    assert names == [f"{name}.png_0.25_00001_.png" for name in ("face", "other", "third")]
    # set on the command line
    (outcome,) = run(place, "4.filename_prefix=x_%My darkener.factor%", photos="in/face.png")
    assert outcome.saved("output")[0].name == "x_0.5_00001_.png"
    # in API format, too
    (place / "flow.json").write_text(json.dumps(outcome.prompt))
    settings = "3.factor=0.125", "4.filename_prefix=y_%My darkener.factor%_%Darken.steps%"
    (outcome,) = run(place, *settings, photos="in/face.png")
    assert outcome.saved("output")[0].name == "y_0.125_1_00001_.png"


def test_a_node_that_nobody_renamed_goes_by_its_own_title(place):
    data = graph()
    del data["nodes"][2]["title"]
    data["nodes"][2]["properties"] = {"Node name for S&R": "Darken"}
    data["nodes"][3]["widgets_values"] = ["%Load Image.image%_%Darken.factor%"]
    (place / "flow.json").write_text(json.dumps(data))
    (outcome,) = run(place, photos="in/face.png")
    assert outcome.saved("output")[0].name == "face.png_0.5_00001_.png"


def test_batches_are_numbered_and_sizes_fill_in(place):
    data = graph()
    data["nodes"].append(
        {
            "id": 6,
            "type": "RepeatImageBatch",
            "inputs": [{"name": "image", "type": "IMAGE", "link": 5}],
            "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
            "widgets_values": [3],
        }
    )
    data["links"] += [[5, 3, 0, 6, 0, "IMAGE"]]
    data["links"][2] = [3, 6, 0, 4, 0, "IMAGE"]
    (place / "flow.json").write_text(json.dumps(data))
    (outcome,) = run(place, "4.filename_prefix=%width%x%height%", photos="in/face.png")
    names = [path.name for path in outcome.saved("output")]
    assert names == ["6x4_00001_.png", "6x4_00002_.png", "6x4_00003_.png"]


def test_animated_webp(place):
    data = graph()
    data["nodes"][3] = {
        "id": 4,
        "type": "SaveAnimatedWEBP",
        "inputs": [{"name": "images", "type": "IMAGE", "link": 3}],
        "widgets_values": ["anim", 8.0, True, 80, "default"],
    }
    (place / "flow.json").write_text(json.dumps(data))
    (outcome,) = run(place, photos="in/face.png")
    (path,) = outcome.saved("output")
    assert path.name == "anim_00001_.webp"
    saved = Image.open(path)
    assert saved.getexif()[0x0110].startswith("prompt:{")
    assert saved.getexif()[0x010F].startswith("workflow:{")


def test_inference_mode_does_not_leak(place):
    run(place, photos="in/face.png")
    assert not torch.is_inference_mode_enabled()
