"""One thread: the tensors here are small, and threads that wait for each other cost minutes."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
