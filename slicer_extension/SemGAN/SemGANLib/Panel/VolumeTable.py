"""The table of organ volumes."""

from __future__ import annotations

from collections.abc import Sequence

import qt

from ..Translation import tr as _
from ..Views import OrganVolume


class VolumeTable:
    """Rows of structures with their colour and their volume now and as the server gave it.

    Args:
        table: a `QTableWidget`.
    """

    def __init__(self, table: qt.QTableWidget) -> None:
        self._table = table
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Structure"), _("Now (ml)"), _("Model (ml)")])
        table.horizontalHeader().setStretchLastSection(True)
        table.verticalHeader().setVisible(False)
        self.show([])

    def show(self, rows: Sequence[OrganVolume]) -> None:
        """Replace what is in the table."""
        self._table.setRowCount(len(rows))
        for index, row in enumerate(rows):
            server = "" if row.server_ml is None else f"{row.server_ml:.1f}"
            for column, text in enumerate((row.name, f"{row.measured_ml:.1f}", server)):
                item = qt.QTableWidgetItem(text)
                if column == 0:
                    item.setIcon(swatch(row.colour))
                self._table.setItem(index, column, item)
        self._table.setVisible(bool(rows))


def swatch(colour: Sequence[int]) -> qt.QIcon:
    """Draw a small square of a colour (red, green, blue, 0 to 255)."""
    pixmap = qt.QPixmap(12, 12)
    pixmap.fill(qt.QColor(int(colour[0]), int(colour[1]), int(colour[2])))
    return qt.QIcon(pixmap)
