"""What a wheel and the registry's archive hold, and the versions that several files name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import face_latents
import pytest

ROOT = Path(face_latents.__file__).parent
SHIPPED = ("cli", "latent_ops", "models", "nodes")
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


def table(name: str) -> str:
    """The text of one table of pyproject.toml. Python 3.10 has no reader of TOML."""
    found = re.search(rf"^\[{re.escape(name)}\]\n(.*?)(?=^\[|\Z)", PROJECT, re.M | re.S)
    assert found, name
    return found[1]


def test_a_wheel_holds_every_package_but_the_laboratory_and_the_tests():
    listed = re.search(r"packages = \[(.*?)\]", table("tool.setuptools"), re.S)
    assert listed
    present = {path.parent.relative_to(ROOT) for path in ROOT.glob("*/**/__init__.py")}
    shipped = [path for path in present if path.parts[0] in SHIPPED]
    names = {".".join(("face_latents", *path.parts)) for path in shipped}
    bundled = "face_latents.models.bundled"  # weights, no code
    assert set(re.findall(r'"(.*?)"', listed[1])) == {"face_latents", bundled, *names}


def test_the_registrys_archive_leaves_out_what_no_user_runs():
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]  # names may hold spaces
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    tracked = listed.split("\0")[:-1]
    if not tracked:
        pytest.skip("this is no git checkout: nothing is known about tracked files")
    ignored = subprocess.run(
        [*command, "--cached", "--ignored", "--exclude-from=.comfyignore"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")[:-1]
    kept = {name.split("/")[0] for name in set(tracked) - set(ignored)}
    assert kept == {
        *SHIPPED,
        *("__init__.py", "__main__.py", "py.typed", "pyproject.toml", "requirements.txt"),
        *("web", "locales", "workflows", "icon.png"),
        *("README.md", "CHANGELOG.md", "LICENSE"),
    }
    assert not [name for name in ignored if name.startswith(SHIPPED)]


def test_pre_commit_runs_the_ruff_that_lint_runs():
    pinned = re.search(r"ruff==([\d.]+)", table("project.optional-dependencies"))
    hook = re.search(r"rev: v([\d.]+)", (ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert pinned
    assert hook
    assert hook[1] == pinned[1]


def test_the_changelog_knows_the_version():
    version = re.search(r'^version = "(.*)"', table("project"), re.M)
    assert version
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
