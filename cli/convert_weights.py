"""`convert`: weights and directions of other programs to files of this project."""

from __future__ import annotations

import argparse
import dataclasses

from ..models.convert import convert
from ..models.geometry.templates import FFHQ, WHOLE
from .outputs import print_result


def run(args: argparse.Namespace) -> int:
    """Convert one file and print what was found."""
    report = convert(
        args.file,
        args.out,
        licence=args.licence,
        source=args.source,
        name=args.name,
        model=args.model,
        template={"ffhq": FFHQ, "whole": WHOLE}[args.align],
    )
    figures = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
    paths = {"path_in": str(report.path_in), "path_out": str(report.path_out)}
    print_result(args, [report.text()], **{**figures, **paths})
    return 0
