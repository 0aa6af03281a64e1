"""A session of Attribute Sliders to send preview requests to, without a web server."""

from __future__ import annotations

import io
import json

import numpy as np
import torch
from face_latents.nodes.sliders.panel import panel_of
from face_latents.nodes.sliders.preview.protocol import Previews, RefusedError
from face_latents.nodes.sliders.preview.sessions import Sessions, session_of
from nodes_support import random_latent, tiny_model
from PIL import Image

HEADERS = {"Content-Type": "application/json", "Host": "127.0.0.1:8188"}


class Bench:
    """One session behind a fresh set of previews."""

    def __init__(self, latent=None, driven=None, model=None):
        self.model = model or tiny_model()
        self.latent = random_latent(self.model) if latent is None else latent
        self.sessions = Sessions()
        self.session = session_of(self.model, panel_of(self.model), self.latent, driven or {})
        self.id = self.sessions.add(self.session)
        self.previews = Previews(self.sessions)

    def ask(self, body=None, headers=None, **fields):
        if body is None:
            body = json.dumps({"id": self.id, "strengths": {}, **fields}).encode()
        return answer_of(
            lambda: self.previews.draw(*self.previews.accept(HEADERS | (headers or {}), body))
        )


def answer_of(job, *args):
    """What the browser gets of a job of the server."""
    try:
        return job(*args)
    except RefusedError as refusal:
        return refusal.answer


def pixels(answer):
    assert answer.status == 200, answer.body
    with Image.open(io.BytesIO(answer.body)) as picture:
        return torch.from_numpy(np.asarray(picture).copy())


def as_bytes(image):
    return (image * 255).round().to(torch.uint8)
