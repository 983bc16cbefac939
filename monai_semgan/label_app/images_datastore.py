"""Images of the datastore: where their files lie, what is noted of them, adding and removing them."""

from __future__ import annotations

import copy
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import ImageNotFoundException

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import NoSpace
from monai_semgan.label_app.image_ids import is_image_id
from monai_semgan.label_app.storable import storable
from monai_semgan.label_app.studies.catalogue import Originals
from monai_semgan.label_app.studies.converted_volumes import ConvertedVolumes
from monai_semgan.label_app.studies.study_ids import SERVED_ENDINGS, split_ending
from monai_semgan.label_app.studies.study_models import StudiesModel, StudyEntry, StudyImage
from monai_semgan.label_app.studies.study_states import FileStates

log = logging.getLogger(__name__)

UPLOADS = "uploaded_images"
"""Folder of the images that clients have sent; all others are originals."""

ROOM_FOR_LABELS_BYTES = 256 << 20
"""Space on the disk that images of clients never take: labels still have to be saved."""

OWN_FACTS = ("name", "ts")
"""What no client notes: others save the file under that name."""


class ImagesDatastore(LocalDatastore):
    """What a datastore does with images; how the list is kept is for the class made from it.

    Originals are only read. What clients cannot take as it lies there, DICOM above all, is made into one file when it
    is first asked for.
    """

    _datastore: StudiesModel
    _mutex: threading.RLock
    _studies: Path
    _originals: Originals
    _converted: ConvertedVolumes
    _states: FileStates

    if TYPE_CHECKING:

        def may_train(self, image_id: str) -> bool:
            """Tell whether an image's final label may be trained with."""

        def _written(self, source: str, destination: Path) -> AbstractContextManager[None]: ...

        def _entry(self, entries: dict[str, Any], key: str, value: Any) -> AbstractContextManager[None]: ...

    def is_original(self, image_id: str) -> bool:
        """Tell whether there is such an image and no client has sent it."""
        with self._mutex:
            known = self._datastore.objects.get(image_id)
            return known is not None and not known.image.uploaded

    def has_image(self, image_id: str) -> bool:
        """Tell whether there is such an image, without making a file of it."""
        with self._mutex:
            return image_id in self._datastore.objects

    def get_image_uri(self, image_id: str) -> str:
        """Return the path of an image's file, or nothing if there is no such image.

        The file of a DICOM series, or of a format that clients lack, is made when it is first asked for.

        Raises:
            SemganError: it cannot be made.
        """
        with self._mutex:
            known = self._datastore.objects.get(image_id)
            path = self._file(image_id, known.image) if known is not None else None
            if known is None or path is None:
                return ""
            if self._is_served(known.image):
                return str(path) if is_below(path, self._root_of(known.image)) and path.is_file() else ""
        return str(self._volume(image_id, known.image, path))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return what is noted of an image, with the path where its file lies or will lie."""
        with self._mutex:
            known = self._datastore.objects.get(image_id)
            if known is None:
                return {}
            path = self._file(image_id, known.image)
            return {**copy.deepcopy(known.image.info), "path": str(path) if path is not None else ""}

    def image_state(self, image_id: str) -> str:
        """Return a hash of the state of an image's files; empty if there is none."""
        with self._mutex:
            known = self._datastore.objects.get(image_id)
            series = self._originals.series.get(image_id)
            if known is None:
                return ""
            if known.image.series:
                return series.state if series is not None else ""
            return self._states.state(self._root_of(known.image) / known.image.source)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Keep an image that a client has sent; it replaces an earlier one of its id that has no labels.

        Raises:
            SemganError: the id cannot be one, is that of an original, or labels belong to the image that is there; the
                info cannot be stored; or the image cannot be written.
            NoSpace: hardly anything would be left of the disk.
        """
        found, ext = self._to_id(os.path.basename(image_filename))
        image_id = image_id or found
        if not is_image_id(image_id):
            raise SemganError("the id of the image cannot be used", remedy="use letters, digits, . _ and -")
        storable(image_info or {}, "params")
        with self._mutex:
            self._init_from_datastore_file()
            known = self._datastore.objects.get(image_id)
            if known is not None and not known.image.uploaded:
                raise SemganError("an original has that id, which is never replaced", remedy="choose another id")
            gone = self._datastore.missing.get(image_id)
            if any(entry is not None and entry.labels for entry in (known, gone)):
                raise SemganError("labels belong to the image of that id", remedy="choose another id")
            name = self._filename(image_id, ext)
            if any(one.image.uploaded and one.image.source == name and image != image_id for image, one in self._all()):
                raise SemganError("another image has the file of that name", remedy="choose another id")
            info = {**(image_info or {}), "ts": int(time.time()), "name": name}
            entry = StudyEntry(image=StudyImage(info=info, ext=ext, source=name, uploaded=True))
            _check_room(Path(self._datastore_path), os.path.getsize(image_filename))
            folder = self._uploads()
            folder.mkdir(exist_ok=True)
            with self._written(image_filename, folder / name), self._entry(self._datastore.objects, image_id, entry):
                pass
            if known is not None and known.image.source != name:
                (folder / known.image.source).unlink(missing_ok=True)
        return image_id

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image; what other processes have written meanwhile stays.

        Raises:
            ImageNotFoundException: there is no such image.
            SemganError: the info cannot be stored, or the list cannot be written.
        """
        with self._mutex:
            self._init_from_datastore_file()
            known = self._datastore.objects.get(image_id)
            if known is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
            own = {name: known.image.info[name] for name in OWN_FACTS if name in known.image.info}
            image = known.image.model_copy(update={"info": storable({**known.image.info, **info, **own})})
            with self._entry(self._datastore.objects, image_id, known.model_copy(update={"image": image})):
                pass

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels; of an original only the place in the list goes, its files stay.

        Raises:
            ImageNotFoundException: there is none.
        """
        with self._mutex:
            self._init_from_datastore_file()
            known = self._datastore.objects.get(image_id)
            if known is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
            for tag in list(known.labels):
                self.remove_label(image_id, tag)
            self._datastore.objects.pop(image_id, None)
            if not known.image.uploaded:
                self._datastore.hidden = [*self._datastore.hidden, known.image.place]
            self._update_datastore_file()
            if known.image.uploaded:
                (self._uploads() / known.image.source).unlink(missing_ok=True)

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Return the pairs of image and final label that may be trained with.

        Args:
            full_path: whether paths below the folder of the labels begin at the root.
        """
        tag = DefaultLabelTag.FINAL.value
        with self._mutex:
            labels = {
                image: Path(self._datastore.label_path(tag)) / self._filename(image, entry.labels[tag].ext)
                for image, entry in self._datastore.objects.items()
                if tag in entry.labels and self.may_train(image)
            }
        files = {image: self._file_or_nothing(image) for image in labels}
        pairs = [{"image": file, "label": os.path.realpath(labels[image])} for image, file in files.items() if file]
        start = os.path.join(self._datastore_path, "")
        return pairs if full_path else [{key: path.removeprefix(start) for key, path in one.items()} for one in pairs]

    def _volume(self, image_id: str, image: StudyImage, path: Path) -> Path:
        """Return the file that is made of an original, see `get_image_uri`; whoever calls it does not hold the lock."""
        with self._mutex:
            series = self._originals.series.get(image_id)
        files = (
            None
            if series is None or (self._studies / series.source).is_file()
            else [self._studies / file for file in series.files]
        )
        return self._converted.file(self._studies / image.source, path, image.series, files)

    def _file_or_nothing(self, image_id: str) -> str:
        """Path of an image's file, or nothing if it cannot be made."""
        try:
            return self.get_image_uri(image_id)
        except SemganError:
            log.warning("a labelled image cannot be read any more")
            return ""

    def _all(self) -> Iterable[tuple[str, StudyEntry]]:
        return self._datastore.objects.items()

    def _uploads(self) -> Path:
        return Path(self._datastore_path) / UPLOADS

    def _root_of(self, image: StudyImage) -> Path:
        return self._uploads() if image.uploaded else self._studies

    def _is_served(self, image: StudyImage) -> bool:
        """Tell whether clients get the image's file as it is."""
        return not image.series and split_ending(image.source)[1].lower() in SERVED_ENDINGS

    def _file(self, image_id: str, image: StudyImage) -> Path | None:
        """Where the file of an image lies, or will lie when it has been made; None if that is not known."""
        if self._is_served(image):
            return Path(os.path.realpath(self._root_of(image) / image.source))
        state = self.image_state(image_id)
        return self._converted.place(image_id, state, image.ext) if state else None


def _check_room(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free - size < ROOM_FOR_LABELS_BYTES:
        raise NoSpace("the disk of the server has no room for another image; tell whoever runs it")


def is_below(path: str | Path, root: str | Path) -> bool:
    """Tell whether a path lies in a folder, whatever links it goes by."""
    return os.path.realpath(path).startswith(os.path.join(root, ""))
