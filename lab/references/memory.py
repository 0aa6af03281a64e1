"""Time and peak memory of converting an e4e checkpoint of the published size (1.2 GB).

    python -m face_latents.lab.references.memory [--legacy]

The checkpoint has random weights and is written to a temporary folder, which needs 2.5 GB. Peak
memory is that of a process of its own, and is compared with a process that only imports.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from ...models.architectures.stylegan2.encoders import EncoderLayout, StyleEncoder
from ...models.architectures.stylegan2.ir_se50 import PUBLISHED
from ...models.architectures.stylegan2.layout import Layout, file_specs, usual_channels

_CHILD = """
import resource, sys, time
from ...models.convert import convert
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, start = peak(), time.process_time()
convert(sys.argv[1], sys.argv[2])
print(before, peak(), time.process_time() - start)
"""


def write_checkpoint(file: Path, *, zipped: bool = True, size: int = 1024) -> None:
    """An e4e checkpoint with random weights: encoder, generator, settings and mean code."""
    layout = Layout(size, 512, 512, 8, 0, usual_channels(size))
    with torch.device("meta"):
        encoder = StyleEncoder("e4e", EncoderLayout(PUBLISHED, 512, layout.num_ws)).state_dict()
    shapes = {f"encoder.{name}": tuple(tensor.shape) for name, tensor in encoder.items()}
    specs = file_specs(layout, {})
    shapes |= {f"decoder.{n}": tuple(int(k or 0) for k in s.shape) for n, s in specs.items()}
    del shapes["decoder.latent_avg"]
    state = {name: torch.rand(shape) for name, shape in shapes.items()}
    opts = {"encoder_type": "Encoder4Editing", "start_from_latent_avg": True}
    content = {"state_dict": state, "opts": opts, "latent_avg": torch.randn(layout.num_ws, 512)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--legacy", action="store_true", help="PyTorch's older file format")
    parser.add_argument("--write", type=Path, metavar="FILE", help="only write the checkpoint")
    options = parser.parse_args()
    if options.write is not None:
        return write_checkpoint(options.write, zipped=not options.legacy)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "e4e.pt"
        # written apart: a process starts with the peak of the one that starts it
        format_option = ["--legacy"] if options.legacy else []
        write = [sys.executable, "-m", __spec__.name, "--write", str(file), *format_option]
        subprocess.run(write, check=True)
        command = [sys.executable, "-c", _CHILD, str(file), str(Path(place) / "new.safetensors")]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        size = file.stat().st_size
    before, peak, seconds = int(told[0]), int(told[1]), float(told[2])
    print(
        f"file {size / 1e6:.0f} MB; peak {peak / 1e6:.0f} MB, {peak / size:.2f} of the file; "
        f"{(peak - before) / size:.2f} without the {before / 1e6:.0f} MB of the imports; "
        f"{seconds:.1f} CPU s"
    )


if __name__ == "__main__":
    main()
