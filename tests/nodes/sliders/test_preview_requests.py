"""What the live preview and the list of directions refuse."""

from __future__ import annotations

import io
import json

import pytest
from face_latents.nodes import host
from face_latents.nodes.model import load as load_model
from face_latents.nodes.sliders.preview.protocol import (
    MOST_BODY_BYTES,
    list_directions,
    show_thumbnail,
)
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from preview_support import Bench, answer_of


@pytest.fixture(autouse=True)
def models(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "models", tmp_path)
    return tmp_path


BAD_FIELDS = {
    "no id": {"id": None},
    "an empty id": {"id": ""},
    "a long id": {"id": "x" * 129},
    "an id that is no text": {"id": ["x"]},
    "strengths as a list": {"strengths": [1]},
    "a number as text": {"strengths": {"smile": "1"}},
    "a number that is true": {"strengths": {"smile": True}},
    "a huge number": {"strengths": {"smile": 1e300}},
    "a nested number": {"strengths": {"smile": {"a": 1}}},
    "an unknown name": {"strengths": {"nose": 1}},
    "a path as a name": {"strengths": {"../../etc/passwd": 1}},
    "an unknown field": {"path": "/etc/passwd"},
    "keep_others as a number": {"keep_others": 1},
    "draft as a text": {"draft": "yes"},
    "photo as a number": {"photo": 1},
    "before as null": {"before": None},
    "a negative side": {"side": -1},
    "a huge side": {"side": 1e9},
    "a broken side": {"side": 256.5},
    "a side that is true": {"side": True},
    "a negative sequence": {"sequence": -1},
    "a broken sequence": {"sequence": 1.5},
    "a sequence as text": {"sequence": "1"},
    "too many strengths": {"strengths": {str(number): 0 for number in range(300)}},
}


@pytest.mark.parametrize("fields", BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_a_wrong_field_is_refused(fields):
    assert Bench().ask(**fields).status == 400


BAD_BODIES = {
    "nothing": b"",
    "no JSON": b"smile=1",
    "NaN": b'{"id": "ID", "strengths": {"smile": NaN}}',
    "infinity": b'{"id": "ID", "strengths": {"smile": -Infinity}}',
    "too large for a float": b'{"id": "ID", "strengths": {"smile": 1e999}}',
    "60,000 digits": b'{"id": "ID", "strengths": {"smile": ' + b"9" * 60_000 + b"}}",
    "a tower of lists": b"[" * 60_000,
    "a tower of objects": b'{"a":' * 12_000,
    "a closed tower": b"[" * 30_000 + b"]" * 30_000,
    "a list": b"[]",
    "a text": b'"id"',
    "null": b"null",
    "no UTF-8": b'{"id": "\xff\xfe", "strengths": {}}',
    "half a letter": b'{"id": "ID", "strengths": {"\\ud800": 1}}',
    "UTF-16": '{"id": "ID", "strengths": {"smile": null}}'.encode("utf-16"),
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_wrong_body_is_refused(body):
    bench = Bench()
    assert bench.ask(body.replace(b"ID", bench.id.encode())).status == 400


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (413, {"Content-Length": str(MOST_BODY_BYTES + 1)}),
        (413, {"content-length": "9" * 18}),
        (400, {"Content-Length": "-5"}),
        (400, {"Content-Length": "9" * 50}),
        (400, {"Content-Length": "many"}),
        (415, {"Content-Type": "text/plain"}),
        (415, {"Content-Type": ""}),
        (415, {"Content-Type": "application/jsonx"}),
        (415, {"Content-Encoding": "gzip"}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": "http://127.0.0.1:8189"}),
        (403, {"Origin": "http://127.0.0.1"}),
        (403, {"Origin": "https://127.0.0.1"}),
        (403, {"Origin": "http://127.0.0.1:8188.evil.example"}),
        (403, {"Origin": "http://127.0.0.1:99999999"}),
        (403, {"Origin": "http://[::1"}),
        (403, {"Origin": "null"}),
        (403, {"Origin": ""}),
        (403, {"Origin": "file://"}),
        (403, {"Sec-Fetch-Site": "cross-site"}),
        (403, {"Sec-Fetch-Site": "same-site"}),
        (403, {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8188"}),
        (403, {"Origin": "http://127.0.0.1:8188", "Host": ""}),
        (200, {"Origin": "http://127.0.0.1:8188", "Sec-Fetch-Site": "same-origin"}),
        (200, {"ORIGIN": "HTTP://127.0.0.1:8188", "sec-fetch-site": "none"}),
        (200, {"Origin": "http://studio.local", "Host": "studio.local"}),
        (200, {"Origin": "https://studio.local", "Host": "studio.local:443"}),
        (200, {"Content-Type": "application/json; charset=utf-8"}),
    ],
)
def test_headers(status, headers):
    assert Bench().ask(headers=headers).status == status


def test_a_long_body_is_refused_whatever_its_header_says():
    bench = Bench()
    body = json.dumps({"id": bench.id, "strengths": {}}).encode()
    assert bench.ask(body + b" " * (MOST_BODY_BYTES - len(body))).status == 200
    assert bench.ask(body + b" " * MOST_BODY_BYTES, {"Content-Length": "5"}).status == 413


@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(body):
    assert BENCH.ask(body).status == 400


BENCH = Bench()

values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["id", "strengths", "keep_others", "sequence"]), values))
def test_any_fields_get_an_answer(fields):
    assert BENCH.ask(json.dumps({"id": BENCH.id, **fields}).encode()).status in (200, 400, 404)


def test_the_list_of_directions():
    answer = answer_of(list_directions, {"Host": "127.0.0.1:8188"}, load_model.BUNDLED)
    assert answer.status == 200
    assert json.loads(answer.body)["directions"][0]["name"] == "smile"
    for model in ("../face.safetensors", "/etc/passwd", "", "x" * 9000):
        refused = answer_of(list_directions, {}, model)
        assert refused.status == 404
        assert len(refused.body) < 300
    assert (
        answer_of(list_directions, {"Sec-Fetch-Site": "cross-site"}, load_model.BUNDLED).status
        == 403
    )


def test_a_damaged_model_file_has_no_list(models):
    (models / "damaged.safetensors").write_bytes(b"\x05" * 50)
    assert answer_of(list_directions, {}, "damaged.safetensors").status == 404


def test_every_bundled_direction_has_a_picture():
    rows = json.loads(list_directions({}, load_model.BUNDLED).body)["directions"]
    pictures = [show_thumbnail({}, load_model.BUNDLED, row["thumbnail"]).body for row in rows]
    assert len(pictures) == 39
    assert sum(map(len, pictures)) < 300_000
    assert {Image.open(io.BytesIO(one)).size for one in pictures} == {(216, 72)}


def test_pictures_of_directions_are_read_as_if_a_stranger_had_put_them_there(models):
    def ask(direction: str, model: str = load_model.BUNDLED, **headers: str) -> int:
        return answer_of(show_thumbnail, headers, model, direction).status

    (models / "directions").mkdir(parents=True)
    Image.new("RGB", (90, 30)).save(models / "directions" / "secret.jpg")
    for direction in ("", "nose", "../face.thumbnails/smile", "..\\smile", "/etc/passwd", "a/b"):
        assert ask(direction) == 404, direction
    assert ask("directions/secret.jpg") == 404  # no direction lies beside it
    assert ask("smile", "../face") == 404
    assert ask("smile", **{"Sec-Fetch-Site": "cross-site"}) == 403

    (models / "directions" / "own.safetensors").write_bytes(b"")
    own, picture = "directions/own.safetensors", models / "directions" / "own.jpg"
    assert ask(own) == 404
    Image.new("RGB", (90, 30)).save(picture)
    assert ask(own) == 200
    for damage in (b"", b"no picture", picture.read_bytes()[:300], b"\xff\xd8\xff" * 200_000):
        picture.write_bytes(damage)
        assert ask(own) == 404, damage[:20]
    Image.new("RGB", (90, 30)).save(picture, "PNG")
    assert ask(own) == 404
    Image.new("RGB", (4000, 30)).save(picture)
    assert ask(own) == 404
