"""The folder of studies as MONAI Label's datastore: files appear whole or not at all, nothing leads out of it."""

from __future__ import annotations

import functools
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from monai_semgan.errors import SemganError
from monai_semgan.label_app.image_ids import is_image_id
from monai_semgan.label_app.labels_datastore import LabelsDatastore
from monai_semgan.utils.file_state import file_state, fingerprint
from monai_semgan.utils.files import written_aside
from monai_semgan.utils.json_text import json_text

EXTENSIONS = ("*.nii.gz", "*.nii", "*.nrrd", "*.seg.nrrd", "*.mha")
"""Files that are images or labels; where two fit a name, the later one counts. Of images that differ in nothing else
the first keeps the plain id; the id of another is its whole name."""

log = logging.getLogger(__name__)

LABEL_ONLY = ".seg.nrrd"
LEFTOVER = re.compile(r"^\.[0-9a-f]{8}\.part\.")
"""Name of a file that was being written when its process was killed."""


class StudiesDatastore(LabelsDatastore):
    """MONAI Label's local datastore, for several threads.

    Differences: files that begin with a dot, and links that lead out of the folder, are left out; labels, images and
    `datastore_v2.json` are written aside and moved into place; a failure changes nothing. Images that differ in their
    endings alone are all served. Labels that a model has made from an image that was replaced since are left out.

    Args:
        folder: the studies.
        auto_reload: whether files that others put there are noticed.
        read_only: whether the folder's list of files is left as it is at the start.

    Raises:
        SemganError: `datastore_v2.json` is damaged.
    """

    def __init__(self, folder: str, auto_reload: bool = True, read_only: bool = False) -> None:
        self._mutex = threading.RLock()
        root = os.path.realpath(folder)
        try:
            super().__init__(root, extensions=EXTENSIONS, auto_reload=auto_reload, read_only=read_only)
        except ValueError as error:
            problem, remedy = "the list of images and labels is damaged", "move it away; it is made again"
            raise SemganError(problem, remedy=remedy, path=Path(root) / "datastore_v2.json") from error
        if auto_reload:
            self._handler.on_moved = self._on_any_event

    def remove_leftovers(self) -> None:
        """Remove what a killed process left half-written; for whoever knows that no other process writes here."""
        root = Path(self._datastore_path)
        for folder in (root, *(path for path in root.glob("labels/*") if path.is_dir() and not path.is_symlink())):
            for path in folder.iterdir():
                if LEFTOVER.match(path.name) and path.is_file() and not path.is_symlink():
                    path.unlink(missing_ok=True)

    def links_left_out(self) -> int:
        """Return the number of links in the folder that lead out of it."""
        entries = os.scandir(self._datastore_path)
        return sum(1 for entry in entries if entry.is_symlink() and not self._inside(entry.path))

    def names_left_out(self) -> int:
        """Return the number of images in the folder whose names cannot be ids."""
        named = (entry.name for entry in os.scandir(self._datastore_path) if not entry.name.startswith("."))
        images = (name for name in named if name.endswith(tuple(end.removeprefix("*") for end in EXTENSIONS)))
        return sum(1 for name in images if not is_image_id(self._to_id(name)[0]))

    def get_image_uri(self, image_id: str) -> str:
        """Return the path of an image, or nothing if there is no such image inside the folder."""
        with self._mutex:
            path = super().get_image_uri(image_id)
            return path if path and self._inside(path) else ""

    def image_state(self, image_id: str) -> str:
        """Return a hash of the state of an image's file; empty if there is none."""
        path = self.get_image_uri(image_id)
        return fingerprint(file_state(path)) if path else ""

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Copy an image into the folder; one of that id is replaced, unless it has labels.

        Raises:
            SemganError: the id cannot be one, or labels belong to the image that is there; or it cannot be written.
        """
        found, ext = self._to_id(os.path.basename(image_filename))
        image_id = image_id or found
        if not is_image_id(image_id):
            raise SemganError("the id of the image cannot be used", remedy="use letters, digits, . _ and -")
        with self._mutex:
            self._init_from_datastore_file()
            known = self._datastore.objects.get(image_id)
            if known is not None and known.labels:
                raise SemganError("labels belong to the image of that id", remedy="choose another id")
            name = self._filename(image_id, ext)
            if self._served().get(name, image_id) != image_id:
                raise SemganError("another image has the file of that name", remedy="choose another id")
            info = {**(image_info or {}), "ts": int(time.time()), "name": name}
            entry = ImageLabelModel(image=DataModel(info=info, ext=ext))
            folder = Path(self._datastore.image_path())
            with self._written(image_filename, folder / name), self._entry(self._datastore.objects, image_id, entry):
                pass
            if known is not None and known.image.ext != ext:
                (folder / self._filename(image_id, known.image.ext)).unlink(missing_ok=True)
        return image_id

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image; what other processes have written meanwhile stays.

        Raises:
            ImageNotFoundException: there is no such image.
            SemganError: the list cannot be written.
        """
        with self._mutex:
            self._init_from_datastore_file()
            known = self._datastore.objects.get(image_id)
            if known is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
            image = DataModel(info={**known.image.info, **info}, ext=known.image.ext)
            with self._entry(self._datastore.objects, image_id, ImageLabelModel(image=image, labels=known.labels)):
                pass

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels.

        Raises:
            ImageNotFoundException: there is none.
        """
        with self._mutex:
            super().remove_image(image_id)
            self.refresh()

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Return a zip of the images with final labels, in a temporary file.

        Raises:
            LabelNotFoundException: no image has a final label.
        """
        with self._mutex:
            if not self.datalist():
                raise LabelNotFoundException("no image has a final label")
            return str(super().get_dataset_archive(limit_cases))

    def _served(self) -> dict[str, str]:
        """Id of every image by the name of its file."""
        return {self._filename(image, entry.image.ext): image for image, entry in self._datastore.objects.items()}

    def _add_non_existing_images(self) -> int:
        self._init_from_datastore_file()
        added = 0
        served = self._served()
        for file in self._list_files(self._datastore.image_path(), self._extensions):
            if file in served:
                continue
            image, ext = self._to_id(file)
            if image in self._datastore.objects:
                if file in self._datastore.objects:
                    log.warning("%s is left out: other images are called %s and %s; rename it", file, image, file)
                    continue
                log.warning("%s is served under its whole name: another image is called %s", file, image)
                image, ext = file, ""
            info = {"ts": int(time.time()), "name": file}
            self._datastore.objects[image] = ImageLabelModel(image=DataModel(info=info, ext=ext))
            added += 1
        return added

    def _inside(self, path: str) -> bool:
        return os.path.realpath(path).startswith(os.path.join(self._datastore_path, ""))

    def _to_id(self, file: str) -> tuple[str, str]:
        endings = [pattern.removeprefix("*") for pattern in EXTENSIONS if file.endswith(pattern.removeprefix("*"))]
        ext = endings[-1] if endings else super()._to_id(file)[1]
        return file.removesuffix(ext), ext

    def _list_files(self, path: str, patterns: Iterable[str]) -> dict[str, str]:
        images = os.path.realpath(path) == os.path.realpath(self._datastore.image_path())
        found = super()._list_files(path, patterns)
        return {name: file for name, file in found.items() if self._belongs(os.path.join(path, name), name, images)}

    def _belongs(self, path: str, name: str, images: bool) -> bool:
        named = is_image_id(self._to_id(name)[0]) and not (images and name.endswith(LABEL_ONLY))
        return named and os.path.isfile(path) and self._inside(path)

    @contextmanager
    def _written(self, source: str, destination: Path) -> Iterator[None]:
        """Copy a file before the block and put the copy in its place after it; a failing block leaves nothing."""
        if not self._inside(str(destination.parent / "file")):
            raise SemganError("the folder of the labels is a link that leads elsewhere", remedy="make it a folder")
        with written_aside(destination) as temporary:
            shutil.copyfile(source, temporary)
            yield

    @contextmanager
    def _entry(self, entries: dict[str, Any], key: str, value: Any) -> Iterator[None]:
        """Write the list with a new entry; if it cannot be written, the one in memory goes back."""
        before = entries.get(key)
        entries[key] = value
        try:
            self._update_datastore_file()
            yield
        except BaseException:
            entries.pop(key) if before is None else entries.update({key: before})
            raise

    def _update_datastore_file(self, lock: bool = True) -> None:
        with self._mutex, FileLock(self._lock_file):
            text = json_text(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
            with written_aside(Path(self._datastore_config_path)) as temporary:
                temporary.write_text(text, encoding="utf-8")
            self._ignore_event_config = False
            self._config_ts = os.stat(self._datastore_config_path).st_mtime

    def _on_any_event(self, event: Any) -> None:
        paths = (event.src_path, getattr(event, "dest_path", ""))
        names = [os.path.basename(os.fsdecode(path)) for path in paths if path]
        if os.path.basename(self._datastore_config_path) in names:  # another process has written the list
            self._init_from_datastore_file()
        elif not all(LEFTOVER.match(name) for name in names):  # what is being written counts once it is in its place
            super()._on_any_event(event)


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(self: StudiesDatastore, *arguments: Any, **options: Any) -> Any:
        with self._mutex:
            return method(self, *arguments, **options)

    return run


# The stock methods run on one thread; while one of them rebuilds the list, others would find it empty.
for _name in (
    "datalist",
    "get_image_info",
    "get_label_by_image_id",
    "get_label_info",
    "get_labeled_images",
    "get_unlabeled_images",
    "json",
    "list_images",
    "status",
    "_init_from_datastore_file",
    "_reconcile_datastore",
):
    setattr(StudiesDatastore, _name, _locked(getattr(LocalDatastore, _name)))
