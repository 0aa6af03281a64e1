"""Stand-ins for the host's nodes: the arithmetic, against plain torch and Pillow."""

import json

import numpy as np
import pytest
import torch
from face_latents.cli.runner.folders import Folders
from face_latents.cli.runner.graph import WorkflowError
from face_latents.cli.runner.schema import schema_of
from face_latents.cli.runner.standins import STAND_IN_TITLES, STAND_INS, stand_ins
from face_latents.cli.runner.validate import validate_prompt
from face_latents.models.errors import FaceLatentsError
from PIL import Image


@pytest.fixture
def classes(tmp_path):
    return stand_ins(Folders([tmp_path], tmp_path / "out"))


def picture(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def call(classes, name, **inputs):
    node = classes[name]()
    result = getattr(node, node.FUNCTION)(**inputs)
    return (result["result"] if isinstance(result, dict) else result)[0]


def test_every_stand_in_declares_itself(classes):
    assert set(STAND_IN_TITLES) <= set(STAND_INS)
    for name, cls in classes.items():
        schema = schema_of(name, cls)
        assert callable(getattr(cls(), cls.FUNCTION)), name
        assert schema.outputs, name


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic"])
def test_scaling_is_torch_interpolation(classes, method):
    image = picture(2, 9, 13, 3)
    scaled = call(
        classes,
        "ImageScale",
        image=image,
        upscale_method=method,
        width=7,
        height=5,
        crop="disabled",
    )
    expected = torch.nn.functional.interpolate(image.movedim(-1, 1), size=(5, 7), mode=method)
    assert torch.equal(scaled, expected.movedim(1, -1))


def test_lanczos_is_pillow_on_8_bits(classes):
    image = picture(1, 8, 8, 3)
    scaled = call(classes, "ImageScaleBy", image=image, upscale_method="lanczos", scale_by=2.0)
    pixels = Image.fromarray((image[0].numpy() * 255).astype(np.uint8))
    expected = np.asarray(pixels.resize((16, 16), Image.Resampling.LANCZOS))
    assert np.array_equal(scaled[0].numpy(), expected.astype(np.float32) / 255)


@pytest.mark.parametrize(
    ("width", "height", "size"), [(0, 0, (8, 12)), (6, 0, (4, 6)), (0, 16, (16, 24))]
)
def test_a_side_of_zero_keeps_the_aspect_ratio(classes, width, height, size):
    scaled = call(
        classes,
        "ImageScale",
        image=picture(1, 8, 12, 3),
        upscale_method="area",
        width=width,
        height=height,
        crop="disabled",
    )
    assert scaled.shape[1:3] == size


def test_noise_is_that_of_the_seed_and_stays_in_range(classes):
    image = picture(1, 40, 40, 3)
    noisy = call(classes, "ImageAddNoise", image=image, seed=5, strength=0.25)
    torch.manual_seed(5)
    expected = torch.clip(image + 0.25 * torch.randn(image.size()), 0.0, 1.0)
    assert torch.equal(noisy, expected)
    other = call(classes, "ImageAddNoise", image=image, seed=6, strength=0.25)
    assert not torch.equal(noisy, other)


def test_a_mask_becomes_a_grey_picture(classes):
    mask = picture(2, 5, 7)
    image = call(classes, "MaskToImage", mask=mask)
    assert image.shape == (2, 5, 7, 3)
    for channel in range(3):
        assert torch.equal(image[..., channel], mask)


def test_centre_crop_takes_the_middle(classes):
    image = picture(1, 4, 10, 3)
    scaled = call(
        classes,
        "ImageScale",
        image=image,
        upscale_method="nearest-exact",
        width=4,
        height=4,
        crop="center",
    )
    assert torch.equal(scaled, image[:, :, 3:7])


def test_batching_brings_the_second_to_the_first(classes):
    first, second = picture(1, 4, 6, 3), picture(2, 8, 12, 4)
    joined = call(classes, "ImageBatch", image1=first, image2=second)
    assert joined.shape == (3, 4, 6, 4)
    assert torch.equal(joined[:1, ..., :3], first)
    assert joined[0, ..., 3].eq(1).all()


def test_repeating_and_picking(classes):
    image = picture(3, 2, 2, 3)
    repeated = call(classes, "RepeatImageBatch", image=image, amount=2)
    assert torch.equal(repeated, torch.cat([image, image]))
    for index, length, expected in ((0, 1, [0]), (1, 9, [1, 2]), (-1, 1, [2]), (-9, 2, [0, 1])):
        picked = call(classes, "ImageFromBatch", image=image, batch_index=index, length=length)
        assert torch.equal(picked, image[expected])


def test_stitching(classes):
    first, second = picture(1, 4, 6, 3), picture(1, 4, 5, 3, seed=1)

    def stitch(direction, **more):
        settings = {"match_image_size": False, "spacing_width": 0, "spacing_color": "red"} | more
        return call(
            classes, "ImageStitch", image1=first, image2=second, direction=direction, **settings
        )

    assert torch.equal(stitch("right"), torch.cat([first, second], 2))
    assert torch.equal(stitch("left"), torch.cat([second, first], 2))
    gap = stitch("right", spacing_width=3)[0, 0, 6:10]
    assert torch.equal(gap, torch.tensor([[1.0, 0, 0]]).expand(4, 3))
    padded = stitch("down", spacing_color="white")
    assert padded.shape == (1, 8, 6, 3)
    assert torch.equal(padded[:, 4:, :5], second)
    assert padded[:, 4:, 5].eq(1).all()
    assert stitch("up", match_image_size=True).shape == (1, 4 + 4, 6, 3)


def test_flip(classes):
    image = picture(1, 3, 4, 3)
    across = call(classes, "ImageFlip", image=image, flip_method="y-axis: horizontally")
    assert torch.equal(across, image.flip(2))
    down = call(classes, "ImageFlip", image=image, flip_method="x-axis: vertically")
    assert torch.equal(down, image.flip(1))


def test_pixel_space_vae(classes):
    vae = call(classes, "VAELoader", vae_name="pixel_space")
    image = picture(2, 5, 7, 4)
    latent = call(classes, "VAEEncode", pixels=image, vae=vae)
    assert torch.equal(latent["samples"], image[..., :3].movedim(-1, 1) * 2 - 1)
    edited = {"samples": latent["samples"] * 2}
    decoded = call(classes, "VAEDecode", samples=edited, vae=vae)
    expected = ((edited["samples"] + 1) / 2).clamp(0, 1).movedim(1, -1)
    assert torch.equal(decoded, expected)
    with pytest.raises(FaceLatentsError, match=r"\(batch, 3, height, width\)"):
        call(classes, "VAEDecode", samples={"samples": torch.zeros(1, 4, 2, 2)}, vae=vae)


def test_another_vae_is_refused_before_anything_runs(classes):
    prompt = {
        "1": {"class_type": "VAELoader", "inputs": {"vae_name": "sdxl.safetensors"}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    with pytest.raises(WorkflowError, match=r"'sdxl\.safetensors' can only be run inside ComfyUI"):
        validate_prompt(prompt, classes)


def test_latents(classes):
    empty = call(classes, "EmptyLatentImage", width=64, height=32, batch_size=2)
    assert empty["samples"].shape == (2, 4, 4, 8)
    first = {"samples": picture(1, 4, 4, 4), "batch_index": [5], "type": "x"}
    joined = call(classes, "LatentBatch", samples1=first, samples2={"samples": picture(2, 4, 8, 8)})
    assert joined["samples"].shape == (3, 4, 4, 4)
    assert joined["batch_index"] == [5, 0, 1]
    assert joined["type"] == "x"
    assert set(first) == {"samples", "batch_index", "type"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, "None"),
        (2.5, "2.5"),
        (True, "True"),
        ({"ü": 1}, json.dumps({"ü": 1}, indent=4, ensure_ascii=False)),
        (torch.ones(1), "tensor([1.])"),
    ],
)
def test_any_value_is_shown_as_text(classes, value, text):
    assert call(classes, "PreviewAny", source=value) == text


def test_primitives_hand_on_their_value(classes):
    assert call(classes, "PrimitiveInt", value=7) == 7
    assert call(classes, "PrimitiveStringMultiline", value="a\nb") == "a\nb"
    assert schema_of("PrimitiveInt", classes["PrimitiveInt"]).widget_slots() == ["value", None]


def test_an_empty_batch_is_not_saved(classes, tmp_path):
    with pytest.raises(FaceLatentsError, match="batch is empty"):
        call(classes, "SaveImage", images=torch.zeros(0, 4, 4, 3))
    assert not (tmp_path / "out").exists()


def test_an_interrupted_save_leaves_no_file(classes, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call(classes, "SaveImage", images=picture(1, 4, 4, 3))
    assert not list((tmp_path / "out").iterdir())
