"""The panel's section for the images of the server's datastore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from ..Views import Images, Message, StoredLabels


class ImagesSection:
    """Lists and opens images, and loads the next sample.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        show_message: shows a `Message`, or takes the last one away when it is called with None.
    """

    def __init__(self, ui: Any, logic: Logic, show_message: Callable[[Message | None], None]) -> None:
        self._ui = ui
        self._logic = logic
        self._show_message = show_message
        self._ids: list[str] = []
        self._address = logic.connection.address
        ui.imagesSection.connect("contentsCollapsed(bool)", self._on_collapsed)
        ui.listImagesButton.connect("clicked()", self._on_list)
        ui.openImageButton.connect("clicked()", self._on_open)
        ui.nextSampleButton.connect("clicked()", self.next_sample)
        logic.images_changed.connect(self.show)
        logic.image_opened.connect(self._on_opened)
        logic.labels_changed.connect(self._on_labels)
        logic.connection_changed.connect(self._on_connection)
        self.show(logic.images)
        self._on_connection(None)

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.images_changed.disconnect(self.show)
        self._logic.image_opened.disconnect(self._on_opened)
        self._logic.labels_changed.disconnect(self._on_labels)
        self._logic.connection_changed.disconnect(self._on_connection)

    def next_sample(self) -> None:
        """Load the image that active learning proposes to this reader."""
        self._show_message(None)
        self._logic.next_sample("", self._ui.userEdit.text.strip())

    def show(self, images: Images) -> None:
        """List the images of the datastore."""
        box = self._ui.imagesComboBox
        chosen = self.chosen()
        self._ids = list(images.ids)
        box.clear()
        box.addItems([_titled(image, images.labelled.get(image, ())) for image in self._ids])
        if chosen in self._ids:
            box.setCurrentIndex(self._ids.index(chosen))
        self._ui.openImageButton.setEnabled(bool(self._ids))

    def chosen(self) -> str:
        """Tell the id of the image that is chosen; empty if there is none."""
        index = self._ui.imagesComboBox.currentIndex
        return self._ids[index] if 0 <= index < len(self._ids) else ""

    def _on_collapsed(self, collapsed: bool) -> None:
        if not collapsed and self._logic.connection.state == "on" and not self._ids:
            self._logic.list_images()

    def _on_list(self) -> None:
        self._show_message(None)
        self._logic.list_images()

    def _on_open(self) -> None:
        if self.chosen():
            self._show_message(None)
            self._logic.open_image(self.chosen())

    def _on_opened(self, volume: Any) -> None:
        self._logic.choices.volume = volume

    def _on_labels(self, stored: StoredLabels) -> None:
        if stored.image in self._ids:
            tags = [label.tag for label in stored.labels]
            self._ui.imagesComboBox.setItemText(self._ids.index(stored.image), _titled(stored.image, tags))

    def _on_connection(self, _connection: Any) -> None:
        connection = self._logic.connection
        on = connection.state == "on"
        for widget in (self._ui.listImagesButton, self._ui.nextSampleButton):
            widget.setEnabled(on)
        address = connection.address if on else ""
        if address != self._address:  # images of one server are not those of another
            self._address = address
            self.show(Images())
            self._on_collapsed(self._ui.imagesSection.collapsed)


def _titled(image: str, tags: Sequence[str]) -> str:
    """Name an image, with the labels that it has."""
    return _("{image} (label: {tags})").format(image=image, tags=", ".join(tags)) if tags else image
