"""Converting a file of another program to one of this project."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..architectures.stylegan2 import file as stylegan2_file
from ..errors import UnsupportedModelError
from ..face_model import save_face_model
from ..files.values import save_direction
from ..geometry.templates import FFHQ, AlignmentTemplate
from .checks import check_plan, summary
from .directions import is_direction, make_direction, read_vectors
from .encoders import is_encoder, plan_encoder
from .inert import Refusal
from .nvidia import is_nvidia, plan_nvidia
from .plan import Plan
from .report import Report
from .rosinality import is_rosinality, plan_rosinality
from .sources import Source, described, open_source

_SUFFIX = ".safetensors"
_PLANS = (
    (is_nvidia, plan_nvidia),
    (is_encoder, plan_encoder),
    (is_rosinality, plan_rosinality),
)
UNKNOWN_LICENCE = (
    "not stated in the file; weights trained by NVIDIA, such as those for FFHQ, and what was made "
    "from them, such as e4e and pSp, are for non-commercial use"
)


def convert(
    path_in: str | Path,
    path_out: str | Path,
    *,
    licence: str | None = None,
    source: str | None = None,
    name: str | None = None,
    model: str | Path | None = None,
    template: AlignmentTemplate = FFHQ,
) -> Report:
    """Convert a StyleGAN2 network, an e4e or pSp checkpoint, or directions.

    Nothing in the file is run, and nothing is written unless all of it is understood and valid.
    The file is mapped into memory and copied tensor by tensor.

    Args:
        path_in: a .pt, .pkl, .safetensors, .npy or .npz file.
        path_out: a .safetensors file; replaced at the very end.
        licence: of the weights, kept in the new file.
        source: where they came from, kept in the new file.
        name: display name; by default the name of `path_in`.
        model: for directions, the converted model they belong to.
        template: how photos are aligned for the network, at any size.

    Raises:
        UnsupportedModelError: the file is not known here, damaged, or holds more than data; names
            what was found.
        OSError: it cannot be read, or the new one not written.
    """
    path_in, path_out = Path(path_in), Path(path_out)
    if path_out.suffix != _SUFFIX or path_out.is_dir():
        raise UnsupportedModelError(f"{path_out}: the new file's name must end in {_SUFFIX}.")
    if not path_in.exists():
        raise UnsupportedModelError(f"{path_in}: there is no such file.")
    if path_out.exists() and path_out.samefile(path_in):
        raise UnsupportedModelError(f"{path_out}: the new file cannot take the old one's place.")
    try:
        opened = open_source(path_in)
        if is_direction(opened.value):
            return _directions(opened, path_in, path_out, name, model)
        plan = _plan(opened.value)
        layout = check_plan(plan, path_in, opened.size)
    except Refusal as refusal:
        raise UnsupportedModelError(f"{path_in}: {refusal}") from refusal
    licence = licence or UNKNOWN_LICENCE
    facts = {
        "name": name or path_in.stem,
        "architecture": stylegan2_file.NAME,
        "source_format": plan.source_format,
        "licence": licence,
        "source": source or f"converted from {path_in.name}",
        "source_sha256": _digest(path_in),
    }
    if plan.encoder_type is not None:
        facts["encoder_type"] = plan.encoder_type
    model_id = save_face_model(path_out, plan.tensors, facts, template.resized(layout.size))
    return Report(
        path_in,
        path_out,
        plan.source_format,
        summary(plan, layout),
        plan.taken,
        plan.dropped,
        plan.made,
        licence,
        model_id,
    )


def _plan(value: object) -> Plan:
    for fits, make in _PLANS:
        if fits(value):
            return make(value)
    raise Refusal(
        f"it holds nothing known here; {described(value)}. Known are StyleGAN2 generators "
        "(PyTorch: 'g_ema'; NVIDIA: 'G_ema'), e4e and pSp ('state_dict' with an encoder, 'opts'), "
        "and directions (one array, or GANSpace's 'mean', 'comp', 'std')."
    )


def _directions(
    opened: Source, path_in: Path, path_out: Path, name: str | None, model: str | Path | None
) -> Report:
    vectors = read_vectors(opened.value)
    if model is None:
        raise Refusal(
            "it holds directions, which do not say what model they belong to. Convert that model "
            "first, then name it with --model MODEL.safetensors."
        )
    direction = make_direction(vectors, Path(model), name or path_in.stem)
    save_direction(path_out, direction)
    count = 1 if direction.vector.dim() == direction.space.latent_dims else len(direction.vector)
    where = " (taken to be of w, not of z)" if direction.space.name == "w" else ""
    found = (
        f"{count} direction{'s' if count > 1 else ''} in {direction.space.describe()}{where}",
        f"strength 1: {direction.unit}",
        direction.method,
    )
    return Report(
        path_in,
        path_out,
        "direction",
        found,
        {"direction": vectors.taken},
        vectors.dropped,
        {},
        "",
        direction.space.model_id,
    )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
