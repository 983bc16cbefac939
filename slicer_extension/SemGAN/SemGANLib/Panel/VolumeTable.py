"""The table of structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Callable

import qt

from ..Translation import tr as _
from ..Views import OrganVolume
from .TableLook import fit_height, set_columns
from .ToolTips import tooltip

MOST_ROWS = 8
"""Shown at once; further ones are scrolled to."""

NOTED = "#b8860b"
"""Colour of the names of structures about which something was found."""


class VolumeTable:
    """Rows of structures with their colour, their volume now and as it was found, and the Dice to be expected.

    Args:
        table: a `QTableWidget`.
        on_structure: called with the name of a structure that is clicked or chosen with the keyboard.
    """

    def __init__(self, table: qt.QTableWidget, on_structure: Callable[[str], None]) -> None:
        self._table = table
        self._on_structure = on_structure
        titles = [_("Structure"), _("Now (ml)"), _("Found (ml)"), _("Expected Dice")]
        set_columns(table, titles, 0)
        table.connect("cellClicked(int,int)", self._on_cell)
        table.connect("cellActivated(int,int)", self._on_cell)
        self.show([])

    def show(
        self,
        rows: Sequence[OrganVolume],
        expected_dice: Mapping[str, float] | None = None,
        noted: Mapping[str, str] | None = None,
    ) -> None:
        """Replace what is in the table.

        Args:
            expected_dice: by name; columns without a value are hidden.
            noted: by name, what was found about a structure: its tooltip.
        """
        dice, notes = expected_dice or {}, noted or {}
        self._table.setRowCount(len(rows))
        for index, row in enumerate(rows):
            found = "" if row.server_ml is None else f"{row.server_ml:.1f}"
            expected = f"{dice[row.name]:.2f}" if row.name in dice else ""
            for column, text in enumerate((row.name, f"{row.measured_ml:.1f}", found, expected)):
                self._table.setItem(index, column, _item(text, column, row, notes.get(row.name, "")))
        self._table.setColumnHidden(2, all(row.server_ml is None for row in rows))
        self._table.setColumnHidden(3, not dice)
        self._table.setVisible(bool(rows))
        fit_height(self._table, len(rows), MOST_ROWS)

    def _on_cell(self, row: int, _column: int) -> None:
        item = self._table.item(row, 0)
        if item is not None:
            self._on_structure(item.text())


def _item(text: str, column: int, row: OrganVolume, note: str) -> qt.QTableWidgetItem:
    item = qt.QTableWidgetItem(text)
    if column == 0:
        item.setIcon(swatch(row.colour))
    else:
        item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    if column == 0:
        item.setToolTip(tooltip(note.splitlines() or [text]))  # a narrow column cuts long names
    if note and column == 0:
        item.setForeground(qt.QBrush(qt.QColor(NOTED)))
    return item


def swatch(colour: Sequence[int]) -> qt.QIcon:
    """Draw a small square of a colour (red, green, blue, 0 to 255)."""
    pixmap = qt.QPixmap(12, 12)
    pixmap.fill(qt.QColor(int(colour[0]), int(colour[1]), int(colour[2])))
    return qt.QIcon(pixmap)
