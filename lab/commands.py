"""`train` and `evaluate`: hand settings to the training and evaluation functions."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..cli.sample_photo import astronaut
from ..models.errors import FaceLatentsError
from ..models.face_model import load_face_model
from ..models.imaging.photos import load_image
from . import results
from .bench import nodes as node_bench
from .bench import stylegan2, vectors
from .evaluation import codes, files, paste
from .evaluation.batches import figures as batches
from .evaluation.clip import figures as clip
from .evaluation.digits import figures as digits
from .evaluation.face import whole as face
from .evaluation.finder import figures as finder
from .evaluation.hostile import run as hostile
from .evaluation.lsd import paper as lsd_paper
from .evaluation.lsd import paper_report as lsd_paper_report
from .evaluation.lsd import report as lsd_report
from .evaluation.lsd import run as lsd
from .settings import read_settings
from .training import bases, judge
from .training.digits import classifier as digit_classifier
from .training.digits import train as train_digits
from .training.digits_gan import run as train_digits_gan
from .training.face import run as train_face
from .training.finder import run as train_finder
from .training.landmarks import run as train_landmarks
from .training.loop import Paused, Progress


class Training(NamedTuple):
    """A dataclass of settings, and a function that trains with the data and writes a file."""

    settings: type
    run: Callable[..., Mapping[str, Any]]


class Evaluation(NamedTuple):
    """Where results are kept, settings, what measures with them, what tells it."""

    section: tuple[str, str]  # file and title
    settings: type
    run: Callable[[argparse.Namespace, Any, Progress], Mapping[str, Any]]
    report: Callable[[Mapping[str, Any]], str] | None = None
    needs_model: bool = False  # there is no bundled model to measure without `--model`


def train(args: argparse.Namespace) -> int:
    """Train a model and print its figures."""
    data = _given(args.data, "--data DIR, the training data", must_exist=True)
    output = _given(args.output, "--output, the place for the trained model")
    training = TRAININGS[args.what]
    settings: Any = read_settings(training.settings, args.options, args.what)
    try:
        with _StageBars() as bars:
            figures = plain(training.run(data, output, settings, progress=bars))
    except Paused as paused:
        print(f"{paused} The same command goes on.")
        return 0
    _write_json(figures, args.json)
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Measure a model, or the nodes' overhead, and print the figures."""
    evaluation = EVALUATIONS[args.what]
    settings: Any = read_settings(evaluation.settings, args.options, args.what)
    with _StageBars() as bars:
        figures = plain(evaluation.run(args, settings, bars))
    _write_json(figures, args.json)
    if evaluation.report is None:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        print(evaluation.report(figures))
    if args.results is not None:
        body = (evaluation.report or results.table)(figures)
        file, title = evaluation.section
        if (
            args.model is not None and not evaluation.needs_model
        ):  # the file without an addition is the bundled model's
            file, title = f"{file}_{args.model.stem}", f"{title}: {args.model.stem}"
        results.write_section(args.results, file, title, _command(args), body, args.model)
    return 0


def _command(args: argparse.Namespace) -> str:
    """The command to measure again, without the places of this machine."""
    data = "" if args.data is None else " --data DIR"
    data += "" if args.model is None else f" --model {args.model.name}"
    shown = ("reference=DIR", "encoders=FILE", "recogniser=MODULE:FUNCTION")
    hidden = {text.partition("=")[0]: text for text in shown}
    told = [hidden.get(option.partition("=")[0], option) for option in args.options]
    places = ("pictures", "cache_dir", "out_dir")
    options = "".join(f" {option}" for option in told if not option.startswith(places))
    return f"face-latents evaluate {args.what}{options}{data} --results docs/results"


def _given(path: Path | None, what: str, must_exist: bool = False) -> Path:
    if path is None:
        raise FaceLatentsError(f"This command needs {what}.")
    if must_exist and not path.is_dir():
        raise FaceLatentsError(f"There is no folder '{path}'.")
    return path


def _of_model(
    measure: Callable[..., Mapping[str, Any]], data: str = "the evaluation data"
) -> Callable[[argparse.Namespace, Any, Progress], Mapping[str, Any]]:
    """Measure the model of `--model` (else the bundled one) with the folder of `--data`."""

    def run(args: argparse.Namespace, settings: Any, progress: Progress) -> Mapping[str, Any]:
        folder = _given(args.data, f"--data DIR, {data}", must_exist=True)
        model = None if args.model is None else load_face_model(args.model)
        return measure(folder, settings, model=model, progress=progress)

    return run


def _finder(args: argparse.Namespace, settings: Any, progress: Progress) -> Mapping[str, Any]:
    folder = _given(args.data, "--data DIR, the evaluation data", must_exist=True)
    if args.model is not None:
        raise FaceLatentsError("evaluate finder measures the bundled finder; leave --model out.")
    return finder.evaluate_finder(folder, settings)


def _batches(args: argparse.Namespace, settings: Any, progress: Progress) -> Mapping[str, Any]:
    folder = _given(args.data, "--data DIR, photos with faces", must_exist=True)
    return batches.evaluate_batches(folder, settings, progress)


def _files(args: argparse.Namespace, settings: Any, progress: Progress) -> Mapping[str, Any]:
    photo = load_image(args.photo)[0][0] if args.photo is not None else astronaut()[:240, 110:350]
    return files.run_round_trips(photo, settings)


def _nodes(args: argparse.Namespace, settings: Any, progress: Progress) -> Mapping[str, Any]:
    photo = load_image(args.photo)[0][0] if args.photo is not None else astronaut()
    return node_bench.run_benchmark(photo, settings)


def _clip(args: argparse.Namespace, settings: Any, progress: Progress) -> Mapping[str, Any]:
    photo = load_image(args.photo)[0][0] if args.photo is not None else astronaut()
    model = None if args.model is None else load_face_model(args.model)
    return clip.evaluate_clip(photo, settings, model=model, progress=progress)


def _vectors(args: argparse.Namespace, settings: Any, progress: Progress) -> Mapping[str, Any]:
    return vectors.run_vectors(settings)


def _stylegan2(args: argparse.Namespace, settings: Any, progress: Progress) -> Mapping[str, Any]:
    return stylegan2.run_stylegan2(settings)


def _hostile(args: argparse.Namespace, settings: Any, progress: Progress) -> Mapping[str, Any]:
    return hostile.evaluate_hostile(settings, progress=progress)


def _train_face(*given: Any, progress: Progress) -> Mapping[str, Any]:
    return train_face.train_face(*given, progress=progress).metadata


TRAININGS = {
    "face": Training(train_face.FaceTraining, _train_face),
    "judge": Training(judge.JudgeTraining, judge.make_judge),
    "finder": Training(train_finder.FinderTraining, train_finder.train_finder),
    "digits": Training(train_digits.DigitsTraining, train_digits.train_digits),
    "digit_classifier": Training(
        digit_classifier.DigitClassifierTraining, digit_classifier.train_digit_classifier
    ),
    "digits-gan": Training(train_digits_gan.DigitsGanTraining, train_digits_gan.train_digits_gan),
    "landmarks": Training(train_landmarks.LandmarkTraining, train_landmarks.train_landmarks),
    "basis": Training(bases.BasisTraining, bases.train_basis),
}
EVALUATIONS = {
    "batches": Evaluation(
        ("batches", "Batches"), batches.BatchEvaluation, _batches, batches.report
    ),
    "files": Evaluation(("files", "Photo files"), files.FileRoundTrips, _files, files.report),
    "face": Evaluation(("face", "Face model"), face.FaceEvaluation, _of_model(face.evaluate_whole)),
    "codes": Evaluation(
        ("codes", "What is read off codes"), codes.CodesEvaluation, _of_model(codes.evaluate_codes)
    ),
    "finder": Evaluation(("finder", "Face finder"), finder.FinderEvaluation, _finder),
    "paste": Evaluation(
        ("paste", "Paste Back"), paste.PasteEvaluation, _of_model(paste.evaluate_paste)
    ),
    "clip": Evaluation(("clip", "Clips"), clip.ClipEvaluation, _clip),
    "digits": Evaluation(
        ("digits", "Digits model"), digits.DigitsEvaluation, _of_model(digits.evaluate_digits)
    ),
    "benchmark": Evaluation(
        ("nodes", "Cost of the nodes"), node_bench.NodeBenchmark, _nodes, node_bench.report
    ),
    "vectors": Evaluation(
        ("vectors", "Vector operations"), vectors.VectorBenchmark, _vectors, vectors.report
    ),
    "hostile": Evaluation(
        ("hostile", "Hostile inputs"), hostile.HostileEvaluation, _hostile, hostile.report
    ),
    "lsd": Evaluation(
        ("lsd", "Latent spectral decomposition"),
        lsd.LsdEvaluation,
        _of_model(lsd.evaluate_lsd, "the folder of MNIST"),
        lsd_report.report,
    ),
    "lsd_paper": Evaluation(
        ("lsd_paper", "The claims of the LSD paper, setting by setting"),
        lsd_paper.PaperEvaluation,
        _of_model(lsd_paper.evaluate_paper, "the folder of MNIST"),
        lsd_paper_report.report,
        needs_model=True,
    ),
    "stylegan2": Evaluation(
        ("stylegan2", "StyleGAN2 synthesis"),
        stylegan2.StyleGAN2Benchmark,
        _stylegan2,
        stylegan2.stylegan2_report,
    ),
}


class _StageBars:
    """A progress bar per stage of a training or an evaluation."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def __enter__(self) -> _StageBars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if stage != self._stage:
            self.__exit__()
            self._stage = stage
            self._bar = tqdm(total=total, desc=stage, disable=None)
        self._bar.update(done - self._bar.n)


def _write_json(figures: Mapping[str, Any], file: Path | None) -> None:
    if file is None:
        return
    results.write_text(file, json.dumps(figures, indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """Figures as JSON values: dataclasses, paths, tensors and numpy numbers unwrapped."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return value.tolist() if hasattr(value, "tolist") else str(value)
