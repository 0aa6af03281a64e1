"""A loaded face model: network, latent space, alignment template and bundled directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor, nn

from ... import latent_ops
from ..architectures.capabilities import Capabilities, Removal
from ..errors import FaceLatentsError
from ..geometry.templates import AlignmentTemplate
from ..space import LatentSpace, require_same_space
from ..values import Direction, Reading
from .expressions import Expressions

# Readings of glasses and beards, above none, from which one is taken away: not, and wholly. Of
# faces without, 1 in 20 reads above the second one; of those with, 1 in 20 below.
DOUBTFUL = (0.1, 0.25)
ROUNDING = 1e-5  # by which numbers of a code that an edit leaves may differ


@dataclass(frozen=True, eq=False)
class FaceModel:
    """Everything a node needs to encode, edit and decode faces.

    Attributes:
        module: the network, which device management moves. `capabilities` are its.
        capabilities: what the network can do.
        space: the space of its codes; `space.model_id` is the hash of the network's tensors.
        template: how photos are aligned for it; `template.size` is the side of a crop.
        directions: by name, in the order of the file.
        metadata: the file's string metadata (licence, training data, metrics, ...).
        name: display name.
        spaces: every space whose codes `to_decodable` takes, by name; `space` is one of them.
        expressions: how its codes show expressions; None where nobody measured.
    """

    module: nn.Module
    capabilities: Capabilities
    space: LatentSpace
    template: AlignmentTemplate
    directions: Mapping[str, Direction]
    metadata: Mapping[str, str]
    name: str
    spaces: Mapping[str, LatentSpace] = field(default_factory=dict)
    expressions: Expressions | None = None

    def __post_init__(self) -> None:
        if not self.spaces:
            object.__setattr__(self, "spaces", {self.space.name: self.space})

    @property
    def device(self) -> torch.device:
        """Where the network is now."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    def encode(self, crops: Tensor, points: Tensor | None = None) -> Tensor:
        """Codes of aligned crops.

        Args:
            crops: `(B, 3, S, S)` in [0, 1], any device; S is `template.size`.
            points: `(B, 478, 3)`, dense landmarks of the crops in shares of the side from the
                middle, with depth; NaN where they are not known. Models that see a face without
                landmarks (`capabilities.encode_points` is None) do not look at them.

        Returns:
            `(B, *space.shape)` float32 on the module's device.

        Raises:
            FaceLatentsError: a model without an encoder, another shape, or values that are not
                finite.
        """
        size, encode = self.template.size, self.capabilities.encode
        if encode is None:
            raise FaceLatentsError(
                "This model can draw faces but not read photos: its file holds a generator and no "
                "encoder. Convert an e4e or pSp checkpoint, which holds both, or find the code of "
                "a photo by refinement (Encode Face, refine_steps)."
            )
        if crops.dim() != 4 or tuple(crops.shape[1:]) != (3, size, size):
            raise FaceLatentsError(
                f"Encode: {self.name} needs aligned crops of shape (batch, 3, {size}, {size}), "
                f"got {tuple(crops.shape)}. Use Encode Face, which aligns photos."
            )
        crops = crops.to(self.device, torch.float32)
        if not bool(torch.isfinite(crops).all()):
            raise FaceLatentsError(
                "Encode: the picture holds values that are not numbers (NaN or infinite). "
                "Check the node that made it."
            )
        with_points = self.capabilities.encode_points
        if points is None or with_points is None:
            return encode(crops)
        return with_points(crops, points.to(self.device, torch.float32))

    def decode(self, codes: Tensor) -> Tensor:
        """Pictures of codes.

        Args:
            codes: `(B, *space.shape)`, any device and floating type.

        Returns:
            `(B, 3, S, S)` float32 on the module's device, nominally in [0, 1], not clamped.

        Raises:
            FaceLatentsError: another shape.
        """
        if tuple(codes.shape[1:]) != self.space.shape or codes.dim() != 1 + self.space.latent_dims:
            raise FaceLatentsError(
                f"Decode: {self.name} needs codes of shape (batch, "
                f"{', '.join(map(str, self.space.shape))}), got {tuple(codes.shape)}."
            )
        return self.capabilities.decode(codes.to(self.device, torch.float32))

    def edit_photos(
        self, crops: Tensor, before: Tensor, after: Tensor, *, draft: bool = False
    ) -> Tensor:
        """What edits do to the photos' own faces.

        Args:
            crops: `(B, 3, S, S)` in [0, 1], any device; S is `template.size`.
            before, after: `(B, *space.shape)`, codes of the crops, and after the edit.
            draft: at half the resolution.

        Returns:
            `(B, 9, N, N)` float32 on the module's device, see `EditMaps.stacked`; they cover
            `capabilities.editor.extent` sides of the crop.

        Raises:
            FaceLatentsError: a model that edits no photos (`capabilities.editor` is None).
        """
        editor = self.capabilities.editor
        if editor is None:
            raise FaceLatentsError(
                f"Model '{self.name}' does not apply edits to photos. Decode the edited code, and "
                "paste that."
            )
        crops, before, after = (t.to(self.device, torch.float32) for t in (crops, before, after))
        after, removals = self._removals(before, after)
        return editor.edit(crops, before, after, removals, draft=draft)

    def _removals(self, before: Tensor, after: Tensor) -> tuple[Tensor, list[Removal]]:
        """What edits take away of attributes of which there can be none, and codes `(B, *shape)`
        after the rest of the edit."""
        removals = []
        for direction, reading, least in self._limited():
            had = reading.of(before) - least
            lost = reading.of(before) - reading.of(after)
            lost = lost * (lost > ROUNDING)
            sure = ((had - DOUBTFUL[0]) / (DOUBTFUL[1] - DOUBTFUL[0])).clamp(0, 1)
            removals.append(
                Removal(direction, sure * (lost / had.clamp(min=DOUBTFUL[0])).clamp(max=1))
            )
            after = direction.move(after, lost)
        return torch.where((after - before).abs() < ROUNDING, before, after), removals

    def _limited(self) -> Iterator[tuple[Direction, Reading, float]]:
        """Directions of which there is no less than none, their readings, and what none reads."""
        for direction in self.directions.values():
            reading = direction.reading
            if reading is not None and reading.least is not None:
                yield direction, reading, reading.least

    def possible(self, before: Tensor, after: Tensor) -> Tensor:
        """Codes after edits that take away no more of an attribute than there is.

        A face without glasses, minus glasses, would have bright rims. Where a direction's reading
        has a least value, edits along it end there, or where the face was before.

        Args:
            before, after: `(B, *space.shape)`, codes of faces, and after the edit.

        Returns:
            `(B, *space.shape)` float32 on the device of `after`.
        """
        before, after = before.float(), after.float()
        for direction, reading, none in self._limited():
            least = reading.of(before.to(after)).clamp(max=none)
            after = direction.move(after, (least - reading.of(after)).clamp(min=0))
        return after

    def to_decodable(self, codes: Tensor, space: LatentSpace) -> Tensor:
        """Codes of any of the model's spaces in its own one.

        z is mapped to w, and w put into every layer of w_plus.

        Args:
            codes: `(B, *space.shape)`, any device and floating type.
            space: the one they are in.

        Returns:
            `(B, *self.space.shape)` float32 on the module's device.

        Raises:
            SpaceMismatchError: a space of another model, or one the model does not have.
            FaceLatentsError: z codes of a model with classes: they do not say which class.
        """
        codes = codes.to(self.device, torch.float32)
        if space.same_as(self.space):
            return codes
        known = self.spaces.get(space.name)
        if known is None or not known.same_as(space):
            require_same_space(self.space, space, f"Model '{self.name}' and the codes")
        layers = self.capabilities.layers
        if layers is None:  # no other network has more than one space
            return codes
        return layers.broadcast(layers.map(codes) if space.name == "z" else codes)

    def sample(
        self,
        count: int,
        seed: int,
        truncation_psi: float = 1.0,
        *,
        cutoff: int | None = None,
        class_index: int | None = None,
    ) -> Tensor:
        """Random codes `(count, *space.shape)` float32 on the CPU.

        Normal with the mean and standard deviation of the training codes (a network may state
        another one, `sample_std`), then pulled towards the mean: `mean + truncation_psi * (z -
        mean)`. Where the model states a mixture of classes, a class is drawn first, and its centre
        takes the place of the mean. The same seed gives the same faces on every device, and the
        first faces of a larger batch are those of a smaller one. A network that maps z to w draws
        z, and its w are pulled towards the mean of w.

        Args:
            count: how many.
            seed: which.
            truncation_psi: 1 leaves codes as they are drawn, 0 gives the mean.
            cutoff: of w_plus codes, pull only so many of the first layers; None: all.
            class_index: of a network with classes, which one to draw; None: each face draws one.

        Raises:
            FaceLatentsError: count below 1; cutoff or class_index for a model that has no layers
                or no classes, or no such class.
        """
        if count < 1:
            raise FaceLatentsError(f"Sample: the number of faces must be 1 or more, got {count}.")
        generator = latent_ops.seeds.generator(int(seed) % 2**64)
        able = self.capabilities
        if able.layers is not None:
            return able.layers.sample_codes(
                count, generator, truncation_psi, cutoff, class_index
            ).cpu()
        if cutoff is not None or class_index is not None:
            what = "layers to truncate apart" if class_index is None else "classes to draw"
            raise FaceLatentsError(
                f"Sample: model '{self.name}' has no {what}; only models of the StyleGAN2 kind "
                "may. Leave these inputs at their default."
            )
        if able.mixture is not None:
            return able.mixture.sample(count, generator, truncation_psi)
        # one draw per face: the generator's fast path depends on the number of values drawn
        codes = torch.stack(
            [torch.randn(self.space.shape, generator=generator) for _ in range(count)]
        )
        std = self.space.std if able.sample_std is None else able.sample_std
        if std is not None:
            codes = codes * std
        codes = codes * truncation_psi
        return codes if self.space.mean is None else codes + self.space.mean
