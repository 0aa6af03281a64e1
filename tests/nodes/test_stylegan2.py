"""The nodes with StyleGAN2 models: loaded side by side, sampled, decoded from every space."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_support import small_encoder
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.convert import convert
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.values import FaceLatent
from face_latents.nodes import host
from face_latents.nodes.model import load as load_model
from face_latents.nodes.sliders.panel import panel_of
from nodes_support import photos, run
from stylegan2_support import small_model_file

DIM, LAYERS = 16, 8  # of a model of 32 pixels
LOADER = NODE_CLASS_MAPPINGS["FaceLatentsLoadModel"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/face_latents with four small models."""
    path = tmp_path_factory.mktemp("models")
    encoder = {f"encoder.{n}": t for n, t in small_encoder(LAYERS, DIM).items()}
    described = {"name": "With encoder", "encoder_type": "psp", "licence": "for research only"}
    small_model_file(path / "one.safetensors", 32, dim=DIM)
    small_model_file(path / "two.safetensors", 64, dim=DIM, seed=1)
    small_model_file(path / "classes.safetensors", 32, dim=DIM, classes=3)
    small_model_file(
        path / "encoder.safetensors", 32, dim=DIM, seed=2, extra=encoder, metadata=described
    )
    return path


@pytest.fixture(autouse=True)
def models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.stand_alone, "models", folder)


def load(name: str = "one", **more: str):
    return run("FaceLatentsLoadModel", model=f"{name}.safetensors", **more)


def sample(model, count: int = 1, seed: int = 0, psi: float = 1.0, **more: int) -> FaceLatent:
    settings = {"seed": seed, "truncation_psi": psi, "batch_size": count, **more}
    return run("FaceLatentsSample", face_model=model, **settings)[0]


def decode(model, latent: FaceLatent) -> torch.Tensor:
    return run("FaceLatentsDecode", face_model=model, face_latent=latent)[0]


def test_a_file_says_what_it_is():
    info = load("encoder")[1]
    assert info.startswith("With encoder\npictures: 32 x 32, alignment 'ffhq'")
    assert "'w_plus' (8 x 16)" in info
    assert "encoder: psp" in info
    assert "licence: for research only" in info
    assert "source: made by a test" in info
    assert "encoder: none, so Encode Face" in load("one")[1]
    assert load_model.BUNDLED in LOADER.INPUT_TYPES()["required"]["model"][0]


def test_several_models_are_loaded_side_by_side_and_never_mixed():
    bundled = run("FaceLatentsLoadModel", model=load_model.BUNDLED)[0]
    one, two = load("one")[0], load("two")[0]
    faces = {model: sample(model, 2, psi=0.5) for model in (bundled, one, two)}
    sizes = {model: decode(model, latent).shape[1] for model, latent in faces.items()}
    assert sizes == {bundled: bundled.template.size, one: 32, two: 64}
    for model in faces:
        for other, latent in faces.items():
            if other is not model:
                with pytest.raises(SpaceMismatchError, match="Decode Face"):
                    decode(model, latent)
    with pytest.raises(SpaceMismatchError, match="Style Mix"):
        run("FaceLatentsStyleMix", a=faces[one], b=faces[two], layers="0", amount=1.0)


def test_a_file_is_loaded_once_and_freed_when_nobody_needs_it():
    first, second = load()[0], load()[0]
    assert first is second
    gone = weakref.ref(first.module)
    del first, second
    gc.collect()
    assert gone() is None


def test_a_cpu_without_half_precision_computes_in_float32(monkeypatch, caplog):
    monkeypatch.setattr(load_model, "cpu_convolves_in", lambda dtype: dtype is torch.bfloat16)
    quick, exact = load(precision="bfloat16")[0], load(precision="float16")[0]
    assert (quick.module.dtype, exact.module.dtype) == (torch.bfloat16, torch.float32)
    assert "no convolutions in float16" in caplog.text
    assert "bfloat16" not in caplog.text


def test_the_same_model_in_two_precisions_shares_its_codes(monkeypatch):
    monkeypatch.setattr(load_model, "cpu_convolves_in", lambda dtype: True)
    exact, quick = load()[0], load(precision="bfloat16")[0]
    assert exact is not quick
    assert exact.module.dtype == torch.float32
    latent = sample(exact, 2)
    assert torch.equal(latent.samples, sample(quick, 2).samples)
    before, after = decode(exact, latent), decode(quick, latent)
    difference = (before - after).abs()
    assert 0 < float(difference.mean()) < 0.02
    with pytest.raises(FaceLatentsError, match=r"only computes in float32"):
        run("FaceLatentsLoadModel", model=load_model.BUNDLED_DIGITS, precision="float16")
    with pytest.raises(FaceLatentsError, match="precision"):
        load(precision="float8")


def test_a_missing_file_is_told_before_anything_runs(folder):
    assert LOADER.VALIDATE_INPUTS(model="one.safetensors") is True
    assert LOADER.VALIDATE_INPUTS() is True  # connected by a wire
    told = LOADER.VALIDATE_INPUTS(model="sub/ffhq.safetensors")
    assert str(folder) in told
    assert "face-latents convert WEIGHTS ffhq.safetensors" in told
    assert LOADER.IS_CHANGED(model="one.safetensors", precision="bfloat16") != "missing"


def test_seeds_give_the_same_faces_in_every_batch():
    model = load()[0]
    many, few = sample(model, 5, seed=7), sample(model, 2, seed=7)
    assert torch.equal(many.samples[:2], few.samples)
    assert not torch.equal(sample(model, 2, seed=8).samples, few.samples)
    assert torch.equal(decode(model, many)[:2], decode(model, few))
    assert (few.samples == few.samples[:, :1]).all()  # the same w in each layer


def test_faces_are_drawn_one_by_one_so_that_each_can_be_cancelled(monkeypatch):
    model = load()[0]
    latent = sample(model, 3)
    expected = decode(model, latent)
    sizes, steps, plain = [], [], type(model.module).synthesize

    def recorded(self, codes):
        sizes.append(len(codes))
        return plain(self, codes)

    monkeypatch.setattr(type(model.module), "synthesize", recorded)
    monkeypatch.setattr(host, "check_interrupt", lambda: steps.append(len(sizes)))
    assert torch.equal(decode(model, latent), expected)
    assert sizes == [1, 1, 1]
    assert list(dict.fromkeys(steps)) == [0, 1, 2, 3]  # and within each, between layers


def test_results_that_do_not_fit_are_told_before_the_work_is_done(monkeypatch):
    model = load()[0]
    drawn = []

    def room(part, *shape):
        drawn.append(len(part))
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch.Tensor, "new_empty", room)
    with pytest.raises(FaceLatentsError, match=r"memory for all 3 results.*Select Face Latent"):
        decode(model, sample(model, 3))
    assert drawn == [1]


def test_truncation_and_its_cutoff():
    model = load()[0]
    free, mean = sample(model, 3, seed=2).samples, model.space.mean
    torch.testing.assert_close(
        sample(model, 3, seed=2, psi=0.25).samples, mean + 0.25 * (free - mean)
    )
    part = sample(model, 3, seed=2, psi=0.25, truncation_cutoff=3).samples
    assert torch.equal(part[:, 3:], free[:, 3:])
    torch.testing.assert_close(part[:, :3], (mean + 0.25 * (free - mean))[:, :3])
    torch.testing.assert_close(sample(model, 1, psi=0.0).samples[0], mean)


def test_classes_are_chosen_or_drawn():
    model = load("classes")[0]
    drawn = [sample(model, 1, seed=4, class_index=label).samples for label in (0, 1, 2)]
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[2], sample(model, 1, seed=4, class_index=2).samples)
    assert torch.isfinite(sample(model, 6).samples).all()
    with pytest.raises(FaceLatentsError, match="classes 0 to 2"):
        sample(model, class_index=3)


@pytest.mark.parametrize("more", [{"truncation_cutoff": 4}, {"class_index": 0}])
def test_a_model_without_layers_or_classes_refuses_them(more):
    bundled = run("FaceLatentsLoadModel", model=load_model.BUNDLED)[0]
    with pytest.raises(FaceLatentsError, match="has no"):
        sample(bundled, **more)
    if "class_index" in more:
        with pytest.raises(FaceLatentsError, match="no classes"):
            sample(load()[0], **more)


def test_codes_of_z_and_w_are_decoded_as_well():
    model = load()[0]
    z = FaceLatent(torch.randn(3, DIM, generator=torch.Generator().manual_seed(1)),
                   model.spaces["z"])  # fmt: skip
    w = FaceLatent(model.module.map(z.samples), model.spaces["w"])
    w_plus = FaceLatent(w.samples[:, None].repeat(1, LAYERS, 1), model.space)
    pictures = decode(model, w_plus)
    assert pictures.shape == (3, 32, 32, 3)
    assert torch.equal(decode(model, w), pictures)
    assert torch.equal(decode(model, z), pictures)
    for other in (load("two")[0], run("FaceLatentsLoadModel", model=load_model.BUNDLED)[0]):
        for latent in (z, w):
            with pytest.raises(SpaceMismatchError, match="Decode Face"):
                decode(other, latent)


@pytest.mark.parametrize("node", ["PCADirections", "SeFaDirections"])
def test_directions_are_found_from_faces_in_w(node):
    model = load()[0]
    w = FaceLatent(sample(model, 12, seed=3).samples[:, 0], model.spaces["w"])
    settings = {"face_model": model, "count": 2, "index": 1, "strength": 1.0, "name": ""}
    from_w = run(f"FaceLatents{node}", face_latent=w, **settings)[1]
    w_plus = sample(model, 12, seed=3)
    assert torch.equal(
        from_w.vector, run(f"FaceLatents{node}", face_latent=w_plus, **settings)[1].vector
    )
    assert from_w.space.same_as(model.space)


def test_sefa_of_the_network_is_an_eigenproblem_of_its_modulations():
    model = load()[0]
    net, layers = model.module, (0, 1, 2)
    names = ["conv1.conv.modulation", "convs.0.conv.modulation", "convs.1.conv.modulation"]
    weight = torch.cat([net.get_submodule(name).weight for name in names]).double()
    _, vectors = torch.linalg.eigh(weight.T @ weight)
    settings = {"count": 3, "index": 0, "strength": 1.0, "name": "", "layers": "0-2"}
    found = run("FaceLatentsSeFaDirections", face_model=model, **settings)[1].vector
    for layer in layers:
        unit = torch.nn.functional.normalize(found[:, layer].double(), dim=1)
        torch.testing.assert_close(
            (unit @ vectors.flip(1)[:, :3]).abs(), torch.eye(3).double(), atol=1e-4, rtol=0
        )
    assert not found[:, 3:].any()


def test_photos_need_an_encoder():
    settings = {"faces": "largest", "index": 0, "min_score": 0.5, "already_aligned": True}
    image = photos(2, 32, 32)
    with pytest.raises(FaceLatentsError, match="no encoder"):
        run("FaceLatentsEncode", image=image, face_model=load()[0], **settings)
    model = load("encoder")[0]
    latent, aligned = run("FaceLatentsEncode", image=image, face_model=model, **settings)
    assert latent.samples.shape == (2, LAYERS, DIM)
    assert aligned.shape == (2, 32, 32, 3)
    assert decode(model, latent).shape == (2, 32, 32, 3)


def test_what_is_read_by_encoding_needs_an_encoder():
    for name in ("one", "encoder"):
        model = load(name)[0]
        faces = sample(model, 2)
        found = {"count": 2, "index": 0, "strength": 1.0, "name": "x"}
        turn = run("FaceLatentsSeFaDirections", face_model=model, **found)[0]
        settings = {"strength": 1.0, "measure": "direction scores", "direction": turn}
        inputs = {"face_model": model, "face_latent": faces, **settings}
        if name == "one":
            with pytest.raises(FaceLatentsError, match=r"^Disentanglement: .*no encoder"):
                run("FaceLatentsDisentanglement", **inputs)
        else:
            assert "x" in run("FaceLatentsDisentanglement", **inputs)[1]


@pytest.mark.parametrize("shape", [(1, DIM), (LAYERS, DIM)])
def test_a_converted_direction_is_loaded_and_followed(shape, folder, tmp_path, monkeypatch):
    """One vector of w moves each layer alike; one with layers moves each in its own way."""
    vector = torch.randn(shape, generator=torch.Generator().manual_seed(6))
    np.save(tmp_path / "older.npy", vector.double().numpy())
    models = tmp_path / "models"
    (models / "directions").mkdir(parents=True)
    target = models / "directions" / "older.safetensors"
    convert(tmp_path / "older.npy", target, model=folder / "one.safetensors")
    model = load()[0]
    monkeypatch.setattr(host.stand_alone, "models", models)
    direction, info = run(
        "FaceLatentsLoadDirection", face_model=model, direction="directions/older.safetensors"
    )
    assert "older" in info
    faces = sample(model, 2)
    moved = run(
        "FaceLatentsAddDirection",
        face_latent=faces,
        direction=direction,
        strength=2.0,
        layers="3-5",
    )[0]
    expected = faces.samples.clone()
    expected[:, 3:6] += 2 * vector.expand(LAYERS, DIM)[3:6]
    torch.testing.assert_close(moved.samples, expected)
    assert "older" in panel_of(model).rows()[0]["name"]  # and has a slider


def test_the_other_nodes_take_codes_of_layers(tmp_path, monkeypatch):
    monkeypatch.setattr(host.stand_alone, "output", tmp_path)
    model = load()[0]
    faces = sample(model, 3, seed=1)
    for node, inputs in {
        "Slerp": {"a": faces, "b": sample(model, 1, seed=9), "t": 0.5},
        "Morph": {"face_latent": faces, "frames": 7, "path": "slerp", "loop": False},
        "Mean": {"face_latent": faces, "weights": "", "mode": "LOL"},
    }.items():
        result = run(f"FaceLatents{node}", **inputs)[0]
        assert result.samples.shape[1:] == (LAYERS, DIM), node
        assert torch.isfinite(decode(model, result)).all()
    run("FaceLatentsSaveLatent", face_latent=faces, filename_prefix="faces")
    loaded = run("FaceLatentsLoadLatent", file="faces_00001_.safetensors [output]")[0]
    assert torch.equal(loaded.samples, faces.samples)
    assert torch.equal(decode(model, loaded), decode(model, faces))
