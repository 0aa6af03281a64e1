"""What the LSD nodes share: a latent with its basis, and truncating a spectrum."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.space import require_same_space
from ...models.spectral.basis import LatentBasis
from ...models.values import FaceLatent
from .. import validate, widgets

FIRST_K = "first_k"
MODES = (*latent_ops.SPECTRUM_MODES, FIRST_K)
MOST_VECTORS = 65536  # as many as a VAE latent of 1024 x 1024 pixels has numbers
_NEED_K = ("top_k", "one_label", FIRST_K)


@dataclass(frozen=True, eq=False)
class Spectra:
    """Codes and the basis to decompose them with, on one device.

    Attributes:
        latent: B codes.
        basis: what it is made of.
        vectors: `(k, *shape)`.
        mean: `(*shape)` or None.
    """

    latent: FaceLatent
    basis: LatentBasis
    vectors: Tensor
    mean: Tensor | None

    def coefficients(self) -> Tensor:
        """`(B, k)` float32 or wider."""
        return latent_ops.decompose(self.latent.samples, self.vectors, self.mean)


def join_basis(latent: FaceLatent, basis: LatentBasis, node: str) -> Spectra:
    """Bring codes and a basis together.

    Raises:
        SpaceMismatchError: they belong to different spaces.
    """
    require_same_space(
        latent.space, basis.space, f"{node}: the face latent and the basis '{basis.name}'"
    )
    device = latent.samples.device
    mean = None if basis.mean is None else basis.mean.to(device)
    return Spectra(latent, basis, basis.vectors.to(device), mean)


def truncate(
    given: Spectra, mode: str, k: int, energy: float, keep_norm: bool, node: str
) -> Tensor:
    """New codes `(B, *shape)` of which a part of the spectrum is kept.

    The settings are those of :func:`truncation_inputs`.

    Raises:
        FaceLatentsError: k beyond the basis, an energy outside (0, 1].
    """
    vectors, way = given.vectors, mode
    if mode == FIRST_K:
        if k > len(vectors):
            raise FaceLatentsError(
                f"{node}: k is {k}, but the basis '{given.basis.name}' has {len(vectors)} "
                "vectors. Lower k or use a larger basis."
            )
        vectors, way = vectors[:k], "top_k"
    with validate.explain_errors(node):
        return latent_ops.spectral_denoise(
            given.latent.samples,
            vectors,
            way,
            k=k if mode in _NEED_K else None,
            labels=len(given.basis.labels) if way in ("labels", "one_label") else None,
            energy=energy if way == "energy" else None,
            restore_norm=keep_norm,
            mean=given.mean,
        )


def truncation_inputs(mode: str, k: int) -> widgets.Inputs:
    """The inputs of :func:`truncate`, with these defaults."""
    return {
        "mode": widgets.choice(
            MODES,
            "Which coefficients stay. top_k: the k largest, whatever their sign. labels: those of "
            "the labels only. one_label: the strongest label and the k - 1 largest others. "
            "energy: as few as hold the share given by energy. first_k: the first k vectors, "
            "which are the labels and then the largest structure.",
            mode,
        ),
        "k": widgets.integer(
            (k, 1, MOST_VECTORS), "How many coefficients stay, for top_k, one_label and first_k."
        ),
        "energy": widgets.slider(
            (0.9, 0.01, 1.0, 0.01),
            "Share of a code's squared length that stays, for the mode energy.",
        ),
    }
