"""Everything that is measured of the face model, its finder and Paste Back, in one dictionary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch

from ....models.architectures.face.net import FaceShapeAppearanceNet
from ....models.errors import FaceLatentsError
from ....models.face_model import FaceModel, bundled_face_model_path, load_face_model
from ....models.judge import Judge, load_judge, read
from ...data.faces import METADATA_FILE, faces_folder, load_faces
from ...data.landmarks import TeacherPhoto, teacher_photos
from ..finder.figures import FinderEvaluation, evaluate_finder
from ..paste import PasteEvaluation, evaluate_paste
from .edits import evaluate_edits
from .expressions import evaluate_expressions, evaluate_pose, evaluate_ranges
from .figures import Reconstruction, draw_pictures
from .invented import evaluate_morphs, evaluate_samples
from .landmarks import SETS, evaluate_landmarks, has_landmarks
from .outside import load_function
from .points import bundled_points
from .recogniser import load_recogniser
from .smiles import SMILE, evaluate_smiles
from .speed import measure_speed
from .subjects import Subjects, crops_as_photos, photos_with_surroundings

Progress = Callable[[str, int, int], None]
PARTS = (
    "recon", "edits", "landmarks", "smiles", "pose", "expressions", "ranges", "morph", "samples",
    "finder", "paste", "speed",
)  # fmt: skip
FOLDERS = ("faces", "sharp", "portraits_context", "portraits")
ENDS = 20  # faces edited at both ends of every range


@dataclass(frozen=True)
class FaceEvaluation:
    """What is measured of a face model, and on what."""

    parts: Annotated[str, "what to measure"] = ",".join(PARTS)
    recogniser: Annotated[str | None, "MODULE:FUNCTION from crops to embeddings"] = None
    points: Annotated[str | None, "MODULE:FUNCTION from crops to dense landmarks"] = None
    split: Annotated[str, "rows of the table to use"] = "val"
    faces: Annotated[int, "of a set that are decoded or searched for landmarks, and samples"] = 1000
    edit_faces: Annotated[int, "of a set that are edited"] = 250
    out_dir: Annotated[Path | None, "folder for pictures"] = None
    cache_dir: Annotated[Path | None, "keeps the aligned crops for the next run"] = None


@torch.no_grad()
def evaluate_whole(
    data_dir: str | Path,
    settings: FaceEvaluation,
    *,
    model: FaceModel | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, object]:
    """Measure what `settings.parts` names.

    Args:
        data_dir: folder with `faces` (table and zips) or that folder itself; landmarks, smiles,
            pose, expressions, morphs and ranges need `sharp`, the finder `portraits_context`,
            Paste Back `portraits`. What has no data, or that a model cannot do, is left out, and
            named in `left_out`.
        settings: see there; `out_dir` gets `reconstruction.png` and an `edit_NAME.png` each.
        model: None takes the bundled one.
        progress: called with (stage, done, total).

    Returns:
        A key for each part, and `groups`, `weights_mb` and `left_out`.

    Raises:
        FaceLatentsError: an unknown part; no part could be measured.
    """
    wanted = [part.strip() for part in settings.parts.split(",")]
    unknown = sorted(set(wanted) - set(PARTS))
    if unknown:
        raise FaceLatentsError(
            f"parts={settings.parts}: there is no {', '.join(unknown)}. Choose from "
            f"{', '.join(PARTS)}."
        )
    model = model or load_face_model(bundled_face_model_path())
    run = _Run(Path(data_dir), settings, model, progress)
    left_out = {}
    for part in wanted:
        missing = run.missing(part)
        if missing is not None:
            left_out[part] = missing
            continue
        progress(part, 0, 1)
        run.result |= run.parts[part]()
    if not run.result:
        told = "; ".join(f"{part} {why}" for part, why in left_out.items())
        raise FaceLatentsError(f"Nothing can be measured with the data in '{data_dir}': {told}.")
    return run.result | ({"left_out": left_out} if left_out else {})


class _Run:
    """What several parts need, made once, and the parts, each a function to figures by key."""

    def __init__(
        self, data_dir: Path, settings: FaceEvaluation, model: FaceModel, progress: Progress
    ) -> None:
        self.data_dir, self.settings, self.model = data_dir, settings, model
        self.progress, self.recogniser = progress, load_recogniser(settings.recogniser)
        self.find = load_function("points", settings.points or bundled_points)
        self.result: dict[str, object] = {}
        most, edited = settings.faces, settings.edit_faces
        self.parts: dict[str, Callable[[], dict[str, object]]] = {
            "recon": self._recon,
            "edits": self._edits,
            "landmarks": lambda: {"landmarks": evaluate_landmarks(data_dir, most)},
            "smiles": lambda: {
                "smiles": evaluate_smiles(model, data_dir, self.judge, self.recogniser, edited)
            },
            "pose": lambda: {"pose": evaluate_pose(self.sharp, self.find)},
            "expressions": lambda: {
                "expressions": evaluate_expressions(
                    self.sharp,
                    self.judge,
                    torch.stack([p.points for p in self.photos]),
                    self.find,
                    progress,
                )
            },
            "ranges": lambda: {"ranges": evaluate_ranges(self.sharp[:ENDS], progress)},
            "morph": lambda: {"morph": evaluate_morphs(self.sharp)},
            "samples": lambda: {
                "samples": evaluate_samples(model, self.table.crops, most, progress)
            },
            "finder": lambda: {"finder": evaluate_finder(data_dir, FinderEvaluation())},
            "paste": self._paste,
            "speed": lambda: {"speed": measure_speed(model)},
        }

    def missing(self, part: str) -> str | None:
        """What a part needs and is not there."""
        known = isinstance(self.model.module, FaceShapeAppearanceNet)
        folders = {name for name in FOLDERS if (self.data_dir / name).is_dir()}
        needs = (
            ("recon edits samples", (faces_folder(self.data_dir) / METADATA_FILE).is_file(),
             "the table of faces"),
            ("landmarks", any(has_landmarks(self.data_dir / name) for name in SETS),
             "landmarks in the folders faces and sharp"),
            ("smiles pose expressions ranges morph", "sharp" in folders, "the folder sharp"),
            ("finder", folders >= {"faces", "portraits_context"},
             "the folders faces and portraits_context"),
            ("paste", "portraits" in folders, "the folder portraits"),
            ("pose expressions", known, "a model of shape and appearance"),
            ("smiles", SMILE in self.model.directions, "a direction 'smile'"),
        )  # fmt: skip
        lacking = [what for parts, there, what in needs if part in parts.split() and not there]
        return f"needs {lacking[0]}" if lacking else None

    @cached_property
    def judge(self) -> Judge:
        return load_judge()

    @cached_property
    def table(self) -> Reconstruction:
        """Faces of the table, decoded."""
        settings = self.settings
        faces = load_faces(
            self.data_dir, settings.split, template=self.model.template, most=settings.faces,
            cache_dir=settings.cache_dir, progress=self.progress,
        )  # fmt: skip
        return Reconstruction(self.model, faces)

    @cached_property
    def crops(self) -> Subjects:
        """Faces of the table, to be edited."""
        chosen, table = slice(self.settings.edit_faces), self.table
        return crops_as_photos(
            self.model, table.crops[chosen], table.codes[chosen], table.faces.rows[chosen],
            self.recogniser,
        )  # fmt: skip

    @cached_property
    def photos(self) -> list[TeacherPhoto]:
        """Sharp photos, with a teacher's landmarks."""
        return teacher_photos(self.data_dir / "sharp", "val")[: self.settings.edit_faces]

    @cached_property
    def sharp(self) -> Subjects:
        """These with what is around the face, to be edited."""
        return photos_with_surroundings(self.model, self.photos, self.recogniser)

    def _recon(self) -> dict[str, object]:
        if self.settings.out_dir is not None:
            draw_pictures(self.settings.out_dir, self.crops)
        weights = bundled_face_model_path().parent.glob("*.safetensors")
        return {
            "recon": self.table.figures(self.judge),
            "groups": self.table.groups(None),
            "weights_mb": round(sum(file.stat().st_size for file in weights) / 1e6, 2),
        }

    def _edits(self) -> dict[str, object]:
        reference = read(self.judge, self.table.crops, self.model.template)
        figures, succeeded = evaluate_edits(self.crops, self.judge, reference, self.progress)
        return {"edits": figures, "groups": self.table.groups(succeeded)}

    def _paste(self) -> dict[str, object]:
        pasting = PasteEvaluation(out_dir=self.settings.out_dir)
        photos = self.data_dir / "portraits"
        return evaluate_paste(photos, pasting, model=self.model, progress=self.progress)
