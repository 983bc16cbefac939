"""The panel's section for previews of many images of the server."""

from __future__ import annotations

from typing import Any, Callable

from ..Protocols.LogicProtocol import Logic
from ..Translation import tr as _
from ..Views import ERROR, Batch, Message
from .LongWords import wrapped


class BatchSection:
    """Starts and stops a batch, and shows how far it is.

    Args:
        ui: widgets by name.
        logic: see `Protocols.LogicProtocol.Logic`.
        chosen_image: tells the id of the image that is chosen in the list; empty if there is none.
        show_message: shows a `Message`, or takes the last one away when it is called with None.
    """

    def __init__(
        self,
        ui: Any,
        logic: Logic,
        chosen_image: Callable[[], str],
        show_message: Callable[[Message | None], None],
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._chosen_image = chosen_image
        self._show_message = show_message
        self._running = False
        ui.batchComboBox.addItems([_("all images without a label"), _("the image chosen above")])
        ui.batchButton.connect("clicked()", self.start)
        ui.stopBatchButton.connect("clicked()", self.stop)
        logic.batch_changed.connect(self.show)
        logic.connection_changed.connect(self._on_connection)
        self.show(logic.batch)

    def close(self) -> None:
        """Disconnect from the logic."""
        self._logic.batch_changed.disconnect(self.show)
        self._logic.connection_changed.disconnect(self._on_connection)

    def start(self) -> None:
        """Begin, or say why not."""
        if self._ui.batchComboBox.currentIndex == 0:
            images = None
        elif self._chosen_image():
            images = (self._chosen_image(),)
        else:
            self._show_message(Message(ERROR, _("No image is chosen: press List, then choose one.")))
            return
        self._show_message(None)
        self._logic.start_batch(images)

    def stop(self) -> None:
        """End the batch."""
        self._logic.stop_batch()

    def show(self, batch: Batch) -> None:
        """Show how far it is."""
        ui = self._ui
        ui.batchButton.setEnabled(self._logic.connection.state == "on" and not batch.running)
        ui.stopBatchButton.setEnabled(batch.running)
        ui.batchBar.setVisible(batch.running)
        ui.batchBar.setRange(0, batch.total or 0)  # to and fro while the number is not known
        ui.batchBar.setValue(batch.done)
        ui.batchLabel.setText(wrapped(batch.text))
        ui.batchLabel.setVisible(bool(batch.text))
        ended, self._running = self._running and not batch.running, batch.running
        if ended and self._logic.connection.state == "on":
            self._logic.list_images()  # they have labels now
        if batch.running:
            ui.imagesSection.collapsed = ui.batchSection.collapsed = False

    def _on_connection(self, _connection: Any) -> None:
        self.show(self._logic.batch)
