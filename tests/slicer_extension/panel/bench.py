"""A user in front of the panel with everything real but Slicer: logic, threads, timer, HTTP on loopback, MRML scene."""

from __future__ import annotations

from typing import Any

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.panel.qt_actions import click, settle, shown, type_into, unfold, wait_until
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.session import MemorySettings

SECONDS = 2.0
"""Until a request is given up in these tests."""


class Bench:
    """A user in front of the panel.

    Attributes:
        server: on loopback.
        volume: a scan in the scene, chosen.
        asked: questions so far; `answer` is given to all.
    """

    def __init__(self, scene: Any, server: FakeServer) -> None:
        from SemGANLib.Compose import compose
        from SemGANLib.Panel.Widget import Panel
        from SemGANLib.Server.Client import Client

        self.scene, self.server = scene, server
        self.asked: list[str] = []
        self.answer = True
        settings = MemorySettings()
        self.logic = compose(scene, settings, self._confirm, lambda address, key: Client(address, key, SECONDS))
        self.panel = Panel(self.logic, settings)
        self.ui = self.panel.ui
        self.panel.widget.resize(420, 1500)
        self.panel.widget.show()
        self.volume = self.add_volume()

    def _confirm(self, _title: str, text: str) -> bool:
        self.asked.append(text)
        return self.answer

    def add_volume(self, name: str = "CT") -> Any:
        """Add another scan and choose it."""
        self.volume = add_scan(self.scene, name=name)
        self.volume.CreateDefaultDisplayNodes()
        self.ui.inputSelector.setCurrentNode(self.volume)
        return self.volume

    def connect(self, address: str = "", key: str = "") -> None:
        """Type and click, and wait for what comes of it."""
        unfold(self.ui.serverSection)
        if self.logic.connection.state == "on":
            click(self.ui.connectButton)
        type_into(self.ui.addressEdit, address or self.server.address)
        type_into(self.ui.keyEdit, key)
        click(self.ui.connectButton)
        wait_until(lambda: self.logic.connection.state != "connecting")

    def wait(self) -> None:
        """Wait until the run of the volume has ended."""
        wait_until(lambda: self.logic.run(self.volume) is not None and not self.logic.run(self.volume).active, 120)
        settle()

    def preview(self) -> None:
        """Click and wait."""
        click(self.ui.previewButton)
        self.wait()

    def refine(self) -> None:
        """Click, without waiting."""
        unfold(self.ui.refineSection)
        click(self.ui.refineButton)

    def says(self) -> str:
        """Read all that the panel says of what happened."""
        labels = (self.ui.messageLabel, self.ui.connectionLabel, self.ui.progressLabel, self.ui.problemLabel)
        return "\n".join(label.text for label in labels if shown(label))

    def close(self) -> None:
        """Leave."""
        self.panel.close()
        self.logic.close()
        self.panel.widget.setMRMLScene(None)
        self.panel.widget.close()
