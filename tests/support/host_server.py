"""Start a ComfyUI checkout with this pack linked in, and talk to it over HTTP.

Used by the host tests, the host report and the browser checks. COMFYUI_ARGUMENTS holds further
arguments of the host's own, such as ``--front-end-root`` for another version of the canvas.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

PACK = Path(__file__).resolve().parents[2]
PACK_FOLDER = "face-latents"
STYLEGAN2_FILE = "stylegan2-ffhq.safetensors"
STYLEGAN2_WEIGHTS = "stylegan2-ffhq.pt"
SIGNS_OF_FAILURE = ("IMPORT FAILED", "Cannot import", "Traceback")  # in the host's log

# A neighbour pack of the test's own: pictures that no core node of every host version can make.
TEST_PICTURES = '''
import torch


class FaceLatentsTestPicture:
    """An image that an upstream node might hand over: see the branches."""

    @classmethod
    def INPUT_TYPES(cls):
        kinds = ["nan", "empty", "pixel", "grey", "flat"]
        return {"required": {"image": ("IMAGE",), "kind": (kinds,)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "make"
    CATEGORY = "test"

    def make(self, image, kind):
        if kind == "nan":
            return (torch.full_like(image, float("nan")),)
        if kind == "empty":
            return (image[:0].clone(),)
        if kind == "pixel":
            return (image[:, :1, :1].clone(),)
        if kind == "grey":
            return (image.mean(dim=-1, keepdim=True),)
        return (torch.full_like(image, 0.5),)


NODE_CLASS_MAPPINGS = {"FaceLatentsTestPicture": FaceLatentsTestPicture}
'''


def missing_host() -> str:
    """Why the host cannot be used here, or an empty string when it can."""
    folder = os.environ.get("COMFYUI_DIR", "")
    if not folder:
        return "COMFYUI_DIR is not set: point it at a ComfyUI checkout to run this"
    if not (Path(folder) / "main.py").is_file():
        return f"COMFYUI_DIR={folder} holds no main.py: it is not a ComfyUI checkout"
    return ""


def host_python(comfyui: Path) -> str:
    """The interpreter of the host: COMFYUI_PYTHON, else the checkout's own venv, else this one."""
    if named := os.environ.get("COMFYUI_PYTHON"):
        return named
    for relative in ("venv/bin/python", ".venv/bin/python", "venv/Scripts/python.exe"):
        if (comfyui / relative).is_file():
            return str(comfyui / relative)
    return sys.executable


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def save_astronaut(path: Path) -> None:
    """Write the public-domain portrait that scikit-image ships."""
    from PIL import Image
    from skimage import data

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(data.astronaut()).save(path)


def add_example_folders(inputs: Path) -> None:
    """Folders of labelled photos, made from ``example.png``, for the workflows that read some."""
    from face_latents.cli.example_folders import make_example_folders

    make_example_folders(inputs / "example.png", inputs)


def add_stylegan2_model(models: Path, seed: int = 0) -> Path:
    """A small StyleGAN2 model and encoder, random weights, by the name that workflows ask for, and
    such weights as other programs write them.

    Args:
        models: the folder models/face_latents; made where missing.
        seed: which weights.

    Returns:
        The model's file; the same tensors, so the same model identity, for the same seed.
    """
    import torch
    from convert_support import LAYOUT, port_state
    from encoder_support import small_encoder
    from stylegan2_support import small_model_file, small_tensors

    models.mkdir(parents=True, exist_ok=True)
    torch.save({"g_ema": port_state(small_tensors(LAYOUT))}, models / STYLEGAN2_WEIGHTS)
    encoder = {f"encoder.{name}": tensor for name, tensor in small_encoder(10, 32).items()}
    return small_model_file(
        models / STYLEGAN2_FILE,
        dim=32,
        seed=seed,
        extra=encoder,
        metadata={"name": "Small StyleGAN2", "encoder_type": "e4e"},
    )


class Host:
    """A running ComfyUI with its own base directory. Use it as a context manager."""

    def __init__(
        self,
        base: Path,
        *,
        comfyui: Path | None = None,
        pack_folder: str | None = PACK_FOLDER,  # None: start without the pack
        settings: Mapping[str, Any] | None = None,  # the canvas's settings
        arguments: Sequence[str] = (),
    ) -> None:
        self.comfyui = comfyui or Path(os.environ["COMFYUI_DIR"])
        self.base = base
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log_path = base / "host.log"
        self.start_seconds = 0.0
        self._arguments = [*shlex.split(os.environ.get("COMFYUI_ARGUMENTS", "")), *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("custom_nodes", "input", "output", "models", "user/default"):
            (base / name).mkdir(parents=True, exist_ok=True)
        if pack_folder is not None:
            (base / "custom_nodes" / pack_folder).symlink_to(PACK, target_is_directory=True)
        canvas = {"Comfy.TutorialCompleted": True, **(settings or {})}
        (base / "user/default/comfy.settings.json").write_text(json.dumps(canvas), "utf-8")

    def add_test_pictures(self) -> None:
        """Put the neighbour pack with the odd pictures next to ours. Before the start."""
        folder = self.base / "custom_nodes" / "test-pictures"
        folder.mkdir()
        (folder / "__init__.py").write_text(TEST_PICTURES, "utf-8")

    def start(self, timeout: float = 900.0) -> Host:
        """Start the host and wait until it answers."""
        command = [
            *(host_python(self.comfyui), "main.py", "--cpu", "--listen", "127.0.0.1"),
            *("--port", str(self.port), "--disable-api-nodes"),
            *("--database-url", "sqlite:///:memory:", "--base-directory", str(self.base)),
            *self._arguments,
        ]
        began = time.monotonic()
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self.comfyui, stdout=log, stderr=subprocess.STDOUT
            )
        while time.monotonic() - began < timeout:
            if self._process.poll() is not None:
                raise RuntimeError(f"The host ended while starting:\n{self.log()[-4000:]}")
            try:
                self.get("/system_stats")
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.25)
                continue
            self.start_seconds = time.monotonic() - began
            return self
        self.stop()
        raise TimeoutError(f"The host did not answer in {timeout} s:\n{self.log()[-4000:]}")

    def stop(self) -> None:
        """End the host."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Host:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def process_id(self) -> int:
        """Of the running host."""
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process runs and answers."""
        if self._process is None or self._process.poll() is not None:
            return False
        return "system" in self.get_json("/system_stats")

    def log(self) -> str:
        """Everything the host has written to its two output streams."""
        return self.log_path.read_text("utf-8", "replace")

    def get(self, path: str) -> bytes:
        address = self.address + urllib.parse.quote(path, safe="/?=&%")
        with urllib.request.urlopen(address, timeout=300) as answer:
            body: bytes = answer.read()
        return body

    def get_json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def post_json(self, path: str, payload: Any) -> Any:
        """POST; a refusal (400) is returned like any other answer."""
        request = urllib.request.Request(
            self.address + path,
            json.dumps(payload).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                body = answer.read()
        except urllib.error.HTTPError as refusal:
            body = refusal.read()
        return json.loads(body) if body else None

    def run(self, prompt: Mapping[str, Any], timeout: float = 300.0) -> dict[str, Any]:
        """Queue an API prompt, wait until it ends, return its history entry.

        Raises:
            ValueError: the host refused the prompt, wholly or for some of its outputs.
        """
        answer = self.post_json("/prompt", {"prompt": prompt})
        if answer.get("node_errors") or "prompt_id" not in answer:
            raise ValueError(json.dumps(answer, indent=1))
        began = time.monotonic()
        while time.monotonic() - began < timeout:
            history = self.get_json(f"/history/{answer['prompt_id']}")
            if answer["prompt_id"] in history:
                entry: dict[str, Any] = history[answer["prompt_id"]]
                return entry
            time.sleep(0.1)
        raise TimeoutError(f"The prompt did not end in {timeout} s:\n{self.log()[-4000:]}")

    def run_error(self, prompt: Mapping[str, Any]) -> dict[str, Any]:
        """Run a prompt that must fail in a node; return what the host reports about it."""
        entry = self.run(prompt)
        for kind, facts in entry["status"]["messages"]:
            if kind == "execution_error":
                report: dict[str, Any] = facts
                return report
        raise AssertionError(f"The prompt did not fail: {entry['status']}")

    def saved_files(self, entry: Mapping[str, Any]) -> dict[str, list[Path]]:
        """The files in the output folder that each output node of a history entry names."""
        files: dict[str, list[Path]] = {}
        for node, shown in entry["outputs"].items():
            names = [
                self.base / "output" / item["subfolder"] / item["filename"]
                for item in shown.get("images", ())
                if item["type"] == "output"
            ]
            if names:
                files[node] = names
        return files


def run_stand_alone(
    comfyui: Path, workflow: Path, inputs: Path, outputs: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a workflow with the stand-alone runner, under the host's interpreter.

    The same interpreter on both sides, so that a difference in the pixels is the pack's own and
    not that of two torch versions.
    """
    command = [
        *(host_python(comfyui), "-m", "face_latents", "run", str(workflow)),
        *("--input", str(inputs), "--output", str(outputs), *arguments),
    ]
    with tempfile.TemporaryDirectory() as importable, tempfile.TemporaryDirectory() as models:
        Path(importable, "face_latents").symlink_to(PACK, target_is_directory=True)
        command += ["--models", models]
        add_stylegan2_model(Path(models))
        environment = {**os.environ, "PYTHONPATH": importable}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)


@dataclass(frozen=True)
class Comparison:
    """One workflow through the host and through the stand-alone runner."""

    workflow: str
    files: int  # pictures that the host saved
    differing: tuple[str, ...]  # files that are missing on one side or differ in any pixel
    host_seconds: float
    alone_seconds: float  # with the start of the interpreter


def compare_with_runner(host: Host, workflow: Path, outputs: Path) -> Comparison:
    """Run a workflow both ways on the photos of the host's input folder.

    Raises:
        AssertionError: it does not run through on one of the two sides.
    """
    from face_latents.cli.runner.convert import to_prompt

    prompt = to_prompt(json.loads(workflow.read_text("utf-8")), host.get_json("/object_info"))
    began = time.monotonic()
    entry = host.run(prompt)
    host_seconds = time.monotonic() - began
    assert entry["status"]["status_str"] == "success", entry["status"]
    theirs = {file.name: file for files in host.saved_files(entry).values() for file in files}

    began = time.monotonic()
    alone = run_stand_alone(host.comfyui, workflow, host.base / "input", outputs)
    alone_seconds = time.monotonic() - began
    assert alone.returncode == 0, alone.stdout + alone.stderr
    # the runner alone keeps a list of what came of each photo
    ours = {file.name: file for file in outputs.glob("*.*") if file.suffix != ".jsonl"}

    differing = tuple(
        name
        for name in sorted({*ours, *theirs})
        if name not in ours or name not in theirs or not same_pixels(ours[name], theirs[name])
    )
    return Comparison(workflow.stem, len(theirs), differing, host_seconds, alone_seconds)


def same_pixels(first: Path, second: Path) -> bool:
    """Whether two picture files hold the same frames, bit for bit."""
    from PIL import Image, ImageSequence

    with Image.open(first) as a, Image.open(second) as b:
        frames = [
            [(frame.size, frame.convert("RGBA").tobytes()) for frame in ImageSequence.Iterator(one)]
            for one in (a, b)
        ]
    return frames[0] == frames[1]
