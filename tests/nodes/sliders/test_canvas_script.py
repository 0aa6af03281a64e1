"""What the sliders on the canvas write into the node: the script itself, run by node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import face_latents
import pytest

PANEL = Path(face_latents.__file__).parent / "web" / "js" / "slider_panel.js"
ROWS = [
    {"name": "smile", "source": "model"},
    {"name": "mine_00001_", "source": "file"},
    {"name": "wired", "source": "wire"},
]

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node runs the canvas's scripts")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The canvas's scripts where node takes them for modules."""
    folder = tmp_path_factory.mktemp("js")
    for path in PANEL.parent.glob("*.js"):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    return folder / PANEL.name


def saved(script: Path, values: dict[str, float], keeps_others: bool) -> dict[str, Any]:
    given = json.dumps([ROWS, values, keeps_others])
    code = (
        f"import {{ valuesToSave }} from {json.dumps(script.as_uri())};"
        f"console.log(JSON.stringify(valuesToSave(...{given})));"
    )
    command = ["node", "--input-type=module", "-e", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    written: dict[str, Any] = json.loads(done.stdout)
    return written


def test_sliders_that_nobody_moved_are_not_named(script):
    assert saved(script, {"smile": 1.5}, keeps_others=False) == {"smile": 1.5}
    assert saved(script, {"smile": 0, "mine_00001_": 0}, keeps_others=False) == {}


def test_directions_of_ones_own_are_named_to_be_kept_still(script):
    assert saved(script, {"smile": 1.5}, keeps_others=True) == {"smile": 1.5, "mine_00001_": 0}
