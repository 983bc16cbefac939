"""What the grey values of a volume mean: the modality, and whether a CT is in HU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monai_semgan.modalities import FEW_SAMPLES, guess_hu_offset, guess_modality, has_low_values, value_sample

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class GreyValues:
    """What the values of a volume mean.

    Args:
        modality: as stated, or guessed.
        hu_offset: what was added to HU, for CT.
        in_hu: whether a CT may be in HU at all, raised by the offset or not.
        lowest: lowest and highest value looked at, for the notes.
        highest: see there.
        guessed: the modality was not stated.
    """

    modality: str
    hu_offset: float = 0.0
    in_hu: bool = True
    lowest: float = 0.0
    highest: float = 0.0
    guessed: bool = False

    def notes(self, window: tuple[float, float]) -> list[str]:
        """What a user should know, one sentence each."""
        if self.hu_offset:
            remedy = "; if it is not, give its modality." if self.guessed else "."
            return [f"The values are those of a CT in HU with {self.hu_offset:g} added, and are taken so{remedy}"]
        return [problem] if (problem := self.problem(window)) else []

    @property
    def doubt(self) -> str:
        """Say that what is called a CT cannot be one in HU, without a full stop; empty if it may be."""
        if self.in_hu:
            return ""
        values = f"{self.lowest:g} to {self.highest:g}"
        return f"No value of this CT is as low as fat or air ({values}): it is no CT, or not in HU"

    def problem(self, window: tuple[float, float]) -> str:
        """The doubt, what it means for a model's window, and what helps; empty without a doubt."""
        if self.in_hu:
            return ""
        return (
            f"{self.doubt}, and the model's window of {window[0]:g} to {window[1]:g} HU means nothing. Give its"
            " modality if it is no CT, or convert it to HU."
        )


def look_at_values(array: np.ndarray, modality: str | None = None) -> GreyValues:
    """Tell what the values of a volume mean.

    Args:
        array: (I, J, K) voxel values.
        modality: as the user or the file says; guessed when left out.
    """
    guessed = modality is None
    modality = modality or guess_modality(array)
    if modality not in ("CT", "MR") or (guessed and modality == "CT") or (modality == "MR" and not guessed):
        return GreyValues(modality, guessed=guessed)
    offset = guess_hu_offset(array)
    if offset:
        return GreyValues("CT", offset, guessed=guessed)
    if modality == "MR":
        return GreyValues("MR", guessed=guessed)
    sample = value_sample(array, FEW_SAMPLES)
    return GreyValues("CT", in_hu=has_low_values(sample), lowest=float(sample.min()), highest=float(sample.max()))
