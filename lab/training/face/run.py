"""Training the bundled face model: shapes, appearance, directions, renderer, one file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from ....models.architectures.face.mesh import MeshMap, map_mesh, polygon_mask
from ....models.architectures.face.mouth import MouthPainter
from ....models.architectures.face.net import REACH, FaceShapeAppearanceNet
from ....models.architectures.face.points import INNER_LIPS
from ....models.architectures.face.pose import measure_pose
from ....models.architectures.face.renderer import Renderer
from ....models.architectures.face.shape import FaceShape, parted
from ....models.face_model import FaceModel, load_face_model
from ....models.files.tensors import load_tensors, save_tensors
from ...data.canonical import CanonicalFaces, read_canonical_faces
from ...data.landmarks import checksum, mirrored_order, teacher_photos
from ...data.scores import read_scores
from ...directions.measures import change_measures, measure
from ...directions.recipes import BROWS_UP, CLOSING, RECIPES
from ..loop import Progress, Session, silent
from .appearance import CHUNK, fit_appearance, halved
from .directions import DirectionFit, Observed
from .export import export_face
from .geometry import add_one_sided, canonical_face, fit_shapes, mean_face, triangulate
from .labels import read_labels
from .mouth import MouthTraining, draw_mouths, mouths_to_learn
from .readings import fit_age, fit_expressions, fit_presence
from .render import Faces, RenderTraining, draw_samples

OPEN_MOUTHS = 0.8  # label above which a mouth is open
EDITS = ("age", "gender_expression", "beard", "glasses", "smile", "mouth_open", "brows")


@dataclass(frozen=True)
class FaceTraining:
    """What the face model is made of, and how long its renderer is trained."""

    size: Annotated[int, "pixels of a crop"] = 224
    shapes: Annotated[int, "numbers of a code for the shape, without one-sided ones"] = 60
    appearances: Annotated[int, "numbers of a code for the appearance"] = 720
    steps: Annotated[int, "of the renderer"] = 4200
    batch: Annotated[int, "parts of faces a step"] = 10
    mouth_steps: Annotated[int, "of the painter of mouths"] = 5200
    mouth_batch: Annotated[int, "mouths a step"] = 16
    sharp: Annotated[int, "times that each of the sharp faces counts"] = 5
    seed: Annotated[int, "of everything random"] = 0
    minutes: Annotated[float | None, "pause after so many; the same command goes on"] = None
    resume: Annotated[bool, "take up earlier stages; false begins anew"] = True


def train_face(
    data_dir: str | Path,
    out_file: str | Path,
    settings: FaceTraining,
    *,
    progress: Progress = silent,
) -> FaceModel:
    """Train the face model and write it to a file.

    Beside that file lie the canonical pictures (`canonical_SET.pt`), what each stage made
    (`NAME.geometry.safetensors`, `NAME.appearance.safetensors`), and state, curve and samples of
    the renderer and of the painter of mouths (`NAME.renderer.*`, `NAME.painter.*`). A run that was
    stopped goes on from them.

    Args:
        data_dir: the folder with `faces/` and `sharp/`.
        out_file: the safetensors file to write.
        settings: see there.
        progress: called with (stage, done, total).

    Raises:
        FaceLatentsError: the data are not there.
        Paused: the minutes are over.
    """
    data_dir, out_file = Path(data_dir), Path(out_file)
    out_file.parent.mkdir(parents=True, exist_ok=True)
    session = Session.start(settings.resume, settings.minutes, progress)
    stem = out_file.with_suffix("")
    photos = {name: teacher_photos(data_dir / name, "train") for name in ("faces", "sharp")}
    points = torch.stack([photo.points for photo in photos["faces"]])
    opened = torch.tensor([float(p.row["mouth_open"]) > OPEN_MOUTHS for p in photos["faces"]])
    geometry = partial(fit_geometry, points, opened, settings.shapes)
    tensors = _kept(stem, "geometry", session, geometry)
    mesh = canonical_mesh(tensors, settings.size)
    faces, sharp = (
        read_canonical_faces(
            photos[name], tensors["canon"], mesh,
            out_file.with_name(f"canonical_{name}_train.pt"), progress,
        )
        for name in ("faces", "sharp")
    )  # fmt: skip
    progress("appearance", 0, 1)
    tensors |= _kept(
        stem, "appearance", session, lambda: appearance_tensors(tensors, faces, settings)
    )
    net = untrained_net(tensors, settings.size)
    codes = {name: encode_canonical(net, part) for name, part in (("f", faces), ("s", sharp))}
    seen = observe(net, faces, codes["f"], pairs_of(sharp, codes["s"]))
    scores = read_scores(data_dir / "faces", [photo.name for photo in photos["faces"]])
    expressions = fit_expressions(net, seen, *scores)
    fit = DirectionFit(net, seen, expressions)
    directions = {recipe.name: fit.direction(recipe) for recipe in RECIPES}
    lessons = lessons_of(net, (faces, codes["f"]), (sharp, codes["s"]), directions, settings.sharp)
    training = RenderTraining(net, lessons, settings.steps, settings.batch, settings.seed)
    renderer = stem.with_name(f"{stem.name}.renderer")
    net.renderer = training.run(
        renderer,
        session,
        partial(draw_samples, training, stem.with_name(f"{stem.name}.renderer.samples.png")),
    )
    net.painter = train_painter(net, faces, sharp, settings, session, stem)
    facts = {
        "settings": json.dumps(asdict(settings)),
        "data_checksum": checksum([photo.name for photo in photos["faces"]], points),
    }
    readings = {"age": fit_age(net, seen)} | fit_presence(net, seen, directions)
    export_face(out_file, net, directions, codes["f"], facts, readings, expressions)
    return load_face_model(out_file)


def fit_geometry(points: Tensor, opened: Tensor, shapes: int) -> dict[str, Tensor]:
    """Tensors of mesh and shape of faces `(N, 478, 3)`, some of them with open mouths."""
    order = mirrored_order(points)
    mean = mean_face(points, order)
    canon = canonical_face(measure_pose(points[opened], mean)[1], order)
    tensors = {"canon": canon, "triangles": triangulate(canon).short()}
    tensors |= fit_shapes(points, mean, order, shapes)
    shape = FaceShape(shapes)
    shape.load_state_dict({n.removeprefix("shape."): t for n, t in tensors.items() if "." in n})
    changes = (change_measures(shape, each) for each in (CLOSING, BROWS_UP))
    fields = [((c * shape.std) @ shape.basis.flatten(1)).view_as(mean) for c in changes]
    return add_one_sided(tensors, fields, points)


def canonical_mesh(tensors: dict[str, Tensor], size: int) -> MeshMap:
    """The mesh of the canonical face on a grid of `size` places."""
    return map_mesh(tensors["canon"], tensors["triangles"].long(), size, 1.0, REACH)


def appearance_tensors(
    tensors: dict[str, Tensor], faces: CanonicalFaces, settings: FaceTraining
) -> dict[str, Tensor]:
    """Tensors of the appearance."""
    mouth = polygon_mask(tensors["canon"], INNER_LIPS, settings.size // 2, 1.0)
    shown = parted(measure_pose(faces.points, tensors["shape.mean"])[1])
    return fit_appearance(faces, shown, mouth, settings.appearances, settings.seed)


def untrained_net(tensors: dict[str, Tensor], size: int) -> FaceShapeAppearanceNet:
    """The network of what was fitted in closed form, with a renderer that adds nothing."""
    torch.manual_seed(0)
    net = FaceShapeAppearanceNet(
        size, len(tensors["shape.std"]), len(tensors["appearance.std"]),
        len(tensors["triangles"]), Renderer(size), MouthPainter(size),
    )  # fmt: skip
    net.load_state_dict(net.state_dict() | tensors)
    net.prepare()
    return net.eval().requires_grad_(False)


def train_painter(
    net: FaceShapeAppearanceNet,
    faces: CanonicalFaces,
    sharp: CanonicalFaces,
    settings: FaceTraining,
    session: Session,
    stem: Path,
) -> MouthPainter:
    """The trained painter of mouths; its state, curve and samples are `NAME.painter.*`.

    Raises:
        Paused: the session is over.
    """
    torch.manual_seed(settings.seed)
    painter = MouthPainter(net.size)
    painter.prepare(net.canon)
    mouths, shapes = mouths_to_learn(painter, faces, sharp, net.shape.mean)
    training = MouthTraining(
        painter, mouths, shapes, settings.mouth_steps, settings.mouth_batch, settings.seed
    )
    name = stem.with_name(f"{stem.name}.painter")
    samples = partial(draw_mouths, training, stem.with_name(f"{stem.name}.painter.samples.png"))
    return training.run(name, session, samples)


@torch.no_grad()
def encode_canonical(net: FaceShapeAppearanceNet, faces: CanonicalFaces) -> Tensor:
    """Codes `(N, K)` of canonical faces with the teacher's points."""
    pose, frontal = measure_pose(faces.points, net.shape.mean)
    shown = parted(frontal)
    small = halved(faces)
    looks = [
        net.fit_canonical(part.float() / 255, some)
        for part, some in zip(small.split(CHUNK), shown.split(CHUNK), strict=True)
    ]
    return torch.cat([*net.shape.whiten(pose, frontal), torch.cat(looks)], 1)


def observe(
    net: FaceShapeAppearanceNet, faces: CanonicalFaces, codes: Tensor, pairs: Tensor
) -> Observed:
    """What directions are fitted to."""
    poses, shapes = measure_pose(faces.points, net.shape.mean)
    return Observed(read_labels(faces), poses, measure(shapes), codes, pairs)


def pairs_of(faces: CanonicalFaces, codes: Tensor) -> Tensor:
    """Codes of smiling people less those of the same people with neutral faces, `(P, K)`."""
    by_person: dict[str, dict[str, int]] = {}
    for i, row in enumerate(faces.rows):
        if row["person"]:
            by_person.setdefault(row["person"], {})[row["expression"]] = i
    both = [(p["smiling"], p["neutral"]) for p in by_person.values() if len(p) == 2]
    return torch.stack([codes[smiling] - codes[neutral] for smiling, neutral in both])


def lessons_of(
    net: FaceShapeAppearanceNet,
    faces: tuple[CanonicalFaces, Tensor],
    sharp: tuple[CanonicalFaces, Tensor],
    directions: dict[str, Tensor],
    times: int,
) -> Faces:
    """What the renderer learns from: faces and their codes, the sharp ones several times."""
    sets = [faces] + [sharp] * times
    skip = net.code_shape[0] - len(net.appearance.std)
    shown = [parted(measure_pose(part.points, net.shape.mean)[1]) for part, _ in sets]
    return Faces(
        torch.cat([part.pictures for part, _ in sets]),
        torch.cat([codes[:, skip:] for _, codes in sets]),
        torch.cat(shown),
        torch.stack([directions[name][skip:] for name in EDITS]),
        polygon_mask(net.canon, INNER_LIPS, net.size, 1.0),
    )


def _kept(
    stem: Path, name: str, session: Session, make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Tensors of an earlier session, or made now and written for the next."""
    path = stem.with_name(f"{stem.name}.{name}.safetensors")
    if session.resume and path.is_file():
        return load_tensors(path)[0]
    tensors = {key: tensor.contiguous() for key, tensor in make().items()}
    save_tensors(path, tensors, {})
    return tensors
