"""The `face-latents` command: reads the command line and hands over to the other modules."""

from __future__ import annotations

import argparse
import io
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..models.errors import FaceLatentsError
from . import commands

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0; 1 where some photos of several failed, or a photo's file is damaged; 2
        for an error, told in one sentence on stderr; 130 after Ctrl-C.
    """
    _print_any_letter()
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    # argparse takes settings before options only
    if any(text.startswith("-") for text in rest) or (rest and not hasattr(args, "options")):
        parser.error(f"not understood: {' '.join(rest)}")
    elif rest:
        args.options += rest
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if args.debug:
        logging.getLogger(__package__.partition(".")[0]).setLevel(logging.DEBUG)
    try:
        return int(args.run(args) or 0)
    except KeyboardInterrupt:
        print("Interrupted. What is already saved stays.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        return 1
    except (FaceLatentsError, OSError) as error:
        if args.debug:
            raise
        print(f"face-latents: {error}", file=sys.stderr)
        return 2


def _print_any_letter() -> None:
    """Escape letters that the output's encoding does not have, instead of dying of them.

    Windows gives a redirected output an encoding of some 200 letters (cp1252); names of photos have
    others. Files whose names are no valid text cannot be printed in any encoding.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _PrintVersion(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"face-latents {_version()}")
        parser.exit()


def _version() -> str:
    """Of this checkout, else of the installed package."""
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    if project.is_file():
        found = re.search(r'^version = "(.*)"$', project.read_text(encoding="utf-8"), re.M)
        if found:
            return found[1]
    from importlib.metadata import version

    return version("face-latents")


def build_parser() -> argparse.ArgumentParser:
    """The parser with all subcommands; importing nothing heavy, so that --help is quick."""
    parser = argparse.ArgumentParser(
        prog="face-latents",
        description="Edit real faces in the latent space of a generative model.",
    )
    parser.add_argument("--version", action=_PrintVersion, help="show the version and end")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in commands.ALL:
        add(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
