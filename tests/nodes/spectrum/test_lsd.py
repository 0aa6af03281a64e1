"""LSD Denoise, Rotate and Spectrum, Anomaly Map, and the nodes that make and keep bases."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS, latent_ops
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.face_model import bundled_digits_model_path, bundled_face_model_path
from face_latents.models.files.tensors import read_header
from face_latents.models.spectral.basis import LatentBasis
from face_latents.models.spectral.basis_file import BUNDLED_BASES, bundled_basis_path, load_basis
from face_latents.models.values import FaceLatent
from face_latents.nodes import host
from face_latents.nodes.model import cut
from nodes_support import (
    CODES,
    encode,
    landmarks_for,
    mesh_face,
    photos,
    random_latent,
    run,
    tiny_model,
)
from PIL import Image

MODEL = tiny_model()
NAMES = ("cat", "dog", "bird")
DENOISE = {"mode": "top_k", "k": 5, "energy": 0.9, "keep_norm": True}
TURN = {"from_label": "cat", "to_label": "dog", "angle": 90.0, "steps": 1}
DRAW = {"show": 6, "layout": "one sheet"}
BUILD = {
    "method": "symmetric",
    "completion": "principal",
    "size": 0,
    "centre": "origin",
    "seed": 0,
    "name": "animals",
}
ANOMALY = {
    "mode": "first_k", "k": 10, "energy": 0.9, "sensitivity": 1.0, "threshold": 0.5,
    "view": "photo",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    for name in ("input", "output", "temp", "models"):
        monkeypatch.setattr(host.stand_alone, name, tmp_path / name)
    return tmp_path


def basis_of(space=MODEL.space, size=None, mean=None, seed=0, **more):
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.Size(space.shape).numel()
    rows = torch.linalg.qr(torch.randn(numbers, numbers, generator=generator))[0]
    vectors = rows[: size or numbers].reshape(-1, *space.shape).contiguous()
    return LatentBasis(vectors, NAMES, space, mean, **more)


def vae_latent(batch=3, shape=(4, 3, 2)):
    generator = torch.Generator().manual_seed(batch)
    samples = {"samples": torch.randn(batch, *shape, generator=generator)}
    return run("FaceLatentsFromVAELatent", samples=samples)[0]


def coefficients(latent, basis):
    return latent_ops.decompose(latent.samples, basis.vectors, basis.mean)


def groups(count=6, spread=0.2, space=MODEL.space, seed=0):
    """A latent per label, around centres far apart."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.Size(space.shape).numel()
    centres = 3 * torch.eye(size)[:3] + 0.2
    return {
        f"group_{i + 1}": FaceLatent(
            (centres[i] + spread * torch.randn(count, size, generator=generator)).reshape(
                count, *space.shape
            ),
            space,
        )
        for i in range(3)
    }


# --- LSD Denoise ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["top_k", "labels", "one_label", "energy", "first_k"])
@pytest.mark.parametrize("mean", [None, torch.full((CODES,), 0.7)])
def test_denoise_keeps_what_the_mode_says(mode, mean):
    latent, basis = random_latent(MODEL, 4), basis_of(mean=mean)
    before = latent.samples.clone()
    result = run(
        "FaceLatentsLSDDenoise",
        face_latent=latent,
        basis=basis,
        **DENOISE | {"mode": mode, "keep_norm": False},
    )[0]
    old, new = coefficients(latent, basis), coefficients(result, basis)
    kept = new.abs() > 1e-4
    assert torch.allclose(new[kept], old[kept], atol=1e-4)
    strongest = old.abs().argsort(1, descending=True)
    for row in range(4):
        found = set(kept[row].nonzero().flatten().tolist())
        if mode == "top_k":
            assert found == set(strongest[row, :5].tolist())
        elif mode == "labels":
            assert found == {0, 1, 2}
        elif mode == "first_k":
            assert found == set(range(5))
        elif mode == "one_label":
            assert len(found) == 5
            assert found & {0, 1, 2} == {int(old[row, :3].argmax())}
        else:
            share = new[row].square().sum() / old[row].square().sum()
            assert 0.9 <= float(share) < 1
    assert torch.equal(latent.samples, before)


def test_denoise_keeps_length_photo_and_dtype_and_all_of_the_spectrum_changes_nothing():
    latent, basis = encode(MODEL, photos(2)), basis_of()
    result = run("FaceLatentsLSDDenoise", face_latent=latent, basis=basis, **DENOISE)[0]
    assert torch.allclose(result.samples.norm(dim=1), latent.samples.norm(dim=1), rtol=1e-5)
    assert result.contexts == latent.contexts
    same = run("FaceLatentsLSDDenoise", face_latent=latent, basis=basis, **DENOISE | {"k": CODES})[
        0
    ]
    assert torch.allclose(same.samples, latent.samples, atol=1e-5)
    half = replace(latent, samples=latent.samples.half())
    out = run("FaceLatentsLSDDenoise", face_latent=half, basis=basis, **DENOISE)[0]
    assert out.samples.dtype == torch.float16


def test_spectral_nodes_work_on_vae_latents():
    latent = vae_latent()
    basis = basis_of(latent.space, size=9)
    denoised = run("FaceLatentsLSDDenoise", face_latent=latent, basis=basis, **DENOISE)[0]
    assert denoised.samples.shape == latent.samples.shape
    turned, _ = run("FaceLatentsLSDRotate", face_latent=latent, basis=basis, **TURN)
    assert torch.allclose(
        coefficients(turned, basis)[:, 1], coefficients(latent, basis)[:, 0], atol=1e-5
    )
    assert run("FaceLatentsLSDSpectrum", face_latent=latent, basis=basis, **DRAW)[0].shape[0] == 1
    assert run("FaceLatentsToVAELatent", face_latent=turned)[0]["samples"].shape == (3, 4, 3, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 25}, "k is 25, but the basis"),
        ({"k": 25, "mode": "first_k"}, "k is 25, but the basis 'basis' has 24"),
        ({"k": 23, "mode": "one_label"}, "k is 23"),
        ({"k": 0}, "'k' must be between 1 and 65536"),
        ({"k": 2.5}, "whole number"),
        ({"mode": "energy", "energy": 0.0}, "energy must be a share"),
        ({"mode": "energy", "energy": float("nan")}, "'energy' is nan"),
        ({"mode": "best"}, "'mode' must be one of"),
        ({"basis": None}, "needs a quasi-eigen basis.*Load Basis"),
        ({"face_latent": None}, "needs a face latent"),
    ],
)
def test_denoise_explains_what_it_cannot_do(change, message):
    given = {"face_latent": random_latent(MODEL), "basis": basis_of(), **DENOISE} | change
    with pytest.raises(FaceLatentsError, match=message):
        run("FaceLatentsLSDDenoise", **given)


@pytest.mark.parametrize(
    ("node", "inputs"),
    [
        ("FaceLatentsLSDDenoise", DENOISE),
        ("FaceLatentsLSDRotate", TURN),
        ("FaceLatentsLSDSpectrum", DRAW),
        ("FaceLatentsAnomalyMap", ANOMALY | {"face_model": MODEL}),
    ],
)
def test_other_spaces_and_damaged_codes_are_refused(node, inputs):
    other = tiny_model("b" * 16)
    with pytest.raises(SpaceMismatchError, match=r"basis 'basis'.*a{16}.*b{16}"):
        run(node, face_latent=random_latent(MODEL), basis=basis_of(other.space), **inputs)
    broken = random_latent(MODEL)
    broken = replace(broken, samples=broken.samples * float("nan"))
    with pytest.raises(FaceLatentsError, match="NaN or infinite"):
        run(node, face_latent=broken, basis=basis_of(), **inputs)


# --- LSD Rotate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [None, torch.full((CODES,), 0.7)])
def test_ninety_degrees_are_a_full_change_and_the_rest_stays(mean):
    latent, basis = encode(MODEL, photos(2)), basis_of(mean=mean)
    turned, text = run("FaceLatentsLSDRotate", face_latent=latent, basis=basis, **TURN)
    old, new = coefficients(latent, basis), coefficients(turned, basis)
    assert torch.allclose(new[:, 1], old[:, 0], atol=1e-5)
    assert torch.allclose(new[:, 0], -old[:, 1], atol=1e-5)
    assert torch.allclose(new[:, 2:], old[:, 2:], atol=1e-5)
    assert turned.contexts == latent.contexts
    assert text == "face 1: cat -> dog\nface 2: cat -> dog"
    still, _ = run("FaceLatentsLSDRotate", face_latent=latent, basis=basis, **TURN | {"angle": 0.0})
    assert torch.equal(still.samples, latent.samples)


def test_frames_lead_from_the_code_to_the_result_by_equal_turns():
    latent, basis = encode(MODEL, photos(2)), basis_of()
    frames, _ = run("FaceLatentsLSDRotate", face_latent=latent, basis=basis, **TURN | {"steps": 4})
    end, _ = run("FaceLatentsLSDRotate", face_latent=latent, basis=basis, **TURN)
    codes = frames.samples.reshape(2, 4, CODES)
    assert torch.equal(codes[:, 0], latent.samples)
    assert torch.allclose(codes[:, -1], end.samples, atol=1e-6)
    steps = (codes[:, 1:] - codes[:, :-1]).norm(dim=2)
    assert torch.allclose(steps, steps[:, :1].expand(-1, 3), rtol=1e-4)
    assert frames.contexts == tuple(c for c in latent.contexts for _ in range(4))


def test_a_chain_visits_every_label_once():
    latent, basis = random_latent(MODEL), basis_of()
    route = {"to_label": "dog, bird\ncat", "steps": 3}
    frames, text = run("FaceLatentsLSDRotate", face_latent=latent, basis=basis, **TURN | route)
    assert len(frames) == 1 + 3 * 2
    assert text == "face 1: cat -> dog -> bird -> cat"
    one, _ = run("FaceLatentsLSDRotate", face_latent=latent, basis=basis, **TURN)
    two, _ = run(
        "FaceLatentsLSDRotate",
        face_latent=one,
        basis=basis,
        **TURN | {"from_label": "dog", "to_label": "bird"},
    )
    assert torch.allclose(frames.samples[2:3], one.samples, atol=1e-5)
    assert torch.allclose(frames.samples[4:5], two.samples, atol=1e-5)


def test_auto_starts_at_the_strongest_label_of_each_code_and_leaves_it_if_it_is_the_target():
    basis = basis_of()
    latent = FaceLatent(2 * basis.vectors[:3] + 0.1 * basis.vectors[5], MODEL.space)
    turned, text = run(
        "FaceLatentsLSDRotate", face_latent=latent, basis=basis, **TURN | {"from_label": "Auto"}
    )
    assert text.splitlines() == [f"face {i + 1}: {NAMES[i]} -> dog" for i in range(3)]
    assert torch.equal(turned.samples[1], latent.samples[1])
    found = latent_ops.classify(coefficients(turned, basis), 3)
    assert found.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"to_label": "cow"}, "no label 'cow'. Its labels: cat, dog, bird"),
        ({"from_label": "cow"}, "no label 'cow'"),
        ({"to_label": " , "}, "to_label is empty.*cat, dog, bird"),
        ({"to_label": "cat"}, "'cat' to itself is no turn"),
        ({"to_label": "dog, dog", "from_label": "auto"}, "'dog' to itself is no turn"),
        ({"angle": float("inf")}, "'angle' is inf"),
        ({"steps": 0}, "'steps' must be between"),
        ({"steps": 4000, "to_label": "dog,bird"}, "7999 frames each are more than 4096"),
    ],
)
def test_rotate_explains_what_it_cannot_do(change, message):
    with pytest.raises(FaceLatentsError, match=message):
        run(
            "FaceLatentsLSDRotate",
            face_latent=random_latent(MODEL),
            basis=basis_of(),
            **TURN | change,
        )


def test_a_turn_needs_two_labels():
    single = replace(basis_of(), labels=("cat",))
    with pytest.raises(FaceLatentsError, match="has one label; a turn needs two"):
        run("FaceLatentsLSDRotate", face_latent=random_latent(MODEL), basis=single,
            **TURN | {"to_label": "cat"})  # fmt: skip


# --- LSD Spectrum --------------------------------------------------------------------------------


def test_spectrum_reads_labels_and_energy(folders):
    basis = basis_of()
    codes = 3 * basis.vectors[[1, 2]] + 4 * basis.vectors[[9, 8]]
    latent = FaceLatent(codes, MODEL.space)
    image, text, label = run("FaceLatentsLSDSpectrum", face_latent=latent, basis=basis, **DRAW)
    assert label == "dog\nbird"
    assert "face 1: label dog; 36.0% of the energy is in the labels\n  cat: " in text
    assert "dog: +3.000" in text
    assert image.shape == (1, 320, 1024, 3)
    assert 0 <= float(image.min()) < float(image.max()) <= 1
    assert len(list((folders / "temp").glob("face_latents_spectrum_*.png"))) == 1
    each = run(
        "FaceLatentsLSDSpectrum",
        face_latent=latent,
        basis=basis,
        theme="light",
        **DRAW | {"layout": "one picture per face"},
    )[0]
    assert each.shape == (2, 480, 768, 3)
    assert float(each.mean()) > float(image.mean()) + 0.3


def test_attributes_get_no_single_label_and_an_incomplete_basis_says_so():
    basis = replace(basis_of(size=5), exclusive=False)
    _, text, _ = run(
        "FaceLatentsLSDSpectrum", face_latent=random_latent(MODEL), basis=basis, **DRAW
    )
    assert "face 1; " in text
    assert "label" not in text.splitlines()[0].replace("labels", "")
    assert "% in the basis" in text


def test_spectrum_of_too_many_faces_and_of_the_centre():
    with pytest.raises(FaceLatentsError, match="draws up to 64 faces; this batch has 65"):
        run("FaceLatentsLSDSpectrum", face_latent=random_latent(MODEL, 65), basis=basis_of(),
            **DRAW)  # fmt: skip
    nothing = FaceLatent(torch.zeros(1, CODES), MODEL.space)
    _, text, _ = run(
        "FaceLatentsLSDSpectrum", face_latent=nothing, basis=basis_of(), **DRAW | {"show": 0}
    )
    assert "0.0% of the energy" in text


# --- Build Quasi-Eigen Basis ---------------------------------------------------------------------


def test_build_makes_a_basis_that_tells_the_groups_apart():
    given = groups()
    basis, info = run("FaceLatentsBuildBasis", labels="cat, dog, bird,", **BUILD, **given)
    assert basis.labels == NAMES
    assert basis.complete
    assert basis.name == "animals"
    for index, latent in enumerate(given.values()):
        assert latent_ops.classify(coefficients(latent, basis), 3).tolist() == [index] * 6
    assert "finds the label of 100.0% of held-out codes" in info
    assert "rank 3 of 3" in info
    assert "  dog: 6 code(s)" in info
    assert "fewer than 10 examples of cat, dog, bird" in info


def test_build_names_groups_itself_and_skips_free_inputs():
    given = groups()
    basis, info = run(
        "FaceLatentsBuildBasis",
        labels=" ",
        group_1=given["group_1"],
        group_7=given["group_3"],
        **BUILD | {"size": 4, "centre": "mean of the groups"},
    )
    assert basis.labels == ("group 1", "group 7")
    assert "rank 1 of 2 (one less about their own mean" in info
    assert len(basis) == 4
    assert basis.mean is not None


def test_build_on_vae_latents():
    space = vae_latent().space
    given = groups(space=space)
    basis, info = run("FaceLatentsBuildBasis", labels="", **BUILD, **given)
    assert basis.vectors.shape == (24, 4, 3, 2)
    assert basis.space.same_as(space)
    assert "100.0%" in info


def test_noise_is_not_sold_as_a_label():
    basis, info = run(
        "FaceLatentsBuildBasis",
        labels="a, b",
        group_1=random_latent(MODEL, 30, 1),
        group_2=random_latent(MODEL, 30, 2),
        **BUILD,
    )
    assert basis.accuracy < 0.65
    assert "WARNING: the labels are hardly told apart" in info


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": "cat, dog"}, r"2 label\(s\) \(cat, dog\) for 3 connected group"),
        ({"labels": "cat, dog, Dog"}, "label 'dog' is there twice"),
        ({"labels": "cat, , dog"}, "label '' is empty"),
        ({"method": "x"}, "'method' must be one of"),
        ({"completion": "x"}, "'completion' must be one of"),
        ({"centre": "x"}, "'centre' must be one of"),
        ({"size": 2}, "it must be from 3"),
        ({"size": 25}, "to 24"),
        ({"size": -1}, "'size' must be between 0 and 65536"),
        ({"group_1": None}, "'group_1' needs a face latent"),
        ({"centre": "mean of the groups", "method": "gram_schmidt"}, "0 = 'cat', 1 = 'dog'"),
    ],
)
def test_build_explains_what_it_cannot_do(change, message):
    given = {"labels": "cat, dog, bird", **BUILD, **groups()} | change
    with pytest.raises(FaceLatentsError, match=message):
        run("FaceLatentsBuildBasis", **given)


def test_build_refuses_equal_groups_other_spaces_and_damaged_codes():
    given = groups()
    same = given | {"group_2": given["group_1"]}
    with pytest.raises(FaceLatentsError, match=r"dependent.*0 = 'cat'"):
        run("FaceLatentsBuildBasis", labels="cat, dog, bird", **BUILD, **same)
    other = FaceLatent(given["group_2"].samples, tiny_model("b" * 16).space)
    with pytest.raises(SpaceMismatchError, match="groups 'cat' and 'dog'"):
        run("FaceLatentsBuildBasis", labels="cat, dog, bird", **BUILD,
            **given | {"group_2": other})  # fmt: skip
    broken = FaceLatent(given["group_2"].samples * float("inf"), MODEL.space)
    with pytest.raises(FaceLatentsError, match="'group_2' holds values that are not numbers"):
        run("FaceLatentsBuildBasis", labels="", **BUILD, **given | {"group_2": broken})


def test_one_code_per_label_builds_but_is_not_measured():
    single = {name: replace(g, samples=g.samples[:1], contexts=()) for name, g in groups().items()}
    basis, info = run("FaceLatentsBuildBasis", labels="", **BUILD, **single)
    assert basis.accuracy is None
    assert "accuracy could not be measured" in info


# --- from folders --------------------------------------------------------------------------------


@pytest.fixture
def faces_everywhere(monkeypatch):
    """Every photo shows a face in its middle."""

    def find(photo, wanted, number):
        mesh = landmarks_for(photo.unsqueeze(0), mesh_face(55, 45, 60))
        return cut.faces_from_landmarks(mesh, 0, *photo.shape[:2])

    monkeypatch.setattr(cut, "find_all", find)


def fill(folder, count, seed):
    folder.mkdir(parents=True)
    pixels = (photos(count + seed)[seed:] * 255).byte().numpy()
    for number, values in enumerate(pixels):
        Image.fromarray(values).save(folder / f"{number}.png")


def test_build_from_the_sub_folders_of_a_folder(folders, faces_everywhere):
    for seed, label in enumerate(("off", "on")):
        fill(folders / "input" / "people" / label, 3, 3 * seed)
    (folders / "input" / "people" / "on" / "broken.png").write_text("x")
    node = NODE_CLASS_MAPPINGS["FaceLatentsBuildBasisFolders"]
    inputs = {"folders": "people", "min_score": 0.5, **BUILD}
    basis, info = run("FaceLatentsBuildBasisFolders", face_model=MODEL, **inputs)
    assert basis.labels == ("off", "on")
    assert "  on: 3 code(s)" in info
    assert "folder 'on': 3 photo(s) used\n1 left out:\n  broken.png" in info
    again, _ = run(
        "FaceLatentsBuildBasisFolders",
        face_model=MODEL,
        **inputs | {"folders": "no=people/off,\nyes=people/on"},
    )
    assert again.labels == ("no", "yes")
    assert torch.equal(again.vectors, basis.vectors)
    before = node.IS_CHANGED(face_model=None, **inputs)
    assert node.IS_CHANGED(face_model=None, **inputs) == before
    os.utime(folders / "input" / "people" / "on" / "0.png", ns=(1, 1))
    assert node.IS_CHANGED(face_model=None, **inputs) != before
    assert node.IS_CHANGED(face_model=None, **inputs | {"folders": "gone"}) == "missing"
    assert node.IS_CHANGED(face_model=None, folders=None) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No folder was given. Folders with pictures there: people/off"),
        ("people/off", "has no sub-folders with pictures"),
        ("../people", r"goes up a folder"),
        ("people/off, gone", "no folder 'gone'"),
        ("people/off, people/off", "Two folders would have the label 'off'"),
        ("a=people/off, A=people/off", "label 'A'"),
        ("=people/off, people/off", "label ''"),
    ],
)
def test_folders_that_make_no_labels(folders, faces_everywhere, text, message):
    fill(folders / "input" / "people" / "off", 1, 0)
    with pytest.raises(FaceLatentsError, match=message):
        run("FaceLatentsBuildBasisFolders", face_model=MODEL, folders=text, min_score=0.5, **BUILD)


# --- Load Basis and Save Basis -------------------------------------------------------------------


def listed(node, name):
    return NODE_CLASS_MAPPINGS[node].INPUT_TYPES()["required"][name][0]


def test_a_saved_basis_shows_up_and_loads(folders):
    basis = basis_of(name="animals", condition=2.0, rank=3, accuracy=0.75, method="by hand")
    assert run("FaceLatentsSaveBasis", basis=basis, filename_prefix="zoo/a") == (basis,)
    name = "bases/zoo/a_00001_.safetensors"
    assert listed("FaceLatentsLoadBasis", "basis")[-1] == name
    assert not any("zoo" in n for n in listed("FaceLatentsLoadModel", "model"))
    assert not any("zoo" in n for n in listed("FaceLatentsLoadDirection", "direction"))
    loaded, info = run("FaceLatentsLoadBasis", face_model=MODEL, basis=name)
    assert torch.equal(loaded.vectors, basis.vectors)
    for words in ("animals", "cat, dog, bird", "24 for codes of 24", "75.0%", "by hand"):
        assert words in info
    with pytest.raises(SpaceMismatchError, match=r"model 'other' and basis 'animals'"):
        run("FaceLatentsLoadBasis", face_model=tiny_model("b" * 16, "other"), basis=name)
    changed = NODE_CLASS_MAPPINGS["FaceLatentsLoadBasis"].IS_CHANGED
    first = changed(basis=name)
    os.utime(folders / "models" / name, ns=(1, 1))
    assert changed(basis=name) != first
    assert changed(basis="face (bundled)") == changed() == ""


@pytest.mark.parametrize("name", ["x", "../x.safetensors", "bases/../../x", "/etc/passwd", "a\0b"])
def test_only_listed_bases_are_read(name):
    with pytest.raises(FaceLatentsError, match=r"There is no basis.*face \(bundled\)"):
        run("FaceLatentsLoadBasis", face_model=MODEL, basis=name)


@pytest.mark.parametrize("prefix", ["", "..", "/x", "C:\\x", "a\0b", "con"])
def test_a_basis_is_saved_in_its_folder_only(prefix, folders):
    with pytest.raises(FaceLatentsError, match="file name"):
        run("FaceLatentsSaveBasis", basis=basis_of(), filename_prefix=prefix)
    assert not list(folders.rglob("*.safetensors"))


@pytest.mark.parametrize("name", BUNDLED_BASES)
def test_bundled_bases_belong_to_the_bundled_models_and_are_complete(name):
    model = {"face": bundled_face_model_path, "digits": bundled_digits_model_path}[name]()
    basis = load_basis(bundled_basis_path(name))
    assert basis.space.model_id == read_header(model).metadata["model_id"], (
        f"face-latents train basis model={name} --data DIR --output {bundled_basis_path(name)}"
    )
    assert basis.complete
    assert basis.exclusive == (name == "digits")
    assert latent_ops.conditioning(basis.vectors).condition <= 1 + 1e-4
    assert basis.warnings() == []
    assert bundled_basis_path(name).stat().st_size < 4.5e6


# --- Anomaly Map ---------------------------------------------------------------------------------


def marked(count=1, faces=1):
    """Grey photos with a bright mark on the face; the tiny model explains grey exactly."""
    image = torch.full((count, 90, 110, 3), 0.5)
    meshes = [mesh_face(30 + 50 * i, 45, 20) for i in range(faces)]
    for i in range(faces):
        image[:, 50:56, 34 + 50 * i : 40 + 50 * i] = 1.0
    return image, encode(MODEL, image, *meshes)


def test_a_mark_on_the_face_glows_and_gets_into_the_mask(folders):
    image, latent = marked()
    heat, mask = run(
        "FaceLatentsAnomalyMap",
        face_model=MODEL,
        face_latent=latent,
        basis=basis_of(),
        **ANOMALY | {"k": CODES},
    )
    assert heat.shape == image.shape
    assert mask.shape == image.shape[:3]
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    inside = torch.zeros(90, 110, dtype=torch.bool)
    inside[50:56, 34:40] = True
    assert float(mask[0][inside].mean()) > 0.9
    assert float(mask[0][~inside].mean()) < 0.02
    assert float(heat[0, 53, 37, 0]) > 0.7
    assert len(list((folders / "temp").glob("face_latents_anomaly_*.png"))) == 1
    crop, small = run(
        "FaceLatentsAnomalyMap",
        face_model=MODEL,
        face_latent=latent,
        basis=basis_of(),
        **ANOMALY | {"view": "aligned face"},
    )
    assert crop.shape == (1, 32, 32, 3)
    assert small.shape == (1, 32, 32)
    assert 0 < float(small.mean()) < 0.3


def test_faces_of_one_photo_share_a_map_and_sensitivity_and_threshold_count():
    _, latent = marked(faces=2)
    given = {"face_model": MODEL, "face_latent": latent, "basis": basis_of()}
    _, mask = run("FaceLatentsAnomalyMap", **given, **ANOMALY)
    assert mask.shape == (1, 90, 110)
    assert float(mask[0, 50:56, 34:40].mean()) > 0.8
    assert float(mask[0, 50:56, 84:90].mean()) > 0.8
    areas = [
        float(run("FaceLatentsAnomalyMap", **given, **ANOMALY | change)[1].mean())
        for change in ({"threshold": 0.99}, {}, {"sensitivity": 5.0}, {"threshold": 0.0})
    ]
    assert areas == sorted(areas)
    assert areas[0] < areas[-1]


def test_only_the_face_counts_unless_told_otherwise():
    image, latent = marked()
    corner = latent.contexts[0]
    dirty = image[0].clone()
    top = corner.landmarks.amin(0) - 14  # inside the crop, beside the face
    x, y = (int(v) for v in top)
    dirty[y : y + 4, x : x + 4] = 1.0
    moved = replace(latent, contexts=(replace(corner, photo=dirty),))
    given = {"face_model": MODEL, "face_latent": moved, "basis": basis_of(), **ANOMALY}
    on_face = run("FaceLatentsAnomalyMap", **given)[1]
    everywhere = run("FaceLatentsAnomalyMap", **given, region="whole crop")[1]
    assert float(on_face[0, y : y + 4, x : x + 4].max()) == 0
    assert float(everywhere[0, y : y + 4, x : x + 4].mean()) > 0.5
    assert float(on_face[0, 50:56, 34:40].mean()) > 0.9


def test_anomaly_map_needs_photos_of_one_size():
    given = {"face_model": MODEL, "basis": basis_of(), **ANOMALY}
    with pytest.raises(FaceLatentsError, match="face 1 has no photo"):
        run("FaceLatentsAnomalyMap", face_latent=random_latent(MODEL), **given)
    a, b = encode(MODEL, photos(1)), encode(MODEL, photos(1, 80, 100))
    both = run("FaceLatentsJoin", a=a, b=b)[0]
    with pytest.raises(FaceLatentsError, match="different sizes"):
        run("FaceLatentsAnomalyMap", face_latent=both, **given)
    image, _ = run("FaceLatentsAnomalyMap", face_latent=both,
                   **given | {"view": "aligned face"})  # fmt: skip
    assert image.shape == (2, 32, 32, 3)
    other = tiny_model("b" * 16, "other")
    with pytest.raises(SpaceMismatchError, match="model 'other'"):
        run("FaceLatentsAnomalyMap", face_latent=a, **given | {"face_model": other})
