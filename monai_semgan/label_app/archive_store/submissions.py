"""Sends final labels to the archive: each version once, as a new series that refers to the one before it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import in_words
from monai_semgan.label_app.archive_store.archive_datastore import ArchiveDatastore
from monai_semgan.label_app.archive_store.result_objects import LabelSource, write_objects
from monai_semgan.label_app.archive_store.submission import REFUSED, SENT, WAITING, Submission, SubmissionFiles
from monai_semgan.label_app.labels_datastore import PresentLabel

if TYPE_CHECKING:
    from monai_semgan.jobs.models import ServedModel

ANSWER_SECONDS = 20.0
"""A client that saves a label waits at most so long for the archive; sending goes on behind it."""

NOT_YET = "it is being sent"


class Submissions:
    """Sends labels of a datastore to its archive, one after the other.

    Args:
        store: the datastore.
        folder: for the objects, which stay there until the label is removed.
        models: returns the models that are served, by name.
        kinds: see `write_objects`.
    """

    def __init__(
        self,
        store: ArchiveDatastore,
        folder: Path,
        models: Callable[[], Mapping[str, ServedModel]],
        kinds: tuple[str, ...] = (),
    ) -> None:
        self._store, self._files, self._models, self._kinds = store, SubmissionFiles(folder), models, kinds
        self._sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="archive-sender")
        self._busy: dict[tuple[str, str], Future[Submission]] = {}
        self._lock = threading.Lock()

    def submit(self, image: str, tag: str) -> Submission | None:
        """Send the label that is there; None if there is none, or its image is none of the archive.

        A version that was sent is not sent again. What the archive does not take is kept, see `Submission.state`.
        """
        present = self._store.present_label(image, tag)
        if present is None or self._store.series(image) is None:
            return None
        with self._lock:
            future = self._sender.submit(self._submitted, image, tag, present)
            self._busy[image, tag] = future
        try:
            return future.result(ANSWER_SECONDS)
        except NotYet:
            facts = present.facts
            return Submission(image, tag, facts.version, facts.etag, WAITING, NOT_YET)

    def send_again(self, image: str, tag: str) -> Submission | None:
        """Send a label whose latest version the archive does not have; None if there is no label."""
        return self.submit(image, tag)

    def unsent(self) -> list[Submission]:
        """Return the latest submissions that the archive does not have."""
        return [one for one in self._files.every_latest() if one.state != SENT]

    def close(self) -> None:
        """End it; what was not sent is kept."""
        self._sender.shutdown(wait=False, cancel_futures=True)

    def _submitted(self, image: str, tag: str, present: PresentLabel) -> Submission:
        earlier = self._files.all(image, tag)
        latest = earlier[-1] if earlier else None
        if latest is not None and (latest.version, latest.etag) == (present.facts.version, present.facts.etag):
            if latest.state == SENT:
                return latest
            made = latest if latest.files and self._has_files(latest) else None
        else:
            made = None
        facts = present.facts
        started = made or Submission(image, tag, facts.version, facts.etag)
        try:
            made = made or self._made(started, present, [one for one in earlier if one.version != facts.version])
            return self._files.save(self._sent(made))
        except SemganError as error:
            refused = not isinstance(error, ArchiveError) or (error.status is not None and not error.passing)
            state = REFUSED if refused else WAITING
            return self._files.save(replace(made or started, state=state, reason=in_words(error)))

    def _made(self, submission: Submission, present: PresentLabel, earlier: list[Submission]) -> Submission:
        """Write the objects of a label, and note that they are to be sent."""
        image, tag = submission.image, submission.tag
        replaced = next((one.as_replaced() for one in reversed(earlier) if one.as_replaced() is not None), None)
        scan = self._store.dicom_files(image)
        info: Mapping[str, Any] = self._store.get_label_info(image, tag)
        source = LabelSource(scan, present, info, self._models(), replaced)
        place = self._files.place(image, tag)
        files = write_objects(source, place, f"{submission.version:06d}", self._kinds)
        names = tuple(file.relative_to(place).as_posix() for file in files)
        return self._files.save(replace(submission, files=names, replaced=_uids(files[0])))

    def _sent(self, submission: Submission) -> Submission:
        archive, place = Archive(self._store.address), self._files.place(submission.image, submission.tag)
        for name in submission.files:
            archive.store(place / name)
        return replace(submission, state=SENT, reason="")

    def _has_files(self, submission: Submission) -> bool:
        place = self._files.place(submission.image, submission.tag)
        return all((place / name).is_file() for name in submission.files)


def _uids(file: Path) -> tuple[str, ...]:
    import pydicom

    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
    dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(names))
    return tuple(str(dataset[name].value) for name in names)
