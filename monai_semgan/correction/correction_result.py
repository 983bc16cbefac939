"""What a correction gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_semgan.correction.slice_latents import SliceLatents
from monai_semgan.inference.remarks import Remark


@dataclass(frozen=True, eq=False)
class Correction:
    """Hold the label after a correction.

    Attributes:
        label: ids `(I, J, K)` uint8, on the scan's grid.
        latents: of all slices that have been searched, in this correction and before; may be empty.
        slices: numbers, in the model's stack, of the slices that strokes touched or that changed, in the order of
            computing.
        remarks: what the reader should know, with codes `strokes_contradict`, `locked_kept`, `strokes_alone`,
            `search_failed`.
        cancelled: ended by the callback; what had been found until then is here.
        seconds: time it took.
    """

    label: np.ndarray
    latents: SliceLatents
    slices: tuple[int, ...]
    remarks: tuple[Remark, ...]
    cancelled: bool
    seconds: float
