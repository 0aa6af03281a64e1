"""The pack's addresses on ComfyUI's web server: the live preview, the list of sliders, and the
pictures of directions."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from ... import host
from .protocol import (
    MOST_BODY_BYTES,
    Answer,
    Previews,
    RefusedError,
    check_headers,
    list_directions,
    show_thumbnail,
    too_long,
)
from .sessions import sessions

if TYPE_CHECKING:
    from aiohttp import web

logger = logging.getLogger(__name__)

PREVIEW = "/face_latents/preview"
DIRECTIONS = "/face_latents/directions"
THUMBNAIL = "/face_latents/thumbnail"
BODY_SECONDS = 10.0  # a body that trickles in longer is dropped
MOST_WAITING = 64  # requests

_previews = Previews(sessions)
_worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="face-latents-preview")
_waiting = 0


def register() -> None:
    """Add the routes, once, where ComfyUI's server is there to take them."""
    routes = host.server_routes()
    if routes is None or any(getattr(route, "path", None) == PREVIEW for route in routes):
        return
    routes.post(PREVIEW)(_preview)
    routes.get(DIRECTIONS)(_directions)
    routes.get(THUMBNAIL)(_thumbnail)


async def _preview(request: web.Request) -> web.Response:
    try:
        check_headers(request.headers)
        body = await asyncio.wait_for(_read_body(request), BODY_SECONDS)
        accepted = _previews.accept(request.headers, body)
    except RefusedError as refusal:
        return _respond(refusal.answer, close=True)
    except asyncio.TimeoutError:
        return _respond(RefusedError(408, "The body took too long.").answer, close=True)
    return await _respond_from_worker(partial(_previews.draw, *accepted))


async def _directions(request: web.Request) -> web.Response:
    model = request.query.get("model", "")
    return await _respond_from_worker(partial(list_directions, dict(request.headers), model))


async def _thumbnail(request: web.Request) -> web.Response:
    named = [request.query.get(name, "") for name in ("model", "direction")]
    return await _respond_from_worker(partial(show_thumbnail, dict(request.headers), *named))


async def _read_body(request: web.Request) -> bytes:
    """The body, however it is sent, up to the limit."""
    from aiohttp import ClientPayloadError
    from aiohttp.http import HttpProcessingError

    body = bytearray()
    try:
        async for chunk in request.content.iter_chunked(8192):
            body += chunk
            if len(body) > MOST_BODY_BYTES:
                raise too_long()
    except (ConnectionError, ClientPayloadError, HttpProcessingError) as error:
        raise RefusedError(400, "The body did not arrive whole.") from error
    return bytes(body)


async def _respond_from_worker(job: partial[Answer]) -> web.Response:
    """Answer by `job`, off the event loop, which also serves the queue's progress."""
    global _waiting
    if _waiting >= MOST_WAITING:
        return _respond(RefusedError(503, "Too many requests at once.").answer)
    _waiting += 1
    try:
        return _respond(await asyncio.get_running_loop().run_in_executor(_worker, job))
    except RefusedError as refusal:
        return _respond(refusal.answer)
    finally:
        _waiting -= 1


def _respond(answer: Answer, close: bool = False) -> web.Response:
    from aiohttp import web

    headers = {**answer.headers, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    response = web.Response(
        status=answer.status, body=answer.body, content_type=answer.kind, headers=headers
    )
    if close:
        response.force_close()  # the rest of the body is not waited for
    return response
