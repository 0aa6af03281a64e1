"""Settings of `train` and `evaluate`: what cannot be one is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from face_latents.cli.main import main


@pytest.mark.parametrize(
    ("what", "setting", "said"),
    [
        ("paste", "model=my.safetensors", "has no setting model. Its settings are:\n  methods=["),
        (
            "face",
            "edit_faces=many",
            "=many is not understood; edit_faces takes a whole number",
        ),
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


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_without_the_laboratory_a_checkout_is_asked_for(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([command, "face"]) == 2
    assert f"'{command}' needs a checkout" in capsys.readouterr().err


@pytest.mark.parametrize("first", [True, False])
def test_settings_stand_before_options_or_after(
    first: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(tmp_path)]
    line = ["lsd", "rounds=0", *options] if first else ["lsd", *options, "rounds=0"]
    assert main(["evaluate", *line]) == 2
    assert "rounds" in capsys.readouterr().err


@pytest.mark.parametrize("line", [["evaluate", "lsd", "--speed"], ["demo", "a.jpg", "b.jpg"]])
def test_what_is_not_understood_is_named(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(line)
    assert stopped.value.code == 2
    assert line[-1] in capsys.readouterr().err
