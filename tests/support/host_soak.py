"""Many prompts in one real ComfyUI: memory stays flat, Cancel is quick, no odd error.

    COMFYUI_DIR=... python tests/support/host_soak.py --prompts 1000 --results docs/results

All templates with random settings on ten photos; the face model, the digits model and a small
StyleGAN2 take turns; photos, labelled folders and weights change in between; some prompts are
cancelled at a random moment. With `--quick` each is, and the slow templates are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import host_memory
import host_server
from face_latents.cli.runner.convert import to_prompt
from face_latents.lab.results import markdown_table, write_section
from host_server import PACK, Host
from PIL import Image, ImageEnhance

PHOTOS = [f"photo_{number}.png" for number in range(10)]
SIDE = 256  # pixels of a photo
SLOW = ("With own photos - fit own direction", "With own photos - LSD basis from folders")
ROUNDS = 8  # of the other templates between two of the slow ones
CANCELLED = 0.15  # share of prompts
WINDOW = 100  # prompts after which memory has to stay as it is
FLAT = 0.05  # growth of memory after them
QUICK = 0.5  # seconds from Cancel to the end
MEMORY = (
    "In use: resident memory without what the C library keeps free between blocks in use. "
    "ComfyUI's lists: its history, and its cache's keys, of which those of failed prompts stay."
)
OURS = re.compile(r"(FaceLatents|NoFace|SpaceMismatch|Host)Error$")


def write_photo(base: Path, path: Path, rng: random.Random) -> None:
    """The portrait, cut, turned a little, brighter or darker."""
    with Image.open(base / "input" / "example.png") as portrait:
        left, top = rng.randint(0, 90), rng.randint(0, 20)
        picture = portrait.convert("RGB").rotate(rng.uniform(-8, 8))
    picture = picture.crop((left, top, left + 400, top + 400)).resize((SIDE, SIDE))
    ImageEnhance.Brightness(picture).enhance(rng.uniform(0.7, 1.2)).save(path)


def shuffled(prompt: Mapping[str, Any], infos: Mapping[str, Any], rng: random.Random) -> Any:
    """A prompt with photos, numbers and choices of this pack's nodes at random; few steps."""
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
            if not isinstance(value, list) and name in specs and rng.random() < 0.5:
                inputs[name] = chosen(name, value, specs[name], rng)
    return changed


def chosen(name: str, value: Any, spec: Any, rng: random.Random) -> Any:
    """Another value of a widget."""
    options = spec[1] if len(spec) > 1 else {}
    if isinstance(value, bool):
        return rng.random() < 0.5
    if "seed" in name:
        return rng.randrange(1000)
    if spec[0] in ("INT", "FLOAT") and "min" in options:
        low, high = max(options["min"], -3), min(options["max"], max(3, value))
        drawn = rng.uniform(low, high)
        return round(drawn) if spec[0] == "INT" else round(drawn, 2)
    choices = spec[0] if isinstance(spec[0], list) else options.get("options", ())
    own = [c for c in choices if "." not in str(c) and "bundled" not in str(c)]
    return rng.choice(own) if value in own else value


class Soak:
    """A host at work, and what was seen."""

    def __init__(self, host: Host, seed: int, cancelled: float) -> None:
        self.host, self.rng, self.cancelled = host, random.Random(seed), cancelled
        self.outcomes: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()  # by template
        self.memory: list[float] = []  # MB after each prompt
        self.used: list[float] = []  # the same without what the C library keeps free
        self.lists: list[float] = []  # MB of ComfyUI's own after each WINDOW prompts
        self.waits: list[tuple[float, float, str]] = []  # from Cancel: seconds, CPU seconds, where
        self.odd: list[str] = []
        self.spent: dict[str, float] = {}  # seconds of a template's last run
        self.infos = host.get_json("/object_info")
        self.prompts = {
            path.stem: to_prompt(json.loads(path.read_text("utf-8")), self.infos)
            for path in sorted((PACK / "workflows").glob("*.json"))
        }
        self.deck: list[str] = []
        self.rounds = 0

    def next_template(self) -> str:
        """All templates in turn, in a new order each time; the slow ones seldom."""
        if not self.deck:
            self.deck = [name for name in self.prompts if name not in SLOW]
            if self.rounds % ROUNDS == 1 and self.cancelled < 1:
                self.deck += SLOW
            self.rng.shuffle(self.deck)
            self.rounds += 1
        return self.deck.pop()

    def change_files(self, number: int) -> None:
        """A photo now and then, one of a labelled folder, and the StyleGAN2 weights."""
        folder = self.host.base / "input"
        if number % 10 == 0:
            write_photo(self.host.base, folder / self.rng.choice(PHOTOS), self.rng)
        if number % 40 == 20 and (folder / "smiling").is_dir():
            labelled = sorted((folder / "smiling").iterdir())
            write_photo(self.host.base, self.rng.choice(labelled), self.rng)
        if number % 50 == 25:
            models = self.host.base / "models" / "face_latents"
            with tempfile.TemporaryDirectory(dir=models.parent) as made:
                file = host_server.add_stylegan2_model(Path(made), seed=number)
                os.replace(file, models / file.name)

    def step(self, number: int) -> None:
        """Run one prompt, after changing a file now and then."""
        self.change_files(number)
        name = self.next_template()
        prompt = shuffled(self.prompts[name], self.infos, self.rng)
        pressed: list[tuple[float, float]] = []
        timer = None
        if self.rng.random() < self.cancelled:
            moment = self.rng.uniform(0, self.spent.get(name, 2.0))
            timer = threading.Timer(moment, self._cancel, [pressed])
            timer.start()
        began = time.monotonic()
        try:
            entry = self.host.run(prompt, timeout=1800)
        except ValueError as refusal:
            self.outcomes["refused before the run"] += 1
            if "prompt_outputs_failed_validation" not in str(refusal):
                self.odd.append(f"{name}: {str(refusal)[:300]}")
            return
        finally:
            if timer is not None:
                timer.cancel()
                timer.join()
        self.runs[name] += 1
        self._note(name, entry, pressed)
        if not pressed:
            self.spent[name] = time.monotonic() - began
        self.memory.append(self._held())
        self.used.append(self.memory[-1] - host_memory.free_of(self.host))
        if len(self.memory) % WINDOW == 0:
            self.lists.append(host_memory.lists_of(self.host))

    def _cancel(self, pressed: list[tuple[float, float]]) -> None:
        pressed.append((time.time(), self._worked()))
        self.host.post_json("/interrupt", {})

    def _note(self, name: str, entry: Mapping[str, Any], pressed: list[Any]) -> None:
        kinds = dict(entry["status"]["messages"])
        if "execution_interrupted" in kinds:
            told = kinds["execution_interrupted"]
            self.outcomes["cancelled"] += 1
            for clock, worked in pressed:
                wait = told["timestamp"] / 1000 - clock
                self.waits.append((wait, self._worked() - worked, f"{name}, {told['node_type']}"))
        elif "execution_error" in kinds:
            told = kinds["execution_error"]
            self.outcomes["ended with a sentence"] += 1
            if not OURS.search(told["exception_type"]):
                self.odd.append(f"{name}: {told['exception_type']}: {told['exception_message']}")
        else:
            self.outcomes["done"] += 1

    def _held(self) -> float:
        status = Path(f"/proc/{self.host.process_id}/status").read_text("ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024

    def _worked(self) -> float:
        """CPU seconds of the host, which a busy machine does not stretch."""
        fields = Path(f"/proc/{self.host.process_id}/stat").read_text("ascii").rsplit(")")[-1]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def figures(self) -> dict[str, Any]:
        """What is told of the run."""
        first, later = self.memory[:WINDOW], self.memory[WINDOW:] or self.memory
        clock, work = (sorted(wait[part] for wait in self.waits) for part in (0, 1))
        least = min((self.runs[name], name) for name in self.prompts if self.runs[name])
        return {
            "prompts": sum(self.outcomes.values()),
            **self.outcomes,
            "templates run": f"{len(self.runs)} of {len(self.prompts)}, {least[1]}: {least[0]}",
            f"most memory in the first {WINDOW}, MB": round(max(first)),
            "most memory after them, MB": round(max(later)),
            "memory at the end, MB": round(self.memory[-1]),
            **({"median wait after Cancel, s": round(median(clock), 2)} if clock else {}),
            **({"longest wait after Cancel, s": round(clock[-1], 2)} if clock else {}),
            **({"longest work after Cancel, s of CPU time": round(work[-1], 2)} if work else {}),
            "odd errors": len(self.odd),
        }

    def details(self) -> str:
        """Memory by hundreds, and where Cancel took longest."""
        rows = []
        for number, at in enumerate(range(0, len(self.memory), WINDOW)):
            part, used = (each[at : at + WINDOW] for each in (self.memory, self.used))
            own = f"{self.lists[number]:.1f}" if number < len(self.lists) else ""
            middle = (f"{median(part):.0f}", f"{max(part):.0f}", f"{median(used):.0f}", own)
            rows.append((f"{at + 1} to {at + len(part)}", *middle))
        slowest = sorted(self.waits, key=lambda wait: -wait[1])[:5]
        waits = [(where, f"{clock:.2f}", f"{work:.2f}") for clock, work, where in slowest]
        head = ("median memory, MB", "most, MB", "median in use, MB", "ComfyUI's lists, MB")
        memory = markdown_table(("prompts", *head), rows)
        where = ("longest after Cancel, template and node", "s", "s of CPU time")
        return "\n\n".join([MEMORY, memory, markdown_table(where, waits)])


def soak(base: Path, arguments: argparse.Namespace) -> tuple[Soak, str]:
    """Run prompts until their number or the time is reached; what was seen, the host's version."""
    host = Host(base)
    host_memory.add_probe(host)
    host_server.save_astronaut(base / "input" / "example.png")
    if not arguments.quick:
        host_server.add_example_folders(base / "input")
    host_server.add_stylegan2_model(base / "models" / "face_latents")
    for name in PHOTOS:
        write_photo(base, base / "input" / name, random.Random(name))
    ends = time.monotonic() + 60 * arguments.minutes
    with host:
        run = Soak(host, arguments.seed, 1.0 if arguments.quick else CANCELLED)
        for number in range(arguments.prompts):
            if time.monotonic() > ends:
                break
            run.step(number)
            seen = f"{number + 1} {dict(run.outcomes)} {run.memory[-1:]} {run.waits[-1:]}"
            sys.stderr.write(seen + "\n")
        return run, host.get_json("/system_stats")["system"]["comfyui_version"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Many prompts in one real ComfyUI.")
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=600, help="stop after these")
    parser.add_argument("--quick", action="store_true", help="cancel each; no slow template")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="write soak.md, or cancel.md, in this folder")
    arguments = parser.parse_args()
    if reason := host_server.missing_host():
        parser.error(reason)
    with tempfile.TemporaryDirectory() as base:
        run, version = soak(Path(base), arguments)
    figures = [(name, str(value)) for name, value in run.figures().items()]
    about = f"ComfyUI {version}, seed {arguments.seed}, ten photos of {SIDE} x {SIDE}. "
    about += " ".join((__doc__ or "").split("\n\n")[2].split())
    body = "\n\n".join([about, markdown_table(("figure", "value"), figures), run.details()])
    print("\n".join([body, *run.odd]))
    if arguments.results:
        command = (
            "COMFYUI_DIR=DIR python tests/support/host_soak.py --prompts "
            f"{arguments.prompts} --seed {arguments.seed}{' --quick' * arguments.quick} "
            "--results docs/results"
        )
        name, title = "soak", "Many prompts in ComfyUI"
        if arguments.quick:
            name, title = "cancel", "Cancelled prompts in ComfyUI"
        write_section(arguments.results, name, title, command, body)
    grown = max(run.memory[WINDOW:], default=0) / max(run.memory[:WINDOW])
    slow = any(work > QUICK for _, work, _ in run.waits)
    return 1 if run.odd or grown > 1 + FLAT or slow else 0


if __name__ == "__main__":
    sys.exit(main())
