"""`convert`: weights and directions of other programs to files of this project."""

from __future__ import annotations

import argparse

from ..models.convert import convert
from ..models.geometry.templates import FFHQ, WHOLE


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
    print(report.text())
    return 0
