"""Pictures in the help pages: there, small, described, and found by the canvas and by GitHub."""

from __future__ import annotations

import re
from pathlib import Path

import face_latents
import pytest
from PIL import Image

PACKAGE = Path(face_latents.__file__).parent
DOCS, IMAGES = PACKAGE / "web" / "docs", PACKAGE / "web" / "images"
PICTURE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<path>[^)]+)\)")
ALL_TOGETHER = 1_200_000  # bytes; everyone who installs the pack downloads them

SHOWN = [
    (page.name, found["alt"], found["path"])
    for page in sorted(DOCS.glob("*.md"))
    for found in PICTURE.finditer(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("page", "alt", "path"), SHOWN)
def test_a_picture_is_there_and_described(page, alt, path):
    # The canvas reads pages under /extensions/<folder>/docs/, so this leads to .../images/.
    assert path.startswith("../images/"), page
    assert len(alt) > 20, page
    picture = Image.open(DOCS / path)
    assert max(picture.size) <= 800
    assert picture.format == "JPEG"


def test_every_picture_is_shown_somewhere():
    named = {Path(path).name for _, _, path in SHOWN}
    readme = PACKAGE / "README.md"
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        named |= {Path(found["path"]).name for found in PICTURE.finditer(text)}
        assert {path.name for path in IMAGES.iterdir()} <= named
    assert len(SHOWN) >= 12


def test_pictures_are_small():
    assert sum(path.stat().st_size for path in IMAGES.iterdir()) < ALL_TOGETHER
