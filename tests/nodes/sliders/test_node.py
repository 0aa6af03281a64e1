"""Attribute Sliders: what the strengths may hold, and where they move the faces."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS, latent_ops
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.files.values import save_direction
from face_latents.nodes import host
from face_latents.nodes.model import load as load_model
from face_latents.nodes.sliders.move import kept_still, move, parse_strengths, place
from face_latents.nodes.sliders.panel import panel_of, rows_of_model
from hypothesis import given
from hypothesis import strategies as st
from nodes_support import encode, photos, random_latent, run, tiny_model

NODE = NODE_CLASS_MAPPINGS["FaceLatentsSliders"]


@pytest.fixture(autouse=True)
def models(monkeypatch, tmp_path):
    """The user's model folder, empty."""
    monkeypatch.setattr(host.stand_alone, "models", tmp_path)
    return tmp_path


def slide(latent, strengths, model=None, keep_others=False, **wires):
    text = strengths if isinstance(strengths, str) else json.dumps(strengths)
    return run(
        "FaceLatentsSliders",
        face_model=model or tiny_model(),
        face_latent=latent,
        strengths=text,
        keep_others=keep_others,
        **wires,
    )


def save_own(models, model, name="mine", seed=5, **changes):
    vector = torch.randn(model.space.shape, generator=torch.Generator().manual_seed(seed))
    own = replace(model.directions["smile"], vector=vector, name=name, **changes)
    folder = models / "directions"
    folder.mkdir(exist_ok=True)
    save_direction(folder / f"{name}_00001_.safetensors", own)
    return own


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1))


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"smile": 0}', '{"smile": -0.0, "age": 0.0}'])
@pytest.mark.parametrize("keep_others", [False, True])
def test_zero_returns_the_code_bit_for_bit(text, keep_others):
    model = tiny_model()
    latent = encode(model, photos(2))
    moved, pictures, info = slide(latent, text, model, keep_others)
    assert torch.equal(moved.samples, latent.samples)
    assert moved.contexts == latent.contexts
    assert pictures.shape == (2, 32, 32, 3)
    assert "unchanged" in info


@given(strength=st.floats(-100, 100, allow_nan=False))
def test_one_slider_is_add_direction(strength):
    model = tiny_model()
    latent = random_latent(model, 3)
    moved = slide(latent, {"smile": strength}, model)[0]
    expected = latent_ops.add(latent.samples, model.directions["smile"].vector, strength)
    assert torch.equal(moved.samples, expected)


def test_several_sliders_add_up_in_any_order():
    model = tiny_model()
    latent = random_latent(model, 2)
    one = slide(latent, '{"smile": 1.25, "age": -2}', model)[0].samples
    other = slide(latent, '{"age": -2, "smile": 1.25}', model)[0].samples
    assert torch.equal(one, other)
    smile, age = (model.directions[name].vector.double() for name in ("smile", "age"))
    expected = latent.samples.double() + 1.25 * smile - 2 * age
    assert torch.allclose(one.double(), expected, atol=1e-5)


def test_the_input_is_not_changed():
    model = tiny_model()
    latent = random_latent(model)
    before = latent.samples.clone()
    vector = model.directions["smile"].vector.clone()
    slide(latent, {"smile": 3}, model, True)
    assert torch.equal(latent.samples, before)
    assert torch.equal(model.directions["smile"].vector, vector)


def test_keeping_the_others_still_holds_what_they_measure():
    model = tiny_model()
    latent = random_latent(model)
    smile, age = (model.directions[name].vector.double() for name in ("smile", "age"))

    def measured(axis, strengths, keep):
        moved = slide(latent, strengths, model, keep)[0].samples
        return float((moved - latent.samples).double() @ axis / axis.norm())

    assert abs(measured(age, {"smile": 2}, False)) > 0.1
    assert measured(age, {"smile": 2}, True) == pytest.approx(0, abs=1e-5)
    both = measured(smile, {"smile": 2, "age": 3}, True)
    assert both == pytest.approx(measured(smile, {"smile": 2}, True), abs=1e-5)
    shift = slide(latent, {"smile": 2}, model, True)[0].samples - latent.samples
    assert float(shift.norm()) == pytest.approx(2 * float(smile.norm()), rel=1e-5)


def test_a_direction_of_the_same_meaning_is_not_kept_still():
    model = tiny_model()
    smile = model.directions["smile"]
    twin = replace(smile, vector=smile.vector * 2 + 1e-3, name="grin")
    panel = panel_of(model, {"extra_1": twin})
    assert kept_still(panel, place(panel, {"smile": 1.0}, True), "smile") == ["age"]
    latent = random_latent(model)
    moved = move(panel, latent.samples, place(panel, {"smile": 1.0}, True))
    assert cosine((moved - latent.samples)[0], smile.vector) > 0.5


def test_a_file_added_later_does_not_change_an_old_workflow(models):
    model = tiny_model()
    latent = random_latent(model)
    before = slide(latent, {"smile": 2}, model, True)[0].samples
    stamp = NODE.IS_CHANGED(strengths='{"smile": 2}')
    own = save_own(models, model)
    assert NODE.IS_CHANGED(strengths='{"smile": 2}') != stamp
    assert torch.equal(slide(latent, {"smile": 2}, model, True)[0].samples, before)
    moved = slide(latent, {"smile": 2, "mine_00001_": 0}, model, True)[0].samples
    assert float((moved - latent.samples)[0] @ own.vector) == pytest.approx(0, abs=1e-4)


def test_own_files_have_sliders_and_those_of_other_models_have_none(models):
    model, other = tiny_model(), tiny_model("b" * 16)
    own = save_own(models, model)
    save_own(models, other, "foreign")
    (models / "directions" / "broken.safetensors").write_bytes(b"nothing")
    latent = random_latent(model)
    moved, _, info = slide(latent, {"mine_00001_": 1.5}, model)
    assert torch.equal(moved.samples, latent_ops.add(latent.samples, own.vector, 1.5))
    assert "broken.safetensors" in info
    assert list(panel_of(model).sliders) == ["smile", "age", "mine_00001_"]
    assert list(panel_of(other).sliders) == ["smile", "age", "foreign_00001_"]


def test_a_missing_direction_is_named_and_the_others_work():
    model = tiny_model()
    latent = random_latent(model)
    moved, _, info = slide(latent, {"gone": 2, "smile": 1}, model)
    assert "'gone'" in info
    assert "left out" in info
    assert torch.equal(moved.samples, slide(latent, {"smile": 1}, model)[0].samples)


def test_wires_add_sliders_and_tell_equal_names_apart():
    model = tiny_model()
    extra = replace(model.directions["age"], name="smile")
    latent = random_latent(model)
    moved = slide(latent, {"smile (extra_2)": 1}, model, extra_2=extra)[0].samples
    assert torch.equal(moved, slide(latent, {"age": 1}, model)[0].samples)


def test_a_direction_of_another_model_or_a_batch_is_refused():
    model = tiny_model()
    latent = random_latent(model)
    foreign = tiny_model("b" * 16).directions["smile"]
    with pytest.raises(SpaceMismatchError, match="extra_1"):
        slide(latent, {}, model, extra_1=foreign)
    batch = replace(model.directions["smile"], vector=torch.ones(2, 24))
    with pytest.raises(FaceLatentsError, match="one by one"):
        slide(latent, {}, model, extra_1=batch)


def test_a_wire_wins_over_the_slider():
    model = tiny_model()
    latent = random_latent(model)
    moved = slide(latent, {"smile": 3, "age": 1}, model, set_smile=-1.0)[0].samples
    assert torch.equal(moved, slide(latent, {"smile": -1, "age": 1}, model)[0].samples)
    assert "'hair'" in slide(latent, {}, model, set_hair=1.0)[2]
    for bad in (float("nan"), 1e9, "much"):
        with pytest.raises(FaceLatentsError, match="set_smile"):
            slide(latent, {}, model, set_smile=bad)


@pytest.mark.parametrize(
    "text",
    [
        "smile", "[1]", "3", "null", '{"smile": NaN}', '{"smile": Infinity}', '{"smile": 1e400}',
        '{"smile": "1"}', '{"smile": true}', '{"smile": [1]}', '{"smile": 101}', '{"": 1}',
        '{"smile": 1, "smile": 2}', '{"smile": 1', "[" * 50_000, '{"a":' * 9_000, "9" * 60_000,
        '{"smile": ' + "9" * 50_000 + "}", " " * 70_000, json.dumps({"x" * 301: 1}),
        json.dumps({str(number): 1 for number in range(300)}),
    ],
)  # fmt: skip
def test_text_that_is_no_strengths_is_explained(text):
    with pytest.raises(FaceLatentsError, match=r'JSON like \{"smile": 1.5') as caught:
        parse_strengths(text)
    assert len(str(caught.value)) < 600


@given(st.dictionaries(st.text(min_size=1, max_size=300), st.floats(-100, 100), max_size=20))
def test_strengths_survive_the_text(strengths):
    assert parse_strengths(json.dumps(strengths)) == strengths


def test_a_saved_direction_is_listed_by_its_own_name(models):
    model = load_model.LoadFaceModel().execute(model=load_model.BUNDLED)[0]
    (models / "directions").mkdir()
    names = {"a_first_00001_": "calm_look", "b_second_00001_": "calm_look", "c_third": "smile"}
    for stem, name in names.items():
        direction = replace(model.directions["age"], name=name)
        save_direction(models / "directions" / f"{stem}.safetensors", direction)
    rows = [row for row in rows_of_model(load_model.BUNDLED) if row["source"] == "file"]
    assert {row["name"]: row["label"] for row in rows} == {
        "a_first_00001_": "calm look",
        "b_second_00001_": "calm look (b second)",  # the name is taken
        "c_third": "smile (c third)",
    }


def test_the_list_for_the_canvas_is_that_of_the_run(models):
    model = load_model.LoadFaceModel().execute(model=load_model.BUNDLED)[0]
    save_own(models, model)
    rows = rows_of_model(load_model.BUNDLED)
    pictures = [row["thumbnail"] for row in rows]
    assert pictures == [*model.directions, ""]
    assert [row | {"thumbnail": ""} for row in rows] == [
        row | {"thumbnail": ""} for row in panel_of(model).rows()
    ]
    assert (rows[0]["name"], rows[0]["group"]) == ("smile", "expression")
    assert rows[-1] == {
        "name": "mine_00001_",
        "label": "mine",
        "unit": model.directions["smile"].unit,
        "low": model.directions["smile"].safe_range[0],
        "high": model.directions["smile"].safe_range[1],
        "source": "file",
        "group": "expression",
        "thumbnail": "",
    }
    for name in ("../../etc/passwd", "", "absent.safetensors"):
        with pytest.raises(FaceLatentsError, match="no face model"):
            rows_of_model(name)
