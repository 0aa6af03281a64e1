"""The subcommands and their options. The work is imported only when a command runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..models.errors import FaceLatentsError

Subparsers = Any  # argparse's action for subcommands has no public name


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where the network runs (default: CUDA if there is one)",
    )
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show progress bars (default: in a terminal)",
    )
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of your own models and directions"
    )


def _face_options(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--model", metavar="NAME", help="a model file of yours instead of the bundled one"
    )
    parser.add_argument(
        "--min-score",
        type=float,
        default=0.4,
        metavar="P",
        help="how sure the face finder must be, 0 to 1 (default 0.4)",
    )


def _faces(text: str) -> str:
    if text in ("largest", "all") or text.isdecimal():
        return text
    raise argparse.ArgumentTypeError(f"it has to be largest, all or a number, but is '{text}'")


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"it has to be a number from 1 on, but is '{text}'")


def _force_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="the result may take the place of the original"
    )


def _json_option(parser: argparse.ArgumentParser, what: str = "the result as JSON") -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what}")


def _add_run(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "run",
        help="run a workflow without ComfyUI",
        description="Run a workflow: JSON saved from the canvas, JSON in API format, or a PNG "
        "with a workflow inside. Everything is checked before anything runs. With --input FOLDER "
        "the workflow runs once per picture of the folder: the Load Image node that varies is the "
        "one given by --set NODE.image=*, else the first one that --set leaves alone.",
    )
    parser.add_argument("workflow", type=Path, metavar="WORKFLOW")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.input=value",
        help="set a value; NODE is a node's id, title or type",
    )
    parser.add_argument(
        "--input", type=Path, metavar="DIR|FILE", help="a photo, or a folder of them"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("output"), metavar="DIR", help="default: ./output"
    )
    parser.add_argument(
        "--decoder",
        choices=("pillow", "ffmpeg"),
        default="pillow",
        help="what reads photos; ffmpeg gives a JPEG the very pixels it has in ComfyUI 0.33 "
        "and needs the package av",
    )
    parser.add_argument("--check", action="store_true", help="only check the workflow, run nothing")
    parser.add_argument(
        "--stop-on-error",
        action="store_true",
        help="do not go on with the next photo after a failure",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="leave out the photos that manifest.jsonl of the output folder has as done, with this "
        "workflow and these settings",
    )
    parser.add_argument(
        "--jobs",
        type=_count,
        default=1,
        metavar="N",
        help="share the photos out among N processes (needs face-latents[farm])",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="share the photos out among the workers of the Dask scheduler at this address, such "
        "as tcp://HOST:8786 (needs face-latents[farm])",
    )
    _json_option(parser, "a line of JSON for each photo")
    _common(parser)
    parser.set_defaults(run=_lazy("runner.command", "run"))


def _add_encode(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("encode", help="encode the faces of a photo into a file")
    parser.add_argument("photo", type=Path, metavar="PHOTO")
    parser.add_argument("out", type=Path, metavar="OUT.safetensors")
    parser.add_argument(
        "--faces",
        type=_faces,
        default="largest",
        metavar="largest|all|N",
        help="which of the photo's faces: the largest one (default), all of them, or the one with "
        "this number, 0 being the largest and 1 the next",
    )
    _face_options(parser)
    _json_option(parser)
    parser.set_defaults(run=_lazy("faces", "encode"))


def _add_edit(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "edit",
        help="edit the face in a photo",
        description="Move the face along directions and put it back into the photo. Bit depth, "
        "transparency, colour profile, EXIF data and dpi stay as in the photo; what the format of "
        "OUT cannot hold is said.",
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="DIRECTION=STRENGTH",
        help="for example smile=2 or age=-1; may be given several times",
    )
    result = parser.add_mutually_exclusive_group()
    result.add_argument(
        "--paste", dest="crop", action="store_false", help="the whole photo (default)"
    )
    result.add_argument("--crop", action="store_true", help="only the face, as the model draws it")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    parser.add_argument(
        "--faces",
        type=_faces,
        default="largest",
        metavar="largest|all|N",
        help="which of the photo's faces: the largest one (default), all of them, or the one with "
        "this number, 0 being the largest and 1 the next",
    )
    _face_options(parser)
    _force_option(parser)
    _json_option(parser)
    parser.set_defaults(run=_lazy("edit", "run"), crop=False)


def _add_morph(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("morph", help="an animation from face to face")
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help=".gif, .webp, or a folder"
    )
    parser.add_argument("--frames", type=int, default=24, metavar="N", help="in all (default 24)")
    parser.add_argument("--path", choices=("slerp", "lerp", "spline"), default="slerp")
    parser.add_argument("--loop", action="store_true", help="return to the first face")
    parser.add_argument(
        "--size", type=int, default=512, metavar="PX", help="side of a picture (default 512)"
    )
    parser.add_argument("--fps", type=float, default=12.0, help="speed (default 12)")
    _force_option(parser)
    _face_options(parser)
    _json_option(parser)
    parser.set_defaults(run=_lazy("faces", "morph"))


def _add_distance(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("distance", help="how far apart faces are, as a matrix")
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument("--metric", metavar="NAME", help="default: the node's default")
    parser.add_argument(
        "--part",
        metavar="NAME",
        help="all (default), identity (without pose, expression, light), shape, appearance, pose",
    )
    _face_options(parser)
    _json_option(parser)
    parser.set_defaults(run=_lazy("faces", "distance"))


def _add_arith(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "arith",
        help="calculate with latent vectors",
        description="Vectors in brackets, + - *, parentheses, and lerp(a, b, t), slerp(a, b, t), "
        "dist(a, b), norm(a). Example: face-latents arith '[2.5 -1.3] + 2 * [0 0.5]'",
    )
    _json_option(parser)
    parser.add_argument("expression", nargs=argparse.REMAINDER, metavar="EXPRESSION")
    parser.set_defaults(run=_lazy("arith", "run"))


def _add_convert(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "convert",
        help="convert StyleGAN2, e4e and pSp weights, or directions, to safetensors",
        description="Convert a StyleGAN2 .pt or .pkl, an e4e or pSp .pt, or directions (.npy, "
        ".pt). Nothing in the file is run; what is not known is refused, and told.",
    )
    parser.add_argument("file", type=Path, metavar="IN")
    parser.add_argument("out", type=Path, metavar="OUT.safetensors")
    parser.add_argument("--name", help="display name (default: the file's name)")
    parser.add_argument(
        "--licence", "--license", metavar="TEXT", help="licence of the weights, kept in the file"
    )
    parser.add_argument("--source", metavar="TEXT", help="where they came from, kept in the file")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="MODEL.safetensors",
        help="for directions: the converted model that they belong to",
    )
    parser.add_argument(
        "--align",
        choices=("ffhq", "whole"),
        default="ffhq",
        help="how photos are cut for the network: as in FFHQ (default), or whole pictures, for "
        "networks of other things than faces",
    )
    _json_option(parser)
    parser.set_defaults(run=_lazy("convert_weights", "run"))


_TRAINED = (
    "face", "landmarks", "judge", "finder", "digits", "digits-gan", "digit_classifier", "basis",
)  # fmt: skip


def _add_train(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("train", help="train a bundled model anew")
    parser.add_argument("what", choices=_TRAINED)
    parser.add_argument("--data", type=Path, metavar="DIR", help="training data")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the model goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("options", nargs="*", metavar="name=value", help="further settings")
    parser.set_defaults(run=_in_lab("train"))


_MEASURED = (
    "face", "codes", "finder", "paste", "clip", "digits", "lsd", "lsd_paper", "benchmark",
    "stylegan2", "vectors", "hostile", "batches", "files",
)  # fmt: skip


def _add_evaluate(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("evaluate", help="measure a model, or what its steps cost")
    parser.add_argument("what", choices=_MEASURED)
    parser.add_argument("--data", type=Path, metavar="DIR", help="evaluation data")
    parser.add_argument("--model", type=Path, metavar="FILE", help="default: the bundled model")
    parser.add_argument(
        "--photo", type=Path, help="for benchmark, clip and files; default: the astronaut"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="write the section into this folder",
    )
    parser.add_argument("options", nargs="*", metavar="name=value", help="further settings")
    parser.set_defaults(run=_in_lab("evaluate"))


def _add_demo(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("demo", help="run the shipped workflows on a photo")
    parser.add_argument(
        "photo", type=Path, nargs="?", metavar="PHOTO", help="default: scikit-image's astronaut"
    )
    parser.add_argument("--output", type=Path, default=Path("out/demo"), metavar="DIR")
    _common(parser)
    parser.set_defaults(run=_lazy("demo", "run"))


def _lazy(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    def call(args: argparse.Namespace) -> int:
        from importlib import import_module

        return int(getattr(import_module(f".{module}", __package__), function)(args) or 0)

    return call


def _in_lab(function: str) -> Callable[[argparse.Namespace], int]:
    """Call what only a checkout has; by name, so that nothing shipped imports it."""

    def call(args: argparse.Namespace) -> int:
        from importlib import import_module
        from importlib.util import find_spec

        lab = f"{__package__.rpartition('.')[0]}.lab"
        if find_spec(lab) is None:
            raise FaceLatentsError(
                f"'{function}' needs a checkout: training and evaluation are no part of the "
                "published pack. Clone the repository and install it with 'pip install -e .'."
            )
        return int(getattr(import_module(f"{lab}.commands"), function)(args) or 0)

    return call


ALL: tuple[Callable[[Subparsers], None], ...] = (
    _add_run,
    _add_encode,
    _add_edit,
    _add_morph,
    _add_distance,
    _add_arith,
    _add_convert,
    _add_train,
    _add_evaluate,
    _add_demo,
)
