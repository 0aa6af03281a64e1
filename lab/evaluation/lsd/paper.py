"""The paper's claim of 98% in several settings, every reading beside controls.

The paper is Toledo-Marin & Glazier, PLOS ONE 18(6) e0287736. A setting is a generator, an encoder
and a construction of the basis. Each is held against K random orthonormal directions and the K
widest principal axes of the same codes, which know no label, and against chance.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from ....latent_ops import spectral_denoise
from ....models.errors import FaceLatentsError
from ....models.face_model import FaceModel, bundled_digits_model_path, load_face_model
from ....models.spectral.basis import LatentBasis
from ....models.spectral.basis_file import bundled_basis_path, load_basis
from ..digits.classifier import load_digit_classifier
from ..digits.gan_encoders import load_gan_encoders
from ..digits.generator import generator_quality
from .bases import (
    OURS,
    OURS_RANDOM,
    PCA,
    MeasuredBasis,
    decoded_labels,
    label_bases,
    modified_gram_schmidt,
    paper_vectors,
    principal_axes,
    random_basis,
)
from .denoise import likeness
from .model import Digits, MeasuredModel, Progress, load_digits
from .readings import basis_facts, readings

LABELS, RANDOM = "label_vectors", "random"
CONTROLS = (RANDOM, PCA)
RANKS = (1, 2, 3, 5, 10)
BUNDLED = "bundled"


@dataclass(frozen=True)
class PaperEvaluation:
    """How many digits are measured, and with which encoders."""

    encoders: Annotated[Path | None, "file of the encoders of --model, by train digits-gan"] = None
    seeds: Annotated[tuple[int, ...], "of drawn codes and random directions"] = (0, 1, 2)
    codes: Annotated[int, "training digits that give the bases"] = 10_000
    labelled: Annotated[int, "of these, decoded and labelled for the paper's basis"] = 4000
    draws: Annotated[int, "random codes per repetition of the paper's construction"] = 1000
    readings: Annotated[int, "test digits for the readings of codes"] = 10_000
    decoded: Annotated[int, "of these, decoded from the label subspace alone"] = 1000


@dataclass(frozen=True, eq=False)
class Source:
    """A model with one of its encoders.

    Attributes:
        model: with the classifier.
        deviations: of the codes of pictures; None: the encoder draws nothing.
        basis: ours; None: built from the codes.
    """

    model: MeasuredModel
    deviations: Callable[[Tensor], Tensor] | None = None
    basis: LatentBasis | None = None


def evaluate_paper(
    data_dir: str | Path,
    settings: PaperEvaluation,
    *,
    model: FaceModel | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Measure every reading in every setting.

    Args:
        data_dir: folder of the digits, see `load_digits`.
        settings: see there.
        model: a digits GAN.
        progress: called with (stage, done, total).

    Returns:
        `settings.<encoder>.<construction>.<of>.<reading>`: mean and `spread` over the seeds, of
        the label vectors and of the controls; `generators`, see `generator_quality`; `counts`.
        The paper's construction gets codes drawn by a stochastic encoder, ours its mean codes.

    Raises:
        FaceLatentsError: no GAN, no encoders, no digits or no seeds.
    """
    started = time.perf_counter()
    if model is None or settings.encoders is None:
        raise FaceLatentsError(
            "This evaluation compares a GAN with the bundled model. Train one with 'face-latents "
            "train digits-gan --output S.safetensors', then give --model S.safetensors and "
            "encoders=S_encoders.safetensors."
        )
    if not settings.seeds:
        raise FaceLatentsError("At least one seed is needed, for example seeds=[0,1,2].")
    train = load_digits(data_dir, train=True)[: settings.codes]
    test = load_digits(data_dir, train=False)[: settings.readings]
    found: dict[str, Any] = {}
    with torch.inference_mode():
        sources = _sources(settings.encoders, model)
        for number, (name, source) in enumerate(sources.items()):
            progress("settings", number, len(sources))
            found[name] = measure_source(source, train, test, settings)
        progress("random digits", 0, 1)
        generators = {
            "gan": _quality(sources["paper"].model, train, test),
            BUNDLED: _quality(sources[BUNDLED].model, train, test),
        }
    return {
        "settings": found,
        "generators": generators,
        "counts": {**vars(settings), "encoders": None},
        "size": math.prod(model.space.shape),
        "labels": int(train.labels.max()) + 1,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _sources(encoders: Path, model: FaceModel) -> dict[str, Source]:
    judge = load_digit_classifier()
    found = {
        name: Source(MeasuredModel(each.model, judge), each.deviations)
        for name, each in load_gan_encoders(encoders, model).items()
    }
    bundled = load_face_model(bundled_digits_model_path())
    basis = load_basis(bundled_basis_path("digits"))
    found[BUNDLED] = Source(MeasuredModel(bundled, judge), basis=basis)
    return found


def _quality(model: MeasuredModel, train: Digits, test: Digits) -> dict[str, object]:
    count = min(2000, len(train), len(test))
    drawn = model.decode(model.model.sample(count, seed=0))
    return generator_quality(
        drawn, test.pictures[:count], train.pictures[:count], load_digit_classifier()
    )


def measure_source(
    source: Source, train: Digits, test: Digits, settings: PaperEvaluation
) -> dict[str, Any]:
    """All readings of one model and encoder.

    Returns:
        `{construction: {of: {reading: {"mean", "spread"}}}}`; `one_to_one`: by construction, what
        each label vector decodes to; `decode`: of the whole mean code and of a drawn one.
    """
    model = source.model
    codes, seen = model.encode(train.pictures), model.encode(test.pictures)
    deviation = None if source.deviations is None else source.deviations(test.pictures)
    bases_of_labels, _, _ = label_bases(model, Digits(codes, train.labels), source.basis)
    rounds: dict[str, list[dict[str, Any]]] = {"paper": [], "ours": []}
    decodes: dict[str, list[dict[str, float]]] = {"mean code": [], "drawn code": []}
    part = test[: settings.decoded]
    for seed in settings.seeds:
        known, found = codes, seen
        if source.deviations is not None:
            noise = torch.Generator().manual_seed(seed)
            known = codes + source.deviations(train.pictures) * _normal(codes, noise)
            found = seen + source.deviations(test.pictures) * _normal(seen, noise)
        ours = {LABELS: bases_of_labels[OURS], OURS_RANDOM: bases_of_labels[OURS_RANDOM]}
        labelled = Digits(known, train.labels)[: settings.labelled]
        paper = {LABELS: paper_basis(model, labelled, settings.draws, seed)}
        sides = (("paper", paper, known, found), ("ours", ours, codes, seen))
        for name, bases, fitted, measured in sides:
            known_digits = Digits(fitted, train.labels)
            every = {**bases, **controls(bases[LABELS], known_digits, seed)}
            rounds[name].append(_round(every, model, measured, test, part))
        for name, whole in (("mean code", seen), ("drawn code", found)):
            decodes[name].append(likeness(model, model.decode(whole[: len(part)]), part))
    return {
        **{name: merged(found) for name, found in rounds.items()},
        "decode": {name: merged(found) for name, found in decodes.items()},
        "deviation": 0.0 if deviation is None else round(float(deviation.median()), 4),
    }


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator)


def paper_basis(model: MeasuredModel, known: Digits, draws: int, seed: int) -> MeasuredBasis:
    """The paper's basis from codes, which are labelled by what they decode to.

    Args:
        model: decodes and labels.
        known: codes in place of pictures, with the labels of their digits.
        draws: random codes per repetition of the paper's construction.
        seed: of them.
    """
    codes, count = known.pictures, int(known.labels.max()) + 1
    decoded = decoded_labels(model, known)
    eta = paper_vectors(model, codes, decoded, count, draws=draws, seed=seed)
    return MeasuredBasis(modified_gram_schmidt(eta).float(), count, None, eta, signed=False)


def controls(like: MeasuredBasis, known: Digits, seed: int) -> dict[str, MeasuredBasis]:
    """K random directions and the K widest principal axes, each label given the one that suits it.

    Args:
        like: the basis that is controlled.
        known: codes in place of pictures, with labels; they choose which direction is whose.
        seed: of the random directions.
    """
    codes = known.pictures
    mean = codes.mean(0)
    axes = MeasuredBasis(principal_axes(codes, mean), like.labels, mean, like.raw, like.signed)
    found = {RANDOM: random_basis(like, seed), PCA: axes}
    return {name: matched(basis, known) for name, basis in found.items()}


def matched(basis: MeasuredBasis, known: Digits) -> MeasuredBasis:
    """The same basis, its first K vectors in the order that reads most labels of `known` right."""
    from scipy.optimize import linear_sum_assignment

    count = basis.labels
    largest = basis.coefficients(known.pictures)[:, :count].abs().argmax(1)
    votes = torch.bincount(known.labels * count + largest, minlength=count * count)
    _, order = linear_sum_assignment(-votes.view(count, count).numpy())
    vectors = torch.cat([basis.vectors[torch.from_numpy(order)], basis.vectors[count:]])
    return replace(basis, vectors=vectors)


def _round(
    bases: Mapping[str, MeasuredBasis],
    model: MeasuredModel,
    codes: Tensor,
    test: Digits,
    part: Digits,
) -> dict[str, Any]:
    """Readings of every basis on one draw of codes."""
    result: dict[str, Any] = {}
    size = codes.shape[1]
    for name, basis in bases.items():
        found = readings(basis, codes, test.labels)
        curve: Any = found["rank_cumulative"]
        rules: Any = found["accuracy_by_rule"]
        row = {
            "slots": found["in_label_slots"],
            **{f"rank {r}": curve[r - 1] for r in RANKS if r <= size},
            "accuracy": rules["largest_magnitude_of_labels"],
            "energy": found["energy"],
        }
        if name != OURS_RANDOM:
            row |= alone(basis, model, codes[: len(part)], part)
        result[name] = row
    facts = basis_facts(bases[LABELS], model, codes[:100], float(codes.norm(dim=1).median()))
    plus: Any = facts["plus_decodes_to"]
    result["one_to_one"] = {str(label): found == label for label, found in enumerate(plus)}
    return result


def alone(
    basis: MeasuredBasis, model: MeasuredModel, codes: Tensor, digits: Digits
) -> dict[str, float]:
    """What is left of digits when every coefficient outside the first K is set to zero.

    Returns:
        `alone accuracy`, `alone psnr`: as it falls; `stretched accuracy`, `stretched psnr`: with
        the length of the whole code.
    """
    found = {}
    for name, restore in (("alone", False), ("stretched", True)):
        kept = spectral_denoise(
            codes, basis.vectors, "labels", labels=basis.labels, restore_norm=restore,
            mean=basis.mean,
        )  # fmt: skip
        for measure, value in likeness(model, model.decode(kept), digits).items():
            found[f"{name} {measure}"] = value
    return found


def merged(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rounds of nested figures as one: `mean` and `spread` over the rounds at every leaf."""
    result: dict[str, Any] = {}
    for key, first in rounds[0].items():
        values = [one[key] for one in rounds]
        if isinstance(first, Mapping):
            result[key] = merged(values)
        else:
            spread = statistics.stdev(map(float, values)) if len(values) > 1 else 0.0
            mean = statistics.fmean(map(float, values))
            result[key] = {"mean": round(mean, 4), "spread": round(spread, 4)}
    return result


def columns(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Encoder and construction of every column, in the order of the table."""
    for encoder in figures["settings"]:
        for construction in ("paper", "ours"):
            yield encoder, construction
