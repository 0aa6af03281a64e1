"""Style Mix: some layers of one face, the rest of another."""

from __future__ import annotations

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.layers import layer_count, mixed_layers
from ...models.values import FaceLatent
from .. import validate, widgets
from ..combine import layers_for, pair, result_of_pair

NODE = "Style Mix"


class StyleMix:
    """Layers of b in a."""

    CATEGORY = widgets.MIX
    DESCRIPTION = (
        "Takes some layers of one face and the rest of another, in models of the StyleGAN2 kind: "
        "the coarse layers hold pose and shape of the face, the middle ones its features, the "
        "fine ones colours and texture."
    )
    SEARCH_ALIASES = ["style mixing", "mix layers", "stylegan", "crossover", "swap style", "blend"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The mixed faces, which belong to the photos of a.",)
    FUNCTION = "mix"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "a": widgets.wire(
                    widgets.FACE_LATENT,
                    "The face that keeps all other layers. Paste Back returns the result to this "
                    "face's photo.",
                ),
                "b": widgets.wire(
                    widgets.FACE_LATENT,
                    "The face whose layers are taken over, from the same model.",
                ),
                "layers": widgets.layers(
                    "Which layers come from b: coarse (0-3), middle (4-7), fine (8 and up), or "
                    "numbers such as '4-7, 10'. All of them give b.",
                    default="fine",
                ),
                "amount": widgets.slider(
                    1.0,
                    0.0,
                    1.0,
                    0.01,
                    "How much of b these layers take over: 1 wholly, 0.5 halfway, 0 nothing.",
                ),
            }
        }

    def mix(self, a: FaceLatent, b: FaceLatent, layers: str, amount: float) -> tuple[FaceLatent]:
        first, second = validate.face_latent(a, "a"), validate.face_latent(b, "b")
        start, end = pair(first, second, NODE)
        if layer_count(first.space) is None:
            raise FaceLatentsError(
                f"{NODE}: codes of space {first.space.describe()} have no layers to mix; only "
                "models of the StyleGAN2 kind do. Use Lerp or Slerp."
            )
        chosen = layers_for(layers, first.space, NODE)
        blend = latent_ops.lerp(
            start, end, validate.finite(amount, "amount"), latent_dims=first.space.latent_dims
        )
        samples = mixed_layers(start.to(blend.dtype), blend, chosen)
        return (result_of_pair(first, second, samples),)


NODES = {"FaceLatentsStyleMix": (StyleMix, NODE)}
