"""Use Attribute Sliders in the host's canvas, in a real browser, in both renderers.

    COMFYUI_DIR=... PLAYWRIGHT_DIR=... python tests/browser/check_sliders.py --out FOLDER

As check_canvas.py; leaves screenshots and reports in FOLDER. Fails when a drag, the keyboard, a
reload or a run does not do what the help page says (sliders.mjs), or groups, search and presets do
not (panel.mjs), when quick moves end with a stale picture, when the queued picture is not the
previewed one, when an error of ours shows in the console, or when the median of 50 moves takes
longer than --most-ms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from check_canvas import RENDERERS, host_server, ours

HERE = Path(__file__).resolve().parent
WORKFLOW = host_server.PACK / "workflows" / "Attribute sliders.json"
SCRIPTS = ("sliders", "panel")


def check_renderer(renderer: str, out: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Go through all steps in one renderer; return what the page reported."""
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    settings = {"Comfy.VueNodes.Enabled": RENDERERS[renderer], "Comfy.UseNewMenu": "Top"}
    if arguments.theme:
        settings["Comfy.ColorPalette"] = arguments.theme
    with tempfile.TemporaryDirectory() as base:
        host = host_server.Host(Path(base), settings=settings)
        host_server.save_astronaut(host.base / "input" / "example.png")
        with host:
            reports = [
                run_script(script, host, out / script, arguments.moves)
                for script in arguments.only or SCRIPTS
            ]
            (out / "host.log").write_text(host.log(), "utf-8")
    return {
        "failures": [text for report in reports for text in report["failures"]],
        "lines": [line for report in reports for line in report["lines"]],
        "figures": {name: one for report in reports for name, one in report["figures"].items()},
    }


def run_script(script: str, host: host_server.Host, out: Path, moves: int) -> dict[str, Any]:
    """Run one of SCRIPTS; return what the page reported."""
    out.mkdir(exist_ok=True)
    job = {
        "address": host.address,
        "playwright": os.environ["PLAYWRIGHT_DIR"],
        "chromium": os.environ.get("CHROMIUM", "/usr/bin/chromium"),
        "out": str(out),
        "workflow": str(WORKFLOW),
        "width": 1400,
        "height": 1100,
        "moves": moves,
    }
    job_file = out / "job.json"
    job_file.write_text(json.dumps(job), "utf-8")
    subprocess.run(["node", str(HERE / f"{script}.mjs"), str(job_file)], check=True)
    report: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description="Use Attribute Sliders in the host's canvas.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the screenshots")
    parser.add_argument("--renderer", choices=[*RENDERERS, "both"], default="both")
    parser.add_argument("--only", choices=SCRIPTS, nargs="*", help="some of the scripts")
    parser.add_argument("--theme", default="", help="id of a colour palette, e.g. light")
    parser.add_argument("--most-ms", type=float, default=150.0, help="median of a move")
    parser.add_argument("--moves", type=int, default=50, help="moves that are timed")
    arguments = parser.parse_args()
    if reason := host_server.missing_host():
        parser.error(reason)
    if "PLAYWRIGHT_DIR" not in os.environ:
        parser.error("PLAYWRIGHT_DIR is not set: a folder with playwright-core in node_modules")
    wrong = 0
    for renderer in RENDERERS if arguments.renderer == "both" else [arguments.renderer]:
        report = check_renderer(renderer, arguments.out / renderer, arguments)
        found = [*report["failures"], *(line for line in report["lines"] if ours(line))]
        if report["figures"].get("move_ms", 0) > arguments.most_ms:
            found.append(f"a move takes {report['figures']['move_ms']:.0f} ms")
        for line in found:
            print(f"{renderer}: {line}")
        figures = ", ".join(f"{name} {value:.0f}" for name, value in report["figures"].items())
        print(f"{renderer}: median of the moves: {figures}")
        wrong += len(found)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
