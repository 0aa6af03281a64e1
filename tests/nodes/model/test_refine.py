"""Encode Face's refinement and its ignore mask."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from encoder_support import small_encoder
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.architectures.capabilities import Capabilities
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import FaceModel, load_face_model
from face_latents.nodes import compute
from face_latents.nodes.model import refine as refine_codes
from nodes_support import (
    CODES,
    SIZE,
    TinyNet,
    encode,
    landmarks_for,
    photos,
    run,
    tiny_model,
    with_net,
)
from stylegan2_support import small_model_file
from torch import Tensor

MODEL = tiny_model()


class Guessing(TinyNet):
    """Its encoder is far off."""

    def encode(self, crops: Tensor) -> Tensor:
        return super().encode(crops) * 0.3 + 0.5


class Bare(TinyNet):
    """A generator without an encoder."""

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), encode=None)


def crops(count: int = 1) -> Tensor:
    """Pictures `(count, S, S, 3)` that the tiny model can draw."""
    codes = 2 * torch.randn(count, CODES, generator=torch.Generator().manual_seed(9))
    return MODEL.decode(codes).clamp(0, 1).permute(0, 2, 3, 1)


def aligned(model: FaceModel, image: Tensor, **more: object) -> Tensor:
    settings = {"faces": "all", "index": 0, "min_score": 0.5, "already_aligned": True} | more
    return run("FaceLatentsEncode", image=image, face_model=model, **settings)[0]


def distance(model: FaceModel, codes: Tensor, image: Tensor) -> Tensor:
    pictures = model.decode(codes).clamp(0, 1).permute(0, 2, 3, 1)
    return (pictures - image).square().mean((1, 2, 3)).sqrt()


def corner_mask() -> Tensor:
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, SIZE // 2 :, : SIZE // 2] = 1
    return mask


def test_inputs_are_optional_and_last():
    """Workflows saved before they existed keep the values of their widgets."""
    declared = NODE_CLASS_MAPPINGS["FaceLatentsEncode"].INPUT_TYPES()
    assert [*declared["required"], *declared["optional"]] == [
        "image", "face_model", "faces", "index", "min_score",
        "face_landmarks", "mask", "already_aligned", "refine_steps", "ignore_mask", "no_face",
        "batch",
    ]  # fmt: skip
    assert declared["optional"]["refine_steps"][1]["default"] == 0


def test_without_steps_nothing_is_refined():
    image = photos(2)
    plain = encode(MODEL, image)
    assert torch.equal(encode(MODEL, image, refine_steps=0).samples, plain.samples)
    black = torch.zeros(1, 64, 64)  # as Load Image gives for a photo without alpha
    assert torch.equal(encode(MODEL, image, ignore_mask=black).samples, plain.samples)


def test_an_estimated_code_comes_closer_and_is_what_edits_start_from():
    model, image = with_net(MODEL, Guessing()), crops(3)
    start, refined = aligned(model, image), aligned(model, image, refine_steps=60)
    before, after = (distance(model, latent.samples, image) for latent in (start, refined))
    assert (after < 0.3 * before).all()
    for code, context in zip(refined.samples, refined.contexts, strict=True):
        assert torch.equal(context.code, code)
    restored = run("FaceLatentsPasteBack", face_model=model, face_latent=refined)[0]
    assert torch.equal(restored, image)


def test_photos_are_refined_in_batches(monkeypatch):
    for name in ("CPU_BATCH_PIXELS", "GPU_BATCH_PIXELS"):
        monkeypatch.setattr(refine_codes, name, 2 * SIZE * SIZE)
    model, image = with_net(MODEL, Guessing()), crops(5)
    together = aligned(model, image, refine_steps=10)
    assert model.module.batches == [5, *[2] * 11, *[2] * 11, *[1] * 11]
    for number in range(5):
        alone = aligned(model, image[number : number + 1], refine_steps=10)
        torch.testing.assert_close(together.samples[number], alone.samples[0], atol=1e-3, rtol=0)


def test_running_out_of_memory_halves_the_batch(monkeypatch):
    model, image = with_net(MODEL, Guessing()), crops(4)
    expected = aligned(model, image, refine_steps=5).samples
    decode = TinyNet.decode

    def greedy(self, codes):
        if len(codes) > 1 and torch.is_grad_enabled():
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return decode(self, codes)

    monkeypatch.setattr(TinyNet, "decode", greedy)
    found = aligned(model, image, refine_steps=5).samples
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)

    def hopeless(self, codes):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(TinyNet, "decode", hopeless)
    with pytest.raises(FaceLatentsError, match=r"Refining faces: .*even for one face"):
        aligned(model, image, refine_steps=5)


@pytest.mark.parametrize("steps", [0, 10])
def test_what_the_mask_covers_has_no_influence(steps):
    image, mask = crops(2), corner_mask()
    other = torch.where(mask[..., None] > 0, torch.tensor([0.0, 1.0, 0.0]), image)
    settings = {"ignore_mask": mask, "refine_steps": steps}
    first, second = (aligned(MODEL, each, **settings).samples for each in (image, other))
    assert torch.equal(first, second)
    plain = aligned(MODEL, other).samples
    assert (plain - first).abs().max() > 0.5


def test_what_hides_a_face_is_filled_in():
    """The code of the face without the green square is found again."""
    image, mask = crops(2), corner_mask()
    truth = aligned(MODEL, image).samples
    hidden = torch.where(mask[..., None] > 0, torch.tensor([0.0, 1.0, 0.0]), image)
    errors = [
        float((aligned(MODEL, hidden, **settings).samples - truth).norm())
        for settings in (
            {},
            {"ignore_mask": mask},
            {"ignore_mask": mask, "refine_steps": 60},
        )
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_a_mask_of_photos_is_cut_with_the_face():
    image = photos(2, 120, 160)
    mask = torch.zeros(2, 120, 160)
    mask[1, 60:, :80] = 1  # the second photo only
    plain = encode(MODEL, image)
    masked = encode(MODEL, image, ignore_mask=mask)
    assert torch.equal(masked.samples[0], plain.samples[0])
    assert (masked.samples[1] - plain.samples[1]).abs().max() > 0.1
    beyond = torch.zeros(1, 120, 160)
    beyond[:, :10, :10] = 1  # not on the face
    torch.testing.assert_close(
        encode(MODEL, image, ignore_mask=beyond).samples, plain.samples, atol=1e-6, rtol=0
    )


def test_a_generator_without_an_encoder_starts_from_the_mean():
    image = crops(1)
    model = with_net(MODEL, Bare())
    refined = aligned(model, image, refine_steps=80)
    mean = torch.zeros(1, CODES)
    assert (distance(model, refined.samples, image) < 0.3 * distance(model, mean, image)).all()
    for settings in ({}, {"ignore_mask": corner_mask()}):
        with pytest.raises(FaceLatentsError, match="no encoder"):
            aligned(model, image, **settings)


@pytest.mark.parametrize("encoder_type", ["e4e", "psp"])
def test_stylegan2_with_an_encoder(tmp_path, encoder_type):
    """Random weights: the encoder guesses wildly, and refinement finds the way."""
    encoder = {f"encoder.{n}": t for n, t in small_encoder(8, 32).items()}
    path = small_model_file(
        tmp_path / "m.safetensors",
        32,
        dim=32,
        extra=encoder,
        metadata={"encoder_type": encoder_type},
    )
    model = load_face_model(path)
    image = model.decode(model.sample(1, 5, 0.7)).clamp(0, 1).permute(0, 2, 3, 1)
    start, refined = aligned(model, image), aligned(model, image, refine_steps=30)
    assert start.samples.shape == (1, 8, 32)
    before, after = (distance(model, latent.samples, image) for latent in (start, refined))
    assert (after < 0.6 * before).all()


def test_wrong_values_are_refused():
    image = crops(1)
    for steps in (-1, 2001, 2.5):
        with pytest.raises(FaceLatentsError, match="'refine_steps'"):
            aligned(MODEL, image, refine_steps=steps)
    with pytest.raises(FaceLatentsError, match=r"'ignore_mask' is 10 x 10 .*photo's own size"):
        aligned(MODEL, image, ignore_mask=torch.ones(1, 10, 10))
    with pytest.raises(FaceLatentsError, match=r"'ignore_mask' needs a MASK"):
        aligned(MODEL, image, ignore_mask=torch.ones(2, 3, 4, 5))
    with pytest.raises(FaceLatentsError, match="0% of face 1 is in view"):
        aligned(MODEL, image, ignore_mask=torch.ones(1, SIZE, SIZE), refine_steps=3)


def test_landmarks_and_refinement_go_together():
    image = photos(1)
    latent = run(
        "FaceLatentsEncode",
        image=image,
        face_model=with_net(MODEL, Guessing()),
        faces="all",
        index=0,
        min_score=0.5,
        face_landmarks=landmarks_for(image),
        refine_steps=40,
    )[0]
    torch.testing.assert_close(latent.samples, encode(MODEL, image).samples, atol=0.2, rtol=0)


def test_preview_shows_the_photo_above_the_best_picture():
    targets, best = torch.rand(6, 3, 8, 8), torch.rand(6, 3, 8, 8)
    sheet = refine_codes.before_and_after(targets, best)
    assert sheet.shape == (16, 4 * 8, 3)
    assert torch.equal(sheet[:8, 8:16].permute(2, 0, 1), targets[1])
    assert torch.equal(sheet[8:, 24:].permute(2, 0, 1), best[3])
    assert refine_codes.before_and_after(targets[:1], best[:1]).shape == (16, 8, 3)


def test_batches_of_refinement_are_smaller_than_those_of_decoding():
    assert refine_codes.CPU_BATCH_PIXELS < compute.CPU_BATCH_PIXELS
    assert refine_codes.WORKING_COPIES > compute.WORKING_COPIES
