"""Whether a result can be corrected now, and if not, why; as sentences for the user."""

from __future__ import annotations

from typing import Any

from ..Server.Connector import Connector
from ..Translation import tr as _
from ..Views import Connection, Run

FIRST_API = (1, 2)
"""Version of the job API from which on results are corrected."""


def result_problem(node: Any, run: Run | None) -> str:
    """Say what is in the way of correcting a segmentation; empty if nothing is.

    Args:
        node: the segmentation node.
        run: of its volume, the last one.
    """
    if run is not None and run.active:
        return _("This volume is being segmented. Wait for the end, or cancel it, and correct then.")
    bent = node.GetParentTransformNode()
    if bent is not None and not bent.IsTransformToWorldLinear():
        return _("The result lies under a transform that bends it. Take it away, and correct then.")
    return ""


def server_problem(connector: Connector) -> str:
    """Say why the server cannot correct; empty if it can."""
    if connector.client is None:
        return _("Connect to a server first.")
    if not _corrects(connector.connection):
        return _("This server is older and corrects nothing by strokes. Update it there (git pull).")
    return ""


def no_result_text() -> str:
    """Say that a result comes first."""
    return _("There is no result to correct: press Preview first.")


def _corrects(connection: Connection) -> bool:
    """Tell whether a server knows corrections; one that does not say its version is asked."""
    words = connection.health.api.split(".") if connection.health is not None else []
    numbers = tuple(int(word) for word in words if word.isdigit())
    return len(numbers) < len(FIRST_API) or numbers >= FIRST_API
