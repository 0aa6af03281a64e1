"""Settings of ``train`` and ``evaluate``: what cannot be one is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from face_latents.cli.main import main


@pytest.mark.parametrize(
    ("what", "setting", "said"),
    [
        ("paste", "model=my.safetensors", "has no setting model. Its settings are: methods, edits"),
        ("face", "edit_faces=many", "edit_faces=many is not understood; edit_faces takes a number"),
        ("paste", "edits=smile", "edits takes a list"),
        ("face", "colour=1", "has no setting colour"),
        ("face", "edit_faces", "Write name=value"),
    ],
)
def test_settings_that_cannot_be(
    what: str, setting: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", what, setting, "--data", str(tmp_path)]) != 0
    assert said in capsys.readouterr().err
