"""Open every shipped workflow in the host's canvas, in a real browser, in both renderers.

    COMFYUI_DIR=... PLAYWRIGHT_DIR=... python tests/browser/check_canvas.py --out FOLDER

PLAYWRIGHT_DIR is a folder with playwright-core in its node_modules; CHROMIUM names the browser
(default /usr/bin/chromium). Leaves the screenshots and a report in FOLDER, and fails when a
workflow is drawn with overlapping nodes, shows an error of ours in the console, converts to
another prompt than the stand-alone runner's, or does not run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
RENDERERS = {"classic": False, "nodes2": True}


def load_host_server() -> ModuleType:
    """The helper next door, without touching the import path."""
    spec = importlib.util.spec_from_file_location(
        "host_server", HERE.parent / "support" / "host_server.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


host_server = load_host_server()


def check_renderer(renderer: str, out: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one renderer over all workflows; return what the page reported."""
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if arguments.save:
        arguments.save = arguments.save.resolve()
        arguments.save.mkdir(parents=True, exist_ok=True)
    settings = {"Comfy.VueNodes.Enabled": RENDERERS[renderer], "Comfy.UseNewMenu": "Top"}
    with tempfile.TemporaryDirectory() as base:
        host = host_server.Host(Path(base), settings=settings)
        host_server.save_astronaut(host.base / "input" / "example.png")
        host_server.add_example_folders(host.base / "input")
        host_server.add_stylegan2_model(host.base / "models" / "face_latents")
        with host:
            job = {
                "address": host.address,
                "playwright": os.environ["PLAYWRIGHT_DIR"],
                "chromium": os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                "out": str(out),
                "workflows": [str(path) for path in arguments.workflows],
                "queue": not arguments.no_queue,
                "save": str(arguments.save) if arguments.save else "",
                "width": arguments.width,
                "height": arguments.height,
            }
            job_file = out / "job.json"
            job_file.write_text(json.dumps(job), "utf-8")
            subprocess.run(["node", str(HERE / "canvas.mjs"), str(job_file)], check=True)
            (out / "host.log").write_text(host.log(), "utf-8")
            object_info = host.get_json("/object_info")
    report: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
    return {**report, "object_info": object_info}


def ours(line: str) -> bool:
    """Whether a console line speaks of this pack."""
    return "face-latents" in line.lower() or "facelatents" in line.lower()


def complaints(report: dict[str, Any], workflows: list[Path]) -> list[str]:
    """What is wrong, one line each."""
    from face_latents.cli.runner.convert import to_prompt

    found = [f"at start: {line}" for line in report["atStart"] if ours(line)]
    for path in workflows:
        facts = report["workflows"][path.stem]
        found += [f"{path.stem}: {line}" for line in facts["lines"] if ours(line)]
        found += [f"{path.stem}: {line}" for line in facts["mess"]]
        found += [f"{path.stem}, after the run: {line}" for line in facts.get("messAfter", ())]
        found += [f"{path.stem}: unknown node {line}" for line in facts["missing"]]
        if facts.get("status", "success") != "success":
            found.append(f"{path.stem}: {facts['status']}, {json.dumps(facts['nodeErrors'])}")
        nodes = report["object_info"]
        converted = to_prompt(json.loads(path.read_text("utf-8")), nodes)
        if what_runs(facts["prompt"], nodes) != what_runs(converted, nodes):
            found.append(f"{path.stem}: the canvas and the runner convert to different prompts")
    return found


def what_runs(prompt: dict[str, Any], nodes: dict[str, Any]) -> dict[str, Any]:
    """The part of an API prompt that decides what runs: no titles, no undeclared inputs.

    Some canvases add an input of their own, as the text box of Preview Any.
    """
    shortened = {}
    for key, node in prompt.items():
        declared = nodes[node["class_type"]]["input"]
        names = {*declared.get("required", {}), *declared.get("optional", {})}
        inputs = {name: value for name, value in node["inputs"].items() if name in names}
        shortened[str(key)] = (node["class_type"], inputs)
    return shortened


def main() -> int:
    parser = argparse.ArgumentParser(description="Open the workflows in the host's canvas.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the screenshots")
    parser.add_argument("--renderer", choices=[*RENDERERS, "both"], default="both")
    parser.add_argument("--no-queue", action="store_true", help="do not run the workflows")
    parser.add_argument("--save", type=Path, help="write the graphs as the canvas saves them here")
    parser.add_argument("--width", type=int, default=2000)
    parser.add_argument("--height", type=int, default=1200)
    parser.add_argument("workflows", type=Path, nargs="*")
    arguments = parser.parse_args()
    if reason := host_server.missing_host():
        parser.error(reason)
    if "PLAYWRIGHT_DIR" not in os.environ:
        parser.error("PLAYWRIGHT_DIR is not set: a folder with playwright-core in node_modules")
    arguments.workflows = arguments.workflows or sorted(
        (host_server.PACK / "workflows").glob("*.json")
    )
    wrong = 0
    for renderer in RENDERERS if arguments.renderer == "both" else [arguments.renderer]:
        report = check_renderer(renderer, arguments.out / renderer, arguments)
        for line in complaints(report, arguments.workflows):
            print(f"{renderer}: {line}")
            wrong += 1
        print(f"{renderer}: {len(report['workflows'])} workflows opened")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
