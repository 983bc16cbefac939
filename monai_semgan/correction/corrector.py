"""Corrections of one scan's label, one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.correction.correction_result import Correction
from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.drawn_voxels import DrawnVoxels, check_strokes, remarks_on_strokes
from monai_semgan.correction.slice_latents import SliceLatents
from monai_semgan.correction.strokes import Stroke
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.utils.progress import OnStep, StepEvent

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.io.volume import Volume


class Corrector:
    """Correct the label of a scan by strokes.

    Args:
        bundle: the model.
        volume: the scan.
        label: ids `(I, J, K)` on the scan's grid, as it stands.
        latents: of slices that an earlier correction has searched.
        modality: as in `segment`.

    Raises:
        SemganError: if the label is of another grid.
    """

    def __init__(
        self,
        bundle: Bundle,
        volume: Volume,
        label: np.ndarray,
        latents: SliceLatents | None = None,
        modality: str | None = None,
    ) -> None:
        self.bundle, self.volume = bundle, volume
        self.prepared = bundle.preprocessing(volume, modality)
        self.restore(label, latents)

    def restore(self, label: np.ndarray, latents: SliceLatents | None) -> None:
        """Go on from another state, as after undo, redo or an edit by hand; nothing is computed.

        Raises:
            SemganError: if the label is of another grid.
        """
        if label.shape != self.volume.array.shape:
            found, wanted = ("x".join(map(str, shape)) for shape in (label.shape, self.volume.array.shape))
            problem = f"a label of {found} voxels for a scan of {wanted}"
            raise SemganError(problem, remedy="give the label on the scan's own grid")
        self.label = label.astype(np.uint8)
        self.latents = latents if latents is not None else SliceLatents.empty()

    def correct(
        self,
        strokes: Sequence[Stroke],
        settings: CorrectionSettings | None = None,
        on_step: OnStep | None = None,
    ) -> Correction:
        """Follow strokes, and go on from the result.

        Args:
            strokes: in the order in which they were drawn.
            settings: reach, locked structures, search.
            on_step: called in phase `step` with the number of slices done; its `partial()` makes a `Correction` of
                what has been found so far. `Cancelled` ends the work, which then gives that.

        Raises:
            SemganError: if a stroke leaves the scan, or its structure is unknown.
        """
        started = time.perf_counter()
        settings = settings or CorrectionSettings()
        check_strokes(strokes, self.bundle.labels, self.label.shape)
        drawn = DrawnVoxels.of(strokes, self.label.shape)
        label = self.label.copy()
        kept = drawn.paint(label, settings.locked)
        remarks = tuple(remarks_on_strokes(drawn, kept))

        def result(cancelled: bool = False) -> Correction:
            seconds = time.perf_counter() - started
            return Correction(label.copy(), self.latents, (), remarks, cancelled, seconds)

        cancelled = False
        if on_step is not None:
            try:
                on_step(StepEvent("step", 1, 1, 1, make_partial=result))
            except Cancelled:
                cancelled = True
        found = result(cancelled)
        self.restore(found.label, found.latents)
        return found
