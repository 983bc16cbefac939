"""Corrects results by strokes: what the panel asks for, see `Protocols.CorrectionProtocol.CorrectionLogic`."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.CorrectionProtocol import Correcting, CorrectionChoices, CorrectionRow, StructureChoice
from ..Protocols.RunnerProtocol import Runner, Task
from ..Scene import MarkupStrokes, SegmentationUpdate
from ..Scene.CorrectionHistory import CorrectionHistory, remove
from ..Scene.Records import Record, record_of
from ..Scene.Strokes import Stroke
from ..Server.Connector import Connector
from ..Signal import Signal
from ..Translation import tr as _
from ..Types.ResultTypes import Result
from ..Views import INFO, WARNING
from . import CorrectionStructures
from .Consent import Consent
from .CorrectionReadiness import no_result_text, result_problem, server_problem
from .CorrectionRows import rows
from .CorrectionSession import CorrectionSession
from .CorrectionStart import Start, first_label
from .CorrectionSurroundings import Surroundings
from .CorrectionTexts import kept_as_is_text, unknown_text
from .Runs import Runs

MOST_STROKES = 256
"""That a server takes at once."""

USUAL = CorrectionChoices()

Tell = Callable[[str, str], None]


class Corrections:
    """Corrections of one result at a time.

    Args:
        runner: runs work in threads.
        runs: know what servers have of the volumes.
        connector: knows the server.
        consent: asks before a scan leaves this computer.
        corrected: called with the record of a volume whose segmentation has changed.
        tell: called with level and text.
    """

    def __init__(
        self,
        runner: Runner,
        runs: Runs,
        connector: Connector,
        consent: Consent,
        corrected: Callable[[Record], None],
        tell: Tell,
    ) -> None:
        self.changed = Signal("Correcting")
        self._runner, self._runs, self._connector, self._consent = runner, runs, connector, consent
        self._corrected, self._tell = corrected, tell
        self._record: Record | None = None
        self._node: Any = None
        self._nodes: tuple[str, ...] = ()
        self._session: CorrectionSession | None = None
        self._starting: Task | None = None

    @property
    def state(self) -> Correcting:
        """Where the corrections stand."""
        if self._record is None or self._record.volume is None:
            return Correcting()
        volume, session = self._record.volume.GetID(), self._session
        if session is None:
            return Correcting(volume, text=_("Getting ready for corrections"))
        waiting, (text, fraction) = len(session.pendings), session.progress()
        history = session.history
        undo, redo = history.can_undo or waiting > 0, history.can_redo and not waiting
        return Correcting(volume, True, waiting > 0, waiting, text, fraction, undo, redo)

    @property
    def writing(self) -> bool:
        """Whether results are being written into the segmentation at this moment."""
        return self._session is not None and self._session.writing

    @property
    def as_it_came(self) -> bool:
        """Whether the segmentation is what the model found, all corrections being undone and nothing painted."""
        return self._session is not None and self._session.as_it_came

    def begin(self, volume: Any) -> bool:
        """Begin to correct the newest result of a volume."""
        record = record_of(volume)
        result = record.result if record is not None else None
        node = record.segmentation if record is not None else None
        if record is None or result is None or node is None:
            self._tell(WARNING, no_result_text())
            return False
        if node is self._node and self._record is not None and self._record.volume is volume:
            return True
        problem = result_problem(node, self._runs.view(volume.GetID()))
        if problem:
            self._tell(WARNING, problem)
            return False
        self.end()
        self._record, self._node, self._nodes = record, node, (node.GetID(), volume.GetID())
        self._begin(record, result)
        self._emit()
        return True

    def end(self) -> None:
        """Leave it; what is under way is cancelled, the list stays in the scene."""
        if self._starting is not None:
            self._starting.drop()
        if self._session is not None:
            self._session.close()
        self._record = self._node = self._session = self._starting = None
        self._nodes = ()
        self._emit()

    def forget(self, identifier: str) -> None:
        """Leave what belongs to a node that is gone."""
        if identifier in self._nodes:
            self.end()

    def replaced(self, node: Any) -> None:
        """Forget the corrections of a segmentation: the result of a run has taken its place."""
        if node is self._node:
            self.end()
        if node is not None:
            remove(node)

    # structures

    def structures(self) -> list[StructureChoice]:
        """List the segments of the result."""
        if self._node is None or self._record is None or self._record.result is None:
            return []
        return CorrectionStructures.listed(self._node, self._record.result)

    def set_locked(self, structure: str, locked: bool) -> None:
        """Lock a segment, or open it again."""
        if self._node is not None:
            SegmentationUpdate.lock(self._node, structure, locked)
            self._emit()

    # strokes

    def send_edits(
        self, structure: str | None = None, choices: CorrectionChoices = USUAL, quietly: bool = False
    ) -> bool:
        """Send what was painted and erased since the last state."""
        session = self._ready()
        if session is None:
            return False
        only = SegmentationUpdate.structures(session.node, session.values).get(structure) if structure else None
        if structure and only is None:
            self._tell(WARNING, unknown_text(CorrectionStructures.name(session.node, structure)))
            return False
        strokes = session.edits(only)
        if not strokes and quietly:
            return False
        if not strokes:
            self._tell(INFO, _("Nothing was painted or erased since the last state: draw on the segmentation first."))
            return False
        return self._add(session, strokes, choices)

    def add_prompt(
        self,
        kind: str,
        positive: bool,
        structure: str,
        markup: Any,
        choices: CorrectionChoices = USUAL,
        view: Any = None,
    ) -> bool:
        """Send a point, lasso or box, with what was painted and not sent yet."""
        session = self._ready()
        if session is None:
            return False
        value = SegmentationUpdate.structures(session.node, session.values).get(structure)
        if value is None:
            self._tell(WARNING, unknown_text(CorrectionStructures.name(session.node, structure)))
            return False
        try:
            places = MarkupStrokes.marked(kind, markup, session.volume, view)
        except ValueError as error:
            self._tell(WARNING, str(error))
            return False
        name = {number: known for known, number in session.values.items()}[value]
        prompts = [Stroke(name, value, place, positive, kind) for place in places]
        return self._add(session, [*session.edits(), *prompts], choices)

    def cancel(self) -> None:
        """End what the server computes and take back what waits."""
        if self._session is not None:
            self._session.cancel()

    # history

    def undo(self) -> None:
        """Show the state before the last correction."""
        if self._session is not None and self._in_place(self._session):
            self._session.undo()

    def redo(self) -> None:
        """Show again what was undone last."""
        if self._session is not None and self._in_place(self._session):
            self._session.go_to(lambda history: history.redo())

    def revert_to(self, number: int) -> None:
        """Show the state after a correction of the list."""
        if self._session is not None and self._in_place(self._session):
            self._session.go_to(lambda history: history.go_to(number))

    def history(self) -> list[CorrectionRow]:
        """List the corrections, the oldest first."""
        return [] if self._session is None else rows(self._session)

    # within

    def _begin(self, record: Record, result: Result) -> None:
        history = CorrectionHistory.find(record.segmentation, record.volume)
        if history is not None:
            self._open(record, result, history)
            return
        start = Start.of(record, result)
        client = self._connector.client

        def ready(found: tuple[Any, str]) -> None:
            label, root = found
            if record.volume is None or record.segmentation is None:
                return
            self._open(record, result, CorrectionHistory.begin(record.segmentation, record.volume, label, root))
            if not root and result.job:
                self._tell(WARNING, kept_as_is_text())
            self._emit()

        self._starting = self._runner.run(lambda: first_label(start, client), ready, self._not_begun)

    def _open(self, record: Record, result: Result, history: CorrectionHistory) -> None:
        around = Surroundings(
            self._runner,
            self._runs,
            lambda: self._connector.client,
            lambda: not self._connector.connection.local,
            lambda: self._may_send(record.volume),
            self._emit,
            lambda: self._corrected(record),
            self._tell,
        )
        self._session = CorrectionSession(record, result, history, around)

    def _not_begun(self, error: Exception) -> None:
        self._tell(WARNING, _("The result cannot be corrected: {reason}").format(reason=error))
        self.end()

    def _may_send(self, volume: Any) -> bool:
        client = self._connector.client
        stored = client is not None and self._runs.stored_as(volume, client) is not None
        return stored or self._consent.to_send(volume, self._connector.connection)

    def _ready(self) -> CorrectionSession | None:
        problem = server_problem(self._connector)
        if self._session is None and self._record is not None:
            self._tell(INFO, _("Getting ready for corrections: try again in a moment."))
        elif self._session is None:
            self._tell(WARNING, no_result_text())
        elif problem:
            self._tell(WARNING, problem)
        elif self._in_place(self._session):
            return self._session
        return None

    def _in_place(self, session: CorrectionSession) -> bool:
        if session.apart:
            text = _("Scan and result were moved apart. Put both under the same transform again, and correct then.")
            self._tell(WARNING, text)
        return not session.apart

    def _add(self, session: CorrectionSession, strokes: list[Stroke], choices: CorrectionChoices) -> bool:
        """Add a correction; strokes of locked structures are left out, and the user told so."""
        locked = CorrectionStructures.locked(session.node, session.values)
        refused = sorted({stroke.structure for stroke in strokes if stroke.structure in locked})
        if refused:
            text = _("{names}: locked, so that nothing of it is changed. Open the lock to correct it.")
            self._tell(WARNING, text.format(names=", ".join(refused)))
        sent = [stroke for stroke in strokes if stroke.structure not in locked]
        if len(sent) > MOST_STROKES:
            self._tell(WARNING, _("More than {most} points at once. Send fewer.").format(most=MOST_STROKES))
            return False
        if sent:
            session.add(sent, 0.0 if choices.only_slice else choices.reach_mm, locked)
        return bool(sent)

    def _emit(self) -> None:
        self.changed.emit(self.state)
