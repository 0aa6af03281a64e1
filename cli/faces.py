"""`encode`, `edit`, `morph` and `distance`: the nodes, called on photo files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.errors import FaceLatentsError
from .runner.session import call_node, set_up

if TYPE_CHECKING:
    from PIL import Image

    from ..models.values import FaceLatent


def encode(args: argparse.Namespace) -> int:
    """Write the codes of a photo's faces, with the photo, to a file."""
    from ..models.files.values import save_latent

    _check_suffix(args.out, {".safetensors"})
    set_up(args)
    _, latent = _encode_photo(args, args.photo)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_latent(args.out, latent)
    print(f"{args.out} ({len(latent)} face(s))")
    return 0


def edit(args: argparse.Namespace) -> int:
    """Move a photo's face along directions and write the photo, or only the face."""
    edits = [_split_edit(text) for text in args.set]
    _check_suffix(args.output, _picture_suffixes())
    set_up(args)
    model, latent = _encode_photo(args, args.photo)
    for name, strength in edits:
        direction = _direction(model, name)
        latent = call_node(
            "FaceLatentsAddDirection", face_latent=latent, direction=direction, strength=strength
        )[0]
    node = "FaceLatentsDecode" if args.crop else "FaceLatentsPasteBack"
    images = call_node(node, face_model=model, face_latent=latent)[0]
    pictures = _pictures(images)
    for picture, path in zip(pictures, _number_paths(args.output, len(pictures)), strict=True):
        _write(picture, path)
        print(path)
    return 0


def morph(args: argparse.Namespace) -> int:
    """Write an animation from face to face: GIF, WebP, or PNG frames in a folder."""
    if len(args.photos) < 2:
        raise FaceLatentsError("morph needs at least two photos to go between.")
    animated = args.output.suffix.lower() in (".gif", ".webp")
    if not animated and args.output.suffix:
        raise FaceLatentsError(
            f"'{args.output}': morph writes .gif, .webp, or PNG frames into a folder."
        )
    if not 0.01 <= args.fps <= 1000:
        raise FaceLatentsError(f"--fps has to be from 0.01 to 1000, but is {args.fps:g}.")
    set_up(args)
    model, latents = _encode_each(args, args.photos)
    frames = call_node(
        "FaceLatentsMorph",
        face_latent=_join(latents),
        frames=args.frames,
        path=args.path,
        loop=args.loop,
    )[0]
    pictures = _pictures(call_node("FaceLatentsDecode", face_model=model, face_latent=frames)[0])
    if animated:
        _write(
            pictures[0],
            args.output,
            save_all=True,
            append_images=pictures[1:],
            duration=max(1, round(1000 / args.fps)),
            loop=0,
        )
        print(args.output)
        return 0
    for number, picture in enumerate(pictures, 1):
        path = args.output / f"frame_{number:05}.png"
        _write(picture, path)
        print(path)
    return 0


def distance(args: argparse.Namespace) -> int:
    """Print the distances between faces as a matrix."""
    if len(args.photos) < 2:
        raise FaceLatentsError("distance needs at least two photos to compare.")
    set_up(args)
    _, latents = _encode_each(args, args.photos)
    metric = {} if args.metric is None else {"metric": args.metric}
    count = len(latents)
    matrix = [[0.0] * count for _ in range(count)]
    for i in range(count):
        for j in range(i + 1, count):
            value = call_node("FaceLatentsDistance", a=latents[i], b=latents[j], **metric)[0]
            matrix[i][j] = matrix[j][i] = float(value)
    names = [path.name for path in args.photos]
    width = max(10, *(len(name) for name in names))
    print(" " * width, *(name.rjust(width) for name in names))
    for name, row in zip(names, matrix, strict=True):
        print(name.ljust(width), *(f"{value:.4f}".rjust(width) for value in row))
    return 0


def _load_model(args: argparse.Namespace) -> Any:
    chosen = {} if args.model is None else {"model": args.model}
    return call_node("FaceLatentsLoadModel", **chosen)[0]


def _encode_photo(args: argparse.Namespace, path: Path) -> tuple[Any, FaceLatent]:
    model = _load_model(args)
    return model, _encode_file(args, model, path)


def _encode_each(args: argparse.Namespace, paths: list[Path]) -> tuple[Any, list[FaceLatent]]:
    model = _load_model(args)
    return model, [_encode_file(args, model, path) for path in paths]


def _encode_file(args: argparse.Namespace, model: Any, path: Path) -> FaceLatent:
    from ..models.imaging.photos import load_image

    if not path.is_file():
        raise FaceLatentsError(f"There is no photo '{path}'.")
    image, _ = load_image(path)
    with _about(path):
        latent: FaceLatent = call_node(
            "FaceLatentsEncode",
            image=image[:1],
            face_model=model,
            faces=getattr(args, "faces", "largest"),
            min_score=args.min_score,
        )[0]
    return latent


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Name the photo in what goes wrong with it."""
    try:
        yield
    except FaceLatentsError as error:
        raise type(error)(f"{path}: {error}") from error


def _join(latents: list[FaceLatent]) -> FaceLatent:
    from ..models.values import join_latents

    return join_latents(latents)


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


def _pictures(images: Any) -> list[Image.Image]:
    from .runner.standins.save import pictures_of

    return pictures_of(images)


def _picture_suffixes() -> set[str]:
    return {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def _check_suffix(path: Path, wanted: set[str]) -> None:
    if path.suffix.lower() not in wanted:
        raise FaceLatentsError(
            f"'{path}': the file name has to end in {' or '.join(sorted(wanted))}."
        )


def _number_paths(path: Path, count: int) -> list[Path]:
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(1, count + 1)]


def _write(picture: Image.Image, path: Path, **options: Any) -> None:
    from .runner.standins.save import write

    if path.suffix.lower() in (".jpg", ".jpeg"):
        options.setdefault("quality", 95)
        picture = picture.convert("RGB")
    path.parent.mkdir(parents=True, exist_ok=True)
    write(picture, path, **options)
