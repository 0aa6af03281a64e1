"""What the memory of a running ComfyUI consists of, told by a neighbour pack in its own process.

Resident memory alone says little of a leak: the C library keeps what was freed between two blocks
in use, and ComfyUI itself keeps a history of all prompts and, of those that failed, the keys of its
cache.
"""

from __future__ import annotations

from host_server import Host

_PACK = '''
import ctypes
import gc
import sys

from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}


class Facts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost",
    )]


C = ctypes.CDLL(None)
C.mallinfo2.restype = Facts


def size(thing, seen):
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    parts = ()
    if isinstance(thing, dict):
        parts = (*thing.keys(), *thing.values())
    elif isinstance(thing, (list, tuple, set, frozenset)):
        parts = thing
    return sys.getsizeof(thing, 0) + sum(size(part, seen) for part in parts)


def lists():
    """Bytes of the history and of the keys that the cache has seen."""
    seen = set()
    total = size(PromptServer.instance.prompt_queue.history, seen)
    for thing in gc.get_objects():
        if type(thing).__name__ == "PromptExecutor":
            for name in ("used_generation", "timestamps"):
                total += size(getattr(thing.caches.outputs, name, {}), seen)
    return total


@PromptServer.instance.routes.get("/soak/free")
async def free(_):
    return web.json_response(C.mallinfo2().fordblks)


@PromptServer.instance.routes.get("/soak/lists")
async def own(_):
    return web.json_response(lists())
'''


def add_probe(host: Host) -> None:
    """Put the neighbour pack next to ours. Before the start."""
    folder = host.base / "custom_nodes" / "soak-probe"
    folder.mkdir()
    (folder / "__init__.py").write_text(_PACK, "utf-8")


def free_of(host: Host) -> float:
    """MB that the C library keeps free."""
    return float(host.get_json("/soak/free")) / 2**20


def lists_of(host: Host) -> float:
    """MB of ComfyUI's history and of the keys that its cache has seen."""
    return float(host.get_json("/soak/lists")) / 2**20
