"""StyleGAN2 synthesis beside a reference implementation: speed in one run, and peak memory.

The reference is imported from a checkout of the public repository stylegan2-pytorch; nothing of it
is kept here. Both sides get the same random weights. Their runs alternate, so that a busy machine
slows both, and the median of the ratios is reported. Peak memory is that of a process of its own,
which does nothing else.
"""

from __future__ import annotations

import gc
import importlib.util
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ...models.architectures.capabilities import cpu_convolves_in
from ...models.architectures.stylegan2.file import load
from ...models.architectures.stylegan2.net import StyleGAN2Net
from ...models.errors import FaceLatentsError
from ..results import markdown_table

KINDS = ("reference", "float32", "bfloat16")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_MODULES = ("model", "op")  # of the checkout
Step = Callable[[], Tensor]


@contextmanager
def reference_module(directory: Path) -> Iterator[ModuleType]:
    """The reference's module `model`; its compiled operators are not built.

    On a CPU it takes its own fallbacks in plain PyTorch anyway.

    Raises:
        FaceLatentsError: the folder does not hold it.
    """
    if not (directory / "op" / "upfirdn2d.py").is_file():
        raise FaceLatentsError(
            f"There is no checkout of stylegan2-pytorch in '{directory}'. Give its folder with "
            "reference=DIR."
        )
    from torch.utils import cpp_extension

    build = cpp_extension.load
    cpp_extension.load = lambda *_args, **_kwargs: None
    try:
        _import_file("op", directory / "op" / "__init__.py")
        yield _import_file("model", directory / "model.py")
    finally:
        cpp_extension.load = build
        for name in [n for n in sys.modules if n.split(".")[0] in _MODULES]:
            del sys.modules[name]


def _import_file(name: str, file: Path) -> ModuleType:
    """The module in `file`, known as `name` to the modules that import it."""
    folder = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folder)
    if spec is None or spec.loader is None:
        raise FaceLatentsError(f"'{file}' cannot be imported.")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference_generator(
    directory: Path, size: int, multiplier: int = 2, layers: int = 8
) -> nn.Module:
    """The reference's generator with random weights, biases and noise strengths."""
    with reference_module(directory) as module:
        torch.manual_seed(0)
        net: nn.Module = module.Generator(size, 512, layers, channel_multiplier=multiplier).eval()
    randomise(net)
    return net.requires_grad_(False)


def randomise(net: nn.Module) -> None:
    """Biases and noise strengths as a trained network has them, not the zeros of a new one."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in net.state_dict().items():
        if name.endswith((".bias", "noise.weight", "noise_strength")):
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))


def network_of(state: Mapping[str, Tensor], latent_avg: Tensor | None = None) -> StyleGAN2Net:
    """This project's network with a reference's weights; its blur kernels are dropped."""
    tensors = {name: t.detach() for name, t in state.items() if not name.endswith(".kernel")}
    average = torch.zeros(len(tensors["style.1.bias"])) if latent_avg is None else latent_avg
    return load({**tensors, "latent_avg": average})


@dataclass(frozen=True)
class StyleGAN2Benchmark:
    """What is timed beside which reference."""

    reference: Annotated[Path, "checkout of stylegan2-pytorch"] = Path(".")
    size: Annotated[int, "of the picture, 32 to 1024 px"] = 1024
    rounds: Annotated[int, "alternating runs of each, after one that warms up"] = 3


def run_stylegan2(settings: StyleGAN2Benchmark) -> dict[str, Any]:
    """Time synthesis of one picture from a w+ code, with fixed noise.

    Returns:
        By kind ("reference", "float32", "bfloat16"): median seconds, the median ratio reference /
        kind, CPU seconds, peak memory in MB, the largest difference from the reference as a
        fraction of its range, and the share of the time that goes into convolutions. A kind that
        this CPU has no convolutions for is left out.
    """
    directory, size = settings.reference.resolve(), settings.size
    theirs = reference_generator(directory, size)
    steps = _steps(theirs, network_of(theirs.state_dict()))
    kinds = [kind for kind in KINDS if cpu_convolves_in(_DTYPES.get(kind, torch.float32))]
    with torch.inference_mode():
        first = {kind: steps[kind]() for kind in kinds}
        spread = float(first["reference"].max() - first["reference"].min())
        wall, cpu = [], []
        for number in range(settings.rounds):
            order = kinds if number % 2 else kinds[::-1]
            pairs = {kind: _timed(steps[kind]) for kind in order}
            wall.append({kind: pair[0] for kind, pair in pairs.items()})
            cpu.append({kind: pair[1] for kind, pair in pairs.items()})
        shares = {kind: _convolution_share(steps[kind], settings.rounds) for kind in kinds}
    away = {kind: float((one - first["reference"]).abs().max()) for kind, one in first.items()}
    del theirs, steps, first
    gc.collect()
    return {
        "size": size,
        "rounds": settings.rounds,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "kinds": {
            kind: {
                "seconds": statistics.median(one[kind] for one in wall),
                "ratio": statistics.median(one["reference"] / one[kind] for one in wall),
                "ratios": sorted(one["reference"] / one[kind] for one in wall),
                "cpu_seconds": statistics.median(one[kind] for one in cpu),
                "peak_mb": _peak_apart(kind, directory, size),
                "difference": away[kind] / spread,
                "convolutions": shares[kind],
            }
            for kind in kinds
        },
    }


def stylegan2_report(figures: Mapping[str, Any]) -> str:
    """The figures as a Markdown table."""
    columns = {
        "seconds": ("seconds", ".3f"),
        "times the reference's speed": ("ratio", ".2f"),
        "of rounds": ("range", ""),
        "CPU seconds": ("cpu_seconds", ".2f"),
        "peak memory, MB": ("peak_mb", ".0f"),
        "largest difference, of the range": ("difference", ".2g"),
        "share of convolutions": ("convolutions", ".0%"),
        "times, were there nothing else": ("limit", ".2f"),
    }
    kinds = {
        kind: {
            **one,
            "limit": one["ratio"] / one["convolutions"],
            "range": f"{one['ratios'][0]:.2f} to {one['ratios'][-1]:.2f}",
        }
        for kind, one in figures["kinds"].items()
    }
    rows = (
        (kind, *(format(one[key], digits) for key, digits in columns.values()))
        for kind, one in kinds.items()
    )
    facts = (
        f"Synthesis of one picture of {figures['size']} px, {figures['rounds']} alternating "
        f"rounds, torch {figures['torch']}, {figures['threads']} threads, random weights. Peak "
        "memory is that of a whole process, PyTorch and weights included. The last column is the "
        "speed that the same convolutions would have without all other work."
    )
    if left_out := set(KINDS) - set(kinds):
        facts += f" This CPU has no convolutions in {', '.join(left_out)}: not measured."
    return f"{facts}\n\n{markdown_table(('kind', *columns), rows)}"


def _steps(theirs: nn.Module, ours: StyleGAN2Net) -> dict[str, Step]:
    """What is timed, by kind."""
    code = torch.randn(1, ours.num_ws, ours.w_dim, generator=torch.Generator().manual_seed(2))

    def run(kind: str) -> Tensor:
        ours.dtype = _DTYPES[kind]
        return ours.synthesize(code)

    return {
        "reference": lambda: theirs([code], input_is_latent=True, randomize_noise=False)[0],
        "float32": lambda: run("float32"),
        "bfloat16": lambda: run("bfloat16"),
    }


class _ConvolutionClock(TorchDispatchMode):
    """Adds up the seconds that convolutions take."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        start = time.perf_counter()
        result = func(*args, **(kwargs or {}))
        if "conv" in str(func):
            self.seconds += time.perf_counter() - start
        return result


def _convolution_share(step: Step, rounds: int) -> float:
    """Of a step's time, median of the rounds."""
    shares: list[float] = []
    with _ConvolutionClock() as clock:
        step()  # the first step under a clock is slow
        for _ in range(rounds):
            clock.seconds = 0.0
            seconds, _ = _timed(step)
            shares.append(clock.seconds / seconds)
    return statistics.median(shares)


def _timed(step: Step) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - cpu


def _peak_apart(kind: str, directory: Path, size: int) -> float:
    command = [sys.executable, "-m", __spec__.name, kind, str(directory), str(size)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(process.stdout.split()[-1])


def _peak(kind: str, directory: Path, size: int) -> float:
    """Peak memory of this process in MB, after one picture of `kind`.

    Raises:
        FaceLatentsError: not a kind, or a system that does not tell.
    """
    if kind not in KINDS:
        raise FaceLatentsError(f"'{kind}' is none of {', '.join(KINDS)}.")
    theirs: nn.Module = reference_generator(directory, size)
    ours = network_of(theirs.state_dict())
    # the two share their weights, so the process holds them once
    with torch.inference_mode():
        _steps(theirs, ours)[kind]()
    # not getrusage: its peak of a new process is that of the process that started it
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    if peak is None:
        raise FaceLatentsError("Peak memory can only be measured on Linux.")
    return int(peak[1]) / 1024


if __name__ == "__main__":
    print(_peak(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
