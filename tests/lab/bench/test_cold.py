"""Timing commands from nothing."""

import sys

from face_latents.lab.bench.cold import _seconds


def test_commands_keep_their_compiled_modules(tmp_path, monkeypatch):
    """As on a user's machine, even where this shell tells Python not to."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    refuse = "import sys; sys.exit(sys.dont_write_bytecode)"
    assert _seconds([sys.executable, "-c", refuse], str(tmp_path)) > 0
