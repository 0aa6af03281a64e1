"""`edit`: a photo's face moved along directions, and written with all else that its file holds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.errors import FaceLatentsError, NoFaceError
from .faces import encode_photo, load_model, read
from .outputs import check_output, print_result
from .runner.session import call_node, set_up

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.imaging.photo_files.read import Photo

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def run(args: argparse.Namespace) -> int:
    """Write the edited photo, or only its face; prints the files' paths."""
    edits = [_split_edit(text) for text in args.set]
    check_output(args.output, _SUFFIXES, [args.photo], args.force)
    set_up(args)
    photo, model = read(args.photo), load_model(args)
    directions = [(_direction(model, name), strength) for name, strength in edits]
    if args.crop:
        results = _edit_frame(args, model, photo, 0, directions).split(1)
    else:
        results = (_edit_frames(args, model, photo, directions),)
    paths = _number_paths(args.output, len(results))
    for path in paths:
        check_output(path, _SUFFIXES, [args.photo], args.force)
    for frames, path in zip(results, paths, strict=True):
        _write(frames, path, photo, args.photo)
    written = [str(path) for path in paths]
    print_result(args, written, photo=str(args.photo), outputs=written)
    return 0 if photo.complete else 1


def _edit_frames(
    args: argparse.Namespace, model: Any, photo: Photo, directions: list[tuple[Any, float]]
) -> Tensor:
    """All frames that the output can hold, `(B, H, W, 3)`; those without a face as they are."""
    import torch

    from ..models.imaging.photo_files.write import holds_frames

    count = len(photo.frames) if holds_frames(args.output) else 1
    frames, without = [], []
    for number in range(count):
        try:
            frames.append(_edit_frame(args, model, photo, number, directions))
        except NoFaceError:
            frames.append(photo.frames[number : number + 1])
            without.append(number + 1)
            if len(without) == count:
                raise
    if without:
        listed = ", ".join(map(str, without))
        print(f"{args.photo}: no face in {len(without)} frames: {listed}.", file=sys.stderr)
    frames += [] if count == len(photo.frames) else [photo.frames[count:]]
    return frames[0] if len(frames) == 1 else torch.cat(frames)


def _edit_frame(
    args: argparse.Namespace,
    model: Any,
    photo: Photo,
    number: int,
    directions: list[tuple[Any, float]],
) -> Tensor:
    """A frame with its faces edited `(1, H, W, 3)`, or with --crop the faces `(N, S, S, 3)`."""
    latent = encode_photo(args, model, args.photo, photo, number)
    for direction, strength in directions:
        latent = call_node(
            "FaceLatentsAddDirection", face_latent=latent, direction=direction, strength=strength
        )[0]
    node = "FaceLatentsDecode" if args.crop else "FaceLatentsPasteBack"
    images: Tensor = call_node(node, face_model=model, face_latent=latent)[0].cpu()
    return images


def _write(frames: Tensor, path: Path, photo: Photo, source: Path) -> None:
    """Write frames `(B, H, W, 3)` made from a photo, and say what the format cannot hold.

    A photo that did not change is copied, where it stays in its format.
    """
    from ..models.imaging.photo_files.write import encode_photo as encode
    from ..models.imaging.photo_files.write import format_of, with_frames
    from .runner.standins.save import write_whole

    unchanged = frames.shape == photo.frames.shape and bool((frames == photo.frames).all())
    if unchanged and format_of(path) == photo.traits.format:
        data, lost = source.read_bytes(), list[str]()
    else:
        data, lost = encode(with_frames(photo, frames), path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(data, path)
    if lost:
        print(f"{path} is without what {source.name} had: {', '.join(lost)}.", file=sys.stderr)


def _direction(model: Any, name: str) -> Any:
    known = [*model.directions]
    match = next((item for item in known if item.casefold() == name.casefold()), None)
    if match is not None:
        return model.directions[match]
    from .. import NODE_CLASS_MAPPINGS
    from .runner.schema import schema_of

    spec = schema_of("", NODE_CLASS_MAPPINGS["FaceLatentsLoadDirection"]).input("direction")
    choices = (spec.choices() if spec is not None else None) or []
    if name in choices:
        return call_node("FaceLatentsLoadDirection", face_model=model, direction=name)[0]
    listed = ", ".join(str(item) for item in dict.fromkeys([*known, *choices])) or "none"
    raise FaceLatentsError(f"There is no direction '{name}'. There are: {listed}.")


def _split_edit(text: str) -> tuple[str, float]:
    name, equals, value = text.rpartition("=")
    try:
        strength = float(value)
    except ValueError:
        equals = ""
        strength = 0.0
    if not equals or not name.strip():
        raise FaceLatentsError(
            f"--set {text!r} is not understood. Write DIRECTION=STRENGTH, for example smile=2."
        )
    return name.strip(), strength


def _number_paths(path: Path, count: int) -> list[Path]:
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(1, count + 1)]
