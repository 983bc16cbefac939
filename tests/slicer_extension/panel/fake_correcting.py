"""Corrections for the panel's tests: remember what they were asked, and stand as a test wants them to stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from SemGANLib.Protocols.CorrectionProtocol import Correcting, CorrectionChoices, CorrectionRow, StructureChoice
from SemGANLib.Signal import Signal

CAME = CorrectionRow(0, 1.7e9, "the result as it came", current=True)
STRUCTURES = [
    StructureChoice("s1", "liver", (221, 130, 101)),
    StructureChoice("s2", "right kidney", (185, 102, 83)),
    StructureChoice("s3", "spleen", (157, 108, 162)),
    StructureChoice("s9", "my cyst", (10, 200, 10), known=False),
]


class FakeCorrections:
    """See `Protocols.CorrectionProtocol.CorrectionLogic`.

    Attributes:
        found: what `structures` tells.
        rows: what `history` tells.
        writing: results are being written.
        shapes: positions of the points of the prompts, in the order in which they came.
    """

    def __init__(self, asked: list[tuple[Any, ...]]) -> None:
        self.changed = Signal("Correcting")
        self.state = Correcting()
        self.found = list(STRUCTURES)
        self.rows = [CAME]
        self.writing = False
        self.shapes: list[list[tuple[float, ...]]] = []
        self._asked = asked

    def begin(self, volume: Any) -> bool:
        self._asked.append(("begin", volume.GetName()))
        self.stands(volume_id=volume.GetID(), ready=True)
        return True

    def end(self) -> None:
        self._asked.append(("end",))
        self.stands(volume_id="", ready=False)

    def stands(self, **changes: Any) -> None:
        """Behave as if the corrections had got on."""
        self.state = replace(self.state, **changes)
        self.changed.emit(self.state)

    def lists(self, *rows: CorrectionRow) -> None:
        """Behave as if there were these corrections."""
        self.rows = list(rows)
        self.changed.emit(self.state)

    def structures(self) -> list[StructureChoice]:
        return list(self.found)

    def set_locked(self, structure: str, locked: bool) -> None:
        self._asked.append(("set_locked", structure, locked))
        self.found = [replace(one, locked=locked) if one.segment == structure else one for one in self.found]
        self.changed.emit(self.state)

    def send_edits(self, structure: str | None, choices: CorrectionChoices, quietly: bool = False) -> bool:
        self._asked.append(("send_edits", structure, choices))
        return True

    def add_prompt(
        self, kind: str, positive: bool, structure: str, markup: Any, choices: CorrectionChoices, view: Any = None
    ) -> bool:
        points = range(markup.GetNumberOfControlPoints())
        self.shapes.append([tuple(markup.GetNthControlPointPositionWorld(index)) for index in points])
        self._asked.append(("add_prompt", kind, positive, structure, choices))
        return True

    def cancel(self) -> None:
        self._asked.append(("cancel_correction",))

    def undo(self) -> None:
        self._asked.append(("undo",))

    def redo(self) -> None:
        self._asked.append(("redo",))

    def revert_to(self, number: int) -> None:
        self._asked.append(("revert_to", number))

    def history(self) -> list[CorrectionRow]:
        return list(self.rows)
