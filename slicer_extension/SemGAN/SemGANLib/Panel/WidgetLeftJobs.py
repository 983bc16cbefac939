"""The panel's line about jobs that go on at the server and that nobody here follows, as after a crash."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from ..Views import LeftJob
from .LongWords import wrapped


class LeftJobsLine:
    """Offers to take up or to end the oldest job that was left.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
    """

    def __init__(self, ui: Any, logic: Logic) -> None:
        self._ui = ui
        self._logic = logic
        ui.takeUpButton.connect("clicked()", self._on_take_up)
        ui.endLeftButton.connect("clicked()", self._on_end)
        logic.left_jobs_changed.connect(self.show)
        self.show(logic.left_jobs)

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.left_jobs_changed.disconnect(self.show)

    def show(self, jobs: Sequence[LeftJob]) -> None:
        """Tell of the oldest job."""
        ui = self._ui
        ui.leftJobsFrame.setVisible(bool(jobs))
        if not jobs:
            return
        job = self._oldest()
        begun = time.strftime("%H:%M", time.localtime(job.created))
        kind = _("A preview") if job.mode == "preview" else _("A refinement")
        what = _("of {image}").format(image=job.image) if job.image else _("of a volume that is gone")
        more = _(" ({count} more)").format(count=len(jobs) - 1) if len(jobs) > 1 else ""
        text = _("{kind} {what}, begun at {begun}, goes on at the server.{more}")
        ui.leftJobsLabel.setText(wrapped(text.format(kind=kind, what=what, begun=begun, more=more)))
        ui.takeUpButton.setEnabled(bool(job.image))

    def _oldest(self) -> LeftJob:
        return min(self._logic.left_jobs, key=lambda job: job.created)

    def _on_take_up(self) -> None:
        self._logic.take_up(self._oldest().id)

    def _on_end(self) -> None:
        self._logic.end_left(self._oldest().id)
