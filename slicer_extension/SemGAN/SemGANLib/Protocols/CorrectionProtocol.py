"""What the panel needs to correct a result by strokes: plain data that it shows, and what it may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ..Signal import Signal

SCRIBBLE, POINT, LASSO, BOX = "scribble", "point", "lasso", "box"
"""Kinds of prompts. Scribbles are painted and erased with Slicer's own effects, the others are markups."""

DEFAULT_REACH_MM = 25.0
"""How far from the touched slices others follow, unless the user sets it otherwise."""


@dataclass(frozen=True)
class StructureChoice:
    """A segment of the result that can be corrected.

    Attributes:
        segment: id of the segment in the segmentation node; the other calls take it as `structure`.
        colour: red, green, blue, 0 to 255.
        locked: the user has locked it: no correction changes it. Saved with the scene.
        known: the model finds it. Others are the user's own: their voxels stay as they are, and are never sent.
    """

    segment: str
    name: str
    colour: tuple[int, int, int]
    locked: bool = False
    known: bool = True


@dataclass(frozen=True)
class CorrectionRow:
    """A line of the list of corrections; the first one, number 0, is the result as it came.

    Attributes:
        time: seconds since the epoch.
        text: such as `"liver: 214 voxels painted, 25 mm"`.
        state: `"waiting"`, `"running"`, `"done"`, `"failed"` or `"cancelled"`.
        current: what the segmentation shows now.
        undone: it can be had again by redo.
        warning: what the user should know of it, such as strokes that contradict one another; or why it has failed.
    """

    number: int
    time: float
    text: str
    state: str = "done"
    current: bool = False
    undone: bool = False
    warning: str = ""


@dataclass(frozen=True)
class Correcting:
    """Where the corrections of a result stand.

    Attributes:
        volume_id: of the scan; empty when nothing is being corrected.
        ready: corrections can be sent; otherwise `text` says what is in the way or still to come.
        busy: the server computes; more can be painted and sent meanwhile.
        waiting: corrections that are not back yet.
        text: where it stands, such as `"Correction 3: 4 of 11 slices"`; empty when there is nothing to say.
        fraction: 0 to 1, of the correction under way; None while it cannot be told.
    """

    volume_id: str = ""
    ready: bool = False
    busy: bool = False
    waiting: int = 0
    text: str = ""
    fraction: float | None = None
    can_undo: bool = False
    can_redo: bool = False


@dataclass(frozen=True)
class CorrectionChoices:
    """How a correction is to be computed.

    Attributes:
        reach_mm: how far from the touched slices others follow.
        only_slice: nothing but the touched slices changes, whatever the reach.
    """

    reach_mm: float = DEFAULT_REACH_MM
    only_slice: bool = False


class CorrectionLogic(Protocol):
    """Corrections of one result at a time. All is called in the main thread and returns at once.

    What is in the way of a call comes as `message` of the logic, as for all others.
    """

    changed: Signal
    """Emits the `Correcting` whenever state, list or segmentation have changed."""

    @property
    def state(self) -> Correcting:
        """Where the corrections stand."""

    @property
    def writing(self) -> bool:
        """Whether results are being written into the segmentation at this moment: what is heard of it is no edit."""

    def begin(self, volume: Any) -> bool:
        """Begin to correct the newest result of a volume; False, with a message, where there is none."""

    def end(self) -> None:
        """Leave it; what is under way is cancelled, the list stays in the scene."""

    def structures(self) -> list[StructureChoice]:
        """List the segments of the result."""

    def set_locked(self, structure: str, locked: bool) -> None:
        """Lock a segment, or open it again."""

    def send_edits(
        self,
        structure: str | None = None,
        choices: CorrectionChoices = CorrectionChoices(),
        quietly: bool = False,
    ) -> bool:
        """Send what was painted and erased since the last state.

        Args:
            structure: the segment whose edits are sent, those of others stay unsent; None for all.
            choices: reach.
            quietly: the user has not asked for it: no message where nothing was to be sent.

        Returns:
            Whether something was to be sent; a message says so where nothing was.
        """

    def add_prompt(
        self,
        kind: str,
        positive: bool,
        structure: str,
        markup: Any,
        choices: CorrectionChoices = CorrectionChoices(),
        view: Any = None,
    ) -> bool:
        """Send a point, lasso or box, with what was painted and not sent yet.

        Args:
            kind: `POINT` (control points of a point list), `LASSO` (closed curve, filled in the slices in which its
                points lie) or `BOX` (a ROI, or a line or curve between two corners).
            positive: False for "not this structure here".
            structure: segment that it is about.
            markup: markups node; it may be removed when this returns.
            choices: reach.
            view: slice node of the view it was drawn in; without it the plane is that of the points.

        Returns:
            Whether something was to be sent.
        """

    def cancel(self) -> None:
        """End what the server computes and take back what waits; what has come so far stays."""

    def undo(self) -> None:
        """Take back what is not back yet, or else the last correction; what was painted and not sent stays.

        Nothing is computed, and no server is needed.
        """

    def redo(self) -> None:
        """Show again what was undone last."""

    def revert_to(self, number: int) -> None:
        """Show the state after a correction of the list; 0 for the result as it came."""

    def history(self) -> list[CorrectionRow]:
        """List the corrections, the oldest first."""
