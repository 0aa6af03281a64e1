"""The commands of the README and the guides are understood as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from face_latents.cli import commands
from face_latents.cli.main import build_parser
from face_latents.lab import commands as lab

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/FARM.md")


def written_commands(page: str) -> list[list[str]]:
    """The words of each line of a page's shell blocks that starts with the command."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        lines = block.replace("\\\n", " ").splitlines()
        words = (shlex.split(line, comments=True) for line in lines)
        found += [line[1:] for line in words if line and line[0].endswith("face-latents")]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_understood(page: str) -> None:
    parser, found = build_parser(), written_commands(page)
    assert found or page != "README.md"
    for words in found:
        args, rest = parser.parse_known_args(words)
        assert not [word for word in rest if word.startswith("-")], words
        if hasattr(args, "workflow"):
            assert (ROOT / args.workflow).is_file() or args.workflow.parent == Path(), words


def test_the_laboratory_and_the_command_know_the_same() -> None:
    assert sorted(commands._TRAINED) == sorted(lab.TRAININGS)
    assert sorted(commands._MEASURED) == sorted(lab.EVALUATIONS)
