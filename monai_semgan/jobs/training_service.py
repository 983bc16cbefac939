"""Trainings of a server: what may be learnt, what is being learnt, and the versions of the models."""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import Conflict, JobError, NoSpace, in_words
from monai_semgan.jobs.model_library import ModelLibrary
from monai_semgan.jobs.ownership import NOBODY, SERVER, Asker
from monai_semgan.jobs.storage.job_log import log_without_values
from monai_semgan.jobs.train_contract import (
    ModelVersions,
    Training,
    TrainingLabels,
    TrainingList,
    TrainRequest,
    TrainState,
)
from monai_semgan.jobs.training_book import TrainingBook
from monai_semgan.jobs.training_child import Place, TrainingChild, learn_command, short_of_memory
from monai_semgan.jobs.training_choice import TrainChoice, choose
from monai_semgan.jobs.training_entries import WAITING_FOR_JOBS, TrainingEntry
from monai_semgan.jobs.training_files import LOG, Record, TrainingFiles
from monai_semgan.jobs.training_labels import FindLabels, LabelReader, SeenLabel, structures_in

logger = logging.getLogger(__name__)


class TrainingService:
    """Runs trainings one at a time, and lets jobs go first.

    Args:
        library: the models.
        root: folder for trainings.
        find_labels: finds final labels; None where the studies have none.
        busy: tells whether jobs run or wait that somebody waits for.
        python: interpreter that learns.
    """

    def __init__(
        self,
        library: ModelLibrary,
        root: Path,
        find_labels: FindLabels | None,
        busy: Callable[[], bool],
        python: str = sys.executable,
    ) -> None:
        self.library, self.find_labels, self.busy, self.python = library, find_labels, busy, python
        self.files = TrainingFiles(root)
        self._reader = LabelReader()
        self._book = TrainingBook()
        self._lock = threading.RLock()
        self._closing = False

    def take_over(self) -> None:
        """Remember the trainings of an earlier server; those that had not ended are interrupted."""
        with self._lock:
            for entry in [self._book.add(TrainingEntry(record)) for record in self.files.load()]:
                if not entry.ended:
                    self._conclude_interrupted(entry)

    def submit(self, request: TrainRequest, asker: Asker = NOBODY) -> Training:
        """Put a training into the queue.

        Raises:
            JobError: something in the request makes no sense, there are no labels, or the queue or the disk is full.
        """
        name = self.library.name(request.model)
        request = request.model_copy(update={"model": name})
        choice = choose(request, self.library.models[name].labels, self._labels(name))
        training = Training(
            id=secrets.token_hex(16),
            state=TrainState.queued,
            kind=request.kind,
            model=name,
            structures=list(choice.structures.values()),
            images=choice.images,
            message="waiting",
            seconds=request.seconds,
            created=time.time(),
            parent=self.library.current(name),
        )
        with self._lock:
            self._book.check_room()
            entry = TrainingEntry(Record(training=training, request=request, owner=asker.owner))
            try:
                self.files.save(entry.record)
            except SemganError as error:
                self.files.remove(training.id)
                raise NoSpace(in_words(error)) from error
            self._book.add(entry)
            for old in self._book.forget_old():
                self.files.remove(old)
            return entry.told(asker)

    def trainings(self, asker: Asker = NOBODY) -> TrainingList:
        """List all trainings, the newest first."""
        with self._lock:
            return TrainingList(trainings=[entry.told(asker) for entry in reversed(self._book.entries)])

    def labels(self, model: str | None = None) -> TrainingLabels:
        """Tell what final labels hold.

        Raises:
            Unknown: there is no such model.
        """
        name = self.library.name(model)
        known, labels = self.library.models[name].labels, self._labels(name)
        images = [label.source.image for label in labels]
        return TrainingLabels(model=name, images=images, structures=structures_in(labels, known))

    def training(self, training: str, asker: Asker = NOBODY) -> Training:
        """Return a training.

        Raises:
            Unknown: there is none.
        """
        with self._lock:
            return self._book.entry(training).told(asker)

    def cancel(self, training: str, asker: Asker = SERVER) -> Training:
        """End a training; the model stays as it is.

        Raises:
            Unknown: there is none.
            Forbidden: it is somebody else's.
            Conflict: it has ended.
        """
        with self._lock:
            entry = self._book.owned(training, asker)
            if entry.ended:
                raise Conflict(f"the training has ended already: {entry.training.state.value}")
            entry.cancelled = True
            entry.training.message = "is being cancelled"
            if entry.child is not None:
                entry.child.cancel()
            elif entry.training.state is TrainState.queued:
                self._end(entry, TrainState.cancelled, "cancelled before it began")
            return entry.told(asker)

    def resume(self, training: str, asker: Asker = SERVER) -> Training:
        """Let a training go on that was interrupted or failed.

        Raises:
            Unknown: there is none.
            Forbidden: it is somebody else's.
            Conflict: it was not interrupted, or its labels are gone.
        """
        with self._lock:
            entry = self._book.owned(training, asker)
            if entry.training.state not in (TrainState.interrupted, TrainState.failed):
                raise Conflict(f"only what was interrupted or has failed goes on; it is {entry.training.state.value}")
            self._book.check_room()
            self._choice(entry)
            entry.wait_again("waiting")
            self._save(entry)
            return entry.told(asker)

    def versions(self, model: str) -> ModelVersions:
        """List the versions of a model, the oldest first."""
        return self.library.versions(model)

    def use(self, model: str, version: int) -> ModelVersions:
        """Choose the version that jobs use from now on; see `ModelLibrary.use`."""
        return self.library.use(model, version)

    def tend(self) -> None:
        """Begin the next training, or let the one that runs wait for jobs, or go on."""
        busy = self.busy()
        with self._lock:
            if self._closing:
                return
            active, waiting = self._book.active, self._book.next_waiting()
            for entry in active:
                self._give_way(entry, busy)
            if waiting is None:
                return
            if busy:
                waiting.training.message = WAITING_FOR_JOBS
            elif not active:
                waiting.begin()
                threading.Thread(target=self._work, args=(waiting,), daemon=True, name="training").start()

    def close(self) -> None:
        """End the training that runs; it can be resumed after the next start."""
        with self._lock:
            self._closing = True
            children = [entry.child for entry in self._book.entries if entry.child is not None]
            for entry in self._book.entries:
                if not entry.ended:
                    self._end(entry, TrainState.interrupted, "the server was stopped; it can be resumed")
        for child in children:
            child.leave()

    def _give_way(self, entry: TrainingEntry, busy: bool) -> None:
        if not busy:
            entry.release()
            return
        entry.hold()
        if entry.child is not None and not entry.let_go and short_of_memory():
            entry.let_go = True
            threading.Thread(target=entry.child.leave, daemon=True).start()

    def _work(self, entry: TrainingEntry) -> None:
        """Learn, and note what comes of it."""
        try:
            before = self.library.numbers(entry.training.model)
            code = self._learn(entry)
            self._conclude(entry, code, before)
        except JobError as error:
            self._end(entry, TrainState.failed, error.detail)
        except SemganError as error:
            self._end(entry, TrainState.failed, in_words(error))
        except Exception as error:  # one bad training must not keep the others from beginning
            log_without_values(logger, error)
            self._end(entry, TrainState.failed, f"an unexpected problem ({type(error).__name__}); see the server's log")

    def _conclude_interrupted(self, entry: TrainingEntry) -> None:
        """Note that the server has ended meanwhile: perhaps in the moment when the version was there already."""
        with contextlib.suppress(JobError):
            known = [one.training for one in self._book.entries if one.training.model == entry.training.model]
            made = self.library.made_by(entry.training, [one.version for one in known])
            if made is not None:
                self._note_version(entry, made)
        if not entry.ended:
            self._end(entry, TrainState.interrupted, "the server ended meanwhile; it can be resumed")

    def _learn(self, entry: TrainingEntry) -> int:
        """Run the process; returns its exit code."""
        training, library = entry.training, self.library
        choice = self._choice(entry)
        training.structures, training.images = list(choice.structures.values()), choice.images
        training.parent = library.current(training.model)
        data = self.files.write_data(training.id, choice, library.models[training.model].labels)
        store = library.stores[training.model]
        place = Place(data, store.shipped, store.root, self.files.folder(training.id) / LOG)
        command = learn_command(entry.record.request, choice.structures, place, self.python)
        with self._lock:
            if entry.cancelled or self._closing:
                return 0
            self._save(entry)
            child = entry.child = TrainingChild(command, place.log, lambda said: self._take_progress(entry, said))
        return child.wait()

    def _take_progress(self, entry: TrainingEntry, said: dict[str, object]) -> None:
        with self._lock:
            if not entry.cancelled:
                entry.progress(said)

    def _conclude(self, entry: TrainingEntry, code: int, before: set[int]) -> None:
        """Note how the process has ended, and let jobs use the version that it has made."""
        training, child = entry.training, entry.child
        made = sorted(self.library.numbers(training.model) - before)
        with self._lock:
            if entry.ended:  # the server is stopping
                return
            if made and code == 0:
                self._note_version(entry, made[-1])
            elif entry.cancelled:
                self._end(entry, TrainState.cancelled, "cancelled; the model is as it was")
            elif entry.let_go:
                entry.wait_again("its memory was needed by jobs; it goes on when none is running or waiting")
                entry.began = None
            else:
                why = child.why() if child is not None and code else "no new version has come of it"
                self._end(entry, TrainState.failed, why)

    def _note_version(self, entry: TrainingEntry, number: int) -> None:
        training = entry.training
        stored = self.library.stored(training.model, number)
        training.version, training.figures = number, dict(stored.figures)
        training.held_out = [image for image in training.images if image in stored.held_out] or list(stored.held_out)
        message = f"version {number} of the model is in use"
        current = self.library.current(training.model)
        keep = current not in (training.parent, number)
        self.library.use(training.model, current if keep else number)
        if keep:
            message = f"version {number} is there; version {current}, which was chosen meanwhile, stays in use"
        self._end(entry, TrainState.done, f"{message}; {stored.note}" if stored.note else message)

    def _choice(self, entry: TrainingEntry) -> TrainChoice:
        name = self.library.name(entry.training.model)  # a server of other models may have come
        return choose(entry.record.request, self.library.models[name].labels, self._labels(name))

    def _labels(self, model: str) -> list[SeenLabel]:
        found = self.find_labels() if self.find_labels is not None else []
        return self._reader.look(found, self.library.models[model].labels)

    def _end(self, entry: TrainingEntry, state: TrainState, message: str) -> None:
        with self._lock:
            entry.end(state, message)
            self._save(entry)
            if state in (TrainState.done, TrainState.cancelled):
                self.files.tidy(entry.training.id)

    def _save(self, entry: TrainingEntry) -> None:
        """Write the record; on a full disk the training goes on, and its record tells of an earlier state."""
        try:
            self.files.save(entry.record)
        except SemganError as error:
            logger.error("the record of a training could not be written: %s", error.problem)
