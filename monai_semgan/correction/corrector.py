"""Corrections of one scan's label, one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.correction.boxes import expanded
from monai_semgan.correction.corrected_scan import CorrectedScan
from monai_semgan.correction.correction_result import Correction
from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.drawn_voxels import DrawnVoxels, check_strokes, checked_label, remarks_on_strokes
from monai_semgan.correction.following import Following, SliceChange
from monai_semgan.correction.slice_latents import SliceLatents
from monai_semgan.correction.strokes import Stroke
from monai_semgan.correction.wishes import Wish, wishes_of
from monai_semgan.correction.writing_back import write_change
from monai_semgan.errors import Cancelled
from monai_semgan.inference.remarks import Remark
from monai_semgan.utils.progress import OnStep, StepEvent

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.io.volume import Volume

NEAR_ENOUGH = 1.001
"""Neighbours up to the reach follow, rounding aside."""


class Corrector:
    """Correct the label of a scan by strokes.

    Args:
        bundle: the model.
        volume: the scan.
        label: ids `(I, J, K)` on the scan's grid, as it stands.
        latents: of slices that an earlier correction has searched.
        modality: as in `segment`.
        plane: as in `segment`.

    Raises:
        SemganError: if the label is of another grid or holds no ids, or the latents are of another model.
    """

    def __init__(
        self,
        bundle: Bundle,
        volume: Volume,
        label: np.ndarray,
        latents: SliceLatents | None = None,
        modality: str | None = None,
        plane: str | None = None,
    ) -> None:
        self.bundle, self.volume = bundle, volume
        self.scan = CorrectedScan(bundle, volume, modality, plane)
        self.pins = DrawnVoxels.of((), volume.array.shape)
        self.restore(label, latents)

    def restore(self, label: np.ndarray, latents: SliceLatents | None) -> None:
        """Go on from another state, as after undo, redo or an edit by hand; nothing is computed.

        Earlier strokes hold on as far as the label still agrees with them.

        Raises:
            SemganError: if the label is of another grid or holds no ids, or the latents are of another model.
        """
        checked = checked_label(label, self.volume.array.shape)
        latents = latents if latents is not None else SliceLatents.empty()
        self.scan.check_latents(latents)
        self.label, self.latents = checked, latents
        self.pins = self.pins.agreeing(self.label)

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
        strokes = list(strokes)
        check_strokes(strokes, self.bundle.labels, self.label.shape)
        work = _Work(self, strokes, settings or CorrectionSettings(), on_step)
        found = work.run()
        self.restore(found.label, found.latents)
        self.pins = work.drawn.over(self.pins, self.label.shape).agreeing(self.label)
        return found


class _Work:
    """One call of `Corrector.correct`."""

    def __init__(
        self, corrector: Corrector, strokes: Sequence[Stroke], settings: CorrectionSettings, on_step: OnStep | None
    ) -> None:
        self.started = time.perf_counter()
        self.scan, self.settings, self.on_step = corrector.scan, settings, on_step
        shape = corrector.label.shape
        strokes = expanded(strokes, corrector.label, self.scan.through)
        self.drawn = DrawnVoxels.of(strokes, shape)
        self.label, self.latents = corrector.label.copy(), corrector.latents
        self.pins = corrector.pins.without(self.drawn, shape)
        self.kept = np.zeros(shape, dtype=bool)
        for voxels in (self.drawn, self.pins):
            self.kept[voxels.index] = True
        self.wishes = wishes_of(strokes, self.label, self.scan.grid, settings.locked, settings.point_mm)
        painted = self.label.copy()
        self.remarks = remarks_on_strokes(self.drawn, self.drawn.paint(painted, settings.locked))
        if self.wishes and not any(wish.slices for wish in self.wishes):
            text = "The strokes lie outside the model's slices: their own voxels alone have changed."
            self.remarks.append(Remark(text, "strokes_alone", warning=False))
        self.changed: list[int] = []
        self.done, self.steps = 0, sum(map(self._most_slices, self.wishes))

    def run(self) -> Correction:
        """Compute slice by slice, until done or told to stop."""
        cancelled = False
        try:
            for wish in self.wishes:
                for change in self._followed(wish):
                    self._take(wish, change)
            self._tell(self.steps)
        except Cancelled:
            cancelled = True
        return self._result(cancelled)

    def _followed(self, wish: Wish) -> Iterator[SliceChange]:
        """Yield the changes of one wish, from the touched slices outwards."""
        following = Following(self.scan, wish, self.label, self.pins, self.latents, self.settings)
        front: list[tuple[SliceChange, int, int]] = []
        for change in following.touched():
            yield change
            front += [(change, step, 1) for step in (-1, 1)]
        while front:
            former, step, far = front.pop(0)
            number = former.number + step
            if far > self._reach or number in wish.slices or not 0 <= number < self.scan.count:
                continue
            found = following.neighbour(former, number)
            if found is not None:
                yield found
                front.append((found, step, far + 1))
        if following.failed:
            text = "The search of a latent met values that are not numbers: its best until then counts."
            self.remarks.append(Remark(text, "search_failed"))

    @property
    def _reach(self) -> int:
        """How many slices a correction reaches beyond those that were touched."""
        distance = self.scan.distance_mm
        return int(min(self.settings.reach_mm * NEAR_ENOUGH / distance, self.scan.count)) if distance > 0 else 0

    def _most_slices(self, wish: Wish) -> int:
        touched = np.array(sorted(wish.slices), dtype=int)
        around = (touched[:, None] + np.arange(-self._reach, self._reach + 1)).reshape(-1)
        return len(np.unique(around[(around >= 0) & (around < self.scan.count)]))

    def _take(self, wish: Wish, change: SliceChange) -> None:
        """Write a change, keep its latent, tell."""
        if write_change(self.label, change, wish, self.scan.grid, self.kept) or change.number in wish.slices:
            self.changed += [change.number] if change.number not in self.changed else []
            if change.latent is not None:
                self.latents = self.latents.merged(SliceLatents(np.array([change.number]), change.latent.to("cpu")))
        self._tell(min(self.done + 1, self.steps))

    def _tell(self, done: int) -> None:
        if self.on_step is not None and (done > self.done or not self.steps):
            self.done = done
            make_partial = lambda: self._result(False)  # noqa: E731
            self.on_step(StepEvent("step", done, self.steps, self.scan.count, make_partial=make_partial))

    def _result(self, cancelled: bool) -> Correction:
        label = self.label.copy()
        self.drawn.paint(label, self.settings.locked)
        seconds = time.perf_counter() - self.started
        return Correction(label, self.latents, tuple(self.changed), tuple(self.remarks), cancelled, seconds)
