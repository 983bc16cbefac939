"""The list of versions of a model."""

from __future__ import annotations

import time
from typing import Any

import qt

from ..Runs.TrainingTexts import figures_text
from ..Translation import tr as _
from ..Types.TrainingTypes import TUNE, ModelVersion, ModelVersions
from .TableLook import fit_height, set_columns
from .ToolTips import tooltip

MOST_ROWS = 4
"""Shown at once; further ones are scrolled to."""


class VersionTable:
    """A row for every version, the newest first; the one in use is bold.

    Args:
        table: a `QTableWidget`.
    """

    def __init__(self, table: qt.QTableWidget) -> None:
        self._table = table
        self._shown: ModelVersions | None = None
        titles = [_("Version"), _("Learnt"), _("Dice"), _("Made")]
        set_columns(table, titles, 1)
        self._fill([], 0)

    def show(self, versions: ModelVersions | None) -> None:
        """Replace what is in the table, if it differs."""
        if versions != self._shown:
            self._shown = versions
            rows = sorted(versions.versions, key=lambda one: -one.version) if versions is not None else []
            self._fill(rows, versions.current if versions is not None else 0)

    def chosen(self) -> int | None:
        """Tell the version that is chosen in the table; None for none, one that cannot be used, or the one in use."""
        if self._shown is None:
            return None
        rows = sorted(self._shown.versions, key=lambda one: -one.version)
        row = self._table.currentRow()
        chosen = rows[row] if 0 <= row < len(rows) else None
        usable = chosen is not None and not chosen.problem and chosen.version != self._shown.current
        return chosen.version if chosen is not None and usable else None

    def _fill(self, rows: list[ModelVersion], current: int) -> None:
        table = self._table
        table.setRowCount(len(rows))
        for index, row in enumerate(rows):
            used = row.version == current
            texts = (_name(row, used), _learnt(row), _dice(row), _made(row))
            for column, text in enumerate(texts):
                table.setItem(index, column, _item(text, row, used))
        table.setVisible(bool(rows))
        fit_height(table, len(rows), MOST_ROWS)


def _name(row: ModelVersion, used: bool) -> str:
    if row.problem:
        return _("{version} (damaged)").format(version=row.version)
    return _("{version} (in use)").format(version=row.version) if used else str(row.version)


def _learnt(row: ModelVersion) -> str:
    names = ", ".join(row.structures)
    if row.parent is None:
        return _("as shipped")
    return _("better: {names}").format(names=names) if row.kind == TUNE else names


def _dice(row: ModelVersion) -> str:
    """Write the mean Dice of what was learnt, or of all that was measured."""
    learnt = [row.figures[name] for name in row.structures if name in row.figures] or list(row.figures.values())
    return f"{sum(learnt) / len(learnt):.2f}" if learnt else ""


def _made(row: ModelVersion) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(row.created)) if row.created else ""


def _item(text: str, row: ModelVersion, used: bool) -> Any:
    item = qt.QTableWidgetItem(text)
    images = _("from {count} labels").format(count=len(row.images)) if row.images else ""
    item.setToolTip(tooltip([row.problem, ", ".join(row.structures), images, figures_text(row.figures), row.note]))
    font = qt.QFont(item.font())
    font.setBold(used)
    item.setFont(font)
    return item
