"""What a wheel and the registry's archive hold, and the versions that several files name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import face_latents
import pytest
from PIL import Image

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


@pytest.fixture(scope="module")
def published() -> list[str]:
    """What the publishing tool packs: the tracked files that .comfyignore does not name."""
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
    assert not [name for name in ignored if name.startswith(SHIPPED)]
    return sorted(set(tracked) - set(ignored))


def test_the_registrys_archive_leaves_out_what_no_user_runs(published):
    assert {name.split("/")[0] for name in published} == {
        *SHIPPED,
        *("__init__.py", "__main__.py", "py.typed", "pyproject.toml", "requirements.txt"),
        *("web", "locales", "workflows", "subgraphs", "icon.png"),
        *("README.md", "CHANGELOG.md", "LICENSE"),
    }


def test_the_registrys_archive_is_small(published):
    assert sum((ROOT / name).stat().st_size for name in published) < 40 * 2**20


# What the registry's scan flags; it does not ask why. Versions that it flags are not distributed.
FLAGGED = {
    "programs": r"\bsubprocess\b|\bos\.(system|popen|exec\w*|spawn\w*)\b|\bpty\b",
    "network": r"\b(import|from) (urllib|requests|httpx|http|ftplib|smtplib|socket|websockets?)\b"
    r"|\burllib\b|\brequests\.(get|post|put|request|Session)\b|\bsocket\.socket\b"
    r"|\baiohttp\.Client",
    "environment": r"\bos\.environ\b|\bgetenv\b",
    "native code": r"\b(ctypes|cffi)\b",
    "code from texts": r"(?<![\w.])(exec|eval|compile|__import__)\(|\bmarshal\b|\bnew Function\b",
    "pickles": r"\b(import|from) (pickle|dill|joblib|shelve)\b|\btorch\.load\(|\bpickle\.\w+\(",
    "encoded texts": r"\b(base64|codecs)\b",
}


def test_the_registrys_scan_finds_nothing(published):
    texts = {n: (ROOT / n).read_text("utf-8") for n in published if n.endswith((".py", ".js"))}
    found = [
        f"{name}: {kind}: {match[0]}"
        for name, text in texts.items()
        for kind, pattern in FLAGGED.items()
        for match in re.finditer(pattern, text)
    ]
    assert found == []
    # the word itself stands only where files of other programs are told apart and converted
    named = {name for name, text in texts.items() if re.search("pickle", text, re.I)}
    allowed = {"models/files/header.py", "models/files/tensors.py"}
    assert {name for name in named if not name.startswith("models/convert/")} <= allowed


def test_nothing_of_others_is_bundled(published):
    kinds = {Path(name).suffix for name in published}
    assert kinds <= {
        *("", ".py", ".typed", ".toml", ".txt", ".md", ".json", ".safetensors"),
        *(".png", ".jpg", ".css", ".js"),
    }
    for name in published:
        if name.endswith((".js", ".css")):
            text = (ROOT / name).read_text("utf-8")
            assert max(map(len, text.splitlines())) < 500, f"{name} is minified"
            assert not re.search(
                r"https?://(?!www\.w3\.org/2000/svg)|@licen[sc]e|sourceMappingURL", text
            ), name


def test_the_registry_knows_what_it_shows():
    comfy = table("tool.comfy")
    for key, (width, height) in {"Icon": (1, 1), "Banner": (21, 9)}.items():
        address = re.search(rf'^{key} = "(.*)"$', comfy, re.M)
        assert address, key
        place = address[1].removeprefix(
            "https://raw.githubusercontent.com/face-latents/face-latents/main/"
        )
        picture = Image.open(ROOT / place)
        assert picture.width * height == picture.height * width, key
        assert picture.width >= 256, key
    assert re.search(r'^requires-comfyui = ">=', comfy, re.M)


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
