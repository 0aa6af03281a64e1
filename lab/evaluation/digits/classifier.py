"""The digit classifier: says which digit a picture shows, to measure the digits model.

It is held out: its network, seed and augmentation are its own, and the digits model's training
uses another reader. It is trained on MNIST's training digits.
"""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from ....models.files.tensors import TensorSpec, load_tensors
from ...weights import lab_weights


class DigitClassifier(nn.Module):
    """`(B, 1 or 3, 28, 28)` in [0, 1] to logits `(B, 10)`; three channels are averaged."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 5, stride=2, padding=2)  # 14 x 14
        self.second = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.third = nn.Conv2d(2 * width, 4 * width, 3, padding=1)  # 7 x 7 after pooling
        self.fourth = nn.Conv2d(4 * width, 4 * width, 3)  # 5 x 5
        self.head = nn.Linear(4 * width * 4, 10)

    def features(self, pictures: Tensor) -> Tensor:
        """What the scores are read off, `(B, 16 * width)`."""
        x = pictures.mean(1, keepdim=True)
        x = F.relu(self.first(x))
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        x = F.relu(self.third(x))
        x = F.relu(self.fourth(x))
        return F.adaptive_max_pool2d(x, 2).flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        scores: Tensor = self.head(F.dropout(self.features(pictures), 0.3, self.training))
        return scores


def load_digit_classifier(path: str | Path | None = None) -> DigitClassifier:
    """Load a classifier; None loads the bundled one.

    Raises:
        UnsupportedModelError: the file is not a digit classifier.
    """
    classifier = DigitClassifier()
    expect = {name: TensorSpec(tuple(t.shape)) for name, t in classifier.state_dict().items()}
    tensors, _ = load_tensors(path or lab_weights("digit_judge.safetensors"), expect=expect)
    classifier.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return classifier.eval().requires_grad_(False)
