"""What the panel's tables have in common."""

from __future__ import annotations

from collections.abc import Sequence

import qt

ROW_HEIGHT, HEADER_HEIGHT, FRAME = 21, 22, 4


def set_columns(table: qt.QTableWidget, titles: Sequence[str], wide: int) -> None:
    """Give a table its columns, and rows of one height without numbers.

    Args:
        table: gets them.
        titles: of the columns.
        wide: number of the column that takes the space that others leave.
    """
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(titles)
    header = table.horizontalHeader()
    header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    header.setSectionResizeMode(wide, qt.QHeaderView.Stretch)
    header.setFixedHeight(HEADER_HEIGHT)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)


def fit_height(table: qt.QTableWidget, rows: int, most: int) -> None:
    """Make a table as high as its rows are, but no more than `most` of them."""
    table.setFixedHeight(HEADER_HEIGHT + FRAME + ROW_HEIGHT * min(rows, most))
