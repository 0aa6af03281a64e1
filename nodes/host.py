"""The one door to ComfyUI. Every service has a stand-alone fallback, so the nodes run without it.

The host counts as present when it has *already imported* its own modules, not when they could be
imported: a ComfyUI checkout next to the command line tool must not change what the tool does.
"""

from __future__ import annotations

import importlib
import logging
import sys
import tempfile
import threading
import time
import weakref
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from ..models.errors import FaceLatentsError

logger = logging.getLogger(__name__)

MODEL_FOLDER = "face_latents"
MODEL_EXTENSIONS = frozenset({".safetensors"})
PREVIEW_SIDE = 512  # pixels of a picture on a working node
# Seconds: what is quicker says nothing, as a text makes its node taller; and between two texts.
TEXT_AFTER, TEXT_EVERY = 1.5, 0.5


class HostError(FaceLatentsError):
    """ComfyUI is running, but a part of it that the nodes need does not work."""


@dataclass
class StandAlone:
    """Folders used where ComfyUI is not running; the command line tool sets them."""

    input: Path = field(default_factory=lambda: Path.cwd() / "input")
    output: Path = field(default_factory=lambda: Path.cwd() / "output")
    temp: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "face-latents")
    models: Path = field(default_factory=lambda: Path.cwd() / "models" / MODEL_FOLDER)
    device: str | None = None  # None: CUDA where there is one, else the CPU
    progress: bool = True  # bars, where stderr is a terminal


stand_alone = StandAlone()


def present() -> bool:
    """True when ComfyUI runs this code."""
    return "folder_paths" in sys.modules and "comfy" in sys.modules


def _host(name: str) -> ModuleType | None:
    """Module `name` of ComfyUI, or None when ComfyUI is not running.

    Raises:
        HostError: ComfyUI runs but the module fails to import; the cause keeps its traceback.
    """
    if not present():
        return None
    try:
        return importlib.import_module(name)
    except Exception as error:
        logger.exception("ComfyUI is running, but its module '%s' could not be imported", name)
        raise HostError(
            f"ComfyUI is running, but its part '{name}' could not be imported: "
            f"{type(error).__name__}: {error}. Update or repair ComfyUI; the full report is in "
            "its log."
        ) from error


# --- devices and memory ------------------------------------------------------------------------

_patchers_lock = threading.Lock()
_moved: weakref.WeakSet[nn.Module] = weakref.WeakSet()  # stand-alone: brought onto the device


def compute_device() -> torch.device:
    """The device networks run on."""
    management = _host("comfy.model_management")
    if management is not None:
        return torch.device(management.get_torch_device())
    if stand_alone.device is not None:
        return torch.device(stand_alone.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def intermediate_device() -> torch.device:
    """The device on which results travel between nodes."""
    management = _host("comfy.model_management")
    if management is not None:
        return torch.device(management.intermediate_device())
    return torch.device("cpu")


def load_to_device(module: nn.Module, memory_required: int = 0) -> torch.device:
    """Bring a network onto the compute device, under ComfyUI's memory management if it runs.

    Args:
        module: the network.
        memory_required: bytes the coming call needs besides the weights.

    Returns:
        The device its inputs have to be on.
    """
    management = _host("comfy.model_management")
    if management is None:
        device = compute_device()
        with torch.inference_mode(False):
            module.to(device)
        _moved.add(module)
        return device
    # Outside the inference mode that nodes run in: tensors moved inside it can never take part in
    # an optimisation, see `models.refine`.
    with torch.inference_mode(False):
        patcher = _patcher(module, management)
        management.load_models_gpu([patcher], memory_required=memory_required)
    return torch.device(patcher.load_device)


def _patcher(module: nn.Module, management: ModuleType) -> Any:
    """The one memory handle of `module`, made at first use.

    The handle refers to the module, so it is kept on the module itself (a cycle that the garbage
    collector frees), inside a list, which keeps it out of the module's own attributes.
    """
    with _patchers_lock:
        holder = module.__dict__.setdefault("_face_latents_host_handle", [])
        if not holder:
            patching: Any = _host("comfy.model_patcher")
            # Read as an attribute when needed: the host swaps the class at start-up on GPUs.
            make = getattr(patching, "CoreModelPatcher", None) or patching.ModelPatcher
            holder.append(
                make(
                    module,
                    load_device=management.get_torch_device(),
                    offload_device=management.unet_offload_device(),
                )
            )
        return holder[0]


def is_out_of_memory(error: BaseException) -> bool:
    """True when `error` means that a device ran out of memory."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    management = _host("comfy.model_management")
    check = getattr(management, "is_oom", None)
    if check is not None and check(error):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


def device_fault(error: BaseException) -> str | None:
    """What failed, in a few words, where a device did and not the work on it; else None."""
    text = str(error).strip().split("\n")[0][:200]
    kinds = (
        "CUDA error",
        "CUDA driver",
        "cuDNN",
        "CUBLAS",
        "HIP error",
        "MPS backend",
        "no kernel",
    )
    known = getattr(torch, "AcceleratorError", ())
    if isinstance(error, known) or (
        isinstance(error, RuntimeError) and any(kind in text for kind in kinds)
    ):
        return text
    return None


def move_to_cpu(module: nn.Module) -> torch.device:
    """Let a network work on the CPU, after a device ran out of memory or failed.

    The next `load_to_device` brings it back.
    """
    management = _host("comfy.model_management")
    unload = getattr(management, "unload_all_models", None)
    if unload is not None:
        unload()
    with torch.inference_mode(False):
        module.to("cpu")
    _moved.discard(module)
    return torch.device("cpu")


def unload_other_networks(module: nn.Module) -> bool:
    """Take networks off the compute device, all but `module`, after running out of memory.

    ComfyUI takes `module` off as well; the next `load_to_device` brings it back alone.

    Returns:
        False where there was nothing to take off, so that trying again makes no sense.
    """
    management = _host("comfy.model_management")
    if management is not None:
        unload = getattr(management, "unload_all_models", None)
        if unload is None:
            return False
        unload()
    else:
        device = compute_device()
        others = [other for other in _moved if other is not module]
        if device.type == "cpu" or not others:
            return False
        # Outside inference mode: weights moved inside it could not be trained on any more.
        with torch.inference_mode(False):
            for other in others:
                other.to("cpu")
                _moved.discard(other)
    free_cached_memory()
    return True


def free_cached_memory() -> None:
    """Give cached device memory back, after running out of it."""
    management = _host("comfy.model_management")
    if management is not None:
        management.soft_empty_cache()
    elif torch.cuda.is_available():
        torch.cuda.empty_cache()


# --- progress and interrupt --------------------------------------------------------------------

_progress: ContextVar[Progress | None] = ContextVar("progress", default=None)  # the innermost one
_nodes_with_text: set[str | None] = set()


def check_interrupt() -> None:
    """Stop here if the person pressed Cancel (raises the host's own interrupt)."""
    management = _host("comfy.model_management")
    if management is not None:
        management.throw_exception_if_processing_interrupted()


def show_text(text: str) -> None:
    """Write on the node that runs now, where ComfyUI can; it stays until the next text."""
    send = getattr(_server(), "send_progress_text", None)
    node = _running_node()
    if send is not None and node is not None:
        send(text, node)
        _nodes_with_text.add(node)


def _running_node() -> str | None:
    """The id of the node that ComfyUI runs now; None where it does not tell."""
    execution = sys.modules.get("comfy_execution.utils") if present() else None
    get = getattr(execution, "get_executing_context", None)
    context = None if get is None else get()
    return None if context is None else str(context.node_id)


class Progress:
    """What is being done: a bar and words for it. Each :meth:`step` also honours Cancel.

    In ComfyUI the node has the bar; where it takes long, it says in words what is done. Elsewhere
    both are on the terminal.

    Args:
        total: how many items there are; 0 where that cannot be said.
        label: what is done with them, such as "Finding faces".
    """

    def __init__(self, total: int, label: str) -> None:
        self._label, self._total, self._done = label, total, 0
        self._bar: Any = None
        self._since = time.monotonic()
        self._told: float | None = None  # when a text was shown last
        utils = _host("comfy.utils")
        self._hosted = utils is not None
        if utils is not None:
            self._bar = utils.ProgressBar(max(1, total))
        elif stand_alone.progress and total != 1:
            from tqdm import tqdm

            # disable=None: no bar where the output is not a terminal.
            words = {} if total else {"bar_format": "{desc}"}
            self._bar = tqdm(total=total, desc=label, leave=False, disable=None, **words)

    def __enter__(self) -> Progress:
        check_interrupt()
        logger.debug("%s", self._label)
        self._outer = _progress.get()
        self._token = _progress.set(self)
        if not self._total and self._hosted:
            self._bar.update_absolute(0)  # not the 100% of what was done before
        if not self._total or (self._outer is None and _running_node() in _nodes_with_text):
            self._tell()
        return self

    def _tell(self) -> None:
        self._told = time.monotonic()
        show_text(f"{self._label}: {self._done} of {self._total}" if self._total else self._label)

    def step(self, count: int = 1, preview: Tensor | None = None) -> None:
        """`count` more items are done.

        Args:
            count: how many.
            preview: a picture `(H, W, 3)` in [0, 1] to show on the node meanwhile, where ComfyUI
                runs.
        """
        if self._bar is not None and self._hosted and preview is not None:
            picture = ("JPEG", _pillow(preview), PREVIEW_SIDE)
            self._bar.update_absolute(self._bar.current + count, None, picture)
        elif self._bar is not None:
            self._bar.update(count)
        self._done += count
        now = time.monotonic()
        if now - self._since >= TEXT_AFTER and now - (self._told or 0.0) >= TEXT_EVERY:
            self._tell()
        check_interrupt()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _progress.reset(self._token)
        if self._bar is not None and not self._hosted:
            self._bar.close()
        elif self._hosted and not self._total and kind is None:
            self._bar.update_absolute(1)
        if self._told is None:
            return
        if self._outer is not None:
            self._outer._tell()
        elif kind is not None:
            show_text(f"{self._label}: stopped")
        else:
            show_text(f"{self._label}: done")
            _nodes_with_text.discard(_running_node())  # web/js/progress_text.js takes it away


def _pillow(picture: Tensor) -> Any:
    from PIL import Image

    return Image.fromarray((picture * 255).round().clamp(0, 255).to("cpu", torch.uint8).numpy())


# --- web server --------------------------------------------------------------------------------


def server_routes() -> Any:
    """The route table of ComfyUI's web server (aiohttp), or None where no server runs."""
    return getattr(_server(), "routes", None)


def _server() -> Any:
    # Only where it is there already: the nodes may also be used from a script within ComfyUI.
    server = getattr(sys.modules.get("server"), "PromptServer", None) if present() else None
    return getattr(server, "instance", None)


# --- folders -----------------------------------------------------------------------------------


def register_model_folder() -> None:
    """Make `models/face_latents` known to ComfyUI (and to its extra_model_paths.yaml)."""
    paths = _host("folder_paths")
    if paths is None:
        return
    paths.add_model_folder_path(MODEL_FOLDER, str(Path(paths.models_dir) / MODEL_FOLDER))
    folders, _ = paths.folder_names_and_paths[MODEL_FOLDER]
    # A new key lists files of every kind until its extensions are set.
    paths.folder_names_and_paths[MODEL_FOLDER] = (folders, set(MODEL_EXTENSIONS))


def model_folders() -> list[Path]:
    """Folders that may hold the user's models and directions."""
    paths = _host("folder_paths")
    if paths is None:
        return [stand_alone.models]
    if MODEL_FOLDER not in paths.folder_names_and_paths:
        register_model_folder()
    return [Path(folder) for folder in paths.get_folder_paths(MODEL_FOLDER)]


def model_save_folder() -> Path:
    """The folder new files go into; further ones of extra_model_paths.yaml may be shared."""
    paths = _host("folder_paths")
    return stand_alone.models if paths is None else Path(paths.models_dir) / MODEL_FOLDER


def model_file_names() -> list[str] | None:
    """The host's own (cached) list of files in :func:`model_folders`; None without a host."""
    folders = model_folders()  # registers the folder where that has not happened yet
    paths = _host("folder_paths")
    return list(paths.get_filename_list(MODEL_FOLDER)) if paths is not None and folders else None


def input_directory() -> Path:
    """The folder of the photos that people load."""
    return _directory("input")


def output_directory() -> Path:
    """The folder of what nodes save."""
    return _directory("output")


def temp_directory() -> Path:
    """The folder of pictures that only the canvas shows."""
    return _directory("temp")


def _directory(kind: str) -> Path:
    paths = _host("folder_paths")
    if paths is None:
        return Path(getattr(stand_alone, kind))
    return Path(getattr(paths, f"get_{kind}_directory")())
