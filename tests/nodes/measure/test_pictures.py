"""Attribute Sheet, Disentanglement and Face Map."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.models import charts as plotting
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.face_model import bundled_face_model_path, load_face_model
from face_latents.models.geometry.templates import WHOLE
from face_latents.models.paste.face import SURROUNDINGS, PhotoFace, cut_face
from face_latents.models.values import Direction, FaceLatent, join_latents
from face_latents.nodes import host
from face_latents.nodes.measure import effects as picture_effects
from face_latents.nodes.measure import map as picture_map
from face_latents.nodes.measure import sheet as picture_sheet
from nodes_support import CODES, SIZE, encode, photos, random_latent, run, tiny_model
from sklearn.decomposition import PCA

MODEL = tiny_model()
SMILE, AGE = MODEL.directions["smile"], MODEL.directions["age"]


@pytest.fixture(autouse=True)
def temp_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path / "temp")


@pytest.fixture
def drawn(monkeypatch):
    """What the sheet hands to the drawing: (rows, row names, column names, title)."""
    calls: list[tuple] = []

    def record(rows, names, captions, title, **more):
        calls.append((rows, names, captions, title))
        return plotting.picture_grid(rows, names, captions, title, **more)

    monkeypatch.setattr(picture_sheet, "picture_grid", record)
    return calls


def sheet(**inputs: object) -> torch.Tensor:
    settings = {
        "face_model": MODEL,
        "direction": SMILE,
        "low": -2.0,
        "high": 2.0,
        "columns": 5,
        "strengths": "",
        "view": "decoded face",
        "faces": 4,
    } | inputs
    (image,) = run("FaceLatentsAttributeSheet", **settings)
    assert image.ndim == 4
    assert image.shape[0] == 1
    assert image.shape[-1] == 3
    return image


# --- Attribute Sheet -----------------------------------------------------------------------------


def test_cells_are_the_faces_at_their_strengths(drawn):
    faces = random_latent(MODEL, 3)
    sheet(face_latent=faces)
    ((rows, names, captions, title),) = drawn
    assert names == ["face 1", "face 2", "face 3"]
    assert captions == ["-2", "-1", "0", "+1", "+2"]
    assert title == "smile"
    for row, code in zip(rows, faces.samples, strict=True):
        codes = torch.stack([code + k * SMILE.vector for k in (-2, -1, 0, 1, 2)])
        torch.testing.assert_close(row, MODEL.decode(codes).clamp(0, 1), atol=1e-4, rtol=0)


def test_directions_get_rows_of_their_own(drawn):
    batch = Direction(torch.stack([SMILE.vector, AGE.vector]), MODEL.space, "pair")
    sheet(face_latent=random_latent(MODEL), direction_2=AGE, direction_3=batch, direction_4=SMILE)
    sheet(face_latent=random_latent(MODEL, 2), direction_2=AGE)
    assert drawn[0][1] == ["smile", "age", "pair 1", "pair 2", "smile (2)"]
    assert torch.equal(drawn[0][0][0], drawn[0][0][2])
    assert drawn[1][1] == ["1: smile", "1: age", "2: smile", "2: age"]
    assert drawn[1][3] == ""


def test_strengths_may_be_typed(drawn):
    sheet(face_latent=random_latent(MODEL), strengths="-4, 0.5; 1")
    sheet(face_latent=random_latent(MODEL), columns=1)
    sheet(face_latent=random_latent(MODEL), low=-0.3, high=0.3, columns=7)
    assert [call[2] for call in drawn[:2]] == [["-4", "+0.5", "+1"], ["+2"]]
    assert drawn[2][2][3] == "0"  # zero is zero, whatever the steps add up to


def test_faces_in_their_photo_stay_the_photos_own_at_zero(drawn):
    face = encode(MODEL, photos())
    sheet(face_latent=face, view="in the photo", columns=3)
    (rows, *_), *_ = drawn
    original = rows[0][1]
    assert not torch.equal(rows[0][0], original)
    assert not torch.equal(rows[0][2], original)
    still = encode(MODEL, photos())
    sheet(face_latent=still, view="in the photo", strengths="0", direction=AGE)
    assert torch.equal(drawn[1][0][0][0], original)


def test_faces_without_a_photo_are_shown_decoded(drawn):
    both = join_latents([encode(MODEL, photos()), random_latent(MODEL)])
    sheet(face_latent=both, view="in the photo", strengths="0")
    rows = drawn[0][0]
    torch.testing.assert_close(rows[1], MODEL.decode(both.samples[1:]).clamp(0, 1))
    assert rows[0].shape != rows[1].shape


def test_sheets_refuse():
    with pytest.raises(FaceLatentsError, match="make 96 rows; there is room for 48"):
        sheet(face_latent=random_latent(MODEL, 48), faces=48, direction_2=AGE)
    with pytest.raises(FaceLatentsError, match="strengths must be numbers"):
        sheet(face_latent=random_latent(MODEL), strengths="few")
    with pytest.raises(FaceLatentsError, match="room for 21 strengths; there are 22"):
        sheet(face_latent=random_latent(MODEL), strengths="1 " * 22)
    other = tiny_model("b" * 16)
    with pytest.raises(SpaceMismatchError, match="Attribute Sheet"):
        sheet(face_latent=random_latent(other))
    with pytest.raises(SpaceMismatchError, match="Attribute Sheet"):
        sheet(face_latent=random_latent(MODEL), direction_2=other.directions["age"])
    with pytest.raises(FaceLatentsError, match="'theme' must be one of"):
        sheet(face_latent=random_latent(MODEL), theme="pink")


# --- Disentanglement -----------------------------------------------------------------------------


def effects(**inputs: object) -> tuple[list[str], list[str], torch.Tensor]:
    """Column names, row names and the table."""
    settings = {
        "face_model": MODEL,
        "face_latent": random_latent(MODEL, 3),
        "strength": 0.5,
        "measure": "direction scores",
    } | inputs
    image, text = run("FaceLatentsDisentanglement", **settings)
    assert image.ndim == 4
    header, *lines = (line.split(",") for line in text.splitlines())
    table = torch.tensor([[float(value) for value in line[1:]] for line in lines])
    return header[1:], [line[0] for line in lines], table


def test_a_linear_models_table_is_its_directions_against_each_other():
    # Codes near zero decode within the range of a picture, so nothing is cut off.
    latent = random_latent(MODEL, 2)
    latent = latent.with_samples(latent.samples * 0.01)
    columns, rows, table = effects(face_latent=latent, strength=0.05)
    assert columns == rows == ["smile", "age"]
    vectors = torch.stack([SMILE.vector, AGE.vector]).double()
    expected = vectors @ vectors.T / vectors.square().sum(1)
    torch.testing.assert_close(table.double(), expected, atol=2e-3, rtol=0)


def test_own_directions_are_rows_and_columns():
    mine = Direction(AGE.vector - SMILE.vector, MODEL.space, "mine")
    columns, rows, table = effects(direction=mine, direction_4=SMILE)
    assert columns == rows == ["smile", "age", "mine", "smile (2)"]
    torch.testing.assert_close(table[:, 0], table[:, 3])


def test_the_judge_reads_the_pictures(monkeypatch):
    seen = []

    def read(pictures, template):
        assert template is MODEL.template
        seen.append(pictures)
        return pictures.mean((1, 2, 3))[:, None].expand(-1, 6)

    monkeypatch.setattr(picture_effects, "_read_attributes", read)
    both = join_latents([encode(MODEL, photos()), random_latent(MODEL)])
    columns, rows, table = effects(face_latent=both, measure="attribute judge", strength=2.0)
    assert columns[-1] == "age (decades)"
    assert rows == ["smile", "age"]
    context = both.contexts[0]
    edited = both.with_samples(both.samples + 2 * SMILE.vector)
    decoded = MODEL.decode(edited.samples)[1].clamp(0, 1)
    torch.testing.assert_close(seen[0][1], decoded, atol=1e-5, rtol=0)
    square = PhotoFace(context).in_square(round(SURROUNDINGS * SIZE), SURROUNDINGS).context
    face = replace(edited, samples=edited.samples[:1], contexts=(square,))
    (photo,) = run("FaceLatentsPasteBack", face_model=MODEL, face_latent=face)[0]
    assert torch.equal(seen[0][0], cut_face(photo, square, SIZE))
    assert float(table[0, 0]) == pytest.approx(float(seen[0].mean() - seen[1].mean()), abs=2e-3)


def test_the_bundled_judge_tells_a_smile_from_none():
    bundled = load_face_model(bundled_face_model_path())
    model = replace(bundled, directions={"smile": bundled.directions["smile"]})
    codes = model.sample(6, seed=4, truncation_psi=0.6)
    columns, rows, table = effects(
        face_model=model,
        face_latent=FaceLatent(codes, model.space),
        strength=2.0,
        measure="attribute judge",
    )
    changes = dict(zip(columns, table[rows.index("smile")].tolist(), strict=True))
    assert changes["smile"] > 0.2
    assert changes["smile"] > 3 * abs(changes["glasses"])


def test_tables_refuse():
    with pytest.raises(FaceLatentsError, match="up to 64 faces; this batch has 65"):
        effects(face_latent=random_latent(MODEL, 65))
    with pytest.raises(FaceLatentsError, match="above 0"):
        effects(strength=0.0)
    with pytest.raises(FaceLatentsError, match="'pair' is a batch of 2"):
        effects(direction=Direction(torch.ones(2, CODES), MODEL.space, "pair"))
    whole = replace(MODEL, template=WHOLE.resized(SIZE))
    with pytest.raises(FaceLatentsError, match="'tiny' takes whole pictures"):
        effects(face_model=whole, measure="attribute judge")
    bare = replace(MODEL, directions={})
    with pytest.raises(FaceLatentsError, match="no directions of its own"):
        effects(face_model=bare)
    assert effects(face_model=bare, direction=SMILE)[0] == ["smile"]
    many = replace(MODEL, directions={str(n): replace(SMILE, name=str(n)) for n in range(65)})
    with pytest.raises(FaceLatentsError, match="up to 64 directions; there are 65"):
        effects(face_model=many)
    bundled = load_face_model(bundled_face_model_path())
    assert len(bundled.directions) + len(picture_effects.GIVEN) <= picture_effects.MOST_DIRECTIONS


# --- Face Map ------------------------------------------------------------------------------------


def face_map(**inputs: object) -> tuple[torch.Tensor, list[float], torch.Tensor]:
    """The picture, the shares of the axes, and the places."""
    image, text = run("FaceLatentsFaceMap", **{"groups": "", "names": ""} | inputs)
    assert image.shape == (1, 800, 1024, 3)
    lines = text.splitlines()
    shares = [float(line.split()[2].rstrip("%")) / 100 for line in lines[:2]]
    places = [[float(value) for value in line.split(",")[1:]] for line in lines[2:]]
    return image, shares, torch.tensor(places)


def test_the_map_is_that_of_scikit_learn():
    latent = random_latent(MODEL, 30)
    _, shares, places = face_map(face_latent=latent)
    reference = PCA(2).fit(latent.samples.double().numpy())
    expected = torch.from_numpy(reference.transform(latent.samples.double().numpy())).float()
    assert shares == pytest.approx(reference.explained_variance_ratio_.tolist(), abs=1e-3)
    for mine, theirs in zip(places.T, expected.T, strict=True):
        sign = torch.sign(mine @ theirs)
        torch.testing.assert_close(mine * sign, theirs, atol=2e-4, rtol=0)


def test_faces_of_a_path_lie_on_a_line():
    ends = random_latent(MODEL, 2)
    frames = run("FaceLatentsMorph", face_latent=ends, frames=7, path="lerp", loop=False)[0]
    _, shares, places = face_map(face_latent=frames)
    assert shares == pytest.approx([1, 0], abs=1e-3)
    assert bool((places[:, 0].diff().sign() == places[:, 0].diff().sign()[0]).all())
    assert places[:, 1].abs().max() < 1e-3


def test_two_faces_and_equal_faces_have_a_map():
    two = random_latent(MODEL, 2)
    _, shares, places = face_map(face_latent=two)
    distance = (two.samples[0] - two.samples[1]).norm()
    assert float((places[0] - places[1]).norm()) == pytest.approx(float(distance), abs=1e-3)
    assert shares == pytest.approx([1, 0])
    same = two.with_samples(two.samples[:1].expand(2, -1))
    assert face_map(face_latent=same)[2].abs().max() == 0


def test_a_map_shows_what_is_known_of_each_face(monkeypatch):
    calls = []

    def record(places, title, **more):
        calls.append(more)
        return plotting.scatter_chart(places, title, **more)

    monkeypatch.setattr(picture_map, "scatter_chart", record)
    both = join_latents([encode(MODEL, photos()), random_latent(MODEL, 2)])
    face_map(face_latent=both)
    words = {"groups": "mine, theirs * 2", "names": "a\nb\nc"}
    face_map(face_latent=both, face_model=MODEL, theme="light", **words)
    assert [picture is None for picture in calls[0]["thumbnails"]] == [False, True, True]
    assert calls[0]["groups"] is None
    torch.testing.assert_close(torch.stack(calls[1]["thumbnails"]), MODEL.decode(both.samples))
    assert calls[1]["groups"] == ["mine", "theirs", "theirs"]
    assert calls[1]["labels"] == ["a", "b", "c"]
    assert calls[1]["theme"] == "light"


def test_maps_refuse():
    with pytest.raises(FaceLatentsError, match="2 to 512 faces; this batch has 1"):
        face_map(face_latent=random_latent(MODEL))
    with pytest.raises(FaceLatentsError, match="4 groups for 3 faces"):
        face_map(face_latent=random_latent(MODEL, 3), groups="a, b * 3")
    with pytest.raises(FaceLatentsError, match="513 names for 3 faces"):
        face_map(face_latent=random_latent(MODEL, 3), names="a * 99999999999")
    with pytest.raises(SpaceMismatchError, match="Face Map: model 'tiny'"):
        face_map(face_latent=random_latent(tiny_model("b" * 16), 2), face_model=MODEL)
