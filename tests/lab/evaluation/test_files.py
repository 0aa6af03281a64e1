"""Round trips of photo files: the shipped table is whole, and a kind that loses something shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from face_latents.cli.main import main
from face_latents.lab.evaluation.files import file_kinds, report

TABLE = Path(__file__).parents[3] / "docs" / "results" / "files.md"


def test_the_shipped_table_has_every_kind_and_no_loss():
    rows = [line.split(" | ") for line in TABLE.read_text(encoding="utf-8").splitlines()]
    cells = {row[0].removeprefix("| "): row[1:] for row in rows if len(row) == 6}
    kinds = file_kinds(torch.rand(64, 48, 3))
    assert len(kinds) >= 25
    for name in kinds:
        assert cells[name][0] == "equal", name
        assert cells[name][2] == "-", name


def test_a_loss_shows():
    lost = {"same_pixels": False, "kept": [], "lost": ["profile"]}
    anew = {"anew_difference": 3.2, "anew_lost": ["exif"]}
    figures = {"kinds": 1, "kept": 0, "files": {"x.png": {**lost, **anew}}}
    text = report(figures)
    assert text.startswith("0 of 1 kinds")
    assert "| x.png | differ | - | profile | 3.2 | exif |" in text


@pytest.mark.slow
def test_some_kinds_come_back_whole(capsys):
    only = '["16-bit RGB with alpha.png", "profile, EXIF, dpi, XMP.jpg", "orientation 6.jpg"]'
    assert main(["evaluate", "files", f"only={only}"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 of 3 kinds")
    assert "| 16-bit RGB with alpha.png | equal | depth, alpha | - | 0 | - |" in out
    assert "| profile, EXIF, dpi, XMP.jpg | equal | profile, exif, xmp, dpi | - |" in out
    assert main(["evaluate", "files", 'only=["a.heic"]']) == 2
    assert "There is no kind of file 'a.heic'. There are: 8-bit RGB.png," in capsys.readouterr().err
