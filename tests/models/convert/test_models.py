"""Networks of other programs: converted, loaded, and equal to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from convert_support import (
    KERNEL,
    LAYOUT,
    encoder_checkpoint,
    nvidia_file,
    port_state,
    training_checkpoint,
)
from encoder_support import small_encoder
from face_latents.cli.main import main
from face_latents.models.architectures.stylegan2.layout import EMBED
from face_latents.models.convert import Report, convert
from face_latents.models.convert.sources import open_source, tensors_in
from face_latents.models.errors import UnsupportedModelError
from face_latents.models.face_model import load_face_model
from face_latents.models.files.tensors import load_tensors
from safetensors.torch import save_file
from stylegan2_support import small_layout, small_model_file, small_tensors
from torch import Tensor


def written(path: Path) -> dict[str, Tensor]:
    return load_tensors(path)[0]


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert sorted(found) == sorted(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def assert_accounted(report: Report, paths: set[str]) -> None:
    """Every tensor of the file is taken or dropped, none of them twice."""
    taken, dropped = set(report.taken.values()), set(report.dropped)
    assert taken | dropped == paths
    assert not taken & dropped
    assert len(taken) == len(report.taken)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("shape", [(32,), (1, 32), (8, 32)])
def test_port(tmp_path: Path, zipped: bool, shape: tuple[int, ...]) -> None:
    tensors = small_tensors(LAYOUT)
    state = port_state(tensors)
    latent_avg = tensors["latent_avg"].expand(shape).clone()
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save(
        {"g_ema": state, "latent_avg": latent_avg}, file, _use_new_zipfile_serialization=zipped
    )
    report = convert(file, out, licence="mine", source="here", name="Net")
    assert_same(written(out), tensors)
    assert_accounted(report, {f"g_ema.{name}" for name in state} | {"latent_avg"})
    assert all(path.endswith("kernel") for path in report.dropped)
    model = load_face_model(out)
    assert (model.name, model.space.model_id) == ("Net", report.model_id)
    assert model.template.name == "ffhq"
    assert (model.template.size, model.metadata["licence"]) == (32, "mine")
    assert model.metadata["source"] == "here"
    assert model.metadata["source_format"] == "rosinality"
    expected = load_face_model(small_model_file(tmp_path / "same.safetensors", 32, dim=32, width=4))
    codes = model.sample(2, seed=1)
    assert torch.equal(model.decode(codes), expected.decode(codes))


def test_state_dict_alone(tmp_path: Path) -> None:
    tensors = small_tensors(LAYOUT)
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save({**port_state(tensors), "latent_avg": tensors["latent_avg"]}, file)
    report = convert(file, out)
    assert_same(written(out), tensors)
    assert "non-commercial" in report.licence
    assert "non-commercial" in report.text()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_tensors_stay_in_the_file(tmp_path: Path, zipped: bool) -> None:
    file = tmp_path / "net.pt"
    torch.save({"a": torch.rand(5, 7)}, file, _use_new_zipfile_serialization=zipped)
    (reference,) = tensors_in(open_source(file).value).values()
    first, second = reference.view(), reference.view()
    assert first.data_ptr() == second.data_ptr()
    first[0, 0] = 3  # the map is private
    (again,) = tensors_in(open_source(file).value).values()
    assert float(again.view()[0, 0]) < 1


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_training_checkpoint(tmp_path: Path, zipped: bool) -> None:
    tensors = small_tensors(LAYOUT)
    checkpoint = training_checkpoint(tensors)
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save(checkpoint, file, _use_new_zipfile_serialization=zipped)
    report = convert(file, out)
    found = written(out)
    mean = found.pop("latent_avg")
    assert_same(found, {name: tensor for name, tensor in tensors.items() if name != "latent_avg"})
    assert list(report.made) == ["latent_avg"]
    assert "discriminator" in report.dropped["d.convs.0.0.weight"]
    assert "optimiser" in report.dropped["g_optim.state.0.exp_avg"]
    assert "training" in report.dropped["g.input.input"]
    assert "d_optim.state.0.exp_avg_sq" in report.dropped
    net = load_face_model(out).module
    codes = net.map(torch.randn(2000, LAYOUT.z_dim, generator=torch.Generator().manual_seed(9)))
    assert float((codes.mean(0) - mean).abs().max()) < 0.15 * float(codes.std())


def test_half_precision_stays(tmp_path: Path) -> None:
    tensors = small_tensors(LAYOUT, dtype=torch.float16)
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save({"g_ema": port_state(tensors), "latent_avg": tensors["latent_avg"]}, file)
    convert(file, out)
    assert_same(written(out), tensors)


def test_bare_safetensors(tmp_path: Path) -> None:
    tensors = small_tensors(LAYOUT)
    file, out = tmp_path / "net.safetensors", tmp_path / "new.safetensors"
    state = {**port_state(tensors), "latent_avg": tensors["latent_avg"]}
    for prefix in ("", "g_ema."):
        named = {
            name if name == "latent_avg" else prefix + name: tensor.clone()
            for name, tensor in state.items()
        }
        save_file(named, file)
        convert(file, out)
        assert_same(written(out), tensors)
    with pytest.raises(UnsupportedModelError, match="of this project already"):
        convert(out, file)


def test_double_precision_and_names_of_many_devices(tmp_path: Path) -> None:
    tensors = small_tensors(LAYOUT)
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    state = {f"module.{name}": tensor.double() for name, tensor in port_state(tensors).items()}
    torch.save({"g_ema": state, "latent_avg": tensors["latent_avg"].double()}, file)
    convert(file, out)
    assert_same(written(out), tensors)
    torch.save({**state, "module.latent_avg": tensors["latent_avg"]}, file)
    convert(file, out)
    assert_same(written(out), tensors)


@pytest.mark.parametrize("with_mean", [True, False])
def test_classes_without_their_embedding_are_refused(tmp_path: Path, with_mean: bool) -> None:
    tensors = small_tensors(small_layout(32, dim=32, width=4, classes=3))
    state = {name: t for name, t in port_state(tensors).items() if not name.startswith(EMBED)}
    if with_mean:
        state["latent_avg"] = tensors["latent_avg"].flatten()[:32]
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save(state, file)
    with pytest.raises(UnsupportedModelError, match=r"its class embedding .* is missing"):
        convert(file, out)
    assert not out.exists()


def test_strided_tensors(tmp_path: Path) -> None:
    tensors = small_tensors(LAYOUT)
    state = port_state(tensors)
    name = "convs.0.conv.modulation.weight"
    state[name] = state[name].T.contiguous().T  # as after a transposition
    many = torch.zeros(100)
    many[17:49] = tensors["style.1.bias"]
    state["style.1.bias"] = many[17:49]
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save({"g_ema": state, "latent_avg": tensors["latent_avg"]}, file)
    convert(file, out)
    assert_same(written(out), tensors)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("classes", [0, 3])
def test_nvidia(tmp_path: Path, protocol: int, classes: int) -> None:
    layout = small_layout(32, dim=32, width=4, classes=classes)
    file, out, mark = (tmp_path / name for name in ("net.pkl", "net.safetensors", "ran"))
    code = f"open({str(mark)!r}, 'w').write('ran')"
    tensors = nvidia_file(file, layout, protocol=protocol, code=code, conv_clamp=256)
    report = convert(file, out)
    assert not mark.exists()
    assert_same(written(out), {**tensors, "conv_clamp": torch.tensor([256.0])})
    assert len(report.taken) == len(tensors)
    assert {path.split(".")[0] for path in report.dropped} == {"G", "D", "G_ema"}
    model = load_face_model(out)
    assert model.metadata["source_format"] == "nvidia-ada"
    assert bool(torch.isfinite(model.decode(model.sample(1, seed=0))).all())


def test_nvidia_without_limit(tmp_path: Path) -> None:
    file, out = tmp_path / "net.pkl", tmp_path / "net.safetensors"
    tensors = nvidia_file(file)
    convert(file, out)
    assert_same(written(out), tensors)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"architecture": "resnet"}, "architecture"),
        ({"activation": "relu"}, "activation"),
        ({"conv_clamp": "big"}, "conv_clamp"),
    ],
)
def test_nvidia_settings_refused(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    file, out = tmp_path / "net.pkl", tmp_path / "net.safetensors"
    nvidia_file(file, **settings)
    with pytest.raises(UnsupportedModelError, match=told):
        convert(file, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"synthesis.b4.const": None}, "not StyleGAN2"),
        ({"synthesis.b8.conv0.bias": None}, "convs.0.activate.bias"),
        ({"synthesis.b8.conv2.bias": torch.zeros(4)}, "conv2"),
        ({"mapping.w_avg": None}, None),
        ({"synthesis.b8.conv0.resample_filter": torch.eye(4)}, "blur kernel"),
    ],
)
def test_nvidia_tensors_refused(
    tmp_path: Path, change: dict[str, Tensor | None], told: str | None
) -> None:
    file, out = tmp_path / "net.pkl", tmp_path / "net.safetensors"
    nvidia_file(file, change=change)
    if told is None:  # the mean code is drawn instead
        assert list(convert(file, out).made) == ["latent_avg"]
        return
    with pytest.raises(UnsupportedModelError, match=told):
        convert(file, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("named", "kind"), [("Encoder4Editing", "e4e"), ("GradualStyleEncoder", "psp")]
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_encoder(tmp_path: Path, named: str, kind: str, zipped: bool) -> None:
    tensors = small_tensors(LAYOUT)
    checkpoint = encoder_checkpoint(tensors, named)
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save(checkpoint, file, _use_new_zipfile_serialization=zipped)
    report = convert(file, out)
    encoder = small_encoder(LAYOUT.num_ws, LAYOUT.w_dim)
    assert_same(written(out), {**tensors, **{f"encoder.{n}": t for n, t in encoder.items()}})
    assert_accounted(
        report, {f"state_dict.{name}" for name in checkpoint["state_dict"]} | {"latent_avg"}
    )
    model = load_face_model(out)
    assert model.metadata["encoder_type"] == report.source_format == kind
    expected = load_face_model(
        small_model_file(
            tmp_path / "same.safetensors",
            32,
            dim=32,
            width=4,
            extra={f"encoder.{n}": t for n, t in encoder.items()},
            metadata={"encoder_type": kind},
        )
    )
    crops = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.encode(crops), expected.encode(crops))


def test_encoder_of_complete_codes(tmp_path: Path) -> None:
    tensors = small_tensors(LAYOUT)
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save(encoder_checkpoint(tensors, start_from_latent_avg=False), file)
    convert(file, out)
    model = load_face_model(out)
    torch.save(encoder_checkpoint(tensors), file)
    convert(file, out)
    relative = load_face_model(out)
    crops = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    offset = relative.encode(crops) - model.encode(crops)
    assert torch.allclose(offset, tensors["latent_avg"].expand_as(offset), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("no options", "does not say"),
        ("other encoder", "BackboneEncoder"),
        ("six channels", "6 channels"),
        ("no decoder", "decoder"),
        ("unknown tensor", "state_dict.mystery"),
        ("encoder tensor missing", "styles"),
        ("negative variance", "variances"),
    ],
)
def test_encoder_refused(tmp_path: Path, change: str, told: str) -> None:
    checkpoint = encoder_checkpoint(small_tensors(LAYOUT))
    state = checkpoint["state_dict"]
    assert isinstance(state, dict)
    if change == "no options":
        del checkpoint["opts"]
    elif change == "other encoder":
        checkpoint["opts"] = {"encoder_type": "BackboneEncoderUsingLastLayerIntoW"}
    elif change == "six channels":
        state["encoder.input_layer.0.weight"] = torch.zeros(4, 6, 3, 3)
    elif change == "no decoder":
        checkpoint["state_dict"] = {n: t for n, t in state.items() if n.startswith("encoder")}
    elif change == "unknown tensor":
        state["mystery.weight"] = torch.zeros(3)
    elif change == "negative variance":
        state["encoder.body.3.res_layer.4.running_var"].neg_()
    else:
        del state["encoder.styles.3.convs.0.bias"]
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save(checkpoint, file)
    with pytest.raises(UnsupportedModelError, match=told):
        convert(file, out)
    assert not out.exists()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = small_tensors(LAYOUT)
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save({"g_ema": port_state(tensors), "latent_avg": tensors["latent_avg"]}, file)
    assert main(["convert", str(file), str(out), "--license", "mine", "--align", "whole"]) == 0
    told = capsys.readouterr().out
    assert "32 x 32 pixels" in told
    assert f"taken: {len(tensors)} tensors" in told
    assert "the standard blur kernel" in told
    assert "licence: mine" in told
    assert load_face_model(out).template.whole
    assert main(["convert", str(file), str(out), "--license", "mine", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["taken"]) == len(tensors)
    assert report["licence"] == "mine"
    assert report["path_out"] == str(out)
    assert main(["convert", str(file), str(out), "--license", "mine", "--align", "whole"]) == 0
    capsys.readouterr()
    torch.save({"g_ema": {"fc.weight": torch.zeros(3)}}, file)
    before = out.read_bytes()
    assert main(["convert", str(file), str(out)]) == 2
    assert "fc.weight" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.parametrize("name", ["net.pt", "net", "net.safetensors.pt"])
def test_output_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / "in.pt"
    torch.save(port_state(small_tensors(LAYOUT)), file)
    with pytest.raises(UnsupportedModelError, match="must end in"):
        convert(file, tmp_path / name)


def test_onto_itself(tmp_path: Path) -> None:
    file = tmp_path / "in.safetensors"
    torch.save(port_state(small_tensors(LAYOUT)), file)
    before = file.read_bytes()
    with pytest.raises(UnsupportedModelError, match="place"):
        convert(file, file)
    assert file.read_bytes() == before


def test_other_blur_kernel(tmp_path: Path) -> None:
    tensors = small_tensors(LAYOUT)
    state = port_state(tensors)
    state["convs.0.conv.blur.kernel"] = KERNEL.flip(0) * 4.1
    file, out = tmp_path / "net.pt", tmp_path / "net.safetensors"
    torch.save({"g_ema": state, "latent_avg": tensors["latent_avg"]}, file)
    with pytest.raises(UnsupportedModelError, match="blur kernel"):
        convert(file, out)
    assert not out.exists()
