"""The e4e and pSp encoders: values, names, sizes, and what is refused."""

from __future__ import annotations

import pytest
import torch
from encoder_support import small_encoder
from face_latents.models.architectures.stylegan2 import ir_se50
from face_latents.models.architectures.stylegan2.encoders import (
    EncoderLayout,
    StyleEncoder,
    encoder_input,
    encoder_specs,
    layout_of,
    load_encoder,
)
from face_latents.models.errors import UnsupportedModelError

# The first four numbers of each layer that the layers of the public implementations give, with the
# widths and weights of `small_encoder(num_ws, 16)`, for `pictures(1)`. `lab/references/outputs.py`
# compares encoders of the published size.
GOLDEN = {
    "e4e": [
        [0.17506, -0.09034, -0.1442, -0.02187],
        [0.15024, -0.24644, -0.20464, -0.06865],
        [0.25196, 0.00716, -0.24604, -0.03906],
        [0.43947, 0.39219, -0.14571, 0.32763],
        [0.25478, 0.06418, -0.29511, 0.4069],
        [0.21742, 0.1177, 0.11097, 0.22523],
        [-0.02664, 0.28623, -0.02278, -0.05436],
        [-0.16652, -0.76346, 0.15693, -0.37665],
        [0.34667, -0.15336, -0.1598, -0.09899],
        [-0.16593, -0.39702, -0.07948, 0.06911],
    ],
    "psp": [
        [0.17506, -0.09034, -0.1442, -0.02187],
        [-0.02482, -0.1561, -0.06044, -0.04678],
        [0.0769, 0.0975, -0.10184, -0.0172],
        [0.26441, 0.48253, -0.00151, 0.3495],
        [0.07972, 0.15452, -0.15091, 0.42877],
        [0.04237, 0.20804, 0.25517, 0.2471],
        [-0.2017, 0.37657, 0.12142, -0.0325],
        [-0.34158, -0.67312, 0.30113, -0.35478],
    ],
}


def pictures(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, 3, 256, 256, generator=generator) * 2 - 1


def shapes_of(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.mark.parametrize("encoder_type", ["e4e", "psp"])
def test_codes_are_those_of_the_public_implementation(encoder_type):
    golden = torch.tensor(GOLDEN[encoder_type])
    codes = load_encoder(encoder_type, small_encoder(len(golden), 16))(pictures(1))
    assert codes.shape == (1, len(golden), 16)
    torch.testing.assert_close(codes[0, :, :4], golden, atol=2e-5, rtol=0)


def test_e4e_repeats_its_first_layer_and_psp_does_not():
    tensors, picture = small_encoder(8, 16), pictures(1)
    e4e, psp = (load_encoder(kind, tensors)(picture) for kind in ("e4e", "psp"))
    assert torch.equal(e4e[:, 0], psp[:, 0])
    torch.testing.assert_close(e4e[:, 1:] - e4e[:, :1], psp[:, 1:], atol=1e-6, rtol=0)


def test_a_code_does_not_depend_on_the_batch():
    net, batch = load_encoder("e4e", small_encoder(8, 16)), pictures(3)
    together = net(batch)
    assert (together[0] - together[1]).abs().max() > 0.01
    for number in range(3):
        assert torch.equal(net(batch[number : number + 1])[0], together[number])


def test_the_published_sizes_have_the_published_names():
    with torch.device("meta"):
        net = StyleEncoder("e4e", EncoderLayout(ir_se50.PUBLISHED, 512, 18))
    state = net.state_dict()
    assert len(state) == 621
    assert sum(p.numel() for p in net.parameters()) == 267_136_704
    assert state["body.7.shortcut_layer.0.weight"].shape == (256, 128, 1, 1)
    assert state["body.23.res_layer.5.fc1.weight"].shape == (32, 512, 1, 1)
    assert not any(name.startswith("body.0.shortcut_layer") for name in state)
    convolutions = {i: len(style.convs) // 2 for i, style in enumerate(net.styles)}
    assert convolutions == {i: 4 if i < 3 else 5 if i < 7 else 6 for i in range(18)}
    specs = encoder_specs(shapes_of(state))
    assert {name: spec.shape for name, spec in specs.items()} == shapes_of(state)


def test_layout_is_read_from_shapes():
    layout = layout_of(shapes_of(small_encoder(14, 24, width=6)))
    assert layout == EncoderLayout(ir_se50.Widths(6, (6, 6, 12, 24), (2, 2, 2, 2)), 24, 14)
    assert set(encoder_specs(shapes_of(small_encoder(14, 24)))) == set(small_encoder(14, 24))


def test_counters_are_accepted_and_change_nothing():
    tensors, picture = small_encoder(8, 16), pictures(1)
    counted = dict(tensors)
    for name in tensors:
        if name.endswith("running_mean"):
            counted[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(7)
    assert len(counted) > len(tensors) + 50
    assert set(encoder_specs(shapes_of(counted))) == set(counted)
    codes = load_encoder("psp", counted)(picture)
    assert torch.equal(codes, load_encoder("psp", tensors)(picture))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.02), (torch.bfloat16, 0.1)])
def test_half_precision_files_are_computed_in_float32(dtype, tolerance):
    tensors, picture = small_encoder(8, 16), pictures(1)
    net = load_encoder("e4e", {name: tensor.to(dtype) for name, tensor in tensors.items()})
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    exact = load_encoder("e4e", tensors)(picture)
    torch.testing.assert_close(net(picture), exact, atol=tolerance, rtol=0)


def test_network_is_ready_for_use():
    net = load_encoder("e4e", small_encoder(8, 16))
    assert not any(module.training for module in net.modules())
    assert not any(p.requires_grad for p in net.parameters())
    assert not any(t.is_meta for t in (*net.parameters(), *net.buffers()))


def test_input_is_resized_and_spans_minus_one_to_one():
    generator = torch.Generator().manual_seed(2)
    crops = torch.rand(2, 3, 256, 256, generator=generator)
    torch.testing.assert_close(encoder_input(crops), crops * 2 - 1)
    assert encoder_input(torch.rand(2, 3, 512, 512)).shape == (2, 3, 256, 256)
    # every second pixel of fine stripes must not be lost: the mean is kept
    stripes = torch.zeros(1, 3, 1024, 1024)
    stripes[..., ::4] = 1
    torch.testing.assert_close(encoder_input(stripes).mean(), torch.tensor(-0.5), atol=0.01, rtol=0)
    assert encoder_input(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 256, 256)
    assert torch.equal(encoder_input(torch.zeros(1, 3, 64, 64)).unique(), torch.tensor([-1.0]))


def damaged(change: str) -> dict[str, torch.Tensor]:
    tensors = small_encoder(8, 16)
    if change == "missing":
        del tensors["body.5.res_layer.1.weight"]
    elif change == "unexpected":
        tensors["output_layer.weight"] = torch.zeros(4)
    elif change == "shape":
        tensors["latlayer2.weight"] = torch.zeros(16, 5, 1, 1)
    elif change == "six colours":  # ReStyle reads the photo and a picture
        tensors["input_layer.0.weight"] = torch.zeros(4, 6, 3, 3)
    elif change == "odd layers":
        tensors = {n: t for n, t in tensors.items() if not n.startswith("styles.7.")}
    elif change == "101 layers":
        tensors["body.24.res_layer.1.weight"] = torch.zeros(16, 16, 3, 3)
    return tensors


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape", "101 layers"])
def test_tensors_of_something_else_are_not_those_specified(change):
    shapes = shapes_of(damaged(change))
    assert {name: spec.shape for name, spec in encoder_specs(shapes).items()} != shapes


@pytest.mark.parametrize(
    ("change", "message"), [("six colours", "colour pictures"), ("odd layers", "8 to 18 layers")]
)
def test_tensors_of_something_else_are_refused(change, message):
    assert encoder_specs(shapes_of(damaged(change))) is None
    with pytest.raises(UnsupportedModelError, match=message):
        load_encoder("e4e", damaged(change))


def test_unknown_types_and_impossible_values_are_refused():
    tensors = small_encoder(8, 16)
    with pytest.raises(UnsupportedModelError, match=r"'restyle'.*e4e and psp"):
        load_encoder("restyle", tensors)
    tensors["body.3.res_layer.0.running_var"] = torch.full((4,), -1.0)
    with pytest.raises(UnsupportedModelError, match=r"'body\.3\.res_layer\.0\.running_var'"):
        load_encoder("e4e", tensors)
    assert encoder_specs({"style.1.weight": (512, 512)}) is None


def test_weights_fit_the_public_class_state_strictly():
    tensors = small_encoder(8, 16)
    net = load_encoder("psp", tensors)
    kept = {n: t for n, t in net.state_dict().items() if "num_batches" not in n}
    assert set(kept) == set(tensors)
    assert all(torch.equal(kept[name], tensors[name]) for name in tensors)
