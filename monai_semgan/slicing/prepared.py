"""A volume cut into slices: where they lie, how they are normalised, and what a user should know."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from monai_semgan.errors import SemganError
from monai_semgan.slicing.geometry import SliceGeometry
from monai_semgan.slicing.padding import Padding


@dataclass(frozen=True, eq=False)
class SlicePlan:
    """How a volume is normalised, and where its slices lie.

    Args:
        geometry: where the slices lie.
        modality: `CT`, `MR`, `DX` (radiographs), or what else the file's header says.
        value_range: input values that become -1 and 1.
        notes: what a user should know, one sentence each.
        guessed: neither the file nor the user told the modality.
        padding: constant fills that count as air; None where there are none.
        not_in_hu: says that what is called a CT cannot be one in HU, which is one of the notes; empty otherwise.
    """

    geometry: SliceGeometry
    modality: str
    value_range: tuple[float, float]
    notes: tuple[str, ...] = ()
    guessed: bool = False
    padding: Padding | None = None
    not_in_hu: str = ""

    def tissue(self, array: np.ndarray) -> np.ndarray:
        """The volume's voxels (I, J, K), in a copy with air in place of fills where there are any."""
        return array if self.padding is None else self.padding.removed(array)


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedVolume(SlicePlan):
    """Slices of a volume, ready for the networks.

    Args:
        image: (D, C, H, W) float32 in [-1, 1]; C is 1, or 3 for colours.
    """

    image: torch.Tensor

    def between(self, low_mm: float, high_mm: float) -> PreparedVolume:
        """The slices whose middle lies between two heights.

        Args:
            low_mm: S coordinate (RAS mm, from the feet to the head).
            high_mm: S coordinate.

        Raises:
            SemganError: there is no slice, or the slices do not follow each other from the feet to the head.
        """
        if not self.geometry.upwards:
            problem = "its slices do not run from the feet to the head, a range of heights has no meaning"
            raise SemganError(problem, remedy="leave the range out")
        heights = self.geometry.slice_centres[:, 2]
        chosen = np.flatnonzero((heights >= low_mm) & (heights <= high_mm))
        if not chosen.size:
            problem = f"no slice lies between {low_mm:g} and {high_mm:g} mm"
            raise SemganError(problem, remedy=f"this scan reaches from {heights.min():.1f} to {heights.max():.1f} mm")
        first, count = int(chosen[0]), int(chosen.size)
        if count == len(heights):
            return self
        note = (
            f"Only the {count} slices from {heights[chosen].min():.1f} to {heights[chosen].max():.1f} mm were "
            "computed: volumes and the out-of-domain score are those of this part."
        )
        geometry, image = self.geometry.part(first, count), self.image[first : first + count]
        return replace(self, image=image, geometry=geometry, notes=(*self.notes, note))
