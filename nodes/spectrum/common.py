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
_NEED_K = ("top_k", "one_label", FIRST_K)

MODE_TOOLTIP = (
    "Which coefficients stay. top_k: the k largest, whatever their sign. labels: those of the "
    "labels only. one_label: the strongest label and the k - 1 largest others. energy: as few as "
    "hold the share given by energy. first_k: the first k vectors, which are the labels and then "
    "the largest structure."
)
K_TOOLTIP = "How many coefficients stay, for top_k, one_label and first_k."
ENERGY_TOOLTIP = "Share of a code's squared length that stays, for the mode energy."


@dataclass(frozen=True, eq=False)
class Spectra:
    """Codes and the basis to decompose them with, on one device.

    Attributes:
        latent: B codes.
        basis: what it is made of.
        vectors: ``(k, *shape)``.
        mean: ``(*shape)`` or None.
    """

    latent: FaceLatent
    basis: LatentBasis
    vectors: Tensor
    mean: Tensor | None

    def coefficients(self) -> Tensor:
        """``(B, k)`` float32 or wider."""
        return latent_ops.decompose(self.latent.samples, self.vectors, self.mean)


def spectra(face_latent: object, basis: object, node: str) -> Spectra:
    """Check a face latent and a basis, and bring them together.

    Raises:
        FaceLatentsError: not a latent, not a basis, or codes that are not finite.
        SpaceMismatchError: they belong to different spaces.
    """
    latent, found = validate.face_latent(face_latent), validate.latent_basis(basis)
    require_same_space(
        latent.space, found.space, f"{node}: the face latent and the basis '{found.name}'"
    )
    device = latent.samples.device
    mean = None if found.mean is None else found.mean.to(device)
    return Spectra(latent, found, found.vectors.to(device), mean)


def truncated(
    given: Spectra, mode: str, k: int, energy: float, keep_norm: bool, node: str
) -> Tensor:
    """New codes ``(B, *shape)`` of which a part of the spectrum is kept; see `MODE_TOOLTIP`.

    Raises:
        FaceLatentsError: an unknown mode, k beyond the basis, an energy outside (0, 1].
    """
    way = validate.one_of(mode, MODES, "mode")
    count = validate.whole(k, "k", 1) if way in _NEED_K else None
    share = validate.finite(energy, "energy") if way == "energy" else None
    vectors = given.vectors
    if way == FIRST_K:
        assert count is not None
        if count > len(vectors):
            raise FaceLatentsError(
                f"{node}: k is {count}, but the basis '{given.basis.name}' has {len(vectors)} "
                "vectors. Lower k or use a larger basis."
            )
        vectors, way = vectors[:count], "top_k"
    with validate.explained(node):
        return latent_ops.spectral_denoise(
            given.latent.samples,
            vectors,
            way,
            k=count,
            labels=len(given.basis.labels) if way in ("labels", "one_label") else None,
            energy=share,
            restore_norm=bool(keep_norm),
            mean=given.mean,
        )


def truncation_inputs(mode: str, k: int) -> dict[str, widgets.InputSpec]:
    """The inputs of :func:`truncated`, with these defaults."""
    return {
        "mode": widgets.choice(MODES, MODE_TOOLTIP, mode),
        "k": widgets.integer(k, 1, 65536, K_TOOLTIP),
        "energy": widgets.slider(0.9, 0.01, 1.0, 0.01, ENERGY_TOOLTIP),
    }
