"""Importing PyTorch, which is most of what a short command waits for."""

from __future__ import annotations

import gc
import sys


def import_torch() -> None:
    """Import PyTorch with the garbage collector at rest: a quarter less time.

    The collector would go through PyTorch's half a million objects several times while they are
    made, and once more at the end of the process. All of them stay, so it never needs to.
    """
    if "torch" in sys.modules:
        return
    running = gc.isenabled()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.freeze()
        if running:
            gc.enable()
