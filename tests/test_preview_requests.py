"""The live preview without a web server: what is drawn, what is refused, what is forgotten."""

from __future__ import annotations

import gc
import io
import json
import threading

import numpy as np
import pytest
import torch
from face_latents.nodes import host, load_model
from face_latents.nodes.preview_requests import MOST_BODY_BYTES, Previews, list_directions
from face_latents.nodes.preview_sessions import Sessions, session_of
from face_latents.nodes.sliders_panel import panel_of
from hypothesis import given
from hypothesis import strategies as st
from nodes_support import encode, photos, random_latent, run, tiny_model
from PIL import Image
from skimage import data

HEADERS = {"Content-Type": "application/json", "Host": "127.0.0.1:8188"}


@pytest.fixture(autouse=True)
def models(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "models", tmp_path)
    return tmp_path


class Bench:
    """One session behind a fresh set of previews."""

    def __init__(self, latent=None, driven=None, model=None):
        self.model = model or tiny_model()
        self.latent = random_latent(self.model) if latent is None else latent
        self.sessions = Sessions()
        self.session = session_of(self.model, panel_of(self.model), self.latent, driven or {})
        self.id = self.sessions.add(self.session)
        self.previews = Previews(self.sessions)

    def ask(self, body=None, headers=None, **fields):
        if body is None:
            body = json.dumps({"id": self.id, "strengths": {}, **fields}).encode()
        return self.previews.handle(HEADERS | (headers or {}), body)


def pixels(answer):
    assert answer.status == 200, answer.body
    with Image.open(io.BytesIO(answer.body)) as picture:
        return torch.from_numpy(np.asarray(picture).copy())


def as_bytes(image):
    return (image * 255).round().to(torch.uint8)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("keep_others", [False, True])
def test_the_picture_is_that_of_the_queued_result(count, keep_others):
    bench = Bench()
    bench = Bench(random_latent(bench.model, count), model=bench.model)
    strengths = {"smile": 1.5, "age": -0.5}
    shown = pixels(bench.ask(strengths=strengths, keep_others=keep_others))
    queued = run(
        "FaceLatentsSliders",
        face_model=bench.model,
        face_latent=bench.latent,
        strengths=json.dumps(strengths),
        keep_others=keep_others,
    )[1]
    assert torch.equal(shown, as_bytes(torch.cat(list(queued), 1)))


def test_a_face_from_a_photo_is_shown_in_it():
    model = tiny_model()
    bench = Bench(encode(model, photos()), model=model)
    still = pixels(bench.ask())
    assert still.shape == (256, 256, 3)
    assert torch.equal(still, as_bytes(bench.session.squares[0].photo))
    moved = pixels(bench.ask(strengths={"smile": 3}))
    assert not torch.equal(moved, still)


def test_a_draft_looks_much_like_the_exact_picture():
    photo = torch.from_numpy(data.astronaut()).float()[None] / 255
    model = load_model.LoadFaceModel().load(load_model.BUNDLED)[0]
    settings = {"faces": "largest", "index": 0, "min_score": 0.5}
    latent = run("FaceLatentsEncode", image=photo, face_model=model, **settings)[0]
    bench = Bench(latent, model=model)
    strengths = {"smile": -2, "age": 2}
    answer = bench.ask(strengths=strengths, draft=True)
    assert answer.kind == "image/jpeg"
    draft, exact, still = (
        pixels(one).double() for one in (answer, bench.ask(strengths=strengths), bench.ask())
    )
    assert (draft - exact).abs().mean() < 0.6 * (still - exact).abs().mean()
    assert (draft - still)[:8].abs().mean() < 4  # the frame stays, but for the JPEG


def test_codes_in_half_precision_are_moved_as_the_queue_moves_them():
    model = tiny_model()
    latent = random_latent(model)
    bench = Bench(latent.with_samples(latent.samples.half()), model=model)
    moved = run(
        "FaceLatentsSliders",
        face_model=model,
        face_latent=bench.latent,
        strengths='{"smile": 1.37, "age": 0.4}',
    )
    assert moved[0].samples.dtype == torch.float16
    shown = pixels(bench.ask(strengths={"smile": 1.37, "age": 0.4}))
    assert torch.equal(shown, as_bytes(moved[1][0]))


def test_four_faces_are_shown_at_most():
    model = tiny_model()
    bench = Bench(random_latent(model, 9), model=model)
    assert pixels(bench.ask()).shape == (32, 4 * 32, 3)


def test_a_strength_by_wire_wins():
    bench = Bench(driven={"smile": 2.0})
    assert torch.equal(pixels(bench.ask(strengths={"smile": -2})), pixels(bench.ask()))


def test_the_sequence_comes_back():
    assert Bench().ask(sequence=17).headers["X-Sequence"] == "17"


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


def test_unknown_and_forgotten_ids_say_to_queue():
    bench = Bench()
    answer = bench.ask(id="x" * 32)
    assert answer.status == 404
    assert b"queue the workflow once" in answer.body
    bench.model = None
    gc.collect()
    assert bench.ask().status == 404


def test_only_the_newest_of_those_that_wait_is_drawn():
    bench = Bench()
    ask = [
        json.dumps({"id": bench.id, "strengths": {"smile": n}, "sequence": n}).encode()
        for n in range(20)
    ]
    accepted = [bench.previews.accept(HEADERS, body) for body in ask]
    answers = [bench.previews.draw(*one) for one in accepted]
    assert [answer.status for answer in answers] == [409] * 19 + [200]
    assert torch.equal(pixels(answers[-1]), pixels(bench.ask(strengths={"smile": 19})))


def test_requests_from_many_threads_end_with_one_picture_each():
    bench = Bench()
    expected = {n: pixels(bench.ask(strengths={"smile": n})) for n in range(8)}
    wrong = []

    def work(n):
        for _ in range(10):
            answer = bench.ask(strengths={"smile": n})
            if answer.status != 409 and not torch.equal(pixels(answer), expected[n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_network_that_is_being_moved_gives_an_answer(monkeypatch):
    bench = Bench()
    monkeypatch.setattr(bench.model.module, "decode", lambda codes: codes @ torch.ones(3, 3))
    answer = bench.ask()
    assert answer.status == 503
    assert b"shapes" not in answer.body


def test_the_least_recently_used_sessions_are_forgotten():
    model = tiny_model()
    sessions = Sessions(most=3)
    made = [session_of(model, panel_of(model), random_latent(model), {}) for _ in range(5)]
    first = sessions.add(made[0])
    second = sessions.add(made[1])
    sessions.add(made[2])
    assert sessions.find(first) is made[0]
    sessions.add(made[3])
    assert sessions.find(second) is None
    assert sessions.find(first) is made[0]
    small = Sessions(most_bytes=made[0].size() * 2)
    ids = [small.add(session) for session in made]
    assert [small.find(key) is not None for key in ids] == [False, False, False, True, True]
    assert len(set(ids)) == 5
    assert min(len(key) for key in ids) >= 32


def test_a_session_larger_than_the_limit_still_works_alone():
    model = tiny_model()
    sessions = Sessions(most_bytes=1)
    key = sessions.add(session_of(model, panel_of(model), random_latent(model), {}))
    assert sessions.find(key) is not None


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
    answer = list_directions({"Host": "127.0.0.1:8188"}, load_model.BUNDLED)
    assert answer.status == 200
    assert json.loads(answer.body)["directions"][0]["name"] == "smile"
    for model in ("../face.safetensors", "/etc/passwd", "", "x" * 9000):
        refused = list_directions({}, model)
        assert refused.status == 404
        assert len(refused.body) < 300
    assert list_directions({"Sec-Fetch-Site": "cross-site"}, load_model.BUNDLED).status == 403


def test_a_damaged_model_file_has_no_list(models):
    (models / "damaged.safetensors").write_bytes(b"\x05" * 50)
    assert list_directions({}, "damaged.safetensors").status == 404
