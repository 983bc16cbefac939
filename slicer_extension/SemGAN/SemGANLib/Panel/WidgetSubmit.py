"""The panel's section for submitting a label."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.ApplicationProtocol import Settings
from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from ..Views import ERROR, Message, Submit

USER = "SemGAN/user"
"""Key of the user's name in the application settings."""

TAGS = ("final", "preliminary")


class SubmitSection:
    """The reader's name, what the label is, and whether it was edited.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        settings: of the application.
        show_message: shows a `Message`, or takes the last one away when it is called with None.
    """

    def __init__(
        self, ui: Any, logic: Logic, settings: Settings, show_message: Callable[[Message | None], None]
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._settings = settings
        self._show_message = show_message
        ui.userEdit.setText(str(settings.value(USER, "") or ""))
        ui.tagComboBox.addItems([_("final: may be relied on"), _("preliminary: to be looked at again")])
        ui.userEdit.connect("editingFinished()", self._on_user)
        ui.submitButton.connect("clicked()", self.submit)
        ui.submitSection.connect("contentsCollapsed(bool)", self._on_collapsed)
        self._on_its_way = Submit()
        logic.submit_changed.connect(self._on_submit)
        logic.outcome_changed.connect(self._on_outcome)
        logic.choices.changed.connect(self.show_edited)
        logic.connection_changed.connect(self._on_connection)
        self._on_connection(None)
        self.show_edited()

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.submit_changed.disconnect(self._on_submit)
        self._logic.outcome_changed.disconnect(self._on_outcome)
        self._logic.choices.changed.disconnect(self.show_edited)
        self._logic.connection_changed.disconnect(self._on_connection)

    def user(self) -> str:
        """Tell the reader's name; where there is none, ask for it."""
        name = str(self._ui.userEdit.text.strip())
        if not name:
            self._ui.submitSection.collapsed = False
            self._show_message(Message(ERROR, _("Type your name or initials: the label is stored with them.")))
        return name

    def submit(self) -> None:
        """Send the label of the chosen volume, or stop the one that is on its way."""
        if self._on_its_way.active:
            self._logic.stop_submit()
            return
        volume = self._logic.choices.volume
        if volume is None or self._logic.outcome(volume) is None:
            self._show_message(Message(ERROR, _("There is no result to submit: press Preview first.")))
            return
        name = self.user()
        if not name:
            return
        self._on_user()
        self.show_edited()
        self._show_message(None)
        self._logic.submit(volume, name, TAGS[max(0, self._ui.tagComboBox.currentIndex)])

    def show_edited(self) -> None:
        """Say whether the segmentation differs from the result; looked up only while the section is open."""
        volume = self._logic.choices.volume
        has_result = volume is not None and self._logic.outcome(volume) is not None
        text = self._on_its_way.text
        if not text and has_result and not self._ui.submitSection.collapsed:
            edited = self._logic.edited(volume)
            text = _("Edited: differs from the model's result.") if edited else _("Not edited: as the model made it.")
        self._ui.editedLabel.setText(text)
        self._ui.editedLabel.setVisible(bool(text))

    def _on_submit(self, submit: Submit) -> None:
        self._on_its_way = submit
        self._ui.submitButton.setText(_("Stop sending") if submit.active else _("Submit label"))
        self.show_edited()

    def _on_user(self) -> None:
        self._settings.setValue(USER, self._ui.userEdit.text.strip())

    def _on_collapsed(self, _collapsed: bool) -> None:
        self.show_edited()

    def _on_outcome(self, _outcome: Any) -> None:
        self.show_edited()

    def _on_connection(self, _connection: Any) -> None:
        self._ui.submitButton.setEnabled(self._logic.connection.state == "on")
