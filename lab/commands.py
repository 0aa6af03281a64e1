"""``train`` and ``evaluate``: hand options to the training and evaluation functions."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..models.errors import FaceLatentsError
from . import results


def train(args: argparse.Namespace) -> int:
    """Train a model and print its figures."""
    given: dict[str, Any] = {"data_dir": _needed(args.data, "--data DIR, the training data")}
    output = _needed(args.output, "--output, the place for the trained model", must_exist=False)
    if args.what == "face":
        from .training.face.run import train_face

        model = _call(train_face, {**given, "out_file": output}, args)
        return _tell(dict(model.metadata), args.json)
    if args.what == "digits":
        from .training.digits.train import train_digits

        return _tell(_call(train_digits, {**given, "out_file": output}, args), args.json)
    if args.what == "judge":
        from .training.judge import make_judge

        return _tell(_call(make_judge, {**given, "out_file": output}, args), args.json)
    if args.what == "basis":
        from .training.bases import train_basis

        return _tell(_call(train_basis, {**given, "out_file": output}, args), args.json)
    from .training.finder.run import train_finder

    path = _call(train_finder, {**given, "out_dir": output}, args)
    return _tell({"model": path}, args.json)


def evaluate(args: argparse.Namespace) -> int:
    """Measure a model, or the nodes' overhead, and print the figures."""
    if args.what == "benchmark":
        figures, text = _benchmark(args)
    elif args.what == "stylegan2":
        figures, text = _stylegan2(args)
    elif args.what == "lsd":
        figures, text = _spectral(args)
    else:
        figures = _measure(args)
        text = json.dumps(figures, indent=2, ensure_ascii=False)
    _write_json(figures, args.json)
    print(text)
    if args.results is not None:
        body = text if args.what in ("benchmark", "lsd", "stylegan2") else results.table(figures)
        name, title = _SECTIONS[args.what]
        results.write_section(args.results, name, title, _command(args), body)
    return 0


_SECTIONS = {  # file and title of the results
    "face": ("face", "Face model"),
    "finder": ("finder", "Face finder"),
    "paste": ("paste", "Paste Back"),
    "digits": ("digits", "Digits model"),
    "benchmark": ("nodes", "Cost of the nodes"),
    "lsd": ("lsd", "Latent spectral decomposition"),
    "stylegan2": ("stylegan2", "StyleGAN2 synthesis"),
}


def _command(args: argparse.Namespace) -> str:
    """The command to measure again, without the places of this machine."""
    data = "" if args.data is None else " --data DIR"
    told = ["reference=DIR" if o.startswith("reference=") else o for o in args.options]
    places = ("pictures", "cache_dir", "out_dir")
    options = "".join(f" {option}" for option in told if not option.startswith(places))
    return f"face-latents evaluate {args.what}{options}{data} --results docs/results"


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, Any] = {"data_dir": _needed(args.data, "--data DIR, the evaluation data")}
    if args.what == "face":
        from ..models.face_model import load_face_model
        from .evaluation.face.whole import evaluate_whole

        if args.model is not None:
            given["model"] = load_face_model(args.model)
        return dict(plain(_call(evaluate_whole, given, args)))
    if args.what == "paste":
        from ..models.face_model import load_face_model
        from .evaluation.paste import evaluate_paste

        if args.model is not None:
            given["model"] = load_face_model(args.model)
        return dict(plain(_call(evaluate_paste, given, args)))
    if args.what == "digits":
        from ..models.face_model import load_face_model
        from .evaluation.digits.figures import evaluate_digits

        if args.model is not None:
            given["model"] = load_face_model(args.model)
        return dict(plain(_call(evaluate_digits, given, args)))
    from .evaluation.finder.figures import evaluate_finder

    if args.model is not None:
        raise FaceLatentsError("evaluate finder measures the bundled finder; leave --model out.")
    return dict(plain(_call(evaluate_finder, given, args)))


def _spectral(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from ..models.face_model import load_face_model
    from .evaluation.lsd.run import evaluate_lsd
    from .lsd_report import report

    given: dict[str, Any] = {"data_dir": _needed(args.data, "--data DIR, the folder of MNIST")}
    if args.model is not None:
        given["model"] = load_face_model(args.model)
    figures = dict(plain(_call(evaluate_lsd, given, args)))
    return figures, report(figures)


def _benchmark(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from ..cli.sample_photo import astronaut
    from ..models.imaging.photos import load_image
    from .bench.nodes import report, run_benchmark

    photo = load_image(args.photo)[0][0] if args.photo is not None else astronaut()
    figures = _call(run_benchmark, {"photo": photo}, args)
    return figures, report(figures)


def _stylegan2(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from .bench.stylegan2 import run_stylegan2, stylegan2_report

    figures = _call(run_stylegan2, {}, args)
    return figures, stylegan2_report(figures)


def _needed(path: Path | None, what: str, must_exist: bool = True) -> Path:
    if path is None:
        raise FaceLatentsError(f"This command needs {what}.")
    if must_exist and not path.is_dir():
        raise FaceLatentsError(f"There is no folder '{path}'.")
    return path


def _call(function: Callable[..., Any], given: Mapping[str, Any], args: argparse.Namespace) -> Any:
    """Call with the given arguments and the ``name=value`` settings of the command line."""
    parameters = inspect.signature(function).parameters
    settings = _settings(args.options)
    open_ = {
        name: words
        for name, parameter in parameters.items()
        if name not in given and (words := _types(parameter))
    }
    unknown = [name for name in settings if name not in open_]
    if unknown:
        raise FaceLatentsError(
            f"'{args.what}' has no setting {', '.join(unknown)}. "
            f"Its settings are: {', '.join(open_) or 'none'}."
        )
    for name, value in settings.items():
        listed = "Sequence" in open_[name]
        if isinstance(value, str) and (listed or not open_[name] & {"str", "Path"}):
            wanted = "true or false" if "bool" in open_[name] else "a number"
            wanted = "a list such as [1, 2]" if listed else wanted
            raise FaceLatentsError(f"{name}={value} is not understood; {name} takes {wanted}.")
    if "progress" not in parameters:
        return function(**given, **settings)
    with _StageBars() as bars:
        return function(**given, **settings, progress=bars)


def _types(parameter: inspect.Parameter) -> set[str]:
    """Names in the annotation of a parameter that a text can set; else none."""
    words = set(re.findall(r"\w+", str(parameter.annotation)))
    plain_ones = {"int", "float", "str", "bool", "Path", "Sequence"}
    return words if words & plain_ones and "Callable" not in words else set()


def _settings(texts: list[str]) -> dict[str, Any]:
    """``name=value`` texts; values are read as JSON where they are JSON."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise FaceLatentsError(f"'{text}' is not understood. Write name=value.")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


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


def _tell(figures: Mapping[str, Any], file: Path | None) -> int:
    _write_json(figures, file)
    print(json.dumps(plain(figures), indent=2, ensure_ascii=False))
    return 0


def _write_json(figures: Mapping[str, Any], file: Path | None) -> None:
    if file is None:
        return
    results.write_text(file, json.dumps(plain(figures), indent=2, ensure_ascii=False) + "\n")


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
