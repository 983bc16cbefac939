"""The panel's section for a second reader."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from ..Views import Connection, StoredLabel, StoredLabels
from .LongWords import wrapped


class ReviewSection:
    """Which labels the server has for the image of the chosen volume, and a verdict on them.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        user: tells the reader's name, or asks for it and tells nothing.
    """

    def __init__(self, ui: Any, logic: Logic, user: Callable[[], str]) -> None:
        self._ui = ui
        self._logic = logic
        self._user = user
        self._listed: str | None = None
        self._commented: str | None = None
        self._server = ""
        ui.acceptButton.connect("clicked()", self._on_accept)
        ui.rejectButton.connect("clicked()", self._on_reject)
        ui.reviewSection.connect("contentsCollapsed(bool)", self._on_collapsed)
        logic.labels_changed.connect(self.show)
        logic.choices.changed.connect(self._on_choices)
        logic.connection_changed.connect(self._on_connection)
        self.show(None)

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.labels_changed.disconnect(self.show)
        self._logic.choices.changed.disconnect(self._on_choices)
        self._logic.connection_changed.disconnect(self._on_connection)

    def show(self, stored: StoredLabels | None) -> None:
        """Tell of the labels of the chosen volume's image."""
        volume = self._logic.choices.volume
        mine = stored is not None and volume is not None and stored.volume_id == volume.GetID()
        labels = stored.labels if stored is not None and mine else ()
        lines = [_describe(label) for label in labels]
        self._ui.reviewLabel.setText(
            wrapped("\n".join(lines) or _("The server has no label of this image, as far as known."))
        )
        for button in (self._ui.acceptButton, self._ui.rejectButton):
            button.setEnabled(bool(labels))

    def _ask(self) -> None:
        """Ask for the labels of the chosen volume, once while the section is open."""
        volume = self._logic.choices.volume
        shown = volume.GetID() if volume is not None else None
        if shown != self._commented:  # what was said of one image is not said of another
            self._commented = shown
            self._ui.commentEdit.setText("")
        if shown == self._listed or self._ui.reviewSection.collapsed:
            return
        self._listed = shown
        self.show(None)
        if volume is not None and self._logic.connection.state == "on":
            self._logic.list_labels(volume)

    def _on_collapsed(self, collapsed: bool) -> None:
        if collapsed:
            self._listed = None
        self._ask()

    def _on_choices(self) -> None:
        self._ask()

    def _on_connection(self, connection: Connection) -> None:
        server = connection.address if connection.state == "on" else ""
        if server != self._server:  # what one server has is not what another one has
            self._server, self._listed = server, None
            self._ask()

    def _on_accept(self) -> None:
        self._say("accepted")

    def _on_reject(self) -> None:
        self._say("rejected")

    def _say(self, verdict: str) -> None:
        user = self._user()
        if user and self._logic.choices.volume is not None:
            self._logic.review(self._logic.choices.volume, user, verdict, self._ui.commentEdit.text.strip())


def _describe(label: StoredLabel) -> str:
    """Write who made a label, when and how, and what a second reader said."""
    names = {"final": _("Final"), "preliminary": _("Preliminary"), "original": _("By the model")}
    parts = [names.get(label.tag, label.tag)]
    if label.annotator:
        parts.append(_("by {name}").format(name=label.annotator))
    if label.saved:
        parts.append(label.saved[:16].replace("T", " "))
    if label.edited is not None:
        parts.append(_("edited") if label.edited else _("not edited"))
    text = ", ".join(parts)
    verdicts = {"accepted": _("Accepted by {name}"), "rejected": _("Rejected by {name}")}
    if label.verdict not in verdicts:
        return f"{text}."
    said = verdicts[label.verdict].format(name=label.reviewer)
    return f"{text}.\n    {said}{': ' + label.comment if label.comment else '.'}"
