"""Style Mix: some layers of one face, the rest of another."""

from __future__ import annotations

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.layers import layer_count, mix_layers
from ...models.values import FaceLatent
from .. import widgets
from ..combine import layers_for, pair, result_of_pair
from ..registry import node

NODE = "Style Mix"


@node("FaceLatentsStyleMix", NODE, widgets.MIX)
class StyleMix:
    """Takes some layers of one face and the rest of another, in models of the StyleGAN2 kind: the
    coarse layers hold pose and shape of the face, the middle ones its features, the fine ones
    colours and texture.
    """

    ALIASES = "style mixing, mix layers, stylegan, crossover, swap style, blend"
    OUTPUTS = widgets.output_faces("The mixed faces, which belong to the photos of a.")
    INPUTS = {
        "a": widgets.face_latent(
            "The face that keeps all other layers. Paste Back returns the result to this face's "
            "photo."
        ),
        "b": widgets.face_latent("The face whose layers are taken over, from the same model."),
        "layers": widgets.layers(
            "Which layers come from b: coarse (0-3), middle (4-7), fine (8 and up), or numbers "
            "such as '4-7, 10'. All of them give b.",
            default="fine",
        ),
        "amount": widgets.slider(
            (1.0, 0.0, 1.0, 0.01),
            "How much of b these layers take over: 1 wholly, 0.5 halfway, 0 nothing.",
        ),
    }

    def execute(
        self, a: FaceLatent, b: FaceLatent, layers: str, amount: float
    ) -> tuple[FaceLatent]:
        start, end = pair(a, b, NODE)
        if layer_count(a.space) is None:
            raise FaceLatentsError(
                f"{NODE}: codes of space {a.space.describe()} have no layers to mix; only "
                "models of the StyleGAN2 kind do. Use Lerp or Slerp."
            )
        chosen = layers_for(layers, a.space, NODE)
        blend = latent_ops.lerp(start, end, amount, latent_dims=a.space.latent_dims)
        samples = mix_layers(start.to(blend.dtype), blend, chosen)
        return (result_of_pair(a, b, samples),)
