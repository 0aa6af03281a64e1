"""The shipped workflows: complete as files, and each run; StyleGAN2 with small random weights."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import host_server
import numpy as np
import pytest
from digits_support import gan_of_digits, labelled_digits
from face_latents.cli.runner.graph import WorkflowError
from face_latents.cli.runner.outcome import Outcome
from face_latents.cli.runner.prepare import prepare
from face_latents.models.fit import pictures as pictures_of_a_fit
from face_latents.models.fit import view
from face_latents.models.threads import one_thread
from face_latents.nodes import host
from PIL import Image

FOLDER = host_server.PACK / "workflows"
EVERY = sorted(FOLDER.glob("*.json"))
STYLEGAN2 = [path for path in EVERY if host_server.STYLEGAN2_FILE in path.read_text("utf-8")]

# What each saves: file name prefix, and how many pictures (a moving one counts as one more).
SAVED = {
    "Add a smile": {"add_a_smile": 1},
    "Attribute sliders": {"attribute_sliders": 1},
    "Blend and average": {"blend": 4, "mean_face": 1},
    "Copy expression": {"copy_expression": 1},
    "Distance matrix": {"distance_matrix": 1},
    "Edit with an edit model": {"edit_model": 1},
    "Edit with words and a slider": {"words_and_slider": 1},
    "Edit a clip": {"edit_a_clip": 1},
    "Explore directions": {"sefa_directions": 1, "disentanglement": 1, "attribute_sheet": 1},
    "With own photos - fit own direction": {"fit_own_direction": 1, "fit_own_direction_sheet": 1},
    "Grow older and younger": {"younger": 1, "older": 1},
    "With own photos - LSD basis from folders": {"basis_spectrum": 1},
    "LSD denoise digits": {"lsd_denoised": 8},
    "LSD face anomaly map": {"anomaly_map": 1, "anomaly_mask": 1},
    "LSD face spectrum": {"face_spectrum": 1, "face_from_spectrum": 2},
    "LSD rotate digit": {"lsd_rotation_frame": 5, "lsd_rotation": 1, "lsd_digit_spectrum": 1},
    "Morph two faces": {"morph_frame": 3, "morph": 1},
    "Morph two photos": {"morph_photos_frame": 3, "morph_photos": 1},
    "Set age in years": {"set_age": 1},
    "Remove a feature": {"remove_a_feature": 1},
    "VAE latent arithmetic": {"vae_latent_arithmetic": 2},
    "With own weights - convert": {"converted_faces": 6},
    "With own weights - sample StyleGAN2": {"stylegan2_faces": 6, "stylegan2_cutoff": 6},
    "With own weights - style mix": {"style_mix": 5},
    "With own weights - StyleGAN2 SeFa directions": {
        "sefa_coarse": 1,
        "sefa_fine": 1,
        "sefa_edit": 6,
    },
    "With own weights - StyleGAN2 PCA directions": {"pca_directions": 1, "pca_edit": 3},
    "With own weights - StyleGAN2 invert and edit": {
        "stylegan2_edit": 1,
        "stylegan2_edit_directions": 1,
        "stylegan2_inversion": 1,
    },
}
QUICKER = {
    "Copy expression": ["Whose expression.image=mirrored/example.png"],
    "Explore directions": ["SeFa Directions.count=2", "Attribute Sheet.columns=3"],
    "With own photos - fit own direction": ["Attribute Sheet: over strengths.columns=3"],
    "LSD rotate digit": ["LSD Rotate.to_label=7"],
    "Morph two faces": ["Morph.frames=3"],
    "Morph two photos": ["Morph.frames=3", "Second photo.image=mirrored/example.png"],
    "With own weights - StyleGAN2 invert and edit": ["Encode Face.refine_steps=3"],
    "With own weights - StyleGAN2 PCA directions": ["PCA Directions.samples=50"],
}


SLOW = {"Explore directions", "With own photos - fit own direction"}


def mark_slow(path: Path):
    return pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else [])


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder models/face_latents of the stand-alone nodes."""
    folder = tmp_path / "models"
    for name in ("input", "output", "temp"):  # the runner sets them
        monkeypatch.setattr(host.stand_alone, name, getattr(host.stand_alone, name))
    monkeypatch.setattr(host.stand_alone, "models", folder)
    return folder


@pytest.fixture
def fits_look_at_codes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a fit the drawing of 4,000 faces, as it is spared for models with longer codes."""
    monkeypatch.setattr(view, "MOST_PROBED", 0)
    monkeypatch.setattr(pictures_of_a_fit, "MOST_COMPONENTS", 0)


def run(path: Path, portrait_file: Path, output: Path, *settings: str) -> Outcome:
    given = [*QUICKER.get(path.stem, []), *settings]
    with one_thread():
        (outcome,) = prepare(path, output, settings=given, photos=portrait_file.parent).run()
    return outcome


def pictures(outcome: Outcome) -> dict[str, list[np.ndarray]]:
    """Saved pictures by file name prefix."""
    found: dict[str, list[np.ndarray]] = {}
    for path in outcome.saved("output"):
        prefix = path.name.rsplit("_", 2)[0]
        found.setdefault(prefix, []).append(np.asarray(Image.open(path).convert("RGB")))
    return found


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_a_workflow_has_a_thumbnail_a_note_and_file_names_of_its_own(path):
    thumbnail = Image.open(path.with_suffix(".jpg"))
    assert (thumbnail.size, thumbnail.format) == ((400, 300), "JPEG")
    nodes = json.loads(path.read_text("utf-8"))["nodes"]
    notes = [node for node in nodes if node["type"] == "MarkdownNote"]
    assert len(notes) == 1
    assert notes[0]["widgets_values"][0].startswith("## ")
    prefixes = [node["widgets_values"][0] for node in nodes if node["type"].startswith("Save")]
    assert prefixes
    assert max(Counter(prefixes).values()) == 1


@pytest.mark.parametrize("path", [mark_slow(path) for path in EVERY], ids=lambda path: path.stem)
@pytest.mark.usefixtures("face_model", "digits_model", "fits_look_at_codes_alone")
def test_a_workflow_runs(path, portrait_file, models, tmp_path):
    if path in STYLEGAN2 or host_server.STYLEGAN2_WEIGHTS in path.read_text("utf-8"):
        host_server.add_stylegan2_model(models)
    found = pictures(run(path, portrait_file, tmp_path / "out"))
    assert {prefix: len(items) for prefix, items in found.items()} == SAVED[path.stem]
    for prefix, items in found.items():
        for picture in items:
            assert picture.std() > 3, prefix  # something is drawn
        assert len({picture.tobytes() for picture in items}) == len(items), prefix


@pytest.mark.parametrize("path", STYLEGAN2, ids=lambda path: path.stem)
def test_without_the_model_a_stylegan2_workflow_says_what_to_do(
    path, portrait_file, models, tmp_path
):
    models.mkdir()
    with pytest.raises(WorkflowError, match=r"Load Face Model.*no face model.*stylegan2-ffhq") as e:
        run(path, portrait_file, tmp_path / "out")
    assert "face-latents convert WEIGHTS stylegan2-ffhq.safetensors" in str(e.value)
    assert str(models) in str(e.value)
    assert not (tmp_path / "out").exists()


def test_style_mix_workflow_keeps_the_first_face_where_nothing_is_mixed(
    portrait_file, models, tmp_path
):
    host_server.add_stylegan2_model(models)
    path = FOLDER / "With own weights - style mix.json"
    prefix = "Style Mix: %s layers of the second.amount=0"
    settings = [prefix % group for group in ("coarse", "middle", "fine")]
    found = pictures(run(path, portrait_file, tmp_path / "out", *settings))
    first, second, *mixes = found["style_mix"]
    assert not np.array_equal(first, second)
    for mix in mixes:
        assert np.array_equal(mix, first)


def test_a_clip_is_edited_in_every_frame(portrait_file, models, face_model, tmp_path):
    """Of an animated picture, all frames are loaded, edited and saved in their order."""
    photo = Image.open(portrait_file).convert("RGB")
    frames = [photo.crop((t, 0, 200 + t, 200)) for t in (20, 22, 24)]
    clip = portrait_file.parent / "clip.webp"
    frames[0].save(clip, save_all=True, append_images=frames[1:], lossless=True, duration=80)
    path = FOLDER / "Edit a clip.json"
    outcome = run(path, portrait_file, tmp_path / "out", "Your clip.image=clip.webp")
    clip.unlink()
    (saved,) = outcome.saved("output")
    with Image.open(saved) as edited:
        assert edited.n_frames == 3
        for number, frame in enumerate(frames):
            edited.seek(number)
            change = np.asarray(edited.convert("RGB")) - np.asarray(frame, dtype=float)
            mouth = change[95:145, 75 - 2 * number : 125 - 2 * number]
            assert np.abs(mouth).mean() > 3 * np.abs(change[:, -25:]).mean()


def built_basis(model: str, folders: str, photos: Path, output: Path, *settings: str) -> str:
    """Build a basis for a model by the template, and save it; what Load Basis calls it."""
    build = "Build Quasi-Eigen Basis from Folders"
    name = Path(model).stem
    given = [f"Load Face Model.model={model}", f"{build}.folders={folders}",
             f"Save Basis.filename_prefix={name}", *settings]  # fmt: skip
    path = FOLDER / "With own photos - LSD basis from folders.json"
    found = pictures(run(path, photos, output, *given))
    assert [len(found["basis_spectrum"]), len(found)] == [1, 1]
    return f"bases/{name}_00001_.safetensors"


def test_the_lsd_templates_run_on_a_gan_of_digits(models, tmp_path):
    models.mkdir()
    gan_of_digits(models / "digits_gan.safetensors")
    labelled_digits(tmp_path / "input" / "mine", ("0", "1", "2"))
    photo = tmp_path / "input" / "mine" / "0" / "0.png"
    basis = built_basis(
        "digits_gan.safetensors", "mine", tmp_path / "input" / "any", tmp_path / "basis",
        "Your photo.image=mine/0/0.png",
    )  # fmt: skip
    loaded = ["Load Face Model.model=digits_gan.safetensors", f"Load Basis.basis={basis}"]
    clean = run(FOLDER / "LSD denoise digits.json", photo, tmp_path / "denoised", *loaded)
    assert len(pictures(clean)["lsd_denoised"]) == 8
    turn = [*loaded, "LSD Rotate.to_label=1, 2"]
    turned = pictures(run(FOLDER / "LSD rotate digit.json", photo, tmp_path / "turned", *turn))
    assert len({frame.tobytes() for frame in turned["lsd_rotation_frame"]}) > 5
    assert turned["lsd_digit_spectrum"][0].std() > 3


def test_the_lsd_templates_run_on_stylegan2(portrait_file, models, tmp_path):
    host_server.add_stylegan2_model(models)
    model = host_server.STYLEGAN2_FILE
    centre = "Build Quasi-Eigen Basis from Folders.centre=model mean"
    basis = built_basis(model, "serious, smiling", portrait_file, tmp_path / "basis", centre)
    loaded = [f"Load Face Model.model={model}", f"Load Basis.basis={basis}"]
    found = run(FOLDER / "LSD face spectrum.json", portrait_file, tmp_path / "face", *loaded)
    few, everything = pictures(found)["face_from_spectrum"]
    assert not np.array_equal(few, everything)
