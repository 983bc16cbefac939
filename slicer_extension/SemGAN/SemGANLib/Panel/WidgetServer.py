"""The panel's section Server."""

from __future__ import annotations

from typing import Any

from ..Protocols import Logic
from ..Translation import tr as _
from ..Views import Connection


class ServerSection:
    """Address, key, and what the module is connected to.

    Args:
        ui: widgets by name.
        logic: see `Protocols.Logic`.
    """

    def __init__(self, ui: Any, logic: Logic) -> None:
        self._ui = ui
        self._logic = logic
        address, key = logic.saved_server()
        ui.addressEdit.setText(address)
        ui.keyEdit.setText(key)
        ui.rememberKeyCheckBox.setChecked(bool(key))
        ui.connectButton.connect("clicked()", self.toggle)
        ui.addressEdit.connect("returnPressed()", self.connect_server)
        ui.keyEdit.connect("returnPressed()", self.connect_server)
        logic.connection_changed.connect(self.show)
        self.show(logic.connection)

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.connection_changed.disconnect(self.show)

    def toggle(self) -> None:
        """Connect, or leave the server."""
        if self._logic.connection.state in ("on", "connecting"):
            self._logic.disconnect()
        else:
            self.connect_server()

    def connect_server(self) -> None:
        """Connect to what is typed."""
        ui = self._ui
        self._logic.connect(ui.addressEdit.text.strip(), ui.keyEdit.text.strip(), ui.rememberKeyCheckBox.checked)

    def show(self, connection: Connection) -> None:
        """Say what the module is connected to."""
        buttons = {"on": _("Disconnect"), "connecting": _("Stop connecting")}
        self._ui.connectButton.setText(buttons.get(connection.state, _("Connect")))
        lines = [connection.text or _("Not connected.")]
        if connection.state == "on" and not connection.local:
            lines.append(_("This server is another computer: you are asked before a scan is sent to it."))
        self._ui.connectionLabel.setText("\n".join(lines))
