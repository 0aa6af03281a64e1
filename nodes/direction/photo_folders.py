"""Photos in sub-folders of the host's input folder, as codes: for groups with a label."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.finder.faces import MIN_SCORE
from ...models.imaging.photos import IMAGE_SUFFIXES, list_pictures, load_image, name_others
from .. import host
from ..compute import encode_crops
from ..files.names import safe_parts, stamp
from ..model.cut import FaceChoice, cut_crop, place_faces
from ..model.no_face import SMALL_FACE

MOST_PHOTOS = 5000  # in one folder
LARGEST_FILE = 256 * 2**20  # bytes

_DEEPEST = 4  # levels below the input folder that are listed
_MOST_LISTED = 500  # folders in a list
_CHUNK_BYTES = 64 * 2**20  # of aligned crops that wait for the encoder
_MOST_SKIPS_LISTED = 12
_MOST_NAMED = 6  # small faces, in one line


@dataclass(frozen=True, eq=False)
class FolderCodes:
    """The faces of a folder.

    Attributes:
        codes: `(N, *shape)`, N >= 1, one per photo in the order of `files`.
        files: the photos they come from.
        skipped: a line per photo that was left out: its name and why.
        small: the photos whose face is under `SMALL_FACE` pixels.
    """

    codes: Tensor
    files: tuple[Path, ...]
    skipped: tuple[str, ...]
    small: tuple[Path, ...] = ()

    @property
    def notable(self) -> bool:
        """True where the report says more than how many photos were used."""
        return bool(self.skipped or self.small)

    def report(self) -> str:
        """How many photos were used and which were left out, as text for the artist."""
        lines = [f"{len(self.files)} photo(s) used"]
        if self.skipped:
            lines.append(f"{len(self.skipped)} left out:")
            lines += [f"  {line}" for line in self.skipped[:_MOST_SKIPS_LISTED]]
        if len(self.skipped) > _MOST_SKIPS_LISTED:
            lines.append(f"  and {len(self.skipped) - _MOST_SKIPS_LISTED} more")
        if self.small:
            names = ", ".join(path.name for path in self.small[:_MOST_NAMED])
            more = ", ..." if len(self.small) > _MOST_NAMED else ""
            lines.append(
                f"{len(self.small)} with a face under {SMALL_FACE:g} pixels, which says little: "
                f"{names}{more}"
            )
        return "\n".join(lines)


def list_photo_folders() -> list[str]:
    """Folders below the input folder that hold pictures, with forward slashes, sorted.

    Hidden folders and links that lead out of the input folder are left out.
    """
    root = host.input_directory()
    found: list[Path] = []
    level = [root]
    for _ in range(_DEEPEST):
        level = [below for above in level for below in _sub_folders(above)][:_MOST_LISTED]
        found += [folder for folder in level if _holds_pictures(folder)]
    return sorted(folder.relative_to(root).as_posix() for folder in found[:_MOST_LISTED])


def photo_folder(name: str) -> Path:
    """The folder that a person means by `name`, below the host's input folder.

    Args:
        name: relative to the input folder, sub-folders with / or \\.

    Raises:
        FaceLatentsError: an absolute path, `..`, a link that leads out, no such folder.
    """
    typed, root = name.strip(), host.input_directory()
    if not typed:
        raise FaceLatentsError(f"No folder was given. {_list_choices(root)}")
    folder = root.joinpath(*safe_parts(typed.rstrip("/\\") or typed, "folder name"))
    try:
        inside, found = _is_input(folder), folder.is_dir()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise FaceLatentsError(f"The folder {name!r} cannot be read: {error}.") from error
    if not inside:
        raise FaceLatentsError(
            f"The folder {name!r} leads out of {root} (a link?). Copy the photos into a folder "
            "inside it."
        )
    if not found:
        raise FaceLatentsError(f"There is no folder '{name}' in {root}. {_list_choices(root)}")
    return folder


def label_folders(parent: str) -> dict[str, Path]:
    """The sub-folders of a folder that hold pictures, by name: each name is a label.

    Raises:
        FaceLatentsError: as :func:`photo_folder`, or there is no such sub-folder.
    """
    folders = _sub_folders(photo_folder(parent))
    found = {folder.name: folder for folder in folders if _holds_pictures(folder)}
    if not found:
        raise FaceLatentsError(
            f"The folder '{parent}' has no sub-folders with pictures. Make one sub-folder per "
            f"label and put the label's photos into it, for example {parent}/glasses and "
            f"{parent}/no glasses."
        )
    return found


def folder_stamp(folders: Sequence[Path]) -> str:
    """Changes whenever a picture of the folders is added, removed or written; for IS_CHANGED."""
    digest = hashlib.sha256()
    for folder in folders:
        digest.update(f"{folder}\n".encode())
        try:
            names = sorted(filter(_is_picture, os.listdir(folder)))
        except OSError:
            names = ["missing"]
        for name in names:
            digest.update(f"{stamp(folder / name)}\n".encode())
    return digest.hexdigest()[:24]


def encode_folder(
    folder: Path,
    model: FaceModel,
    *,
    min_score: float = MIN_SCORE,
    most: int = MOST_PHOTOS,
    what: str = "",
    names: Collection[str] | None = None,
) -> FolderCodes:
    """Codes of the largest face of every photo of a folder.

    Photos that cannot be read or show no face are left out and reported. The code path is that of
    Encode Face.

    Args:
        folder: see :func:`photo_folder`; photos in sub-folders do not count.
        model: encodes and says how photos are aligned.
        min_score: how sure the face finder must be.
        most: photos at most; of further ones, by name, only the number is reported.
        what: the folder in messages and on the progress bar, its name when left out.
        names: of the photos that count; all of them when None.

    Raises:
        FaceLatentsError: the folder holds no picture (of these names), or none with a face.
    """
    what = what or folder.name
    files = [path for path in photos_in(folder) if names is None or path.name in names]
    if not files:
        raise FaceLatentsError(f"None of the photos listed are in the folder '{what}'.")
    skipped = [f"{len(files) - most} photos beyond the first {most}"] if len(files) > most else []
    files = files[:most]
    if names is None and (others := name_others(folder, photos_only=True)):
        skipped.append(others)
    used: list[Path] = []
    small: list[Path] = []
    codes: list[Tensor] = []
    waiting: list[Tensor] = []
    chunk = max(1, _CHUNK_BYTES // (12 * model.template.size**2))
    with host.Progress(len(files), f"Photos of {what}") as progress:
        for number, path in enumerate(files):
            try:
                crop, side = _align(path, model, number, min_score)
                waiting.append(crop)
                used.append(path)
                small += [path] if side < SMALL_FACE else []
            except FaceLatentsError as error:
                skipped.append(f"{path.name}: {_reason(error, path)}")
            if waiting and (len(waiting) == chunk or path == files[-1]):
                codes.append(encode_crops(model, torch.stack(waiting)))
                waiting = []
            progress.step()
    if not codes:
        raise FaceLatentsError(
            f"None of the {len(files)} photos in '{what}' could be used. "
            + "; ".join(skipped[:3])
            + ". Use photos in which a face is at least 64 pixels wide, or lower min_score."
        )
    return FolderCodes(torch.cat(codes), tuple(used), tuple(skipped), tuple(small))


def photos_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name.

    Raises:
        FaceLatentsError: there are none, or the folder cannot be read.
    """
    try:
        files = list_pictures(folder)
    except OSError as error:
        raise FaceLatentsError(f"The folder '{folder.name}' cannot be read: {error}.") from error
    if not files:
        others = name_others(folder)
        there = f", but {others}" if others else ""
        known = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise FaceLatentsError(
            f"The folder '{folder.name}' holds no pictures ({known}){there}. Put the "
            "photos of this label into it."
        )
    return files


def _align(path: Path, model: FaceModel, number: int, min_score: float) -> tuple[Tensor, float]:
    """The aligned face of a photo, `(3, S, S)`, and its side in the photo in pixels."""
    if not _is_input(path):
        raise FaceLatentsError("it is a link to a place outside the input folder")
    try:
        too_large = path.stat().st_size > LARGEST_FILE
    except OSError as error:
        raise FaceLatentsError(f"it cannot be read ({error.strerror})") from error
    if too_large:
        raise FaceLatentsError(f"the file is larger than {LARGEST_FILE >> 20} MB")
    pixels, _ = load_image(path, first_only=True, whole=True)
    face = place_faces(pixels[0], model, number, FaceChoice(min_score))[0]
    return cut_crop(face.context), face.side


def _reason(error: FaceLatentsError, path: Path) -> str:
    """The first sentence of a message, without the place of the file."""
    text = str(error).replace(str(path), path.name).split(". ")[0].split("\n")[0]
    return text if len(text) <= 160 else f"{text[:157]}..."


def _is_input(path: Path) -> bool:
    """True where a path, its links followed, lies in the input folder."""
    return path.resolve().is_relative_to(host.input_directory().resolve())


def _sub_folders(folder: Path) -> list[Path]:
    """Sub-folders, by name, that are not hidden and lie in the input folder."""
    try:
        paths = [path for path in sorted(folder.iterdir()) if path.name[0] != "."]
        return [path for path in paths if path.is_dir() and _is_input(path)]
    except OSError:
        return []  # not there, or not ours to read


def _holds_pictures(folder: Path) -> bool:
    try:
        return any(map(_is_picture, os.listdir(folder)))
    except OSError:
        return False


def _is_picture(name: str) -> bool:
    return name[0] != "." and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _list_choices(root: Path) -> str:
    listed = list_photo_folders()
    if not listed:
        return f"Make a folder with photos inside {root} and give its name."
    more = f" and {len(listed) - 12} more" if len(listed) > 12 else ""
    return f"Folders with pictures there: {', '.join(listed[:12])}{more}."
