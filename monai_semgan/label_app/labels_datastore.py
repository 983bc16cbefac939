"""Labels of the datastore: which there are, saving and removing them."""

from __future__ import annotations

import os
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monailabel.datastore.local import DataModel, LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from monai_semgan.errors import SemganError
from monai_semgan.label_app.image_ids import is_tag, made_from


class LabelsDatastore(LocalDatastore):
    """What a datastore does with labels; how images and the list are kept is for the class made from it."""

    _mutex: threading.RLock

    if TYPE_CHECKING:

        def image_state(self, image_id: str) -> str:
            """Return a hash of the state of an image's file; empty if there is none."""

        def _inside(self, path: str) -> bool: ...

        def _written(self, source: str, destination: Path) -> AbstractContextManager[None]: ...

        def _entry(self, entries: dict[str, Any], key: str, value: Any) -> AbstractContextManager[None]: ...

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the path of a label, or nothing if there is no such label of the present image inside the folder."""
        with self._mutex:
            return self._label_file(label_id, label_tag) if self._is_of_image(label_id, label_tag) else ""

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Return the id of every label of the present image by tag."""
        with self._mutex:
            found = super().get_labels_by_image_id(image_id)
            return {tag: label for tag, label in found.items() if self._is_of_image(image_id, tag)}

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Copy a label into the folder of its tag.

        Returns:
            Its id, which is that of the image.

        Raises:
            ImageNotFoundException: there is no such image.
            SemganError: the tag cannot be one, or the label cannot be written.
        """
        if not is_tag(label_tag):
            raise SemganError("the tag of the label cannot be used", remedy="use letters, digits, . _ and -")
        with self._mutex:
            self._init_from_datastore_file()
            known = self._datastore.objects.get(image_id)
            if known is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
            ext = self._to_id(os.path.basename(label_filename))[1]
            name = self._filename(image_id, ext)
            info = {**(label_info or {}), "ts": int(time.time()), "name": name}
            before = known.labels.get(label_tag)
            folder = Path(self._datastore.label_path(label_tag))
            folder.mkdir(parents=True, exist_ok=True)
            entry = DataModel(info=info, ext=ext)
            with self._written(label_filename, folder / name), self._entry(known.labels, label_tag, entry):
                pass
            if before is not None and before.ext != ext:
                (folder / self._filename(image_id, before.ext)).unlink(missing_ok=True)
        return image_id

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label.

        Raises:
            LabelNotFoundException: there is no such label.
            SemganError: the list cannot be written.
        """
        with self._mutex:
            self._init_from_datastore_file()
            known = self._datastore.label(label_id, label_tag)
            if known is None:
                raise LabelNotFoundException(f"Label: {label_id} Tag: {label_tag} not found")
            labels = self._datastore.objects[label_id].labels
            with self._entry(labels, label_tag, DataModel(info={**known.info, **info}, ext=known.ext)):
                pass

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label.

        Raises:
            LabelNotFoundException: there is none.
        """
        with self._mutex:
            file = self._label_file(label_id, label_tag)
            if not file:
                raise LabelNotFoundException(f"Label: {label_id} Tag: {label_tag} not found")
            Path(file).unlink(missing_ok=True)
            self.refresh()

    def _label_file(self, label_id: str, tag: str) -> str:
        path = super().get_label_uri(label_id, tag)
        return path if path and self._inside(path) else ""

    def _is_of_image(self, image_id: str, tag: str) -> bool:
        return made_from(self.get_label_info(image_id, tag), self.image_state(image_id))
