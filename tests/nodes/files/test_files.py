"""Load and save nodes: what is written comes back, stays in its folder, and replaces nothing."""

from __future__ import annotations

import os

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError, UnsupportedModelError
from face_latents.models.face_model import bundled_direction_names, save_face_model
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.space import LatentSpace
from face_latents.models.values import Direction
from face_latents.nodes import host
from face_latents.nodes.files.names import safe_parts, save_numbered
from face_latents.nodes.model import load as load_model
from nodes_support import encode, photos, random_latent, run, tiny_model
from PIL import Image
from safetensors.torch import save_file

MODEL = tiny_model()
SMILE = MODEL.directions["smile"]


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    """All folders of the stand-alone host below a temporary one."""
    for name in ("input", "output", "temp", "models"):
        monkeypatch.setattr(host.stand_alone, name, tmp_path / name)
    return tmp_path


def listed(node: str, name: str) -> list[str]:
    return NODE_CLASS_MAPPINGS[node].INPUT_TYPES()["required"][name][0]


def test_a_saved_direction_shows_up_and_loads(folders):
    for _ in range(2):
        assert run("FaceLatentsSaveDirection", direction=SMILE, filename_prefix="a/grin") == (
            SMILE,
        )
    names = ["directions/a/grin_00001_.safetensors", "directions/a/grin_00002_.safetensors"]
    assert [n for n in listed("FaceLatentsLoadDirection", "direction") if "/" in n] == names
    assert all((folders / "models" / name).is_file() for name in names)
    loaded, info = run("FaceLatentsLoadDirection", face_model=MODEL, direction=names[1])
    assert torch.equal(loaded.vector, SMILE.vector)
    assert (loaded.name, loaded.unit, loaded.safe_range) == ("smile", SMILE.unit, (-2.0, 3.0))
    assert SMILE.unit in info
    assert "-2 to 3" in info
    assert not any("grin" in name for name in listed("FaceLatentsLoadModel", "model"))


def test_a_saved_direction_gets_a_picture_once(folders):
    directions = folders / "models" / "directions"
    given = {"direction": SMILE, "filename_prefix": "grin"}
    run("FaceLatentsSaveDirection", **given, face_model=MODEL)
    run("FaceLatentsSaveDirection", **given, face_model=tiny_model("b" * 16))
    run("FaceLatentsSaveDirection", **given)
    with Image.open(directions / "grin_00001_.jpg") as picture:
        assert picture.size == (216, 72)
        left, middle, right = (picture.crop((x, 0, x + 72, 72)).tobytes() for x in (0, 72, 144))
    assert len({left, middle, right}) == 3
    assert sorted(path.name for path in directions.glob("*.jpg")) == ["grin_00001_.jpg"]
    file = "directions/grin_00003_.safetensors"
    run("FaceLatentsLoadDirection", face_model=MODEL, direction=file)
    drawn = directions / "grin_00003_.jpg"
    assert drawn.is_file()
    drawn.write_bytes(b"the user's own")
    run("FaceLatentsLoadDirection", face_model=MODEL, direction=file)
    assert drawn.read_bytes() == b"the user's own"


def test_directions_of_the_model_are_loaded_by_name():
    direction, _ = run("FaceLatentsLoadDirection", face_model=MODEL, direction="age")
    assert direction is MODEL.directions["age"]


def test_unknown_and_foreign_directions_are_refused_by_name():
    with pytest.raises(FaceLatentsError, match=r"'tiny' has no direction 'hat'.*smile, age"):
        run("FaceLatentsLoadDirection", face_model=MODEL, direction="hat")
    run("FaceLatentsSaveDirection", direction=SMILE, filename_prefix="x")
    with pytest.raises(SpaceMismatchError, match=r"'other' and direction 'smile'.*b{16}.*a{16}"):
        run(
            "FaceLatentsLoadDirection",
            face_model=tiny_model("b" * 16, "other"),
            direction="directions/x_00001_.safetensors",
        )


def test_a_saved_latent_shows_up_and_loads_with_its_photo(folders):
    image = photos(2, channels=4)
    latent = encode(MODEL, image)
    run("FaceLatentsSaveLatent", face_latent=latent, filename_prefix="people/anna")
    (name,) = listed("FaceLatentsLoadLatent", "file")
    assert name == "people/anna_00001_.safetensors [output]"
    loaded = run("FaceLatentsLoadLatent", file=name)[0]
    assert torch.equal(loaded.samples, latent.samples)
    restored = run("FaceLatentsPasteBack", face_model=MODEL, face_latent=loaded)[0]
    assert torch.equal(restored, image)


def test_latents_in_the_input_folder_are_listed(folders):
    run("FaceLatentsSaveLatent", face_latent=random_latent(MODEL), filename_prefix="b")
    (folders / "input").mkdir()
    os.rename(
        folders / "output/face_latents/b_00001_.safetensors", folders / "input/mine.safetensors"
    )
    (folders / "input" / "photo.png").touch()
    assert listed("FaceLatentsLoadLatent", "file") == ["mine.safetensors"]
    assert len(run("FaceLatentsLoadLatent", file="mine.safetensors")[0]) == 1


def test_changed_files_are_noticed(folders):
    run("FaceLatentsSaveLatent", face_latent=random_latent(MODEL), filename_prefix="b")
    run("FaceLatentsSaveDirection", direction=SMILE, filename_prefix="d")
    cases = (
        ("FaceLatentsLoadLatent", {"file": "b_00001_.safetensors [output]"}, "output/face_latents/"
         "b_00001_.safetensors"),
        ("FaceLatentsLoadDirection", {"face_model": None,
         "direction": "directions/d_00001_.safetensors"}, "models/directions/d_00001_.safetensors"),
        ("FaceLatentsLoadModel", {"model": "directions/d_00001_.safetensors"},
         "models/directions/d_00001_.safetensors"),
    )  # fmt: skip
    for moment, (node, inputs, file) in enumerate(cases, start=1):
        changed = NODE_CLASS_MAPPINGS[node].IS_CHANGED
        first = changed(**inputs)
        assert changed(**inputs) == first
        os.utime(folders / file, ns=(moment, moment))
        assert changed(**inputs) != first
    assert NODE_CLASS_MAPPINGS["FaceLatentsLoadLatent"].IS_CHANGED(file="gone") == "missing"
    assert NODE_CLASS_MAPPINGS["FaceLatentsLoadLatent"].IS_CHANGED(file=None) == ""


@pytest.mark.parametrize(
    "prefix",
    [
        "", " ", "/", "..", "../x", "a/../../x", "/etc/x", "\\\\server\\x", "C:\\x", "c:x", "~/x",
        "a\0b", "a\nb", "\ud800", "con", "a/NUL.txt", "what?", "a/", "x.", "n" * 300,
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(prefix, folders):
    for node, inputs in (
        ("FaceLatentsSaveDirection", {"direction": SMILE}),
        ("FaceLatentsSaveLatent", {"face_latent": random_latent(MODEL)}),
    ):
        with pytest.raises(FaceLatentsError, match="file name"):
            run(node, filename_prefix=prefix, **inputs)
    assert not list(folders.rglob("*.safetensors"))


def test_a_link_out_of_the_folder_is_not_followed(folders):
    outside = folders / "outside"
    outside.mkdir()
    (folders / "output" / "face_latents").mkdir(parents=True)
    (folders / "output" / "face_latents" / "link").symlink_to(outside)
    with pytest.raises(FaceLatentsError, match="leads out of"):
        run("FaceLatentsSaveLatent", face_latent=random_latent(MODEL), filename_prefix="link/x")
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "x\0y", "nothing", "C:\\x"])
def test_only_listed_files_are_read(name, folders):
    (folders / "models").mkdir()
    (folders / "x.safetensors").touch()
    with pytest.raises(FaceLatentsError, match="There is no"):
        run("FaceLatentsLoadLatent", file=name)
    with pytest.raises(FaceLatentsError, match="There is no file"):
        run("FaceLatentsLoadModel", model=name)
    with pytest.raises(FaceLatentsError, match="has no direction"):
        run("FaceLatentsLoadDirection", face_model=MODEL, direction=name)


def test_nothing_is_left_of_a_save_that_failed(folders):
    def fail(path):
        path.write_bytes(b"half")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="fire"):
        save_numbered(folders / "o", "x", fail)
    assert not list((folders / "o").iterdir())


def test_existing_files_are_never_replaced(folders):
    root = folders / "o"
    root.mkdir()
    (root / "X_00007_.safetensors").write_text("mine")
    (root / "x_12_.safetensors").write_text("mine")
    path = save_numbered(root, "x", lambda p: p.write_text("new"))
    assert path.name == "x_00008_.safetensors"
    assert (root / "X_00007_.safetensors").read_text() == "mine"


def test_prefixes_like_the_hosts():
    assert safe_parts("a/b\\c") == ["a", "b", "c"]
    assert safe_parts("./a name") == ["a name"]


def test_dates_are_filled_in(folders):
    path = save_numbered(folders, "%year%-%month%/x%day%", lambda p: None)
    assert path.parent.name.count("-") == 1
    assert "%" not in str(path.relative_to(folders))


def test_a_file_of_another_kind_is_refused(folders):
    (folders / "models").mkdir()
    save_file({"x": torch.zeros(3)}, folders / "models" / "other.safetensors")
    (folders / "models" / "pickle.safetensors").write_bytes(b"\x80\x04\x95\x00\x00\x00\x00\x00.")
    (folders / "models" / "empty.safetensors").touch()
    names = ["other.safetensors", "pickle.safetensors", "empty.safetensors"]
    assert set(names) < set(listed("FaceLatentsLoadModel", "model"))
    for name in names:
        with pytest.raises(UnsupportedModelError, match=name):
            run("FaceLatentsLoadModel", model=name)


def test_the_bundled_models_come_first(folders):
    (folders / "models").mkdir()
    (folders / "models" / "A.safetensors").touch()
    (folders / "models" / "readme.txt").touch()
    bundled = [load_model.BUNDLED, load_model.BUNDLED_DIGITS]
    assert listed("FaceLatentsLoadModel", "model") == [*bundled, "A.safetensors"]


def test_a_model_is_loaded_once_and_outside_of_inference_mode(monkeypatch, tmp_path):
    path = tmp_path / "m.safetensors"
    path.touch()
    modes = []

    def load(file):
        modes.append((file, torch.is_inference_mode_enabled()))
        return tiny_model()

    monkeypatch.setattr(load_model, "bundled_face_model_path", lambda: path)
    monkeypatch.setattr(load_model, "load_face_model", load)
    first, info = run("FaceLatentsLoadModel", model=load_model.BUNDLED)
    again, _ = run("FaceLatentsLoadModel", model=load_model.BUNDLED)
    assert first is again
    assert modes == [(path, False)]
    assert "32 x 32" in info
    assert "smile, age" in info


def test_sample_is_reproducible_and_prefix_stable():
    def sample(**more):
        inputs = {"seed": 5, "truncation_psi": 0.7, "batch_size": 2} | more
        return run("FaceLatentsSample", face_model=MODEL, **inputs)[0].samples

    assert torch.equal(sample(), sample())
    assert torch.equal(sample(batch_size=5)[:2], sample())
    assert not torch.equal(sample(seed=6), sample())
    assert torch.equal(sample(truncation_psi=0.0), torch.zeros(2, 24))
    assert sample(seed=2**64 - 1).shape == (2, 24)
    with pytest.raises(FaceLatentsError, match="truncation_psi"):
        sample(truncation_psi=float("nan"))
    with pytest.raises(FaceLatentsError, match="batch_size"):
        sample(batch_size=0)


def test_directions_inside_the_users_models_are_listed(folders):
    own = Direction(torch.ones(2), LatentSpace("z", (2,), "m" * 16), "own_direction")
    save_face_model(
        folders / "models" / "m.safetensors", {"x": torch.zeros(1)}, {}, TIGHT, {"own": own}
    )
    names = listed("FaceLatentsLoadDirection", "direction")
    assert names[-1] == "own"
    assert names[0] == bundled_direction_names()[0]
    assert len(names) == len(set(names))
