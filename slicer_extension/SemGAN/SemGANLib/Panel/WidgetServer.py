"""The panel's section Server."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from ..Views import Connection
from .LongWords import wrapped


class ServerSection:
    """Address, key, log-in and certificate, and what the module is connected to. It closes once it is connected.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        choose_certificate: asks for a file; an empty path if the user would rather not.
    """

    def __init__(self, ui: Any, logic: Logic, choose_certificate: Callable[[], str]) -> None:
        self._ui = ui
        self._logic = logic
        self._choose_certificate = choose_certificate
        self._state = ""
        self._show_saved()
        ui.connectButton.connect("clicked()", self.toggle)
        ui.certificateButton.connect("clicked()", self._on_certificate)
        for edit in (ui.addressEdit, ui.keyEdit, ui.loginEdit, ui.passwordEdit, ui.certificateEdit):
            edit.connect("returnPressed()", self.connect_server)
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
        self._logic.connect(
            ui.addressEdit.text.strip(),
            ui.keyEdit.text.strip(),
            ui.rememberKeyCheckBox.checked,
            ui.certificateEdit.text.strip(),
            ui.loginEdit.text.strip(),
            ui.passwordEdit.text,
        )

    def show(self, connection: Connection) -> None:
        """Say what the module is connected to."""
        buttons = {"on": _("Disconnect"), "connecting": _("Stop connecting")}
        self._ui.connectButton.setText(buttons.get(connection.state, _("Connect")))
        sign = "\u26a0 " if connection.state == "failed" else ""
        lines = [sign + (connection.text or _("Not connected."))]
        if connection.state == "on" and connection.user:
            lines.append(_("Logged in as {user}.").format(user=connection.user))
        if connection.state == "on" and not connection.local:
            lines.append(_("This server is another computer: you are asked before a scan is sent to it."))
        self._ui.connectionLabel.setText(wrapped("\n".join(lines)))
        self._fold(connection)

    def _fold(self, connection: Connection) -> None:
        """Close the section when a connection has come, open it when it has gone; between, it is the user's."""
        if connection.state != self._state:
            self._state = connection.state
            self._ui.serverSection.collapsed = connection.state == "on"
            if connection.login or connection.untrusted:
                self._ui.accessSection.collapsed = False

    def _show_saved(self) -> None:
        ui = self._ui
        address, key = self._logic.saved_server()
        certificate, user = self._logic.saved_access()
        ui.addressEdit.setText(address)
        ui.keyEdit.setText(key)
        ui.rememberKeyCheckBox.setChecked(bool(key))
        ui.certificateEdit.setText(certificate)
        ui.loginEdit.setText(user)
        ui.accessSection.collapsed = not (certificate or user)

    def _on_certificate(self) -> None:
        path = self._choose_certificate()
        if path:
            self._ui.certificateEdit.setText(path)
