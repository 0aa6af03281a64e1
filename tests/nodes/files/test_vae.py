"""From and to the host's own LATENT."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from nodes_support import random_latent, run, tiny_model


def latent_dict(batch: int = 2, shape: tuple[int, ...] = (4, 8, 8)) -> dict[str, object]:
    generator = torch.Generator().manual_seed(batch)
    return {
        "samples": torch.randn(batch, *shape, generator=generator),
        "noise_mask": torch.rand(batch, 1, 64, 64, generator=generator),
        "batch_index": list(range(10, 10 + batch)),
        "type": "audio",
    }


@pytest.mark.parametrize("shape", [(4, 8, 8), (16, 3, 8, 8), (64, 100)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_round_trip_is_exact_and_keeps_everything(shape, dtype):
    source = latent_dict(shape=shape)
    source["samples"] = source["samples"].to(dtype)
    latent = run("FaceLatentsFromVAELatent", samples=source)[0]
    assert latent.space.name == "vae"
    assert latent.space.shape == shape
    assert latent.space.model_id == f"vae:{shape[0]}"
    result = run("FaceLatentsToVAELatent", face_latent=latent)[0]
    assert set(result) == set(source)
    assert torch.equal(result["samples"], source["samples"])
    assert result["samples"].dtype == dtype
    assert torch.equal(result["noise_mask"], source["noise_mask"])
    assert (result["batch_index"], result["type"]) == ([10, 11], "audio")


def test_neither_end_shares_memory_with_the_source():
    source = latent_dict()
    before = source["samples"].clone(), source["noise_mask"].clone()
    latent = run("FaceLatentsFromVAELatent", samples=source)[0]
    result = run("FaceLatentsToVAELatent", face_latent=latent)[0]
    with torch.inference_mode():
        result["samples"].zero_()
        result["noise_mask"].zero_()
    result["batch_index"].clear()
    assert torch.equal(source["samples"], before[0])
    assert torch.equal(source["noise_mask"], before[1])
    assert source["batch_index"] == [10, 11]
    assert float(latent.samples.abs().sum()) > 0


def test_operations_run_on_vae_latents():
    a = run("FaceLatentsFromVAELatent", samples=latent_dict(1))[0]
    b = run("FaceLatentsFromVAELatent", samples=latent_dict(3))[0]
    for node in ("FaceLatentsLerp", "FaceLatentsSlerp"):
        blend = run(node, a=a, b=b, t=0.5)[0]
        result = run("FaceLatentsToVAELatent", face_latent=blend)[0]
        assert result["samples"].shape == (3, 4, 8, 8)
        assert "batch_index" not in result  # it had one entry, the blend has three
    lerped = run("FaceLatentsLerp", a=a, b=b, t=0.25)[0]
    torch.testing.assert_close(
        lerped.samples, torch.lerp(a.samples.expand(3, -1, -1, -1), b.samples, 0.25)
    )
    frames = run("FaceLatentsMorph", face_latent=b, frames=5, path="spline", loop=False)[0]
    assert frames.samples.shape == (5, 4, 8, 8)
    direction = run("FaceLatentsDirectionBetween", from_faces=a, to_faces=b, name="step")[0]
    moved = run("FaceLatentsAddDirection", face_latent=a, direction=direction, strength=1.0)[0]
    torch.testing.assert_close(moved.samples[0], b.samples.mean(0))


def test_select_takes_the_mask_and_number_along():
    source = latent_dict(3)
    latent = run("FaceLatentsFromVAELatent", samples=source)[0]
    one = run("FaceLatentsSelect", face_latent=latent, index=1)[0]
    result = run("FaceLatentsToVAELatent", face_latent=one)[0]
    assert torch.equal(result["samples"], source["samples"][1:2])
    assert torch.equal(result["noise_mask"], source["noise_mask"][1:2])
    assert result["batch_index"] == [11]


@pytest.mark.parametrize(
    ("latent", "message"),
    [
        ({}, "needs a LATENT"),
        (None, "needs a LATENT"),
        (torch.zeros(1, 4, 8, 8), "needs a LATENT"),
        ({"samples": torch.zeros(0, 4, 8, 8)}, "is empty"),
        ({"samples": torch.zeros(4, 8)}, r"shape \(4, 8\)"),
        ({"samples": torch.zeros(1, 4, 8, 8, dtype=torch.int64)}, "floating point"),
        ({"samples": torch.full((1, 4, 8, 8), torch.nan)}, "not numbers"),
    ],
)
def test_what_is_no_usable_latent(latent, message):
    with pytest.raises(FaceLatentsError, match=message):
        run("FaceLatentsFromVAELatent", samples=latent)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_latent_of_several_parts_is_refused():
    parts = torch.nested.nested_tensor([torch.zeros(1, 4, 8), torch.zeros(1, 2, 8)])
    with pytest.raises(FaceLatentsError, match="several parts"):
        run("FaceLatentsFromVAELatent", samples={"samples": parts})


def test_spaces_are_kept_apart():
    model = tiny_model()
    vae = run("FaceLatentsFromVAELatent", samples=latent_dict(1))[0]
    flux = run("FaceLatentsFromVAELatent", samples=latent_dict(1, (16, 8, 8)))[0]
    with pytest.raises(SpaceMismatchError, match=r"vae:4.*vae:16"):
        run("FaceLatentsLerp", a=vae, b=flux, t=0.5)
    with pytest.raises(FaceLatentsError, match="Decode Face"):
        run("FaceLatentsToVAELatent", face_latent=random_latent(model))
    with pytest.raises(SpaceMismatchError, match="vae:4"):
        run("FaceLatentsDecode", face_model=model, face_latent=vae)
