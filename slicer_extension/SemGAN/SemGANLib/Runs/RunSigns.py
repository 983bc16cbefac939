"""What is shown of a run: its phase in words, and how far a volume on its way is, as long as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable

from ..Protocols.RunnerProtocol import Runner, Task
from ..Server.Transfer import Transfer
from ..Texts import fraction, phase_text, transfer_text
from ..Types.JobTypes import Job
from ..Views import EXPORTING, Run

MOVING_SECONDS = 0.5
"""How often it is shown how far a volume on its way is."""


class RunSigns:
    """Keeps the `Run` that the panel sees, and tells of every change.

    Args:
        volume_id: id of the volume node.
        mode: of the job.
        runner: calls later.
        on_change: called with the `Run` whenever something is new.
        guard: makes a call end the run if it fails.
    """

    def __init__(
        self,
        volume_id: str,
        mode: str,
        runner: Runner,
        on_change: Callable[[Run], None],
        guard: Callable[[Callable[..., None]], Callable[..., None]],
    ) -> None:
        self.run = Run(volume_id, mode, EXPORTING, phase_text(EXPORTING, None))
        self._runner = runner
        self._on_change = on_change
        self._guard = guard
        self._next: Task | None = None

    def phase(self, phase: str, job: Job | None) -> None:
        """Show a phase, and the job as last heard from the server."""
        self._change(phase=phase, text=phase_text(phase, job), job=job, fraction=fraction(job))

    def moving(self, phase: str, job: Job | None, transfer: Transfer) -> None:
        """Show how far a volume on its way is, now and as long as the phase lasts."""
        if not self.run.active:
            return
        text = transfer_text(phase, transfer.moved_so_far())
        self._change(phase=phase, text=text, job=job, fraction=transfer.fraction)
        if self._next is not None:
            self._next.drop()
        self._next = self._runner.later(MOVING_SECONDS, lambda: self._still_moving(phase, job, transfer))

    def ended(self, phase: str, text: str, job: Job | None) -> None:
        """Show the end."""
        self._change(phase=phase, text=text, active=False, job=job, fraction=1.0 if phase == "done" else None)

    def abandoned(self) -> None:
        """Note the end without telling anybody: the scene is closed."""
        self.run = replace(self.run, active=False, phase="cancelled", text="")

    def add(self, text: str) -> None:
        """Say something more about the end, once."""
        if text not in self.run.text:
            self._change(text=f"{self.run.text} {text}")

    def _still_moving(self, phase: str, job: Job | None, transfer: Transfer) -> None:
        if self.run.active and self.run.phase == phase:
            self._guard(self.moving)(phase, job, transfer)

    def _change(self, **values: object) -> None:
        self.run = replace(self.run, **values)  # type: ignore[arg-type]
        self._on_change(self.run)
