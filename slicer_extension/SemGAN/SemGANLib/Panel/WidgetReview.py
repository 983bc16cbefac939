"""The panel's section for labels and images of the server's datastore."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols import Logic, Settings
from ..Translation import tr as _
from ..Views import ERROR, Images, Message

USER = "SemGAN/user"
"""Key of the user's name in the application settings."""


class ReviewSection:
    """Submit a label; list and open images; the next sample.

    Args:
        ui: widgets by name.
        logic: see `Protocols.Logic`.
        settings: of the application.
        show_message: shows a `Message`.
    """

    def __init__(
        self, ui: Any, logic: Logic, settings: Settings, show_message: Callable[[Message | None], None]
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._settings = settings
        self._show_message = show_message
        self._ids: list[str] = []
        ui.userEdit.setText(str(settings.value(USER, "") or ""))
        ui.userEdit.connect("editingFinished()", self._on_user)
        ui.submitButton.connect("clicked()", self.submit)
        ui.submitSection.connect("contentsCollapsed(bool)", self._on_collapsed)
        ui.listImagesButton.connect("clicked()", self._on_list)
        ui.openImageButton.connect("clicked()", self._on_open)
        ui.nextSampleButton.connect("clicked()", self.next_sample)
        logic.images_changed.connect(self.show_images)
        logic.image_opened.connect(self._on_opened)
        logic.outcome_changed.connect(self._on_outcome)
        logic.choices.changed.connect(self.show_edited)
        logic.connection_changed.connect(self._on_connection)
        self.show_images(logic.images)
        self._on_connection(None)
        self.show_edited()

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.images_changed.disconnect(self.show_images)
        self._logic.image_opened.disconnect(self._on_opened)
        self._logic.outcome_changed.disconnect(self._on_outcome)
        self._logic.choices.changed.disconnect(self.show_edited)
        self._logic.connection_changed.disconnect(self._on_connection)

    def submit(self) -> None:
        """Send the label of the chosen volume."""
        volume = self._logic.choices.volume
        if volume is None or self._logic.outcome(volume) is None:
            self._show_message(Message(ERROR, _("There is no result to submit: press Preview or Refine first.")))
            return
        if not self._ui.userEdit.text.strip():
            self._show_message(Message(ERROR, _("Type your name or initials: the label is stored with them.")))
            return
        self._on_user()
        self.show_edited()
        self._show_message(None)
        self._logic.submit(volume, self._ui.userEdit.text.strip())

    def next_sample(self) -> None:
        """Load the image that active learning proposes."""
        self._show_message(None)
        self._logic.next_sample()

    def show_edited(self) -> None:
        """Say whether the segmentation differs from the result; looked up only while the section is open."""
        volume = self._logic.choices.volume
        has_result = volume is not None and self._logic.outcome(volume) is not None
        text = ""
        if has_result and not self._ui.submitSection.collapsed:
            edited = self._logic.edited(volume)
            text = _("Edited: differs from the model's result.") if edited else _("Not edited: as the model made it.")
        self._ui.editedLabel.setText(text)
        self._ui.editedLabel.setVisible(bool(text))

    def show_images(self, images: Images) -> None:
        """List the images of the datastore."""
        box = self._ui.imagesComboBox
        chosen = self._image()
        self._ids = list(images.ids)
        box.clear()
        for image in self._ids:
            tags = ", ".join(images.labelled.get(image, ()))
            box.addItem(_("{image} (label: {tags})").format(image=image, tags=tags) if tags else image)
        if chosen in self._ids:
            box.setCurrentIndex(self._ids.index(chosen))
        self._ui.openImageButton.setEnabled(bool(self._ids))

    def _image(self) -> str:
        index = self._ui.imagesComboBox.currentIndex
        return self._ids[index] if 0 <= index < len(self._ids) else ""

    def _on_user(self) -> None:
        self._settings.setValue(USER, self._ui.userEdit.text.strip())

    def _on_collapsed(self, collapsed: bool) -> None:
        self.show_edited()
        if not collapsed and self._logic.connection.state == "on" and not self._ids:
            self._logic.list_images()

    def _on_list(self) -> None:
        self._show_message(None)
        self._logic.list_images()

    def _on_open(self) -> None:
        if self._image():
            self._show_message(None)
            self._logic.open_image(self._image())

    def _on_opened(self, volume: Any) -> None:
        self._logic.choices.volume = volume

    def _on_outcome(self, _outcome: Any) -> None:
        self.show_edited()

    def _on_connection(self, _connection: Any) -> None:
        on = self._logic.connection.state == "on"
        for widget in (self._ui.listImagesButton, self._ui.nextSampleButton, self._ui.submitButton):
            widget.setEnabled(on)
