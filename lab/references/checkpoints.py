"""Whole checkpoints of the public implementations, through this project's converter and loader.

    python -m face_latents.lab.references.checkpoints \
        --rosinality DIR --nvidia DIR --e4e DIR --psp DIR

Each DIR is a checkout of the public repository: stylegan2-pytorch, stylegan2-ada-pytorch,
encoder4editing, pixel2style2pixel. Files are written as their training scripts do: with networks
in training, discriminators, optimisers and settings; by NVIDIA with the code of the classes, which
is made to leave a mark if it ever ran. Weights are random and small in size, not in layout.
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from ...models.architectures.stylegan2.encoders import encoder_input
from ...models.convert import Report, convert
from ...models.convert.sources import open_source, tensors_in
from ...models.face_model import FaceModel, load_face_model
from ..bench.stylegan2 import randomise as randomise_generator
from ..bench.stylegan2 import reference_module
from .checks import Outputs, checks_parser, run_checks
from .encoders import CLASSES, encoder_module, randomise
from .stylegan2 import nvidia_module

SIZE = 64
PSI = 0.7


def port(directory: Path) -> Outputs:
    """Training checkpoints of the PyTorch port in both file formats, one without a mean code."""
    with reference_module(directory) as module:
        torch.manual_seed(0)
        net, other = (module.Generator(SIZE, 512, 8).eval() for _ in range(2))
        discriminator = module.Discriminator(SIZE)
    randomise_generator(net)
    optimisers = [torch.optim.Adam(part.parameters()) for part in (other, discriminator)]
    for part, optimiser in zip((other, discriminator), optimisers, strict=True):
        for parameter in part.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimiser.step()
    checkpoint = {
        "g": other.state_dict(),
        "d": discriminator.state_dict(),
        "g_ema": net.state_dict(),
        "g_optim": optimisers[0].state_dict(),
        "d_optim": optimisers[1].state_dict(),
        "args": argparse.Namespace(size=SIZE, channel_multiplier=2, mixing=0.9),
        "ada_aug_p": 0.1,
    }
    z = torch.randn(2, 512, generator=torch.Generator().manual_seed(5))
    for zipped in (True, False):
        if not zipped:
            checkpoint["latent_avg"] = net.mean_latent(64)[0]
        with _folder() as folder:
            torch.save(checkpoint, folder / "net", _use_new_zipfile_serialization=zipped)
            model, _ = _converted(folder / "net")
        mean = checkpoint.get("latent_avg", model.module.latent_avg)
        theirs, _ = net([z], truncation=PSI, truncation_latent=mean, randomize_noise=False)
        words = "zip" if zipped else "legacy"
        yield f"rosinality training checkpoint ({words}), z", _pictures(model, z), theirs


def nvidia(directory: Path) -> Outputs:
    """Pickles of every binary protocol, with the code of the classes inside."""
    with nvidia_module(directory) as networks, _folder() as folder:
        mark = folder / "mark"
        code = f"\nopen({str(mark)!r}, 'w')\n"
        for name in dir(networks):
            kind = getattr(networks, name)
            if hasattr(kind, "_orig_module_src"):
                kind._orig_module_src += code
        for protocol, classes, clamp in ((2, 0, None), (3, 0, 256), (4, 3, 256), (5, 3, None)):
            torch.manual_seed(protocol)
            narrow = {"channel_base": 2048, "channel_max": 64, "conv_clamp": clamp}
            settings = {"num_fp16_res": 4} if clamp else {}
            net = networks.Generator(
                512,
                classes,
                512,
                SIZE,
                3,
                mapping_kwargs={"num_layers": 8},
                synthesis_kwargs={**narrow, **settings},
            )
            net = net.eval().requires_grad_(False)
            randomise_generator(net)
            net.mapping.w_avg.normal_(0, 0.2)
            discriminator = networks.Discriminator(classes, SIZE, 3, **narrow).eval()
            content = {
                "training_set_kwargs": {"class_name": "training.dataset.ImageFolderDataset"},
                "G": net,
                "D": discriminator,
                "G_ema": net,
                "augment_pipe": None,
            }
            file = folder / "net.pkl"
            file.write_bytes(pickle.dumps(content, protocol=protocol))
            if code.encode().strip() not in file.read_bytes().replace(b"\\'", b"'"):
                raise SystemExit("the pickle does not hold the code")
            model, _ = _converted(file)
            if mark.exists():
                raise SystemExit("the code in the pickle was run")
            z = torch.randn(2, 512, generator=torch.Generator().manual_seed(5))
            labels = torch.tensor([1, 1]) if classes else None
            hot = nn.functional.one_hot(labels, classes).float() if labels is not None else None
            theirs = net(z, hot, truncation_psi=PSI, noise_mode="const", force_fp32=True)
            name = f"nvidia .pkl, protocol {protocol}, {classes} classes, clamp {clamp}"
            yield name, _pictures(model, z, labels), theirs


def encoder(directory: Path, encoder_type: str) -> Outputs:
    """Complete checkpoints of e4e and pSp: codes and pictures of random photos."""
    with encoder_module(directory, "models.psp") as psp:
        torch.manual_seed(0)
        options = SimpleNamespace(
            encoder_type=CLASSES[encoder_type],
            stylegan_size=SIZE,
            output_size=SIZE,
            n_styles=2 * SIZE.bit_length() - 4,
            input_nc=3,
            label_nc=0,
            start_from_latent_avg=True,
            learn_in_w=False,
            device="cuda:0",
        )
        net = psp.pSp.__new__(psp.pSp)
        nn.Module.__init__(net)
        net.opts = options
        net.encoder = net.set_encoder()
        net.decoder = psp.Generator(SIZE, 512, 8, channel_multiplier=2)
        net.face_pool = nn.AdaptiveAvgPool2d((256, 256))
        randomise(net.encoder, 0)
        randomise_generator(net.decoder)
        net.latent_avg = torch.randn(512).repeat(options.n_styles, 1)
        net.eval().requires_grad_(False)
        checkpoint = {"state_dict": net.state_dict(), "opts": vars(options)}
        with _folder() as folder:
            torch.save({**checkpoint, "latent_avg": net.latent_avg}, folder / "net.pt")
            model, report = _converted(folder / "net.pt")
        if report.source_format != encoder_type:
            raise SystemExit(f"{encoder_type} was taken for {report.source_format}")
        photos = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))
        pictures, codes = net(
            encoder_input(photos), resize=False, randomize_noise=False, return_latents=True
        )
        ours = model.encode(photos)
        yield f"{encoder_type} checkpoint, codes", ours, codes
        yield f"{encoder_type} checkpoint, pictures", model.decode(ours) * 2 - 1, pictures


def _converted(file: Path) -> tuple[FaceModel, Report]:
    """Convert and load a file; every tensor in it is accounted for."""
    out = file.parent / "new.safetensors"
    report = convert(file, out, licence="random weights", source="a check")
    reported = [*report.taken.values(), *report.dropped]
    if sorted(reported) != sorted(tensors_in(open_source(file).value)):
        raise SystemExit("the report and the file differ in their tensors")
    return load_face_model(out), report


def _pictures(model: FaceModel, z: Tensor, labels: Tensor | None = None) -> Tensor:
    net = model.module
    pictures: Tensor = net.synthesize(net.truncate(net.broadcast(net.map(z, labels)), PSI))
    return pictures


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def main() -> None:
    run_checks(
        checks_parser(__doc__).parse_args(),
        {
            "rosinality": port,
            "nvidia": nvidia,
            "e4e": lambda place: encoder(place, "e4e"),
            "psp": lambda place: encoder(place, "psp"),
        },
    )


if __name__ == "__main__":
    main()
