"""Where a clip is cut: frames that show another scene than the one before."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

SKETCH_SIDE = 24  # pixels; so coarse that motion of a frame or two moves little
# Least correlation of sketches of one shot. Of 42 portraits, which are alike as few scenes are, 99%
# of pairs are below 0.74. Frames moved by 2% of their width are above 0.92, by 5% half above 0.78.
SAME_SCENE = 0.75
EVEN = 1e-3  # length of a sketch up to which it shows nothing: a black frame


def sketch_frame(photo: Tensor) -> Tensor:
    """What `find_shots` looks at: `(SKETCH_SIDE**2,)` of a frame `(H, W, 3)` in [0, 1]."""
    thin = photo[:: max(1, photo.shape[0] // 240), :: max(1, photo.shape[1] // 240)]
    small = F.adaptive_avg_pool2d(thin.mean(-1)[None], SKETCH_SIDE).flatten()
    return small - small.mean()


def find_shots(sketches: Sequence[Tensor]) -> list[range]:
    """The shots of a clip: runs of frames without a cut.

    Args:
        sketches: of all frames, see `sketch_frame`.

    Returns:
        Ranges of frames that follow each other, together all of them.
    """
    starts, before = [0], sketches[0]
    for number, sketch in enumerate(sketches):
        lengths = before.norm() * sketch.norm()
        if bool(before.norm() > EVEN) and bool(before @ sketch <= SAME_SCENE * lengths):
            starts.append(number)
        before = sketch
    ends = [*starts[1:], len(sketches)]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]
