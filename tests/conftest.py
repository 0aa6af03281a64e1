"""Settings of the whole suite."""

from __future__ import annotations

import os

import torch
from hypothesis import settings

# The tensors here are small, and threads that wait for each other cost minutes.
torch.set_num_threads(1)

# New examples at every run on a desk; in CI the same ones, so that a failure is the change's own.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
