"""Many prompts in one real ComfyUI: memory stays flat, Cancel is quick, no odd error.

    COMFYUI_DIR=... python tests/support/host_soak.py --prompts 1000 --results docs/results

All templates with random settings on ten photos, one of which changes now and then; the face model,
the digits model and a small StyleGAN2 take turns; some prompts are cancelled at a random moment.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import host_server
from face_latents.cli.runner.convert import to_prompt
from face_latents.lab.results import markdown_table, write_section
from host_server import PACK, Host
from PIL import Image, ImageEnhance

PHOTOS = [f"photo_{number}.png" for number in range(10)]
SLOW = ("With own photos - fit own direction", "With own photos - LSD basis from folders")
CANCELLED = 0.12  # share of prompts
FLAT = 0.05  # growth of memory after the first tenth
OURS = re.compile(r"(FaceLatents|NoFace|SpaceMismatch|Host)Error$")
QUICK = 0.5  # seconds from Cancel to the end


def write_photo(base: Path, name: str, rng: random.Random) -> None:
    """The portrait, cut, turned a little, brighter or darker."""
    with Image.open(base / "input" / "example.png") as portrait:
        left, top = rng.randint(0, 90), rng.randint(0, 20)
        picture = portrait.convert("RGB").rotate(rng.uniform(-8, 8))
    picture = picture.crop((left, top, left + 400, top + 400))
    ImageEnhance.Brightness(picture).enhance(rng.uniform(0.7, 1.2)).save(base / "input" / name)


def shuffled(prompt: Mapping[str, Any], infos: Mapping[str, Any], rng: random.Random) -> Any:
    """A prompt with photos and numbers of this pack's nodes chosen at random."""
    changed = json.loads(json.dumps(prompt))
    for node in changed.values():
        kind, inputs = node["class_type"], node["inputs"]
        if kind == "LoadImage":
            inputs["image"] = rng.choice(PHOTOS)
        if not kind.startswith("FaceLatents"):
            continue
        told = infos[kind]["input"]
        specs = {**told.get("required", {}), **told.get("optional", {})}
        for name, value in inputs.items():
            options = specs[name][1] if name in specs and len(specs[name]) > 1 else {}
            if isinstance(value, bool) or rng.random() < 0.5:
                continue
            if isinstance(value, float) and "min" in options:
                low, high = max(options["min"], -3.0), min(options["max"], 3.0)
                inputs[name] = round(rng.uniform(low, high), 2) if low < high else value
            elif isinstance(value, int) and "seed" in name:
                inputs[name] = rng.randrange(1000)
    return changed


class Soak:
    """A host at work, and what was seen."""

    def __init__(self, host: Host, seed: int) -> None:
        self.host, self.rng = host, random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.memory: list[float] = []  # MB after each prompt
        self.waits: list[float] = []  # seconds from Cancel to the end
        self.odd: list[str] = []
        self.infos = host.get_json("/object_info")
        self.prompts = {
            path.stem: to_prompt(json.loads(path.read_text("utf-8")), self.infos)
            for path in sorted((PACK / "workflows").glob("*.json"))
            if path.stem not in SLOW
        }

    def step(self, number: int) -> None:
        """Run one prompt, and now and then change a photo first."""
        if number % 10 == 0:
            write_photo(self.host.base, self.rng.choice(PHOTOS), self.rng)
        name = self.rng.choice(list(self.prompts))
        prompt = shuffled(self.prompts[name], self.infos, self.rng)
        pressed: list[float] = []
        timer = None
        if self.rng.random() < CANCELLED:
            timer = threading.Timer(self.rng.uniform(0.05, 2.0), self._cancel, [pressed])
            timer.start()
        try:
            entry = self.host.run(prompt)
        except ValueError as refusal:
            self.outcomes["refused"] += 1
            if "prompt_outputs_failed_validation" not in str(refusal):
                self.odd.append(f"{name}: {str(refusal)[:300]}")
            return
        ended = time.monotonic()
        if timer is not None:
            timer.cancel()
            timer.join()
        self._note(name, entry, ended - pressed[0] if pressed and pressed[0] < ended else None)
        self.memory.append(self._held())

    def _cancel(self, pressed: list[float]) -> None:
        pressed.append(time.monotonic())
        self.host.post_json("/interrupt", {})

    def _note(self, name: str, entry: Mapping[str, Any], waited: float | None) -> None:
        kinds = dict(entry["status"]["messages"])
        if "execution_interrupted" in kinds:
            self.outcomes["cancelled"] += 1
            if waited is not None:
                self.waits.append(waited)
        elif "execution_error" in kinds:
            told = kinds["execution_error"]
            self.outcomes["told what was wrong"] += 1
            if not re.search(
                r"(FaceLatents|NoFace|SpaceMismatch|Host)Error", told["exception_type"]
            ):
                self.odd.append(f"{name}: {told['exception_type']}: {told['exception_message']}")
        else:
            self.outcomes["done"] += 1

    def _held(self) -> float:
        assert self.host._process is not None
        status = Path(f"/proc/{self.host._process.pid}/status").read_text("ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024

    def figures(self) -> dict[str, Any]:
        """What is told of the run."""
        first = max(1, len(self.memory) // 10)
        settled = max(self.memory[:first])
        waits = sorted(self.waits)
        return {
            "prompts": sum(self.outcomes.values()),
            **self.outcomes,
            "memory after the first tenth, MB": round(settled),
            "largest memory after that, MB": round(max(self.memory[first:] or [settled])),
            "memory at the end, MB": round(self.memory[-1]),
            "longest wait after Cancel, s": round(waits[-1], 2) if waits else None,
            "median wait after Cancel, s": round(waits[len(waits) // 2], 2) if waits else None,
            "odd errors": len(self.odd),
        }


def soak(base: Path, prompts: int, seed: int) -> tuple[dict[str, Any], list[str], str]:
    """The figures, the odd errors and the host's version."""
    host = Host(base)
    host_server.save_astronaut(base / "input" / "example.png")
    host_server.add_example_folders(base / "input")
    host_server.add_stylegan2_model(base / "models" / "face_latents")
    for name in PHOTOS:
        write_photo(base, name, random.Random(name))
    with host:
        run = Soak(host, seed)
        for number in range(prompts):
            run.step(number)
            sys.stderr.write(f"\r{number + 1}/{prompts} {run.outcomes}  ")
        version = host.get_json("/system_stats")["system"]["comfyui_version"]
        return run.figures(), run.odd, version


def main() -> int:
    parser = argparse.ArgumentParser(description="Many prompts in one real ComfyUI.")
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="write soak.md in this folder")
    arguments = parser.parse_args()
    if reason := host_server.missing_host():
        parser.error(reason)
    with tempfile.TemporaryDirectory() as base:
        figures, odd, version = soak(Path(base), arguments.prompts, arguments.seed)
    body = markdown_table(
        ("figure", "value"), [(name, str(value)) for name, value in figures.items()]
    )
    body = f"ComfyUI {version}, seed {arguments.seed}.\n\n{body}"
    print("\n".join([body, *odd]))
    if arguments.results:
        command = (
            "COMFYUI_DIR=DIR python tests/support/host_soak.py --prompts "
            f"{arguments.prompts} --results docs/results"
        )
        write_section(arguments.results, "soak", "Many prompts in ComfyUI", command, body)
    grown = figures["largest memory after that, MB"] / figures["memory after the first tenth, MB"]
    slow = (figures["longest wait after Cancel, s"] or 0) > QUICK
    return 1 if odd or grown > 1 + FLAT or slow else 0


if __name__ == "__main__":
    sys.exit(main())
