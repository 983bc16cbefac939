"""Sends final labels to the archive: each version once, as a new series that refers to the one before it."""

from __future__ import annotations

import logging
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from monailabel.interfaces.datastore import DefaultLabelTag

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import in_words
from monai_semgan.label_app.archive_store.archive_datastore import ArchiveDatastore, CopiedLabel
from monai_semgan.label_app.archive_store.background_work import SubmissionQueue
from monai_semgan.label_app.archive_store.result_objects import LabelSource, write_objects
from monai_semgan.label_app.archive_store.submission import REFUSED, SENT, WAITING, Submission, SubmissionFiles
from monai_semgan.label_app.labels_datastore import PresentLabel

if TYPE_CHECKING:
    from monai_semgan.jobs.models import ServedModel

log = logging.getLogger(__name__)

FINAL = DefaultLabelTag.FINAL.value

ANSWER_SECONDS = 20.0
"""A client that saves a label waits at most so long for the archive; sending goes on behind it."""

BEING_SENT = "it is being sent"
NOT_SENT = "it was not sent; send it again"
NOT_MADE = "no DICOM object could be made of it; the server's log tells the place"


class Submissions:
    """Sends final labels of a datastore to its archive, one after the other.

    Args:
        store: the datastore.
        folder: for the objects, which stay there until the archive has them or the label is removed.
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
        self._queue: SubmissionQueue[Submission | None] = SubmissionQueue()
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()
        store.on_removed_label = self._files.remove_objects

    def submit(self, image: str) -> Submission | None:
        """Send the final label of an image.

        A version that was sent is not sent again. What the archive does not take is kept, see `Submission.state`.

        Returns:
            How that went; None if there is no such label, its image is none of the archive, or a model has put it
            there.
        """
        present = self._sendable(image)
        if present is None:
            return None
        with self._lock:
            self._under_way[image] += 1
        done = self._queue.run(lambda: self._submitted(image), ANSWER_SECONDS)
        return done or self._known(image, present)

    def unsent(self) -> list[Submission]:
        """Return the final labels of readers that the archive does not have, with the reasons."""
        found = []
        for image in sorted(self._store.get_labeled_images(FINAL)):
            present = self._sendable(image)
            known = self._known(image, present) if present is not None else None
            if known is not None and known.state != SENT:
                found.append(known)
        return found

    def close(self) -> None:
        """End it; what was not sent is kept."""
        self._queue.close()

    def _sendable(self, image: str) -> PresentLabel | None:
        present = self._store.present_label(image, FINAL)
        if present is None or present.facts.by_model or self._store.series(image) is None:
            return None
        return present

    def _known(self, image: str, present: PresentLabel) -> Submission:
        """Return what is known of the label that is there."""
        latest, facts = self._files.latest(image, FINAL), present.facts
        if latest is None or not latest.is_of(facts.version, facts.etag):
            latest = Submission(image, FINAL, 0, facts.version, facts.etag)
        if latest.state == SENT:
            return latest
        with self._lock:
            reason = BEING_SENT if self._under_way[image] else latest.reason or NOT_SENT
        return replace(latest, state=WAITING if reason == BEING_SENT else latest.state, reason=reason)

    def _submitted(self, image: str) -> Submission | None:
        try:
            with tempfile.TemporaryDirectory(prefix="semgan-") as scratch:
                label = self._store.copied_label(image, FINAL, Path(scratch))
                return self._sent_once(image, label) if label is not None else None
        except (SemganError, OSError) as error:  # of the disk: what cannot be noted is told, and found unsent later
            present = self._sendable(image)
            reason = in_words(error) if isinstance(error, SemganError) else "the disk of the server cannot be written"
            return None if present is None else replace(self._known(image, present), reason=reason)
        finally:
            with self._lock:
                self._under_way[image] -= 1

    def _sent_once(self, image: str, label: CopiedLabel) -> Submission:
        """Send a label unless the archive has it, and note how that went."""
        facts, latest = label.facts, self._files.latest(image, FINAL)
        if latest is not None and latest.state != SENT:
            latest = self._settled(latest)
        if latest is not None and latest.is_of(facts.version, facts.etag):
            if latest.state == SENT:
                return latest
            submission = latest
        else:
            number = self._files.next_number(image, FINAL)
            submission = self._files.save(Submission(image, FINAL, number, facts.version, facts.etag))
        try:
            if not self._files.has_objects(submission):
                submission = self._made(submission, label)
            self._send(submission)
        except SemganError as error:
            return self._files.save(replace(submission, state=_state_of(error), reason=self._reason(error)))
        except Exception as error:  # whatever an odd scan makes the writers of DICOM raise
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("%s at %s:%s", type(error).__name__, Path(place.filename).name, place.lineno)
            return self._files.save(replace(submission, state=REFUSED, reason=NOT_MADE))
        sent = self._files.save(replace(submission, state=SENT, reason=""))
        self._files.remove_objects(image, FINAL)
        return sent

    def _settled(self, submission: Submission) -> Submission:
        """Return an earlier submission as sent if the archive has it after all: its answer may have got lost."""
        if not submission.objects:
            return submission
        archive = Archive(self._store.address)
        try:
            there = all(archive.has_instance(one.study, one.series, one.instance) for one in submission.objects)
        except ArchiveError:
            return submission  # sending will fail as well, and tell why
        return self._files.save(replace(submission, state=SENT, reason="")) if there else submission

    def _made(self, submission: Submission, label: CopiedLabel) -> Submission:
        """Make the objects of a label, and note that they are to be sent."""
        image, tag = submission.image, submission.tag
        sent = [one for one in self._files.all(image, tag) if one.state == SENT and one.number < submission.number]
        replaces = tuple(one.as_replaced() for one in sent[-1].objects) if sent else ()
        source = LabelSource(self._store.dicom_files(image), label, self._models(), replaces)
        with self._files.making(submission) as folder:
            objects = write_objects(source, folder, self._kinds)
        return self._files.save(replace(submission, objects=objects))

    def _send(self, submission: Submission) -> None:
        archive, folder = Archive(self._store.address), self._files.objects(submission)
        for one in submission.objects:
            archive.store(folder / one.file)

    def _reason(self, error: SemganError) -> str:
        """Return the words of an error; where a file was kept on this computer is nobody's business elsewhere."""
        own = str(self._files.folder) in error.remedy
        return error.problem if own else in_words(error)


def _state_of(error: SemganError) -> str:
    """Tell whether sending again later may help, without that anybody changes something."""
    if not isinstance(error, ArchiveError):
        return REFUSED
    return WAITING if error.passing or error.status is None else REFUSED
