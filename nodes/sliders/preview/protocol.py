"""The live preview's protocol: what a request may hold, and what is answered. No web server here.

A request holds an id that a run handed out and numbers; it names no file. Anything else is refused
before it reaches the model.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from ....models.errors import FaceLatentsError
from ....models.files.thumbnails import read_thumbnail
from ..move import check_strengths
from ..panel import find_thumbnail, rows_of_model
from .sessions import GoneError, Session, Sessions, to_jpeg, to_png
from .views import LEAST_SIDE, View

logger = logging.getLogger(__name__)

MOST_BODY_BYTES = 64 * 1024
LONGEST_ID = 128
LAST_SEQUENCE = 2**53
SWITCHES = ("keep_others", "draft", "photo", "before")
FIELDS = {"id", "strengths", "sequence", "side", *SWITCHES}
LARGEST_SIDE = 8192
MODEL_BUSY = "The model is busy. Move the slider again, or queue."
QUEUE_ONCE = "There is nothing to preview from: queue the workflow once."
_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^\s/:@?#\[\]]+)(?::(?P<port>[0-9]{1,5}))?",
    re.I,
)


@dataclass(frozen=True)
class Answer:
    """What goes back to the browser."""

    status: int
    body: bytes
    kind: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A checked request."""

    id: str
    strengths: Mapping[str, float]
    keep_others: bool
    sequence: int
    view: View


class RefusedError(FaceLatentsError):
    """A request that is not answered with a picture, and the answer that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.answer = Answer(status, text.encode("utf-8", "replace"), "text/plain")


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse a request by its headers alone, before its body is read.

    Raises:
        RefusedError: from another site (403), not JSON (415), too long (413), a length that is no
            number (400).
    """
    check_origin(headers)
    given = {name.lower(): value for name, value in headers.items()}
    kind = given.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json" or given.get("content-encoding", "identity") != "identity":
        raise RefusedError(415, "Send plain application/json.")
    length = given.get("content-length", "0").strip()
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        raise RefusedError(400, "Content-Length is no number.")
    if int(length) > MOST_BODY_BYTES:
        raise too_long()


def check_origin(headers: Mapping[str, str]) -> None:
    """Refuse calls that a page of another site makes.

    Raises:
        RefusedError: 403.
    """
    given = {name.lower(): value for name, value in headers.items()}
    site = given.get("sec-fetch-site", "same-origin").strip().lower()
    origin = given.get("origin")
    if site not in ("same-origin", "none") or (
        origin is not None and not _same_origin(origin, given.get("host", ""))
    ):
        raise RefusedError(403, "Only ComfyUI's own page may ask for this.")


def too_long() -> RefusedError:
    return RefusedError(413, f"A request may hold {MOST_BODY_BYTES} bytes.")


def read_request(body: bytes) -> Request:
    """Check a body field by field.

    Raises:
        RefusedError: too long (413), or anything but the expected fields (400).
    """
    if len(body) > MOST_BODY_BYTES:
        raise too_long()
    try:
        # Numbers as floats: one of 60,000 digits becomes infinite instead of taking its time.
        value = json.loads(body, parse_int=float, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "The body is not valid JSON.") from error
    if not isinstance(value, dict) or not FIELDS >= set(value) >= {"id", "strengths"}:
        raise RefusedError(400, f"Send an object with {', '.join(sorted(FIELDS))}.")
    key = value["id"]
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_ID:
        raise RefusedError(400, "id has to be the text that a run handed out.")
    sequence = _read_whole(value, "sequence", 0, LAST_SEQUENCE)
    side = _read_whole(value, "side", LEAST_SIDE, LARGEST_SIDE)
    switches = {name: value.get(name, False) for name in SWITCHES}
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise RefusedError(400, f"{name} has to be true or false.")
    keep_others = switches.pop("keep_others")
    try:
        strengths = check_strengths(value["strengths"])
    except FaceLatentsError as error:
        raise RefusedError(400, str(error)) from error
    return Request(key, strengths, keep_others, sequence, View(side=side, **switches))


class Previews:
    """Answers requests one picture at a time; of those that wait, only the newest is drawn."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._drawing = threading.Lock()
        self._counting = threading.Lock()

    def accept(self, headers: Mapping[str, str], body: bytes) -> tuple[Request, Session, int]:
        """Check a request and note it as the newest of its session.

        Returns:
            The request, its session, and its number, for :meth:`draw`.

        Raises:
            RefusedError: see :func:`check_headers`, :func:`read_request`; 404 for an unknown id,
                400 for a name that has no slider.
        """
        check_headers(headers)
        request = read_request(body)
        session = self._sessions.find(request.id)
        if session is None:
            raise RefusedError(404, QUEUE_ONCE)
        unknown = [name for name in request.strengths if name not in session.panel.sliders]
        if unknown:
            raise RefusedError(400, f"There is no slider '{unknown[0][:80]}'. Queue once more.")
        with self._counting:
            session.latest += 1
            return request, session, session.latest

    def draw(self, request: Request, session: Session, number: int) -> Answer:
        """The picture as PNG, a draft as JPEG.

        Raises:
            RefusedError: the session has a newer request (409) or its model is gone (404), the
                strengths lead nowhere (422), the model is busy (503).
        """
        with self._drawing:
            if number < session.latest:
                raise RefusedError(409, "A newer request took its place.")
            try:
                picture = session.render(request.strengths, request.keep_others, request.view)
            except GoneError as error:
                raise RefusedError(404, QUEUE_ONCE) from error
            except FaceLatentsError as error:
                raise RefusedError(422, str(error)) from error
            except RuntimeError as error:
                # ComfyUI may move the network to another device, or memory may run out.
                logger.warning("The preview could not be drawn: %s", error)
                raise RefusedError(503, MODEL_BUSY) from error
        headers = {"X-Sequence": str(request.sequence)}
        if request.view.draft:
            return Answer(200, to_jpeg(picture), "image/jpeg", headers)
        return Answer(200, to_png(picture), "image/png", headers)


def list_directions(headers: Mapping[str, str], model: str) -> Answer:
    """The sliders of a model that Load Face Model lists, as JSON `{"directions": [...]}`.

    Raises:
        RefusedError: from another site (403), no such model, or a damaged file (404).
    """
    check_origin(headers)
    try:
        rows = rows_of_model(model)
    except (FaceLatentsError, ValueError, TypeError, AttributeError, OSError) as error:
        raise RefusedError(404, str(error)) from error
    return Answer(200, json.dumps({"directions": rows}).encode(), "application/json")


def show_thumbnail(headers: Mapping[str, str], model: str, direction: str) -> Answer:
    """The picture of a direction that Load Direction lists, as JPEG.

    Raises:
        RefusedError: from another site (403), no such direction, no picture of it, or a damaged
            one (404).
    """
    check_origin(headers)
    try:
        path = find_thumbnail(model, direction)
        if path is None:
            raise RefusedError(404, "There is no picture of this direction.")
        return Answer(200, read_thumbnail(path), "image/jpeg")
    except RefusedError:
        raise
    except (FaceLatentsError, ValueError, OSError) as error:
        raise RefusedError(404, str(error)) from error


def _read_whole(value: Mapping[str, object], name: str, missing: int, largest: int) -> int:
    """A whole number from 0 of a body, whose numbers are floats; `missing` where it has none."""
    number = value.get(name, float(missing))
    if not (isinstance(number, float) and 0 <= number <= largest and number == int(number)):
        raise RefusedError(400, f"{name} has to be a whole number from 0 to {largest}.")
    return int(number)


def _same_origin(origin: str, host: str) -> bool:
    theirs, ours = _ORIGIN.fullmatch(origin.strip()), _ORIGIN.fullmatch(f"http://{host.strip()}")
    if theirs is None or ours is None:
        return False
    default = _PORTS[theirs["scheme"].lower()]
    return theirs["host"].lower() == ours["host"].lower() and (
        int(theirs["port"] or default) == int(ours["port"] or default)
    )


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
