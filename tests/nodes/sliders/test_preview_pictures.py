"""The live preview without a web server: what is drawn, in which order, and what is forgotten."""

from __future__ import annotations

import gc
import json
import threading

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.nodes import host
from face_latents.nodes.model import load as load_model
from face_latents.nodes.sliders.panel import panel_of
from face_latents.nodes.sliders.preview.sessions import Sessions, session_of
from face_latents.nodes.sliders.preview.sessions import sessions as host_sessions
from nodes_support import encode, mesh_face, photos, random_latent, run, tiny_model
from preview_support import HEADERS, Bench, answer_of, as_bytes, pixels
from skimage import data


@pytest.fixture(autouse=True)
def models(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "models", tmp_path)
    return tmp_path


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
    assert torch.equal(still, as_bytes(bench.session.views.small[0].context.photo))
    moved = pixels(bench.ask(strengths={"smile": 3}))
    assert not torch.equal(moved, still)


def test_a_face_has_the_pixels_that_are_asked_for_and_that_its_photo_has():
    model = tiny_model()
    photo = photos(height=1200, width=1000)
    bench = Bench(encode(model, photo, mesh_face(500, 600, eyes=250)), model=model)
    sides = [pixels(bench.ask(side=side)).shape[0] for side in (1, 256, 384, 8192)]
    assert sides[:3] == [256, 256, 384]
    assert 384 < sides[3] <= 768
    assert pixels(bench.ask(side=8192, draft=True)).shape == (256, 256, 3)
    few = Bench(encode(model, photos()), model=model)
    assert pixels(few.ask(side=8192)).shape == (256, 256, 3)


def test_the_whole_photo_is_shown_with_all_its_faces():
    model = tiny_model()
    photo = photos(height=150, width=300)
    faces = mesh_face(80, 75), mesh_face(220, 75)
    bench = Bench(encode(model, photo, *faces), model=model)
    assert len(bench.latent) == 2
    still = pixels(bench.ask(photo=True))
    assert torch.equal(still, as_bytes(photo[0]))
    moved = pixels(bench.ask(photo=True, strengths={"smile": 3}))
    changed = (moved != still).any(-1).any(0)
    assert changed[:150].any()
    assert changed[150:].any()
    pasted = run(
        "FaceLatentsPasteBack",
        face_model=model,
        face_latent=run(
            "FaceLatentsSliders",
            face_model=model,
            face_latent=bench.latent,
            strengths='{"smile": 3}',
        )[0],
        strength=1.0,
        method="warp",
    )[0]
    assert torch.equal(moved, as_bytes(pasted[0].clamp(0, 1)))
    assert pixels(bench.ask(photo=True, draft=True)).shape == still.shape


def test_a_large_photo_is_shown_smaller_with_its_face_in_place():
    model = tiny_model()
    photo = photos(height=1500, width=2048)
    bench = Bench(encode(model, photo, mesh_face(1024, 700, eyes=200)), model=model)
    still, moved = (pixels(bench.ask(photo=True, strengths={"smile": n})).double() for n in (0, 3))
    assert still.shape == (750, 1024, 3)
    rows, columns = ((moved - still).abs().sum(-1) > 0).nonzero(as_tuple=True)
    assert abs(float(columns.double().mean()) - 512) < 40
    assert abs(float(rows.double().mean()) - 350) < 60


def test_before_is_as_the_faces_came_in_whatever_the_sliders_or_wires_say():
    bench = Bench(driven={"smile": 2.0})
    still = Bench(bench.latent, model=bench.model)
    before = pixels(bench.ask(strengths={"age": 1}, before=True))
    assert torch.equal(before, pixels(still.ask()))
    assert not torch.equal(before, pixels(bench.ask(strengths={"age": 1})))


def test_a_draft_looks_much_like_the_exact_picture():
    photo = torch.from_numpy(data.astronaut()).float()[None] / 255
    model = load_model.LoadFaceModel().execute(model=load_model.BUNDLED)[0]
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
    answers = [answer_of(bench.previews.draw, *one) for one in accepted]
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


def test_a_run_makes_a_session_anew_that_was_wanted_in_vain():
    """Else ComfyUI answers a run of the same inputs from its cache, and queueing does not help."""
    model = tiny_model()
    key = host_sessions.add(session_of(model, panel_of(model), random_latent(model), {}))
    node = NODE_CLASS_MAPPINGS["FaceLatentsSliders"]
    stamp = node.IS_CHANGED()
    assert host_sessions.find(key) is not None
    assert node.IS_CHANGED() == stamp
    del model
    gc.collect()
    assert host_sessions.find(key) is None
    assert node.IS_CHANGED() != stamp
