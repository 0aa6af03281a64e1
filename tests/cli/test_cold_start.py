"""What the first edit of a process must not wait for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import skimage.data
from PIL import Image

# Each takes half a second or more to import, and an edit needs none of them.
SLOW = (
    "dask", "distributed", "matplotlib", "scipy", "skimage", "sklearn", "sympy", "torch._dynamo",
    "torch._inductor", "torchvision",
)  # fmt: skip

CODE = """
import sys
import torch
before = set(sys.modules)
from face_latents.cli.main import main
assert main(["edit", sys.argv[1], "--set", "smile=1", "-o", sys.argv[2], "--no-progress"]) == 0
print(",".join(sorted(set(sys.argv[3:]) & (set(sys.modules) - before))))
"""


def test_an_edit_imports_nothing_slow(tmp_path: Path) -> None:
    face = Image.fromarray(skimage.data.astronaut()[:240, 110:350])
    face.save(tmp_path / "face.png")
    done = subprocess.run(
        [sys.executable, "-c", CODE, "face.png", "edited.png", *SLOW],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["edited.png"], "imported " + done.stdout


def test_the_collector_runs_again_and_leaves_alone_what_pytorch_made() -> None:
    code = """
import gc
from face_latents.cli.torch_import import import_torch
import_torch()
print(gc.isenabled(), gc.get_freeze_count() > 50_000)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
