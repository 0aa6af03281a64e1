"""The live preview inside a real ComfyUI. Runs where COMFYUI_DIR points at a checkout."""

from __future__ import annotations

import http.client
import io
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import host_server
import numpy as np
import pytest
from host_server import Host
from PIL import Image

pytestmark = pytest.mark.host

PREVIEW = "/face_latents/preview"
HOSTILE = 1000
MOST_GROWTH = 48 * 1024 * 1024  # bytes; the allocator never gives everything back


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    server = Host(tmp_path_factory.mktemp("host"))
    host_server.save_astronaut(server.base / "input" / "example.png")
    with server:
        yield server


def sliders_prompt(strengths: str, **more: Any) -> dict[str, Any]:
    return {
        "photo": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "model": {"class_type": "FaceLatentsLoadModel", "inputs": {"model": "face (bundled)"}},
        "encode": {
            "class_type": "FaceLatentsEncode",
            "inputs": {
                "image": ["photo", 0],
                "face_model": ["model", 0],
                "faces": "largest",
                "index": 0,
                "min_score": 0.5,
            },
        },
        "sliders": {
            "class_type": "FaceLatentsSliders",
            "inputs": {
                "face_model": ["model", 0],
                "face_latent": ["encode", 0],
                "strengths": strengths,
                "keep_others": False,
                **more,
            },
        },
    }


@pytest.fixture(scope="module")
def report(host: Host) -> dict[str, Any]:
    """What a run with all sliders at zero told the canvas."""
    return shown(host, "{}")


def shown(host: Host, strengths: str, **more: Any) -> dict[str, Any]:
    prompt = sliders_prompt(strengths, **more)
    if "set_smile" in more:
        prompt["number"] = {"class_type": "PrimitiveFloat", "inputs": {"value": 2.0}}
    entry = host.run(prompt)
    assert entry["status"]["status_str"] == "success", entry["status"]
    ui: dict[str, Any] = entry["outputs"]["sliders"]["face_latents_sliders"][0]
    return ui


def post(host: Host, body: bytes, **headers: str) -> tuple[int, bytes]:
    given = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    request = urllib.request.Request(host.address + PREVIEW, body, given)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def ask(host: Host, key: str, strengths: dict[str, float], **more: Any) -> tuple[int, bytes]:
    return post(host, json.dumps({"id": key, "strengths": strengths, **more}).encode())


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("keep_others", [False, True])
def test_the_preview_is_the_picture_of_the_queued_run(
    host: Host, report: dict[str, Any], keep_others: bool
) -> None:
    strengths = {"smile": 2.0, "age": -1.5}
    status, data = ask(host, report["id"], strengths, keep_others=keep_others)
    assert status == 200, data
    queued = shown(host, json.dumps(strengths), keep_others=keep_others)
    file = host.base / "temp" / queued["picture"]["filename"]
    assert np.array_equal(pixels(data), pixels(file.read_bytes()))
    assert not np.array_equal(pixels(data), pixels(ask(host, report["id"], {})[1]))


def test_a_wire_to_an_undeclared_input_sets_its_slider(host: Host) -> None:
    by_wire = shown(host, '{"age": 1}', set_smile=["number", 0])
    assert by_wire["driven"] == {"smile": 2.0}
    assert by_wire["strengths"] == {"smile": 2.0, "age": 1.0}


def test_the_directions_of_a_model_are_listed(host: Host, report: dict[str, Any]) -> None:
    listed = host.get_json("/face_latents/directions?model=face%20(bundled)")
    assert all(row["thumbnail"] for row in listed["directions"])
    known = [{**row, "thumbnail": ""} for row in listed["directions"]]  # a run names no files
    assert known == report["directions"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        host.get("/face_latents/directions?model=..%2F..%2Fetc%2Fpasswd")


def test_refusals(host: Host, report: dict[str, Any]) -> None:
    key = report["id"]
    assert ask(host, "x" * 32, {})[0] == 404
    assert ask(host, key, {"smile": float("nan")})[0] == 400
    assert ask(host, key, {"smile": 1e30})[0] == 400
    assert ask(host, key, {"nose": 1})[0] == 400
    body = json.dumps({"id": key, "strengths": {}}).encode()
    assert post(host, body)[0] == 200
    assert post(host, body + b" " * 65536)[0] == 413
    assert post(host, body, Content_Type="text/plain")[0] == 415
    assert post(host, body, Origin="http://evil.example")[0] == 403
    assert post(host, body, Sec_Fetch_Site="cross-site")[0] == 403
    assert post(host, body, Origin=host.address, Sec_Fetch_Site="same-origin")[0] == 200


def test_a_body_without_a_length_is_cut_off(host: Host) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
    blocks = (b" " * 8192 for _ in range(400))  # 3 MB
    try:
        connection.request(
            "POST",
            PREVIEW,
            blocks,
            {"Content-Type": "application/json", "Transfer-Encoding": "chunked"},
            encode_chunked=True,
        )
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # the host hung up before everything was sent
    finally:
        connection.close()
    assert host.alive()


def hostile_bodies(key: str) -> list[bytes]:
    """Bodies that must all be refused."""
    good = json.dumps({"id": key, "strengths": {"smile": 1}})
    return [
        b"",
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b"\xff" * 60_000,
        b" " * 70_000,
        good[:-1].encode(),
        good.replace("1}", "NaN}").encode(),
        good.replace("1}", "9" * 50_000 + "}").encode(),
        good.replace("smile", "../../etc/passwd").encode(),
        good.replace(key, "../" * 40).encode(),
        json.dumps({"id": key, "strengths": {f"s{n}": n for n in range(2000)}}).encode(),
        json.dumps({"id": key, "strengths": {}, "path": "/etc/passwd"}).encode(),
    ]


def test_a_thousand_hostile_requests_leave_the_host_alive_and_its_memory_flat(
    host: Host, report: dict[str, Any]
) -> None:
    bodies = hostile_bodies(report["id"])
    for body in bodies:
        assert 400 <= post(host, body)[0] < 500
    before = resident_bytes(host)
    for number in range(HOSTILE):
        if number % 20 == 0:
            break_off(host, b"Content-Length: 5000\r\n\r\n{")
            break_off(host, b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert 400 <= post(host, bodies[number % len(bodies)])[0] < 500
    assert host.alive()
    assert resident_bytes(host) - before < MOST_GROWTH
    assert ask(host, report["id"], {"smile": 1})[0] == 200
    # The web server itself reports chunks it cannot read; no report may pass through our code.
    assert "preview_" not in host.log()


def break_off(host: Host, rest: bytes) -> None:
    """Begin a request, go on with `rest`, and leave."""
    with socket.create_connection(("127.0.0.1", host.port), 10) as connection:
        connection.sendall(
            b"POST /face_latents/preview HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\n" + rest
        )


def resident_bytes(host: Host) -> int:
    """Memory of the host's process; 0 where the system does not tell."""
    assert host._process is not None
    status = Path(f"/proc/{host._process.pid}/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
