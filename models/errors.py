"""Errors whose message is written for the person at the canvas: what was wrong, what was
expected, what to do."""

from __future__ import annotations


class FaceLatentsError(ValueError):
    """Base of every error this package raises on purpose."""


class SpaceMismatchError(FaceLatentsError):
    """Codes or directions of two different latent spaces were mixed."""


class UnsupportedModelError(FaceLatentsError):
    """A file is not a model, direction or code this package knows, or it is damaged."""


class NoFaceError(FaceLatentsError):
    """No face was found where one was needed."""
