"""Corrections of one result: strokes go to the server in their order, and what comes back enters the segmentation.

The scene shows the state in force, or what has come of the correction under way, with the strokes drawn on top that
are not back yet. What the user paints meanwhile differs from it; that is how it is found, and why it stays.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable

from ..Scene import LabelChange, SegmentationUpdate
from ..Scene.CorrectionHistory import CorrectionHistory, Step
from ..Scene.Records import Record
from ..Scene.Strokes import Stroke, differences, overlay
from ..Server.Errors import ServerError
from ..Translation import tr as _
from ..Types.JobTypes import Job
from ..Types.ResultTypes import Result
from ..Views import ERROR, WARNING
from .CorrectionFollowing import Following, FollowingSteps
from .CorrectionJob import Corrected, Pending
from .CorrectionRoute import Route, RouteSteps
from .CorrectionSurroundings import Surroundings
from .CorrectionTexts import failed_text, progress_text, remarks, strokes_text
from .ShownLabel import ShownLabel

if TYPE_CHECKING:
    import numpy


class CorrectionSession:
    """Corrections of the newest result of a volume.

    Args:
        record: of the volume, with a result and a segmentation.
        result: of the record.
        history: of the segmentation.
        around: the rest of the module.
    """

    def __init__(self, record: Record, result: Result, history: CorrectionHistory, around: Surroundings) -> None:
        self.node, self.volume, self.history = record.segmentation, record.volume, history
        self.values = {label.name: label.id for label in result.labels}
        self.pendings: list[Pending] = []
        self.text = ""
        self._told, self._around, self._runner = result, around, around.runner
        self._scene = ShownLabel(self.node, self.volume, self.values, history.label)
        self._partial: numpy.ndarray | None = None
        self._closed = False
        on_the_way = RouteSteps(
            self._go_on,
            self._end_at_server,
            self._fail,
            self._give_up,
            self._restart,
            self._say,
            self._changed,
        )
        self._route = Route(self.volume, result, history, self.pendings, around, self._guarded, on_the_way)
        steps = FollowingSteps(
            self._followed,
            self._route.base,
            around.client,
            self._changed,
            self._join,
            self._take,
            self._fail,
            self._lost,
        )
        self._following = Following(self._runner, steps, self._guarded)

    @property
    def shown(self) -> numpy.ndarray:
        """(K, J, I) label map that the scene shows, but for what was painted and not sent."""
        return self._scene.label

    @property
    def writing(self) -> bool:
        """Whether the segmentation is being changed at this moment."""
        return self._scene.writing

    @property
    def apart(self) -> bool:
        """Whether scan and segmentation were moved apart meanwhile: no voxel is where it was drawn then."""
        return self._scene.apart

    @property
    def as_it_came(self) -> bool:
        """Whether the segmentation is what the model found, all corrections being undone and nothing painted."""
        first = self.history.first
        came = first.number == 0 and bool(first.root) and not self.history.can_undo and not self.pendings
        return came and self._complete() and not self.edits()

    @property
    def next_number(self) -> int:
        """Number that the first correction will have that is not back yet."""
        return max([self.history.first.number, *(step.number for step in self.history.steps)]) + 1

    # strokes

    def edits(self, only: int | None = None) -> list[Stroke]:
        """Find what was painted and erased and not sent.

        A segment that the user has renamed or removed was not erased: nothing is known of its structure any more.

        Args:
            only: number of the one structure that counts; None for all.
        """
        now = SegmentationUpdate.drawn(self.node, self.volume, self.values)
        there = set(SegmentationUpdate.structures(self.node, self.values).values())
        names = {value: name for name, value in self.values.items() if value in there}
        return differences(now.layers, self._scene.label, names, only)

    def add(self, strokes: Sequence[Stroke], reach_mm: float, locked: tuple[str, ...]) -> None:
        """Correct by strokes, after all others that are not back yet."""
        self.pendings.append(Pending(tuple(strokes), [strokes_text(strokes, reach_mm)], reach_mm, locked))
        self._show()
        self._route.send_next()
        self._changed()

    def cancel(self) -> None:
        """End what the server computes; what has come stays, and strokes that nothing came of are unsent again."""
        first = self.pendings[0] if self.pendings else None
        if first is not None and self._partial is not None and first.version > 0:
            text, warning = "; ".join(first.texts), _("Cancelled before all slices had followed.")
            step = Step(0, first.time, text, warning, state="cancelled")
            self.history.add(step, LabelChange.between(self.history.label, self._partial))
            self._withdraw([first])
        self._give_up(self.pendings)

    def go_to(self, move: Callable[[CorrectionHistory], None]) -> None:
        """Go to another state of the history; corrections that are not back yet are withdrawn first."""
        self._withdraw(self.pendings)
        move(self.history)
        self._route.doubt()
        self._show()
        self._route.tell_state()
        self._changed()

    def undo(self) -> None:
        """Take back the corrections that are not back yet, or else the last one."""
        waiting = bool(self.pendings)
        self.go_to(lambda history: None if waiting else history.undo())

    def close(self) -> None:
        """End; the scene is not touched any more."""
        self._closed = True
        self._route.close()
        self._withdraw(self.pendings)

    # from the server

    def _followed(self) -> Pending | None:
        return next((one for one in self.pendings if one.job is not None), None)

    def _join(self, pending: Pending, later_job: str) -> bool:
        """Make two corrections one that the server computes together."""
        later = next((one for one in self.pendings if one.job is not None and one.job.id == later_job), None)
        if later is None:
            return False
        later.take_in(pending)
        self.pendings.remove(pending)
        self._release(pending)
        return True

    def _take(self, pending: Pending, job: Job, corrected: Corrected) -> None:
        self._partial = corrected.label
        if job.ended:
            self._finish(pending, job, corrected)
            self._release(pending)
        self._show()

    def _finish(self, pending: Pending, job: Job, corrected: Corrected) -> None:
        warning, self._told = remarks(corrected.result, self._told), corrected.result
        whole = job.state == "done"
        there = self._route.job if job.correction is not None and whole else ""
        text, state = "; ".join(pending.texts), "done" if whole else "cancelled"
        self.history.add(Step(0, pending.time, text, warning, there, job.correction or 0, state), corrected.change)
        self.pendings.remove(pending)
        self._partial = None
        if warning:
            self._around.tell(WARNING, warning)

    def _lost(self, pending: Pending) -> bool:
        if pending.moved:
            return False
        if pending.job is not None and pending.job.state == "interrupted":
            self._release(pending)
            self._route.take_back(pending)
        else:
            self._route.uproot()
        self._route.send_next()
        return True

    def _restart(self) -> None:
        self._partial = None
        self._show()

    def _go_on(self) -> None:
        self._following.go_on()

    # ends

    def _fail(self, pending: Pending, error: Exception | None, message: str = "") -> None:
        """Say that a correction did not come about; what was painted for it stays, as not sent."""
        known = error is None or isinstance(error, (ServerError, ValueError))
        reason = message if error is None else str(error) if known else repr(error)
        self._around.tell(ERROR, failed_text(reason, any(one.kind == "scribble" for one in pending.strokes)))
        self._give_up([pending])

    def _give_up(self, pendings: Sequence[Pending]) -> None:
        """Take corrections back but leave in the scene what was painted for them."""
        painted = [stroke for one in pendings for stroke in one.strokes if stroke.kind == "scribble"]
        self._withdraw(pendings)
        self._show(painted)
        self._changed()

    def _withdraw(self, pendings: Sequence[Pending]) -> None:
        """Wait for corrections no more; the server is told."""
        for pending in list(pendings):
            pending.dropped = True
            self.pendings.remove(pending)
            if pending.version > 0:
                self._partial = None
            self._end_at_server(pending)
        self._route.doubt()
        if not self.pendings:
            self._partial = None
            self._following.stop()
            self._route.stop()

    def _end_at_server(self, pending: Pending) -> None:
        job, client = pending.job, pending.client
        if job is not None and client is not None and not job.ended:
            self._runner.run(lambda: client.cancel(job.id), lambda _job: None, lambda _error: None)
        self._release(pending)

    def _release(self, pending: Pending) -> None:
        """Have the label removed that went with a correction."""
        if pending.upload and pending.client is not None:
            self._around.runs.remove_upload(pending.client, pending.upload)
            pending.upload = ""

    # the scene

    def _show(self, kept: Sequence[Stroke] = ()) -> None:
        """Bring the segmentation up to date, but for what was painted and not sent.

        Args:
            kept: strokes whose voxels the scene keeps, as not sent.
        """
        if self._closed:
            return
        ahead = [one for one in self.pendings if self._partial is None or one.version == 0]
        state = self.history.label if self._partial is None else self._partial
        wanted = overlay(state, (stroke for one in ahead for stroke in one.strokes))
        self._scene.show(wanted, kept, surfaces=self._partial is None)
        if not self.pendings:  # what is measured of it changes again otherwise
            self._around.corrected()

    # helpers

    def _complete(self) -> bool:
        """Whether there is a segment for every structure that the label has."""
        there = set(SegmentationUpdate.structures(self.node, self.values).values())
        return not any((self.history.label == value).any() for value in set(self.values.values()) - there)

    def progress(self) -> tuple[str, float | None]:
        """Say where the first correction stands that is not back yet, and how far it is."""
        if not self.pendings or self.text:
            return self.text, None
        first = self.pendings[0]
        job = first.job
        far = job.step / job.steps if job is not None and job.steps else None
        return progress_text(self.next_number, job, len(self.pendings) - 1), far

    def _say(self, text: str) -> None:
        self.text = text
        self._changed()

    def _changed(self) -> None:
        if not self._closed:
            self._around.changed()

    def _guarded(self, call: Callable[..., None]) -> Callable[..., None]:
        """Make a call give up all corrections if it fails: what the scene refuses must leave nobody waiting."""

        def guarded(*values: Any) -> None:
            try:
                call(*values)
            except Exception as error:
                logging.exception("SemGAN: a correction ends by an error")
                self._route.reset()
                self._around.tell(ERROR, failed_text(repr(error)))
                self._give_up(self.pendings)

        return guarded
