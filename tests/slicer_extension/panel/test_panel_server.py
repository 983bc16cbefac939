"""The section Server: address, key, log-in, and what it is connected to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from SemGANLib.Views import Connection

from tests.slicer_extension.panel.conftest import dispose
from tests.slicer_extension.panel.fake_logic import FakeLogic, model
from tests.slicer_extension.panel.qt_actions import click, shown, type_into, unfold
from tests.slicer_extension.session import MemorySettings


class TestServer:
    def test_address_and_key_that_were_remembered_are_there(self, scene: Any) -> None:
        from SemGANLib.Panel.Widget import Panel

        logic = FakeLogic(scene)
        logic.saved = ("http://localhost:8000", "secret")
        panel = Panel(logic, MemorySettings())
        assert (panel.ui.addressEdit.text, panel.ui.keyEdit.text) == ("http://localhost:8000", "secret")
        assert panel.ui.rememberKeyCheckBox.checked
        assert not [asked for asked in logic.asked if asked[0] == "connect"]  # only on a click
        panel.close()
        dispose(panel.widget)

    def test_connect_takes_what_is_typed(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        type_into(panel.ui.addressEdit, " http://127.0.0.1:8000 ")
        type_into(panel.ui.keyEdit, "k")
        click(panel.ui.connectButton)
        assert logic.asked == [("connect", "http://127.0.0.1:8000", "k", False, "", "", "")]

    def test_certificate_and_log_in_are_handed_over_and_the_password_is_hidden(
        self, panel: SimpleNamespace, logic: FakeLogic
    ) -> None:
        ui = panel.ui
        unfold(ui.accessSection)
        type_into(ui.addressEdit, "https://server")
        type_into(ui.loginEdit, "reader")
        type_into(ui.passwordEdit, " s e ")
        click(ui.certificateButton)
        assert ui.certificateEdit.text == "/somewhere/server.pem" and "s" not in ui.passwordEdit.displayText
        click(ui.connectButton)
        assert logic.asked == [("connect", "https://server", "", False, "/somewhere/server.pem", "reader", " s e ")]

    def test_a_server_that_wants_a_log_in_opens_its_fields(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        assert panel.ui.accessSection.collapsed
        logic.set_connection(Connection("failed", "http://h", "Type your user name and password.", login=True))
        assert shown(panel.ui.loginEdit) and shown(panel.ui.passwordEdit)

    def test_it_closes_once_it_is_connected_and_opens_when_the_server_is_gone(
        self, panel: SimpleNamespace, logic: FakeLogic
    ) -> None:
        assert shown(panel.ui.addressEdit)
        logic.connected()
        assert not shown(panel.ui.addressEdit) and shown(panel.ui.connectionLabel)
        unfold(panel.ui.serverSection)
        logic.connected()  # as when the server has warmed up: what the user opened stays open
        assert shown(panel.ui.addressEdit)
        logic.set_connection(Connection("failed", "http://h", "The server is gone."))
        assert shown(panel.ui.addressEdit) and "\u26a0 The server is gone." in panel.ui.connectionLabel.text

    def test_the_key_is_not_readable_on_the_screen(self, panel: SimpleNamespace) -> None:
        type_into(panel.ui.keyEdit, "secret")
        assert "secret" not in panel.ui.keyEdit.displayText

    def test_tells_what_it_is_connected_to_and_which_models_there_are(
        self, panel: SimpleNamespace, logic: FakeLogic
    ) -> None:
        logic.connected(model(), model("semgan_thorax", "2.0"))
        assert "http://127.0.0.1:8000" in panel.ui.connectionLabel.text
        assert panel.ui.connectButton.text == "Disconnect"
        box = panel.ui.modelComboBox
        assert [box.itemText(index) for index in range(box.count)] == ["semgan_abdomen", "semgan_thorax"]

    def test_a_server_elsewhere_is_pointed_out(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected(local=False)
        assert "another computer" in panel.ui.connectionLabel.text

    def test_disconnects_on_a_second_click(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.connected()
        unfold(panel.ui.serverSection)
        click(panel.ui.connectButton)
        assert logic.asked == [("disconnect",)]
        assert panel.ui.connectionLabel.text == "Not connected."
        assert panel.ui.modelComboBox.count == 0

    def test_says_why_it_is_not_connected(self, panel: SimpleNamespace, logic: FakeLogic) -> None:
        logic.set_connection(Connection("failed", "http://127.0.0.1:1", "Nobody answers at http://127.0.0.1:1."))
        assert "Nobody answers" in panel.ui.connectionLabel.text
        assert panel.ui.connectButton.text == "Connect"
