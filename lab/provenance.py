"""What the figures of each results page hold for: models, data, seeds, spread."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from ..models.bundled import bundled_file


class Provenance(NamedTuple):
    """Of one page.

    Attributes:
        models: bundled files that take part; the first is the one that `--model` replaces.
        data: what is measured on.
        seeds: of what is drawn at random.
        spread: by how much figures differ by chance.
    """

    models: tuple[str, ...]
    data: str
    seeds: str
    spread: str


_SHARES = "a share of n faces has a standard deviation of at most 0.5 / sqrt(n)"
_ALIGNED = ("face", "landmarks", "finder")
_NO_CHANCE = "none: what comes back is equal or not"
PAGES = {
    "face": Provenance(
        ("face", "landmarks", "finder", "judge"),
        "unseen faces of FairFace val; portraits and sharp faces with the teacher's landmarks",
        "0; faces are taken in the order of their table",
        f"over faces, counted beside; {_SHARES}: 0.016 for 1,000, 0.063 for 64, 0.13 for 16. What "
        "differs by less is not told apart, and best and worst of several rows are only the "
        "largest of these",
    ),
    "codes": Provenance(
        _ALIGNED,
        "20 people with a neutral and a smiling photo; 300 faces of FairFace val; portraits",
        "none: nothing is drawn",
        f"over pairs and faces; {_SHARES}: 0.11 for 20 pairs and 0.03 for 300 faces. Rows that "
        "differ by less are not told apart",
    ),
    "finder": Provenance(
        ("finder",),
        "FairFace val, portraits with surroundings, pictures without faces",
        "0 and 3 (turns, shifts and noise)",
        f"{_SHARES}: 0.015 for 1107 photos, 0 where none failed; milliseconds of one run",
    ),
    "paste": Provenance(
        _ALIGNED,
        "12 portraits, edited five ways",
        "none: nothing is drawn",
        "medians over 60 results (12 of each edit); `_worst`, the one furthest from 1, says "
        "how far single results lie apart. No method is named the best",
    ),
    "clip": Provenance(
        _ALIGNED,
        "clips with known motion, made of the astronaut of scikit-image",
        "0 (motion and noise)",
        "not known of one clip; two lengths of it differed by 0.05 in coarse flicker",
    ),
    "digits": Provenance(("digits",), "MNIST, test digits", "0", f"over digits; {_SHARES}"),
    "lsd": Provenance(
        ("digits", "basis_digits"),
        "MNIST: settings chosen on training digits, measured on test digits",
        "named below",
        "± is the standard deviation over the seeds. Where other methods come within it, no best "
        "one is named",
    ),
    "lsd_paper": Provenance(
        ("digits", "digits", "basis_digits"),
        "MNIST: bases from training digits, readings of test digits",
        "named below",
        "± is the standard deviation over the seeds, of what is drawn; that over digits is named "
        "below",
    ),
    "nodes": Provenance(
        _ALIGNED,
        "the astronaut of scikit-image; random codes",
        "0 (codes and basis)",
        "least to most of the rounds stands beside each ratio",
    ),
    "stylegan2": Provenance(
        (),
        "a StyleGAN2 generator with random weights, one random code, fixed noise",
        "0 and 1 (weights), 2 (code)",
        "least to most of the rounds stands beside each ratio",
    ),
    "vectors": Provenance(
        (), "random codes", "named below", "least to most of the rounds stands beside each ratio"
    ),
    "files": Provenance(
        _ALIGNED,
        "a crop of the astronaut of scikit-image, written as each kind of file",
        "none: nothing is drawn",
        _NO_CHANCE,
    ),
    "hostile": Provenance(
        ("face", "landmarks", "finder", "digits"),
        "small sound files, workflows and requests, each spoilt in one way",
        "named below; a case's number and the seed make it again",
        "counts of these cases, no estimate of others",
    ),
    "hosts": Provenance(
        ("face", "landmarks", "finder", "judge", "digits"),
        "the astronaut of scikit-image; small StyleGAN2 networks with random weights",
        "those of the workflows",
        f"{_NO_CHANCE}; seconds are of one run",
    ),
    "cancel": Provenance(
        ("face", "landmarks", "finder", "digits"),
        "photos and workflows in random order, each cancelled at a random moment",
        "named below",
        "one run",
    ),
    "soak": Provenance(
        ("face", "landmarks", "finder", "digits"),
        "photos and workflows in random order",
        "named below",
        "one run",
    ),
    "batches": Provenance(
        _ALIGNED, "photos made from those of a folder", "none: nothing is drawn", "one run of each"
    ),
}


def describe(page: str, model: Path | None = None) -> str:
    """One paragraph: what the figures of a page hold for; empty for a page that is not known.

    Args:
        page: name of the section, with `_MODEL` behind it where another model has its own page.
        model: measured instead of the bundled one.
    """
    found = PAGES.get(page) or PAGES.get(page.partition("_")[0])
    if found is None:
        return ""
    other = model is not None and page not in PAGES  # a basis of the bundled model is not its own
    used = [name for name in found.models if not (other and name.startswith("basis_"))]
    named = [f"{name} {_digest(bundled_file(f'{name}.safetensors'))}" for name in used]
    if model is not None and named:
        named[0] = f"{model.name} {_digest(model)}"
    models = ", ".join(named) or "none"
    return (
        f"Models (SHA-256): {models}. Data: {found.data}. Seeds: {found.seeds}. Spread: "
        f"{found.spread}."
    )


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
