"""The folder of studies as MONAI Label's datastore: originals are only read, and files appear whole or not at all."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.exception import LabelNotFoundException

from monai_semgan.errors import SemganError
from monai_semgan.label_app.image_ids import is_image_id, is_tag
from monai_semgan.label_app.images_datastore import UPLOADS, ImagesDatastore, is_below
from monai_semgan.label_app.labels_datastore import LabelsDatastore
from monai_semgan.label_app.studies.catalogue import Catalogue, Originals
from monai_semgan.label_app.studies.converted_volumes import ConvertedVolumes
from monai_semgan.label_app.studies.reconciling import Reconciling
from monai_semgan.label_app.studies.study_ids import LABEL_ONLY, SERVED_ENDINGS, split_ending
from monai_semgan.label_app.studies.study_list import list_state, read_list, write_list
from monai_semgan.label_app.studies.study_models import LeftOut, StudiesModel
from monai_semgan.label_app.studies.study_scan import StudyScan, seen
from monai_semgan.label_app.studies.study_series import SeriesIndex
from monai_semgan.label_app.studies.study_states import FileStates
from monai_semgan.label_app.studies.study_watch import LEFTOVER, StudyWatch
from monai_semgan.utils.files import written_aside

EXTENSIONS = tuple(f"*{ending}" for ending in (*SERVED_ENDINGS, LABEL_ONLY))
"""Files that are labels, or are served as they are; where two fit a name, the later one counts."""

log = logging.getLogger(__name__)

PRIVATE = ".semgan"
OWN = ("datastore_v2.json", "datastore_v2.json.bak", "datastore_v2.json.damaged", "labels", UPLOADS)
"""What the server keeps in the folder that it writes to."""


class Looks(Protocol):
    """Tells which originals there are."""

    def look(self) -> Originals:
        """Look through all of it."""


class Watches(Protocol):
    """Has the originals looked through again."""

    def again(self) -> None:
        """Do so now."""

    def stop(self) -> None:
        """End it."""


class StudiesDatastore(ImagesDatastore, LabelsDatastore):
    """MONAI Label's local datastore, for several threads, over a folder that is only read.

    Images are the volumes and DICOM series of the folder and all folders below, and what clients send, which lies in a
    folder of its own. Files and `datastore_v2.json` are written aside and moved into place; a failure changes nothing.

    Args:
        folder: the studies.
        auto_reload: whether files that others put there are noticed.
        read_only: whether the list of files is left as it is at the start.
        labels: folder that is written to; that of the studies when left out.
        catalogue: tells which originals there are; looks through the folder when left out.
    """

    _datastore: StudiesModel

    def __init__(
        self,
        folder: str,
        auto_reload: bool = True,
        read_only: bool = False,
        labels: str | None = None,
        catalogue: Looks | None = None,
    ) -> None:
        self._mutex = threading.RLock()
        self._studies = Path(os.path.realpath(folder))
        home = Path(os.path.realpath(labels or folder))
        private = home / PRIVATE
        self._catalogue = catalogue or self._of_folder(home, auto_reload)
        self._converted = ConvertedVolumes(private / "volumes")
        self._states, self._originals = FileStates(), Originals()
        self._list_state: tuple[int, int, int] | None = None
        self._watch: Watches | None = None
        super().__init__(str(home), extensions=EXTENSIONS, auto_reload=False, read_only=read_only)
        if auto_reload:
            self._auto_reload = True
            folders = dict.fromkeys([self._studies, home])
            self._watch = StudyWatch(folders, private, self.refresh)
            self._look_again()

    def _of_folder(self, home: Path, auto_reload: bool) -> Looks:
        index = SeriesIndex(self._studies, home / PRIVATE / "series.json")
        own = OWN if home == self._studies else ()
        return Catalogue(StudyScan(self._studies, [home], own), index, not auto_reload, self._look_again)

    def close(self) -> None:
        """Stop watching the folders."""
        if self._watch is not None:
            self._watch.stop()

    def remove_leftovers(self) -> None:
        """Remove what a killed process left half-written; for whoever knows that no other process writes here."""
        self.remove_leftover_versions()
        home = Path(self._datastore_path)
        with self._mutex:
            self._converted.tidy([*self._datastore.objects, *self._datastore.missing])
        labels = (path for path in home.glob("labels/*") if path.is_dir() and not path.is_symlink())
        for folder in (home, home / UPLOADS, *labels):
            for path in folder.iterdir() if folder.is_dir() else ():
                if LEFTOVER.match(path.name) and path.is_file() and not path.is_symlink():
                    path.unlink(missing_ok=True)

    def left_out(self) -> list[LeftOut]:
        """Return what lies in the folder and is not served, with the reasons."""
        with self._mutex:
            hidden = [
                LeftOut(place, "an administrator has removed it; the file is untouched") for place in self._hidden()
            ]
            return [*self._originals.left_out, *self._reconciling().ambiguous, *hidden]

    def away(self) -> list[LeftOut]:
        """Return the labelled images whose files are not there."""
        with self._mutex:
            return self._reconciling().away

    def pending(self) -> int:
        """Return how many folders of DICOM files are still being read."""
        with self._mutex:
            return self._originals.pending

    def told_at_start(self) -> list[str]:
        """Return what the person who starts the server should know, without names of files."""
        images, left_out, pending = len(self.list_images()), self.left_out(), self.pending()
        told = []
        if pending:
            told.append(
                f"DICOM files in {pending} folder{'s' * (pending > 1)} are being read; their series appear soon"
            )
        elif not images and not left_out:
            told.append("no images: the folder is empty")
        elif not images:
            told.append(f"no images: what lies there is left out ({seen(left_out)}); GET /semgan/studies tells why")
        elif left_out:
            what = "1 file or series is" if len(left_out) == 1 else f"{len(left_out)} files or series are"
            told.append(f"{what} left out; GET /semgan/studies tells which and why")
        if away := len(self.away()):
            told.append(f"labelled images that are not there any more: {away}; GET /semgan/studies tells which")
        return told

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Return a zip of the images with final labels, in a temporary file.

        Raises:
            LabelNotFoundException: no image has a final label.
        """
        if not self.datalist():
            raise LabelNotFoundException("no image has a final label")
        return str(super().get_dataset_archive(limit_cases))

    def json(self) -> dict[str, Any]:
        """Return the list as MONAI Label's clients read it."""
        with self._mutex:
            return self._datastore.told()

    def _hidden(self) -> list[str]:
        found = self._originals
        there = {*found.files, *(f"{one.source}#{one.series}" for one in found.series.values())}
        return [place for place in self._datastore.hidden if place in there]

    def _look_again(self) -> None:
        if self._watch is not None:
            self._watch.again()

    def _reconciling(self) -> Reconciling:
        return Reconciling(self._datastore, self._originals, self._uploads())

    def _reconcile_datastore(self) -> None:
        """Look through the folders, and bring the list up to date."""
        found = self._catalogue.look()
        with self._mutex:
            if found.number < self._originals.number:  # another thread has looked since
                return
            self._originals = found
            self._init_from_datastore_file()
            changes = self._reconciling().images() + self._reconcile_labels()
            if changes or (self._list_state is None and self._datastore.objects):
                self._update_datastore_file()

    def _reconcile_labels(self) -> int:
        """Take what lies in the folders of the tags, and forget labels whose files are gone."""
        root = self._datastore.label_path(None)
        there = {tag: self._labels_of(os.path.join(root, tag)) for tag in os.listdir(root) if is_tag(tag)}
        return self._reconciling().labels({tag: files for tag, files in there.items() if files is not None})

    def _labels_of(self, folder: str) -> dict[str, list[str]] | None:
        """Endings of the labels in a folder by the id of their image."""
        if not os.path.isdir(folder):
            return None
        found: dict[str, list[str]] = {}
        for name in self._list_files(folder, self._extensions):
            image, ext = self._to_id(name)
            found.setdefault(image, []).append(ext)
        return found

    def _inside(self, path: str) -> bool:
        return is_below(path, self._datastore_path)

    def _to_id(self, file: str) -> tuple[str, str]:
        stem, ending = split_ending(file)
        return (stem, ending) if ending else super()._to_id(file)

    def _list_files(self, path: str, patterns: Iterable[str]) -> dict[str, str]:
        """Names of the labels in a folder."""
        endings = tuple(pattern.removeprefix("*") for pattern in patterns)
        return {
            entry.name: entry.name
            for entry in os.scandir(path)
            if entry.name.lower().endswith(endings) and self._belongs(entry)
        }

    def _belongs(self, entry: os.DirEntry[str]) -> bool:
        return (
            is_image_id(self._to_id(entry.name)[0])
            and entry.is_file()
            and (not entry.is_symlink() or self._inside(entry.path))
        )

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

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Read the list if another process has written it."""
        path = Path(self._datastore_config_path)
        with self._mutex, FileLock(self._lock_file):
            if list_state(path) != self._list_state or not isinstance(self._datastore, StudiesModel):
                empty = StudiesModel(**self._datastore.model_dump(include={"name", "description", "labels_dir"}))
                empty.images_dir, empty.base_path = ".", self._datastore_path
                self._datastore = read_list(path, empty)
                self._list_state = list_state(path)

    def _update_datastore_file(self, lock: bool = True) -> None:
        path = Path(self._datastore_config_path)
        with self._mutex, FileLock(self._lock_file):
            write_list(path, self._datastore, known=list_state(path) == self._list_state)
            self._list_state = list_state(path)


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(self: StudiesDatastore, *arguments: Any, **options: Any) -> Any:
        with self._mutex:
            return method(self, *arguments, **options)

    return run


# The stock methods run on one thread; while one of them rebuilds the list, others would find it empty.
for _name in (
    "get_label_by_image_id",
    "get_label_info",
    "get_labeled_images",
    "get_unlabeled_images",
    "list_images",
    "status",
):
    setattr(StudiesDatastore, _name, _locked(getattr(LocalDatastore, _name)))
