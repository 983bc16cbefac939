"""Parameters of an inference, as clients of MONAI Label send them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import image2d_endings
from monai_semgan.jobs.contract import MAX_STEPS

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha")
"""Of labels, and of volumes that are sent."""

PICTURE_LABEL = ".png"
"""Of labels of single images."""

SENT_ENDINGS = (*EXTENSIONS, *image2d_endings())
"""Of images that are sent to be segmented."""


@dataclass(frozen=True)
class InferRequest:
    """How to segment.

    Args:
        mode: preview, invert or refine.
        extension: format of the label.
        steps: of the inversion; the model's own when None.
        labels: names of the organs; all when empty.
        maps: whether uncertainty, reconstruction and residual are wanted too.
    """

    mode: str
    extension: str = ".nii.gz"
    steps: int | None = None
    labels: tuple[str, ...] = ()
    maps: bool = False

    @classmethod
    def from_params(cls, mode: str, params: Mapping[str, Any]) -> InferRequest:
        """Read `result_extension`, `steps`, `labels` and `maps`; what else a client sends is not looked at.

        Raises:
            SemganError: a value makes no sense.
        """
        extension, steps = params.get("result_extension") or ".nii.gz", params.get("steps")
        labels, maps = params.get("labels") or [], params.get("maps") or False
        if extension not in (*EXTENSIONS, PICTURE_LABEL):
            remedy = f"use {', '.join(EXTENSIONS)}, or for single images {PICTURE_LABEL}"
            raise SemganError("unknown result_extension", remedy=remedy)
        if steps is not None and (type(steps) is not int or not 1 <= steps <= MAX_STEPS):
            raise SemganError(f"steps is not a whole number from 1 to {MAX_STEPS}")
        if isinstance(labels, str):
            labels = [labels]
        if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
            raise SemganError("labels is not a list of names")
        if not isinstance(maps, bool):
            raise SemganError("maps is neither true nor false")
        return cls(mode, str(extension), steps, tuple(labels), maps)
