"""What a run of Attribute Sliders leaves behind, so that its faces can be moved again at once."""

from __future__ import annotations

import io
import secrets
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ....models.errors import FaceLatentsError
from ....models.face_model import FaceModel
from ....models.paste.edit import plan_edits
from ....models.values import FaceLatent
from ..move import move, place
from ..panel import Panel
from .views import FACES, View, Views

MOST_FACES = 4  # shown side by side
MOST_SESSIONS = 8  # the canvas moves the faces of the last run of each of its nodes
MOST_BYTES = 128 * 1024 * 1024


class GoneError(FaceLatentsError):
    """The model of a session is no longer in memory."""


@dataclass(eq=False)
class Session:
    """The faces of one run.

    Attributes:
        panel: its sliders.
        model: not kept alive: the memory belongs to ComfyUI.
        codes: `(n, *shape)` on the CPU, n up to MOST_FACES, before the sliders.
        views: where each code came from; None where one has no photo.
        driven: strengths that came by wire; they win over those of a request.
        latest: number of the newest request.
    """

    panel: Panel
    model: weakref.ReferenceType[FaceModel]
    codes: Tensor
    views: Views | None
    driven: Mapping[str, float]
    latest: int = 0

    def size(self) -> int:
        """Bytes held, without what the model itself holds."""
        tensors = [self.codes, *(self.views.tensors() if self.views else [])]
        tensors += [slider.direction.vector for slider in self.panel.sliders.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def render(
        self, strengths: Mapping[str, float], keep_others: bool, view: View = FACES
    ) -> Tensor:
        """The faces with the sliders at `strengths`, side by side.

        Faces that came from a photo are shown as Paste Back puts them into it, others decoded.

        Args:
            strengths: by name; names without a slider do nothing.
            keep_others: as :func:`..move.move`.
            view: what is to be seen of them; where a face has no photo, only `before` counts.

        Returns:
            `(H, W, 3)` in [0, 1] on the CPU.

        Raises:
            GoneError: the model was freed.
        """
        model = self.model()
        if model is None:
            raise GoneError("The model is no longer in memory. Queue the workflow once.")
        positions = place(self.panel, {**strengths, **self.driven}, keep_others)
        with torch.inference_mode():
            moved = self.codes if view.before else move(self.panel, self.codes, positions)
            # Where the network is now: the memory of the GPU is the queue's to manage.
            if self.views is None:
                pictures = model.decode(moved).float().cpu().clamp(0, 1).permute(0, 2, 3, 1)
                return torch.cat(list(pictures), dim=1).contiguous()
            faces = self.views.faces(view)
            edits = plan_edits(model, faces, moved, draft=view.draft)
            return self.views.put_back(view, faces, edits)


def session_of(
    model: FaceModel, panel: Panel, latent: FaceLatent, driven: Mapping[str, float]
) -> Session:
    """Keep what is needed of the first faces of a batch."""
    latent = latent.take(latent.faces[:MOST_FACES] or [0])
    codes = latent.samples.detach().cpu()
    contexts = [context for context in latent.contexts if context is not None]
    shown = len(contexts) == len(codes) and len({context.size for context in contexts}) == 1
    views = Views(contexts) if shown else None
    return Session(panel, weakref.ref(model), codes.clone(), views, dict(driven))


class Sessions:
    """Sessions by an id that cannot be guessed; the least recently used ones are forgotten.

    Attributes:
        missed: how often one was wanted that is no longer there. A run has to make it anew, though
            nothing else of its node changed: ComfyUI would answer from its cache.
    """

    def __init__(self, most: int = MOST_SESSIONS, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Session] = OrderedDict()
        self.missed = 0

    def add(self, session: Session) -> str:
        """Keep a session; returns its id."""
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._held[key] = session
            while len(self._held) > 1 and self._too_much():
                self._held.popitem(last=False)
        return key

    def find(self, key: str) -> Session | None:
        """The session of an id, or None."""
        with self._lock:
            session = self._held.get(key)
            if session is None or session.model() is None:
                self._held.pop(key, None)
                self.missed += 1
                return None
            self._held.move_to_end(key)
            return session

    def _too_much(self) -> bool:
        held = self._held.values()
        too_large = sum(session.size() for session in held) > self._most_bytes
        return len(held) > self._most or too_large


def to_png(picture: Tensor) -> bytes:
    """`(H, W, 3)` in [0, 1] as the bytes of a PNG file, to the last of 8 bits."""
    return _file(picture, "PNG", compress_level=1)


def to_jpeg(picture: Tensor) -> bytes:
    """`(H, W, 3)` in [0, 1] as the bytes of a JPEG file: five times as fast."""
    return _file(picture, "JPEG", quality=90)


def _file(picture: Tensor, kind: str, **settings: int) -> bytes:
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, kind, **settings)
    return file.getvalue()


sessions = Sessions()
