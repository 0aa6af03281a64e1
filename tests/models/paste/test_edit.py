"""The one recipe: which picture of a face is edited, and what is computed only once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import FaceModel
from face_latents.models.paste.edit import METHODS, PhotoEdit, PictureEdit, plan_edits
from face_latents.models.paste.face import PhotoFace, cut_face, photo_faces
from face_latents.models.values import PhotoContext
from face_support import face_model_of, small_net
from nodes_support import SIZE, photos, tiny_model
from paste_support import make_context, make_maps

MODEL = tiny_model()
STEP = MODEL.directions["smile"].vector


def context_of(seed: float = 0.0) -> PhotoContext:
    photo = (photos(1, 100, 120)[0] * 0.5 + seed).clamp(0, 1)
    context = make_context(photo, (60, 50), 64, 10, size=SIZE)
    code = MODEL.encode(cut_face(photo, context, SIZE)[None])[0]
    return replace(context, code=code)


def face_of(model: FaceModel, seed: float = 0.0) -> PhotoFace:
    """A face of a photo with a code of its own."""
    photo = (photos(1, 100, 120)[0] * 0.5 + seed).clamp(0, 1)
    context = make_context(photo, (60, 50), 64, 10, size=model.template.size)
    return PhotoFace(replace(context, code=model.sample(1, seed=int(10 * seed))[0]))


class Calls:
    """Runs a model at once and notes how many items each function got."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def __call__(self, what: str, function: object, *items: torch.Tensor) -> torch.Tensor:
        self.made.append((what, len(items[0])))
        return function(*items)  # type: ignore[operator]


def test_a_face_whose_code_is_unchanged_has_no_edit() -> None:
    faces = [PhotoFace(context_of(seed)) for seed in (0.0, 0.2, 0.4)]
    codes = torch.stack([face.code for face in faces])
    assert plan_edits(MODEL, faces, codes) == [None] * 3
    codes[1] += STEP
    before, edit, after = plan_edits(MODEL, faces, codes)
    assert before is None
    assert after is None
    assert isinstance(edit, PictureEdit)
    assert torch.equal(edit.before, MODEL.decode(faces[1].code[None])[0])
    assert torch.equal(edit.after, MODEL.decode(codes[1:2])[0])


def test_frames_of_one_face_share_what_comes_before_the_edit() -> None:
    faces, calls = photo_faces([context_of()] * 3), Calls()
    assert faces[0] is faces[2]
    codes = torch.stack([face.code + k * STEP for k, face in enumerate(faces, start=1)])
    edits = plan_edits(MODEL, faces, codes, run=calls)
    assert calls.made == [("Decoding unedited faces", 1), ("Decoding edited faces", 3)]
    again = plan_edits(MODEL, faces, codes, run=calls)
    assert calls.made[2:] == [("Decoding edited faces", 3)]
    for first, second in zip(edits, again, strict=True):
        assert isinstance(first, PictureEdit)
        assert isinstance(second, PictureEdit)
        assert first.before is second.before
        assert torch.equal(first.after, second.after)


def test_an_artists_picture_takes_the_place_of_the_decode_at_its_own_size() -> None:
    face = PhotoFace(context_of())
    picture = torch.rand(1, 3, 3 * SIZE, 3 * SIZE, generator=torch.Generator().manual_seed(0))
    (edit,) = plan_edits(MODEL, [face], face.code[None], pictures=picture)
    assert isinstance(edit, PictureEdit)
    assert torch.equal(edit.after, picture[0])
    assert edit.before.shape == edit.after.shape


@pytest.mark.parametrize("method", METHODS)
def test_the_photos_own_face_is_edited_where_its_pixels_move(method: str) -> None:
    model = face_model_of(small_net())
    face, calls = face_of(model), Calls()
    code = face.code + 0.3
    (edit,) = plan_edits(model, [face], code[None], method=method, run=calls)
    if method == "warp":
        assert isinstance(edit, PhotoEdit)
        assert edit.maps.extent == model.capabilities.editor.extent
        expected = model.edit_photos(face.crop[None], face.code[None], code[None])[0]
        assert torch.equal(edit.maps.stacked(), expected)
        assert calls.made == [("Editing faces", 1)]
    else:
        assert isinstance(edit, PictureEdit)
        assert edit.method == method
        torch.testing.assert_close(edit.after, model.decode(code[None])[0])
    picture = torch.rand(1, 3, 40, 40)
    (drawn,) = plan_edits(model, [face], code[None], method=method, pictures=picture)
    assert isinstance(drawn, PictureEdit)  # an artist's picture is no edit of the model's


def test_only_faces_that_change_are_edited() -> None:
    model, calls = face_model_of(small_net()), Calls()
    faces = [face_of(model, seed) for seed in (0.0, 0.2, 0.4)]
    codes = torch.stack([face.code for face in faces])
    codes[2] += 0.3
    first, second, third = plan_edits(model, faces, codes, run=calls)
    assert first is None
    assert second is None
    assert isinstance(third, PhotoEdit)
    assert calls.made == [("Editing faces", 1)]


def test_a_draft_has_half_the_resolution() -> None:
    model = face_model_of(small_net())
    face = face_of(model)
    code = (face.code + 0.3)[None]
    (exact,), (draft,) = (plan_edits(model, [face], code, draft=d) for d in (False, True))
    assert isinstance(exact, PhotoEdit)
    assert isinstance(draft, PhotoEdit)
    assert 2 * draft.maps.motion.shape[-1] == exact.maps.motion.shape[-1]
    assert draft.maps.extent == exact.maps.extent


def test_edits_that_are_not_finite_are_refused() -> None:
    maps = make_maps()
    maps.motion[0, 3, 3] = torch.nan
    with pytest.raises(FaceLatentsError, match=r"the edit has values that are not finite"):
        PhotoEdit(maps)


def test_a_small_view_edits_the_face_of_the_whole_photo() -> None:
    face = PhotoFace(context_of())
    for side, surroundings in ((SIZE, 1.0), (48, 1.0), (40, 1.5)):
        small = face.in_square(side, surroundings)
        assert small.context.photo.shape == (side, side, 3)
        assert torch.equal(small.crop, face.crop)
        assert torch.equal(small.code, face.code)
        again = cut_face(small.context.photo, small.context, SIZE)
        assert (again - face.crop).abs().mean() < 0.1  # resampled noise
        assert isinstance(plan_edits(MODEL, [small], small.code[None] + STEP)[0], PictureEdit)
