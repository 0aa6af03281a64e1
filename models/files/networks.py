"""Networks whose numbers come from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode


@contextmanager
def without_numbers() -> Iterator[None]:
    """Networks built inside have shapes only; `load_state_dict(..., assign=True)` fills them.

    They take no memory (PyTorch's meta device), and random first weights are left out: for those
    the meta device imports a compiler, which takes a second or two. So do sums; build with none.
    """
    with torch.device("meta"), _NoFirstWeights():
        yield


class _NoFirstWeights(TorchFunctionMode):
    """Leaves tensors as they are where `torch.nn.init` would fill them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {} if kwargs is None else kwargs
        if getattr(func, "__module__", "") == init.__name__:
            return args[0] if args else given["tensor"]
        return func(*args, **given)
