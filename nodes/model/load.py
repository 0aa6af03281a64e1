"""Load Face Model and Sample Face."""

from __future__ import annotations

import logging
import threading
import weakref
from pathlib import Path

import torch

from ...models.architectures.capabilities import cpu_convolves_in
from ...models.errors import FaceLatentsError
from ...models.face_model import (
    FaceModel,
    bundled_digits_model_path,
    bundled_face_model_path,
    load_face_model,
)
from ...models.layers import layer_count
from ...models.values import FaceLatent
from .. import host, validate, widgets
from ..files.model_folder import find_model_file, list_face_model_files, model_file_path
from ..files.names import stamp
from ..files.weights import WHERE_FROM, list_waiting_weights
from ..registry import node

BUNDLED = "face (bundled)"
BUNDLED_DIGITS = "digits (bundled)"

FLOAT32 = "float32"
MOST_LAYERS, MOST_CLASSES = 18, 8191
PRECISIONS = {FLOAT32: torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

logger = logging.getLogger(__name__)

_FACTS = ("license", "licence", "source_format", "source", "training_data", "attribution")

_loaded: weakref.WeakValueDictionary[str, FaceModel] = weakref.WeakValueDictionary()
_loaded_lock = threading.Lock()


@node("FaceLatentsLoadModel", "Load Face Model", widgets.MODEL)
class LoadFaceModel:
    """Loads the model that turns faces into codes and back. The bundled ones need no download; your
    own .safetensors models go into ComfyUI/models/face_latents (StyleGAN2 weights after Convert
    Weights).
    """

    ALIASES = (
        "face checkpoint, load model, open model, face vae, eigenfaces, generator, stylegan, "
        "stylegan2 weights, ffhq, e4e, psp, gan, safetensors"
    )
    OUTPUTS = {
        "face_model": (
            widgets.FACE_MODEL,
            "The model, for Encode Face, Decode Face, Load Direction and Paste Back.",
        ),
        "info": (
            "STRING",
            "What the model is: picture size, latent space, directions, licence and source; and "
            "files in models/face_latents that wait for Convert Weights.",
        ),
    }
    INPUTS = {
        "model": widgets.listing(
            lambda: model_choices(),
            "A bundled model (faces, or handwritten digits), or a file from models/face_latents "
            "(press R to refresh the list after adding one). Weights in other formats (.pt, .pkl) "
            "go through Convert Weights first; info lists those that wait for it.",
        )
    }
    OPTIONAL = {
        "precision": widgets.choice(
            tuple(PRECISIONS),
            "StyleGAN2 models only: float32 is exact; bfloat16 and float16 are faster and need "
            "less memory, with small differences in the picture. A CPU without instructions for "
            "them computes in float32.",
        )
    }

    @classmethod
    def VALIDATE_INPUTS(cls, model: str | None = None) -> bool | str:
        """Say what to do about a file that is not there, before anything runs."""
        if model is None or model in model_choices():
            return True
        places = ", ".join(str(folder) for folder in host.model_folders())
        return (
            f"There is no face model '{model}' in {places}. Put the file there and press R to "
            "refresh the list, or choose another model. StyleGAN2 weights in another format (.pt, "
            f".pkl) are converted first: with the node Convert Weights, or face-latents convert "
            f"WEIGHTS {Path(model).name}. Files that wait for it: "
            f"{', '.join(list_waiting_weights()) or 'none'}. {WHERE_FROM}"
        )

    def execute(self, model: str, precision: str) -> tuple[FaceModel, str]:
        loaded = load_cached(model_path(model), precision)
        return loaded, _describe(loaded)

    @classmethod
    def IS_CHANGED(cls, model: str | None = None, precision: str = FLOAT32) -> str:
        if model in (None, BUNDLED, BUNDLED_DIGITS):
            return ""
        return stamp(find_model_file(str(model)))


@node("FaceLatentsSample", "Sample Face", widgets.MODEL)
class SampleFace:
    """Invents faces: random codes of a model. The same seed always gives the same faces; a lower
    truncation gives more typical ones.
    """

    ALIASES = (
        "random face, generate face, new face, face generator, portrait, stylegan, seed, "
        "truncation, psi, noise"
    )
    OUTPUTS = widgets.output_faces(
        "Random faces. They come from no photo, so Paste Back does not apply."
    )
    INPUTS = {
        "face_model": widgets.face_model("to draw from"),
        "seed": widgets.seed(
            "Which random faces. The first faces of a larger batch are those of a smaller one.",
            widgets.LARGEST_SEED,
            control_after_generate=True,
        ),
        "truncation_psi": widgets.slider(
            (0.7, 0.0, 1.5, 0.05),
            "1 draws as varied as the training faces, 0 gives the average face, values above 1 "
            "are extreme.",
        ),
        "batch_size": widgets.integer((1, 1, 4096), "How many faces."),
    }
    OPTIONAL = {
        "truncation_cutoff": widgets.integer(
            (0, 0, MOST_LAYERS),
            "StyleGAN2 models only: truncate just so many of the first layers and leave the "
            "finer ones as drawn; 0 truncates all of them.",
        ),
        "class_index": widgets.integer(
            (-1, -1, MOST_CLASSES),
            "StyleGAN2 models trained with classes only: which class to draw, from 0; -1 draws "
            "one at random for each face.",
        ),
    }

    def execute(
        self,
        face_model: FaceModel,
        seed: int,
        truncation_psi: float,
        batch_size: int,
        truncation_cutoff: int,
        class_index: int,
    ) -> tuple[FaceLatent]:
        with validate.explain_errors("Sample Face"):
            samples = face_model.sample(
                batch_size,
                seed,
                truncation_psi,
                cutoff=truncation_cutoff or None,
                class_index=None if class_index < 0 else class_index,
            )
        return (FaceLatent(samples.to(host.intermediate_device()), face_model.space),)


def model_choices() -> list[str]:
    """Names of all face models: the bundled ones, then the user's files."""
    return [BUNDLED, BUNDLED_DIGITS, *list_face_model_files()]


def model_path(name: str) -> Path:
    """The file of a name of :func:`model_choices`.

    Raises:
        FaceLatentsError: there is no such file.
    """
    if name == BUNDLED:
        return bundled_face_model_path()
    return bundled_digits_model_path() if name == BUNDLED_DIGITS else model_file_path(name)


def load_cached(path: Path, precision: str) -> FaceModel:
    """The model of a file, the same one as long as any node holds it and the file is unchanged."""
    key = f"{stamp(path)}:{precision}"
    with _loaded_lock:
        loaded = _loaded.get(key)
        if loaded is None:
            # Outside the host's inference mode: whoever trains on this model later could not use
            # weights made inside it.
            with torch.inference_mode(False):
                loaded = _loaded[key] = _set_precision(load_face_model(path), precision)
    return loaded


def _set_precision(model: FaceModel, kind: str) -> FaceModel:
    if kind != FLOAT32:
        precision = model.capabilities.precision
        if precision is None:
            raise FaceLatentsError(
                f"Load Face Model: model '{model.name}' only computes in float32. Set precision "
                "to float32."
            )
        if host.compute_device().type == "cpu" and not cpu_convolves_in(PRECISIONS[kind]):
            logger.warning(
                "Load Face Model: this CPU has no convolutions in %s, which would take many times "
                "as long. Model '%s' computes in float32.",
                kind,
                model.name,
            )
        else:
            precision.dtype = PRECISIONS[kind]
    return model


def _describe(model: FaceModel) -> str:
    size, whole = model.template.size, model.template.whole
    lines = [
        model.name,
        f"pictures: {size} x {size}, "
        + ("whole, no face is looked for" if whole else f"alignment '{model.template.name}'"),
        f"latent space: {model.space.describe()}",
        f"directions: {', '.join(model.directions) or 'none'}",
    ]
    if layer_count(model.space) is not None:
        kind = model.metadata.get("encoder_type")
        encoder = f"{kind}, for Encode Face" if kind else "none, so Encode Face cannot be used"
        lines.append(f"encoder: {encoder}")
    lines += [f"{key}: {model.metadata[key]}" for key in _FACTS if key in model.metadata]
    if waiting := list_waiting_weights():
        lines.append(f"waiting for Convert Weights: {', '.join(waiting)}")
    return "\n".join(lines)
