"""Paste Back: the edited face into its photo."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.paste.back import METHODS, paste_back
from ...models.paste.crop import own_face
from ...models.space import require_same_space
from ...models.values import FaceLatent, PhotoContext
from .. import host, validate, widgets
from ..compute import decode_codes, edit_crops
from ..registry import node
from .find_faces import mask_for_photo


@node("FaceLatentsPasteBack", "Paste Back", widgets.MODEL)
class PasteBack:
    """Puts edited faces back into their photos at full resolution: only what the edit changed is
    carried over, so skin texture, hair and background stay the photo's own. A face that was not
    edited leaves the photo untouched to the last bit.
    """

    ALIASES = "composite face, uncrop, insert face, face back into photo, merge, face swap back"
    OUTPUTS = {
        "image": (
            "IMAGE",
            "The photos with their edited faces, one per photo; frames of a morph give one each. "
            "RGBA if the photo was, else RGB.",
        )
    }
    INPUTS = {
        "face_model": widgets.face_model(),
        "face_latent": widgets.face_latent("Edited faces that began at Encode Face."),
        "strength": widgets.slider(
            (1.0, 0.0, 1.0, 0.01),
            "How much of the change reaches the photo: 1 all of it, 0 leaves the photo as it was.",
        ),
        "method": widgets.choice(
            METHODS,
            "warp: moves the photo's own pixels where the face moves, then adds the change of "
            "colour. residual: only adds the change of colour. blend: puts the decoded face "
            "itself there, softer, for changes too large to carry over.",
        ),
    }
    OPTIONAL = {
        "face_image": widgets.wire(
            "IMAGE",
            "Your own version of the aligned faces (square, one per face, any size), used "
            "instead of decoding the codes: after painting, upscaling or restoring them.",
        ),
        "mask": widgets.wire(
            "MASK",
            "Where the photo may change: white changes, black stays (a hand or hair in front of "
            "the face). Of the photo's size; black all over is ignored.",
        ),
    }

    def execute(
        self,
        face_model: FaceModel,
        face_latent: FaceLatent,
        strength: float,
        method: str,
        face_image: Tensor | None,
        mask: Tensor | None,
    ) -> tuple[Tensor]:
        model = validate.face_model(face_model)
        latent = validate.face_latent(face_latent)
        require_same_space(
            model.space, latent.space, f"Paste Back: model '{model.name}' and the face latent"
        )
        contexts = _contexts(latent)
        share = validate.finite(strength, "strength")
        way = validate.one_of(method, METHODS, "method")
        codes = latent.samples.detach().to("cpu", torch.float32)
        original = torch.stack([context.code.float() for context in contexts])
        given = None if face_image is None else _given_faces(face_image, len(latent))
        # An equal code must leave the photo alone, whatever rounding two decodes may differ by.
        changed = [
            given is not None or not torch.equal(code, before)
            for code, before in zip(codes, original, strict=True)
        ]
        # What is moved and coloured anew are the photo's own pixels, so the model may look at them.
        warped = way == METHODS[0] and given is None
        own = [
            warped and is_changed and model.retouches(first, code)
            for is_changed, first, code in zip(changed, original, codes, strict=True)
        ]
        drawn = [is_changed and not mine for is_changed, mine in zip(changed, own, strict=True)]
        before, after = _decode_both(model, original, codes, drawn, given)
        for faces, more in zip(
            (before, after), _edit_own(model, contexts, original, codes, own), strict=True
        ):
            faces.update(more)
        canvases = _Canvases(contexts)
        with host.Progress(len(latent), "Pasting faces") as progress:
            for number, context in enumerate(contexts):
                canvas = canvases.claim(context)
                if changed[number]:
                    # what the artist has painted need not have moved as the code says
                    motion = None
                    if given is None:
                        motion = model.motion(original[number], codes[number])
                    height, width = context.photo.shape[:2]
                    area = mask_for_photo(mask, canvas, height, width)
                    canvases.photos[canvas] = paste_back(
                        canvases.photos[canvas],
                        context,
                        before[number],
                        after[number],
                        method=way,
                        strength=share,
                        mask=area,
                        motion=motion,
                        own=own[number],
                    )
                progress.step()
        return (canvases.stack().to(host.intermediate_device()),)


def _contexts(latent: FaceLatent) -> list[PhotoContext]:
    found = [context for context in latent.contexts if context is not None]
    if len(found) < len(latent):
        missing = latent.contexts.index(None) + 1
        raise FaceLatentsError(
            f"Paste Back: face {missing} of {len(latent)} belongs to no photo, so there is "
            "nowhere to put it. Only faces that began at Encode Face can be pasted; use Decode "
            "Face for the others (random faces, means of them, VAE latents)."
        )
    return found


def _given_faces(face_image: Tensor, count: int) -> Tensor:
    """The artist's own crops as ``(count, 3, S, S)``."""
    pictures = validate.image(face_image, "face_image")
    if pictures.shape[1] != pictures.shape[2]:
        raise FaceLatentsError(
            f"Input 'face_image' is {pictures.shape[2]} x {pictures.shape[1]} pixels; the aligned "
            "faces are square. Use the output of Decode Face, or the 'aligned' output of Encode "
            "Face, and keep its shape."
        )
    if len(pictures) not in (1, count):
        raise FaceLatentsError(
            f"Input 'face_image' holds {len(pictures)} pictures for {count} faces. Connect one "
            "per face, in the same order."
        )
    colour = torch.stack([validate.split_channels(picture)[0] for picture in pictures])
    return colour.permute(0, 3, 1, 2).expand(count, -1, -1, -1)


def _edit_own(
    model: FaceModel, contexts: list[PhotoContext], original: Tensor, codes: Tensor, own: list[bool]
) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """The photos' own faces before and after the edit, of those named only, by number."""
    wanted = [number for number, mine in enumerate(own) if mine]
    if not wanted:
        return {}, {}
    side = model.template.size
    crops = torch.stack([own_face(contexts[n].photo, contexts[n], side) for n in wanted])
    edited = edit_crops(model, crops, original[wanted], codes[wanted]).float().cpu()
    return dict(zip(wanted, crops, strict=True)), dict(zip(wanted, edited, strict=True))


def _decode_both(
    model: FaceModel, original: Tensor, codes: Tensor, changed: list[bool], given: Tensor | None
) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """Decodes before and after the edit, of the changed faces only, by face number."""
    wanted = [number for number, is_changed in enumerate(changed) if is_changed]
    if not wanted:
        return {}, {}
    # Frames of a morph share one unedited code: decode it once.
    first: dict[bytes, int] = {}  # code -> the first face that has it
    same = {number: first.setdefault(_bytes(original[number]), number) for number in wanted}
    unique = list(first.values())
    decoded = decode_codes(model, original[unique], "Decoding unedited faces").float().cpu()
    pictures = dict(zip(unique, decoded, strict=True))
    before = {number: pictures[same[number]] for number in wanted}
    if given is None:
        edited = decode_codes(model, codes[wanted], "Decoding edited faces").float().cpu()
        return before, dict(zip(wanted, edited, strict=True))
    side = given.shape[-1]
    if side != decoded.shape[-1]:
        before = {number: _resize(face, side) for number, face in before.items()}
    return before, {number: given[number] for number in wanted}


def _bytes(code: Tensor) -> bytes:
    return code.contiguous().numpy().tobytes()


def _resize(face: Tensor, side: int) -> Tensor:
    resized = torch.nn.functional.interpolate(
        face.unsqueeze(0), (side, side), mode="bicubic", antialias=True, align_corners=False
    )
    return resized[0]


class _Canvases:
    """Which output photo each face goes into.

    Faces of one photo share an output; when the same face of a photo comes again (the next frame
    of a morph), it goes into the next output of that photo.
    """

    def __init__(self, contexts: list[PhotoContext]) -> None:
        self.photos: list[Tensor] = []
        self._outputs: dict[str, list[int]] = {}  # photo -> its outputs
        self._seen: Counter[tuple[str, int]] = Counter()  # how often each face came so far
        self._with_alpha = any(context.alpha is not None for context in contexts)
        sizes = {tuple(context.photo.shape[:2]) for context in contexts}
        if len(sizes) > 1:
            listed = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
            raise FaceLatentsError(
                f"Paste Back: the photos have different sizes ({listed}), but one IMAGE batch "
                "holds pictures of one size. Paste them one at a time (Select Face Latent), or "
                "resize the photos to one size before Encode Face."
            )

    def claim(self, context: PhotoContext) -> int:
        """Number of the output photo for the next face."""
        face = context.photo_key, context.face_index
        outputs = self._outputs.setdefault(context.photo_key, [])
        if self._seen[face] == len(outputs):
            outputs.append(len(self.photos))
            self.photos.append(self._blank(context))
        self._seen[face] += 1
        return outputs[self._seen[face] - 1]

    def stack(self) -> Tensor:
        return torch.stack(self.photos)

    def _blank(self, context: PhotoContext) -> Tensor:
        if not self._with_alpha:
            return context.photo
        alpha = context.alpha
        if alpha is None:
            alpha = torch.ones(context.photo.shape[:2])
        return torch.cat([context.photo, alpha.to(context.photo).unsqueeze(-1)], -1)
