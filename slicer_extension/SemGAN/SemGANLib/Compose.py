"""Puts the logic together for the application it runs in."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from .Logic import Logic
from .Protocols.ApplicationProtocol import Confirm, Settings
from .Runs.QtTimer import QtTimer
from .Runs.Runner import Runner
from .Server.Client import Client
from .Server.Connector import ClientFactory


def ask(title: str, text: str) -> bool:
    """Ask a yes/no question; see `Protocols.ApplicationProtocol.Confirm`."""
    return bool(slicer.util.confirmYesNoDisplay(text, windowTitle=title))


def compose(
    scene: Any = None,
    settings: Settings | None = None,
    confirm: Confirm = ask,
    make_client: ClientFactory = Client,
) -> Logic:
    """Put the logic together, for the application's scene, settings and clock unless others are given."""
    return Logic(scene or slicer.mrmlScene, Runner(QtTimer()), settings or qt.QSettings(), confirm, make_client)
