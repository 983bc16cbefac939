"""The panel's line about labels that the archive behind the server does not have."""

from __future__ import annotations

from typing import Any

from ..Protocols.ArchiveProtocol import Archive
from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from .LongWords import wrapped


class ArchiveLine:
    """Tells which those are and why, and offers to send them again; shown only where there are some.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
    """

    def __init__(self, ui: Any, logic: Logic) -> None:
        self._ui = ui
        self._logic = logic
        ui.sendAgainButton.connect("clicked()", self._on_send_again)
        logic.archiving.changed.connect(self.show)
        self.show(logic.archiving.state)

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.archiving.changed.disconnect(self.show)

    def show(self, archive: Archive) -> None:
        """Tell what the archive lacks."""
        ui = self._ui
        ui.archiveFrame.setVisible(bool(archive.unsent))
        ui.archiveLabel.setText(wrapped(archive.text))
        ui.sendAgainButton.setText(_("Sending") if archive.sending else _("Send again"))
        ui.sendAgainButton.setEnabled(not archive.sending)

    def _on_send_again(self) -> None:
        self._logic.archiving.send_again()
