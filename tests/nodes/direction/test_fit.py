"""Fit Direction, PCA Directions and SeFa Directions as the canvas runs them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from face_latents.models.architectures.capabilities import Capabilities
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.files.values import load_direction
from face_latents.models.values import FaceLatent
from face_latents.nodes import host
from face_latents.nodes.direction import photo_folders
from nodes_support import CODES, SIZE, TinyNet, run, tiny_model, with_net
from PIL import Image
from torch import Tensor

SETTINGS = {"name": "bright", "method": "LDA", "keep_still": ""}
NEEDED = {"count": 3, "index": 0, "strength": 2.0, "name": ""}


def groups(count: int = 40, gap: float = 4.0) -> tuple[FaceLatent, FaceLatent]:
    model = tiny_model()
    codes = torch.randn(2 * count, CODES, generator=torch.Generator().manual_seed(0))
    codes[count:, 2] += gap
    return FaceLatent(codes[:count], model.space), FaceLatent(codes[count:], model.space)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0))


@pytest.fixture
def input_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An input folder; every picture counts as one aligned face."""
    root = tmp_path / "input"
    root.mkdir()
    monkeypatch.setattr(host.stand_alone, "input", root)
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path / "temp")

    def whole(path: Path, model: object, number: int, min_score: float) -> tuple:
        pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB"), dtype=np.float32))
        return pixels.permute(2, 0, 1) / 255, float("inf")

    monkeypatch.setattr(photo_folders, "_align", whole)
    return root


def photos(folder: Path, count: int, brightness: int, seed: int) -> list[str]:
    """Noise pictures around a brightness; returns their names."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(seed)
    names = []
    for number in range(count):
        pixels = generator.integers(0, 60, (SIZE, SIZE, 3)) + brightness
        names.append(f"{brightness}_{number:03}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(folder / names[-1])
    return names


# Fit Direction


def test_the_direction_goes_straight_into_the_other_nodes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(host.stand_alone, "models", tmp_path)
    model, (without, with_) = tiny_model(), groups()
    direction, report, chart = run(
        "FaceLatentsFitDirection",
        face_model=model,
        faces_without=without,
        faces_with=with_,
        **SETTINGS,
    )
    assert direction.name == "bright"
    assert cosine(direction.vector, torch.eye(CODES)[2]) > 0.9
    assert "40 photos without, 40 with" in report
    assert "looks natural from" in report
    assert chart.shape[0] == 1
    assert chart.shape[-1] == 3
    assert 0 <= float(chart.min()) < float(chart.max()) <= 1
    moved = run("FaceLatentsAddDirection", face_latent=without, direction=direction, strength=1.0)
    torch.testing.assert_close(moved[0].samples, without.samples + direction.vector)
    run("FaceLatentsSaveDirection", direction=direction, filename_prefix="bright")
    saved = load_direction(next((tmp_path / "directions").glob("*.safetensors")))
    assert torch.equal(saved.vector, direction.vector)
    assert (saved.safe_range, saved.accuracy) == (direction.safe_range, direction.accuracy)


def test_keep_still_takes_names_in_any_layout() -> None:
    without, with_ = groups()
    for typed, kept in ((" smile ,\nage,", "smile, age"), ("all", "smile, age"), (" , ", "")):
        direction, report, _ = run(
            "FaceLatentsFitDirection",
            face_model=tiny_model(),
            faces_without=without,
            faces_with=with_,
            **{**SETTINGS, "keep_still": typed},
        )
        assert (f"keeps still: {kept}" in report) == bool(kept)
        if kept:
            smile = tiny_model().directions["smile"].vector
            assert cosine(direction.vector, smile) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"keep_still": "beard"}, "does not have"),
        ({"method": "magic"}, "method"),
        ({"folds": 1}, "folds"),
        ({"faces_with": None}, "faces_with"),
        ({"theme": "pink"}, "theme"),
    ],
)
def test_wrong_inputs_are_refused(changed, words) -> None:
    without, with_ = groups(8)
    given = {"face_model": tiny_model(), "faces_without": without, "faces_with": with_, **SETTINGS}
    with pytest.raises(FaceLatentsError, match=words):
        run("FaceLatentsFitDirection", **{**given, **changed})


def test_faces_of_another_model_are_refused() -> None:
    without, with_ = groups(8)
    other = tiny_model("b" * 16)
    with pytest.raises(SpaceMismatchError, match="faces_without"):
        run(
            "FaceLatentsFitDirection",
            face_model=other,
            faces_without=without,
            faces_with=with_,
            **SETTINGS,
        )


def test_two_faces_give_a_direction_and_an_empty_chart() -> None:
    without, with_ = groups(1)
    direction, report, chart = run(
        "FaceLatentsFitDirection",
        face_model=tiny_model(),
        faces_without=without,
        faces_with=with_,
        **SETTINGS,
    )
    assert direction.accuracy is None
    assert "not measured" in report
    assert not chart.any()


# From folders


def test_two_folders_give_a_direction(input_folder: Path) -> None:
    photos(input_folder / "dark", 12, 40, 0)
    photos(input_folder / "light", 14, 160, 1)
    (input_folder / "light" / "notes.txt").write_text("no picture")
    direction, report, _ = run(
        "FaceLatentsFitDirectionFolders",
        face_model=tiny_model(),
        folder_without="dark",
        folder_with="light",
        min_score=0.5,
        **SETTINGS,
    )
    assert "12 photos without, 14 with" in report
    assert "too few" in report
    assert direction.accuracy == 1
    model = tiny_model()
    base = model.decode(torch.zeros(1, CODES)).mean()
    assert float(model.decode(direction.vector[None]).mean()) > float(base)


def test_folders_that_make_no_sense_are_refused(input_folder: Path) -> None:
    photos(input_folder / "one", 3, 40, 0)
    (input_folder / "empty").mkdir()
    for first, second, words in (
        ("one", "one", "both 'one'"),
        ("one", "./one", "both"),
        ("one", "two", "no folder 'two'"),
        ("one", "empty", "no pictures"),
        ("one", "../one", "goes up a folder"),
        ("one", "/etc", "absolute"),
        ("", "one", "No folder"),
    ):
        with pytest.raises(FaceLatentsError, match=words):
            run(
                "FaceLatentsFitDirectionFolders",
                face_model=tiny_model(),
                folder_without=first,
                folder_with=second,
                min_score=0.5,
                **SETTINGS,
            )


def test_folder_nodes_run_again_when_photos_change(input_folder: Path) -> None:
    from face_latents import NODE_CLASS_MAPPINGS

    photos(input_folder / "a", 2, 40, 0)
    photos(input_folder / "b", 2, 90, 0)
    table = input_folder / "a" / "t.csv"
    table.write_text("40_000.png,1\n40_001.png,0\n")
    folders = NODE_CLASS_MAPPINGS["FaceLatentsFitDirectionFolders"].IS_CHANGED
    tables = NODE_CLASS_MAPPINGS["FaceLatentsFitDirectionTable"].IS_CHANGED
    states = {folders(folder_without="a", folder_with="b"), tables(folder="a", table="")}
    assert folders(folder_without="a", folder_with="b") in states
    photos(input_folder / "b", 3, 90, 0)
    table.write_text("40_000.png,1\n40_001.png,0.5\n")
    assert folders(folder_without="a", folder_with="b") not in states
    assert tables(folder="a", table="") not in states
    assert folders(folder_without="a", folder_with="nowhere") == "missing"
    assert tables(folder="b", table="") == "missing"
    assert tables() == folders() == ""  # wired inputs are not known yet


def table_node(**inputs: object) -> tuple:
    given = {"face_model": tiny_model(), "folder": "all", "table": "", "min_score": 0.5}
    return run("FaceLatentsFitDirectionTable", **{**given, **SETTINGS, **inputs})


def test_a_table_of_labels_or_scores(input_folder: Path) -> None:
    folder = input_folder / "all"
    dark, light = photos(folder, 10, 40, 0), photos(folder, 10, 160, 1)
    photos(folder, 3, 90, 2)  # not in the table
    labels = folder / "labels.csv"
    lines = [f"{name},no" for name in dark] + [f"{name},yes" for name in light]
    labels.write_text("\n".join(["file,label", *lines, "gone.png,yes"]))
    labelled, report, _ = table_node()
    assert "10 photos without, 10 with" in report
    assert "1 photo(s) are not in the folder" in report
    lines = [f"{name},{40 + i / 9}" for i, name in enumerate(dark)]
    lines += [f"{name},{160 + i / 9}" for i, name in enumerate(light)]
    (folder / "scores.csv").write_text("\n".join(lines))
    with pytest.raises(FaceLatentsError, match=r"several tables.*labels.csv"):
        table_node()
    scored, report, _ = table_node(table="scores.csv")
    assert "scores of 20 photos" in report
    assert scored.accuracy > 0.9
    assert cosine(scored.vector, labelled.vector) > 0.5


def test_tables_that_make_no_sense_are_refused(input_folder: Path) -> None:
    folder = input_folder / "all"
    names = photos(folder, 4, 40, 0)
    with pytest.raises(FaceLatentsError, match="no CSV file"):
        table_node()
    (input_folder / "secret.csv").write_text("a.png,1")
    table = folder / "t.csv"
    for typed in ("../secret.csv", "t.csv", "40_000.png", "/etc/passwd"):
        with pytest.raises(FaceLatentsError):
            table_node(table=typed)
    for content, words in (
        (b"\xff\xfe\x00", "UTF-8"),
        (b"nobody.png,1\nnothing.png,0\n", "None of the photos"),
        (f"{names[0]},1\ngone.png,0\n".encode(), "same label"),
        (b"", "empty"),
    ):
        table.write_bytes(content)
        with pytest.raises(FaceLatentsError, match=words):
            table_node()
    link = folder / "link.csv"
    link.symlink_to(input_folder / "secret.csv")
    with pytest.raises(FaceLatentsError, match="link"):
        table_node(table="link.csv")


# Without labels


class WeightNet(TinyNet):
    def style_weight(self, layers: None = None) -> Tensor:
        return self.basis.T * torch.linspace(3, 1, CODES)

    def capabilities(self) -> Capabilities:
        return dataclasses.replace(super().capabilities(), style_weight=self.style_weight)


def weight_model():
    return with_net(tiny_model(), WeightNet())


@pytest.mark.parametrize("node", ["FaceLatentsPCADirections", "FaceLatentsSeFaDirections"])
def test_found_directions_come_with_a_sheet_and_a_choice(node: str) -> None:
    model, faces = weight_model(), groups(20)[1]
    direction, batch, sheet, info = run(
        node, face_model=model, face_latent=faces, **{**NEEDED, "index": 2, "name": " tilt "}
    )
    assert batch.vector.shape == (3, CODES)
    assert torch.equal(direction.vector, batch.vector[2])
    assert direction.name == "tilt"
    assert direction.safe_range[0] < 0 < direction.safe_range[1]
    assert sheet.shape[0] == 1
    assert sheet.shape[1] > 3 * 96
    assert sheet.shape[2] > 5 * 96
    assert info.count("% of the") == 3
    assert "tilt" in info
    moved = run("FaceLatentsAddDirection", face_latent=faces, direction=direction, strength=1.0)
    assert not torch.equal(moved[0].samples, faces.samples)


def test_pca_of_random_faces_says_what_it_is_worth() -> None:
    direction, _, _, info = run("FaceLatentsPCADirections", face_model=tiny_model(), **NEEDED)
    again = run("FaceLatentsPCADirections", face_model=tiny_model(), **NEEDED)[0]
    assert torch.equal(direction.vector, again.vector)
    assert "random faces" in info
    assert direction.name == "PCA 0"


def test_what_cannot_be_found_is_refused() -> None:
    few = FaceLatent(groups(2)[0].samples, tiny_model().space)
    with pytest.raises(FaceLatentsError, match="at most 1"):
        run("FaceLatentsPCADirections", face_model=tiny_model(), face_latent=few, **NEEDED)
    with pytest.raises(FaceLatentsError, match="does not offer"):
        run("FaceLatentsSeFaDirections", face_model=tiny_model(), **NEEDED)
    with pytest.raises(FaceLatentsError, match="index 3"):
        run("FaceLatentsSeFaDirections", face_model=weight_model(), **{**NEEDED, "index": 3})
    other = FaceLatent(few.samples, tiny_model("b" * 16).space)
    for node in ("FaceLatentsPCADirections", "FaceLatentsSeFaDirections"):
        with pytest.raises(SpaceMismatchError):
            run(node, face_model=weight_model(), face_latent=other, **NEEDED)
