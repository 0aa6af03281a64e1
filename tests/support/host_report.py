"""Measure the pack inside a real ComfyUI and write the figures as JSON.

    COMFYUI_DIR=... python tests/support/host_report.py --out host.json [--photo PHOTO]

Starts the host with the pack linked in, runs every shipped workflow through it and through the
stand-alone runner under the same interpreter, and compares the saved pictures pixel by pixel.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import face_latents
import host_server
from face_latents.lab.results import markdown_table, write_section
from host_server import PACK, Host


def measure(base: Path, photo: Path | None, only: str) -> dict[str, Any]:
    """The figures of the host that COMFYUI_DIR names, of workflows whose names match `only`."""
    host = Host(base)
    if photo is None:
        host_server.save_astronaut(host.base / "input" / "example.png")
    else:
        from PIL import Image

        Image.open(photo).convert("RGB").save(host.base / "input" / "example.png")
    host_server.add_example_folders(host.base / "input")
    host_server.add_stylegan2_model(host.base / "models" / "face_latents")
    with host:
        system = host.get_json("/system_stats")["system"]
        listed = set(host.get_json("/object_info"))
        workflows = []
        for path in sorted((PACK / "workflows").glob("*.json")):
            if not re.match(only, path.stem):
                continue
            facts: dict[str, Any] = {"workflow": path.stem}
            try:
                facts = asdict(host_server.compare_with_runner(host, path, base / path.stem))
            except (AssertionError, ValueError, TimeoutError) as error:
                facts["error"] = str(error)
            workflows.append(facts)
        log = host.log()
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, no GPU used",
        "photo": "scikit-image astronaut" if photo is None else photo.name,
        "comfyui": system["comfyui_version"],
        "frontend": system.get("required_frontend_version", ""),
        "python": system["python_version"].split()[0],
        "torch": system["pytorch_version"],
        "start_seconds": round(host.start_seconds, 1),
        "nodes": len(face_latents.NODE_CLASS_MAPPINGS),
        "nodes_listed": len(set(face_latents.NODE_CLASS_MAPPINGS) & listed),
        "clean_log": not any(sign in log for sign in host_server.SIGNS_OF_FAILURE),
        "workflows": workflows,
    }


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    facts = (
        f"Frontend {figures['frontend']}, Python {figures['python']}, torch {figures['torch']}. "
        f"Ready after {figures['start_seconds']} s; {figures['nodes_listed']} of "
        f"{figures['nodes']} nodes listed; log of the start and of all runs "
        f"{'without' if figures['clean_log'] else 'WITH'} warnings or errors of the pack. "
        f"Photo: {figures['photo']}. Seconds in the host include loading on first use, those of "
        "the runner the start of Python and torch."
    )
    if figures.get("in_parts"):
        facts += " The host was started anew for some of the workflows."
    rows = []
    for run in figures["workflows"]:
        if run.get("error"):
            rows.append((run["workflow"], f"failed: {run['error']}", "", "", ""))
            continue
        numbers = (str(run["files"]), str(len(run["differing"])))
        seconds = (f"{run[key]:.1f}" for key in ("host_seconds", "alone_seconds"))
        rows.append((run["workflow"], *numbers, *seconds))
    head = ("workflow", "pictures", "differing from the runner", "host, s", "runner, s")
    return f"{facts}\n\n{markdown_table(head, rows)}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the pack inside a real ComfyUI.")
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    parser.add_argument("--results", type=Path, help="write hosts.md in this folder")
    parser.add_argument("--only", default="", help="workflows whose names begin so (a pattern)")
    parser.add_argument("--add", type=Path, help="a JSON file of another run with its workflows")
    parser.add_argument("--photo", type=Path, help="the photo to run on (default: the astronaut)")
    arguments = parser.parse_args()
    if reason := host_server.missing_host():
        parser.error(reason)
    with tempfile.TemporaryDirectory() as base:
        figures = measure(Path(base), arguments.photo, arguments.only)
    if arguments.add:
        earlier = json.loads(arguments.add.read_text("utf-8"))
        both = [*earlier["workflows"], *figures["workflows"]]
        figures["workflows"] = sorted(both, key=lambda facts: str(facts["workflow"]))
        figures["clean_log"] = figures["clean_log"] and earlier["clean_log"]
        figures["in_parts"] = True
    text = json.dumps(figures, indent=2) + "\n"
    if arguments.out:
        arguments.out.write_text(text, "utf-8")
    if arguments.results:
        command = "COMFYUI_DIR=DIR python tests/support/host_report.py --results docs/results"
        command += " --photo PHOTO" if arguments.photo else ""
        title = f"ComfyUI {figures['comfyui']}"
        write_section(arguments.results, "hosts", title, command, table(figures))
    sys.stdout.write(text)
    failed = any(run.get("error") or run["differing"] for run in figures["workflows"])
    complete = figures["nodes_listed"] == figures["nodes"] and figures["clean_log"]
    return 0 if complete and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
