"""`face-latents demo`: runs the shipped workflows on a photo and writes a contact sheet."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageOps

from ..models.errors import FaceLatentsError
from ..models.imaging.opening import open_header, open_picture
from ..models.imaging.photos import load_image
from .close_up import close_up
from .contact_sheet import Cell, Row, draw_sheet
from .example_folders import make_example_folders
from .runner.execute import Executor
from .runner.flatten import NOTES
from .runner.graph import read_workflow_file
from .runner.outcome import Outcome
from .runner.prepare import prepare
from .runner.prompts import sources, title_of
from .runner.session import call_node, set_up
from .runner.standins.save import pictures_of, write
from .sample_photo import astronaut

if TYPE_CHECKING:
    from ..models.values import PhotoContext

WORKFLOWS = Path(__file__).resolve().parent.parent / "workflows"
MIRRORED = "mirrored"  # folder of the second photo of workflows that take two
_SHOWN = 6  # pictures of one node's batch
_LINE = (255, 196, 0)


def run(args: argparse.Namespace) -> int:
    """Run every shipped workflow; prints the contact sheet's path last."""
    from ..models.threads import one_thread

    set_up(args)
    with one_thread():  # the networks are small
        return _run(args.photo, args.output)


def _run(own_photo: Path | None, output: Path) -> int:
    from ..nodes.host import stand_alone

    started = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    stand_alone.models = output / "models"  # workflows that save directions and bases
    photo = _photo(own_photo, output / "input")
    make_example_folders(photo, photo.parent)
    mirrored = photo.parent / MIRRORED / photo.name
    mirrored.parent.mkdir()
    write(ImageOps.mirror(open_picture(photo)[0].convert("RGB")), mirrored)
    context, first = _first_row(photo)
    executor: Executor | None = None
    rows = [first]
    failed = skipped = 0
    workflows = sorted(WORKFLOWS.glob("*.json"))
    for number, path in enumerate(workflows, 1):
        nodes = read_workflow_file(path).get("nodes", [])
        name = _heading(nodes) or path.stem
        print(f"[{number}/{len(workflows)}] {name}", flush=True)
        if missing := _missing_model(nodes):
            skipped += 1
            reason = f"skipped: it needs a model of your own, '{missing}' (see its note)"
            print(f"{path.name}: {reason}")
            rows.append(Row(name, note=reason))
            continue
        try:
            second = _second_photos(nodes, photo)
            job = prepare(path, output / path.stem, settings=second, photos=photo.parent)
            executor = executor or Executor(job.classes)
            (outcome,) = job.run(executor=executor)
        except FaceLatentsError as error:
            failed += 1
            print(f"{path.name}: {error}", file=sys.stderr)
            rows.append(Row(name, note=f"failed: {str(error).splitlines()[0]}"))
        else:
            rows.append(_workflow_row(name, outcome, context))
    sheet = output / "contact_sheet.jpg"
    title = f"Face Latents: the shipped workflows on {photo.name}"
    write(draw_sheet(title, rows), sheet, quality=92)
    note = f"; {skipped} skipped for want of a model" if skipped else ""
    print(f"{len(workflows) - skipped} workflows in {time.monotonic() - started:.0f} s{note}")
    print(sheet)
    return 1 if failed else 0


def _photo(path: Path | None, folder: Path) -> Path:
    """The photo to work on, the person's own or the astronaut, alone in a fresh input folder."""
    if path is not None and not path.is_file():
        raise FaceLatentsError(f"There is no photo '{path}'.")
    shutil.rmtree(folder, ignore_errors=True)  # an earlier demo's
    folder.mkdir(parents=True)
    if path is not None:
        return Path(shutil.copyfile(path, folder / path.name))
    target = folder / "astronaut.png"
    write(pictures_of(astronaut()[None])[0], target)
    return target


def _first_row(path: Path) -> tuple[PhotoContext, Row]:
    """The photo with the face that was found, its aligned crop, and its reconstruction."""
    image = load_image(path)[0][:1]
    model = call_node("FaceLatentsLoadModel")[0]
    latent, aligned = call_node("FaceLatentsEncode", image=image, face_model=model)
    decoded = call_node("FaceLatentsDecode", face_model=model, face_latent=latent)[0]
    context = latent.contexts[0]
    photo = pictures_of(image)[0]
    marked = _mark_face(photo, context)
    cells = [
        Cell(photo, "original"),
        Cell(marked, "face found, 5 landmarks"),
        Cell(close_up(marked, context), "close-up"),
        Cell(pictures_of(aligned)[0], "aligned crop"),
        Cell(pictures_of(decoded)[0], "reconstruction"),
    ]
    return context, Row("Encode and decode", cells)


def _mark_face(photo: Image.Image, context: PhotoContext) -> Image.Image:
    """The photo with the outline of the aligned square and the landmarks."""
    from ..models.geometry.similarity import invert_transform, transform_points

    marked = photo.convert("RGB")
    draw = ImageDraw.Draw(marked)
    stroke = max(1, round(max(photo.size) / 250))
    edge = context.size - 0.5
    corners = [(-0.5, -0.5), (edge, -0.5), (edge, edge), (-0.5, edge)]
    back = invert_transform(context.transform)
    outline = [tuple(point) for point in transform_points(back, _points(corners)).tolist()]
    draw.line([*outline, outline[0]], fill=_LINE, width=stroke)
    radius = stroke * 1.4
    for x, y in context.landmarks.tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_LINE)
    return marked


def _points(values: Sequence[tuple[float, float]]) -> Any:
    import torch

    return torch.tensor(values, dtype=torch.float64)


def _workflow_row(name: str, outcome: Outcome, context: PhotoContext) -> Row:
    """The pictures a workflow saved or previewed, its settings and texts beside the heading."""
    row = Row(name)
    for key, paths in outcome.saved_by_node().items():
        node = outcome.prompt[key]
        if node["class_type"] not in ("SaveImage", "PreviewImage"):
            continue  # an animation, or a node's own preview of what is saved as well
        titles = _titles(title_of(node), len(paths))
        pasted = any(
            outcome.prompt[source]["class_type"] == "FaceLatentsPasteBack"
            for source in sources(node)
        )
        if pasted and not row.cells:
            before = pictures_of(context.photo[None])[0]
            row.cells.append(Cell(close_up(before, context), "before"))
        for number in _spread(len(paths)):
            picture = open_header(paths[number]).convert("RGB")
            shown = close_up(picture, context) if pasted else picture
            row.cells.append(Cell(shown, titles[number]))
    texts = [text for items in outcome.texts().values() for text in items if "\n" not in text]
    row.note = "; ".join([*_settings(outcome), *texts])
    return row


def _titles(title: str, count: int) -> list[str]:
    """A title per picture: the parts of "before, after" where they are as many."""
    parts = [part.strip() for part in title.split(",")]
    if count == 1 or len(parts) == count:
        return parts if len(parts) == count else [title]
    return [f"{title} {number}/{count}" for number in range(1, count + 1)]


def _settings(outcome: Outcome) -> list[str]:
    """Directions, strengths and positions that the workflow's edit nodes were set to."""
    settings = []
    for node in outcome.prompt.values():
        kind = str(node["class_type"])
        if not kind.startswith("FaceLatents") or kind == "FaceLatentsPasteBack":
            continue
        for name in ("direction", "strength", "t", "frames"):
            value = node["inputs"].get(name)
            if isinstance(value, (str, int, float)):
                shown = f"{value:g}" if isinstance(value, float) else str(value)
                settings.append(
                    f"{title_of(node)} {'' if name == 'direction' else name + ' '}{shown}"
                )
    return settings


def _spread(count: int) -> list[int]:
    """At most `_SHOWN` of the numbers below `count`, evenly, first and last among them."""
    if count <= _SHOWN:
        return list(range(count))
    return [round(i * (count - 1) / (_SHOWN - 1)) for i in range(_SHOWN)]


def _missing_model(nodes: Sequence[dict[str, Any]]) -> str:
    """The model file that nodes of a workflow ask for and that is not there; else an empty string.

    Weights of StyleGAN2 models do not ship with the project.
    """
    from ..nodes.files.weights import list_weights
    from ..nodes.model.load import model_choices

    for node in nodes:
        values = node.get("widgets_values")
        asked = str(values[0]) if isinstance(values, list) and values else ""
        if node.get("type") == "FaceLatentsLoadModel" and asked not in model_choices():
            return asked
        if node.get("type") == "FaceLatentsConvertWeights" and asked not in list_weights():
            return asked
    return ""


def _second_photos(nodes: Sequence[dict[str, Any]], photo: Path) -> list[str]:
    """Settings that give every Load Image of a workflow but the first the mirrored photo."""
    loading = [node for node in nodes if node.get("type") == "LoadImage"]
    return [f"{node['id']}.image={MIRRORED}/{photo.name}" for node in loading[1:]]


def _heading(nodes: Sequence[dict[str, Any]]) -> str:
    """The heading of a workflow's note, an empty string for none."""
    for node in nodes:
        lines = str((node.get("widgets_values") or [""])[0]).strip().splitlines()
        if node.get("type") in NOTES and lines and lines[0].startswith("#"):
            return lines[0].lstrip("# ")
    return ""
