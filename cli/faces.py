"""`encode`, `morph` and `distance`: the nodes, called on photo files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.errors import FaceLatentsError
from .outputs import check_folder, check_output, print_result
from .runner.session import call_node, set_up

if TYPE_CHECKING:
    from PIL import Image

    from ..models.imaging.photo_files.read import Photo
    from ..models.values import FaceLatent


def encode(args: argparse.Namespace) -> int:
    """Write the codes of a photo's faces, with the photo, to a file."""
    from ..models.files.values import save_latent

    check_output(args.out, (".safetensors",))
    set_up(args)
    photo = read(args.photo)
    latent = encode_photo(args, load_model(args), args.photo, photo)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_latent(args.out, latent)
    told = f"{args.out} ({len(latent)} face(s))"
    print_result(args, [told], photo=str(args.photo), output=str(args.out), faces=len(latent))
    return 0 if photo.complete else 1


def morph(args: argparse.Namespace) -> int:
    """Write an animation from face to face: GIF, WebP, or PNG frames in a folder."""
    if len(args.photos) < 2:
        raise FaceLatentsError("morph needs at least two photos to go between.")
    animated = args.output.suffix.lower() in (".gif", ".webp")
    if not animated and args.output.suffix:
        raise FaceLatentsError(
            f"'{args.output}': morph writes .gif, .webp, or PNG frames into a folder."
        )
    if animated:
        check_output(args.output, (".gif", ".webp"), args.photos, args.force)
    else:
        check_folder(args.output)
    if not 0.01 <= args.fps <= 1000:
        raise FaceLatentsError(f"--fps has to be from 0.01 to 1000, but is {args.fps:g}.")
    set_up(args)
    photos, model = [read(path) for path in args.photos], load_model(args)
    latents = _encode_each(args, model, photos)
    profiles = {photo.traits.profile for photo in photos}
    profile = profiles.pop() if len(profiles) == 1 else None  # of the colours that are blended
    faces = _join(latents)
    frames = call_node(
        "FaceLatentsMorph",
        face_latent=faces,
        frames=args.frames,
        path=args.path,
        loop=args.loop,
    )[0]
    given = {"face_model": model, "face_latent": frames}
    if model.capabilities.editor is None:
        drawn = call_node("FaceLatentsDecode", **given)[0]
    else:
        drawn = call_node("FaceLatentsMorphPhotos", **given, photos=faces, size=args.size)[0]
    pictures = _pictures(drawn)
    if animated:
        _write(
            pictures[0],
            args.output,
            save_all=True,
            append_images=pictures[1:],
            duration=max(1, round(1000 / args.fps)),
            loop=0,
            icc_profile=profile,
        )
        _tell_frames(args, [args.output])
        return 0 if all(photo.complete for photo in photos) else 1
    paths = [args.output / f"frame_{number:05}.png" for number in range(1, len(pictures) + 1)]
    for picture, path in zip(pictures, paths, strict=True):
        _write(picture, path, icc_profile=profile)
    _tell_frames(args, paths)
    return 0 if all(photo.complete for photo in photos) else 1


def distance(args: argparse.Namespace) -> int:
    """Print the distances between faces as a matrix."""
    if len(args.photos) < 2:
        raise FaceLatentsError("distance needs at least two photos to compare.")
    set_up(args)
    photos, model = [read(path) for path in args.photos], load_model(args)
    latents = _encode_each(args, model, photos)
    given = {"metric": args.metric, "part": args.part}
    chosen = {name: value for name, value in given.items() if value is not None}
    count = len(latents)
    matrix = [[0.0] * count for _ in range(count)]
    for i in range(count):
        for j in range(i + 1, count):
            value = call_node(
                "FaceLatentsDistance", a=latents[i], b=latents[j], face_model=model, **chosen
            )[0]
            matrix[i][j] = matrix[j][i] = float(value)
    names = [path.name for path in args.photos]
    width = max(10, *(len(name) for name in names))
    lines = [" ".join([" " * width, *(name.rjust(width) for name in names)])]
    for name, row in zip(names, matrix, strict=True):
        numbers = (f"{value:.4f}".rjust(width) for value in row)
        lines.append(" ".join([name.ljust(width), *numbers]))
    print_result(args, lines, photos=[str(path) for path in args.photos], distances=matrix)
    return 0 if all(photo.complete for photo in photos) else 1


def _tell_frames(args: argparse.Namespace, paths: list[Path]) -> None:
    print_result(args, map(str, paths), outputs=[str(path) for path in paths])


def load_model(args: argparse.Namespace) -> Any:
    """The model that the command names, else the bundled one."""
    chosen = {} if args.model is None else {"model": args.model}
    return call_node("FaceLatentsLoadModel", **chosen)[0]


def read(path: Path) -> Photo:
    """A photo that a command names.

    Raises:
        FaceLatentsError: there is no such file, or it is no picture.
    """
    from ..models.imaging.photo_files.read import read_photo

    if path.is_dir():
        raise FaceLatentsError(
            f"'{path}' is a folder; this command takes one photo. For a folder of photos: "
            "face-latents run WORKFLOW.json --input FOLDER --output FOLDER."
        )
    if not path.is_file():
        raise FaceLatentsError(f"There is no photo '{path}'.")
    return read_photo(path)


def encode_photo(
    args: argparse.Namespace, model: Any, path: Path, photo: Photo, frame: int = 0
) -> FaceLatent:
    """The codes of the faces of a photo, of which `--faces` says which.

    Raises:
        NoFaceError: there is none.
        FaceLatentsError: there are fewer than the number given.
    """
    faces = getattr(args, "faces", "largest")
    chosen = {"faces": "by index", "index": int(faces)} if faces.isdecimal() else {"faces": faces}
    with _about(path):
        latent: FaceLatent = call_node(
            "FaceLatentsEncode",
            image=photo.frames[frame : frame + 1],
            face_model=model,
            min_score=args.min_score,
            **chosen,
        )[0]
    return latent


def _encode_each(args: argparse.Namespace, model: Any, photos: list[Photo]) -> list[FaceLatent]:
    pairs = zip(args.photos, photos, strict=True)
    return [encode_photo(args, model, path, photo) for path, photo in pairs]


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


def _pictures(images: Any) -> list[Image.Image]:
    from .runner.standins.save import pictures_of

    return pictures_of(images)


def _write(picture: Image.Image, path: Path, **options: Any) -> None:
    from .runner.standins.save import write

    path.parent.mkdir(parents=True, exist_ok=True)
    write(picture, path, **options)
