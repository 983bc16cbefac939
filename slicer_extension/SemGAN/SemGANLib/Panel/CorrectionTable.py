"""The list of corrections of a result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Callable

import qt

from ..Protocols.CorrectionProtocol import CorrectionRow
from ..Translation import tr as _
from .TableLook import fit_height, set_columns
from .ToolTips import tooltip

MOST_ROWS = 5
"""Shown at once; further ones are scrolled to."""


class CorrectionTable:
    """A row for every correction, the result as it came first; a click goes back, or forth, to one.

    Args:
        table: a `QTableWidget`.
        on_chosen: called with the number of a correction that is clicked, or chosen with Enter.
    """

    def __init__(self, table: qt.QTableWidget, on_chosen: Callable[[int], None]) -> None:
        self._table = table
        self._on_chosen = on_chosen
        self._rows: list[CorrectionRow] = []
        titles = [_("Time"), _("Correction"), _("State")]
        set_columns(table, titles, 1)
        table.connect("cellClicked(int,int)", self._on_cell)
        table.connect("cellActivated(int,int)", self._on_cell)
        self._fill([])

    def show(self, rows: Sequence[CorrectionRow]) -> None:
        """Replace what is in the table, if it differs; the one that is shown now is scrolled to."""
        if list(rows) != self._rows:
            self._fill(rows)

    def _fill(self, rows: Sequence[CorrectionRow]) -> None:
        self._rows = list(rows)
        table = self._table
        table.setRowCount(len(self._rows))
        for index, row in enumerate(self._rows):
            clock = time.strftime("%H:%M:%S", time.localtime(row.time)) if row.time else ""
            for column, text in enumerate((clock, row.text, state_text(row))):
                table.setItem(index, column, _item(text, row))
            if row.current:
                table.scrollToItem(table.item(index, 0))
        table.setVisible(len(self._rows) > 1)  # the result as it came is no correction
        fit_height(table, len(self._rows), MOST_ROWS)

    def _on_cell(self, row: int, _column: int) -> None:
        if 0 <= row < len(self._rows):
            self._on_chosen(self._rows[row].number)


def state_text(row: CorrectionRow) -> str:
    """Say where a correction stands."""
    if row.current and row.state == "done":
        return _("shown now")
    if row.undone:
        return _("undone")
    states = {
        "waiting": _("waiting"),
        "running": _("computing"),
        "done": _("done"),
        "failed": _("failed"),
        "cancelled": _("cancelled"),
    }
    return states.get(row.state, row.state)


def _item(text: str, row: CorrectionRow) -> qt.QTableWidgetItem:
    item = qt.QTableWidgetItem(text)
    item.setToolTip(tooltip([row.text, row.warning]))
    font = qt.QFont(item.font())
    font.setBold(row.current)
    font.setItalic(row.undone)
    item.setFont(font)
    return item
