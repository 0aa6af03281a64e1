"""``face-latents demo``: runs the shipped workflows on a photo and writes a contact sheet."""

from __future__ import annotations

import argparse

from ..models.errors import FaceLatentsError


def run(args: argparse.Namespace) -> int:
    """Run every shipped workflow; prints the contact sheet's path last."""
    raise FaceLatentsError("No workflows are shipped with this version.")
