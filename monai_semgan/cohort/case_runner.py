"""One scan of a cohort, from reading to its record."""

from __future__ import annotations

import contextlib
import glob
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.bundle.load import load_bundle
from monai_semgan.cohort.archive_files import may_pass, scan_files, send_results
from monai_semgan.cohort.attempts import ATTEMPTS, attempt
from monai_semgan.cohort.cases import Case
from monai_semgan.cohort.cohort_settings import CohortSettings, case_key, input_state
from monai_semgan.cohort.records import DONE, FAILED, SENT, UNSENT, Record, load_record, save_record, written_state
from monai_semgan.errors import SemganError
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.dicom.dicom_files import following_links
from monai_semgan.outputs.write import chosen_labels, segment_file
from monai_semgan.utils.files import DISK_FULL

if TYPE_CHECKING:
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume


class CaseRunner:
    """Segment scans with one model, which is loaded once.

    Args:
        settings: what to do.
        output: folder of the results.

    Raises:
        SemganError: the model cannot be used.
    """

    def __init__(self, settings: CohortSettings, output: Path) -> None:
        self.settings, self.output = settings, output
        self.bundle = load_bundle(settings.bundle, settings.device)
        if settings.mode not in self.bundle.modes:
            self.bundle.network.check_renders(f"mode {settings.mode}")
        chosen_labels(self.bundle, settings.labels)  # an unknown name is told before the first scan
        self.model, self.key = settings.model_hash(), settings.key()

    def run(self, case: Case) -> Record:
        """Segment a scan and write its results and record. A failure is a record too.

        Raises:
            SemganError: the disk is full, or not even the record can be written: going on makes no sense.
        """
        started = time.perf_counter()
        key, state = case_key(self.key, case), input_state(case)
        record = self._waiting(case, key)
        if record is None:
            record = self._tried(case, key)
            record = replace(record, seconds=round(time.perf_counter() - started, 3), state=state)
            save_record(self.output, record)  # before it is sent: a process that dies then does not make it anew
        if self.settings.send and record.status == DONE:
            sent, again = send_results(case, [self.output / name for name in record.outputs])
            record = replace(record, sent=sent, again=again)
            save_record(self.output, record)
        return record

    def run_once(self, case: Case) -> Record:
        """Do the same, unless another process has done it meanwhile, or several have died of it.

        Raises:
            SemganError: see `run`.
        """
        key = case_key(self.key, case)
        before = load_record(self.output, case.name)
        sent = before is not None and (not self.settings.send or before.sent == SENT)
        if before is not None and sent and before.finished(key, self.output):
            return before
        with attempt(self.output, case.name, key) as died:
            if died < ATTEMPTS:
                return self.run(case)
            message = f"the process that was at it has died {died} times; perhaps memory ran out"
            record = Record(case.name, case.source, FAILED, key, message=message, state=input_state(case))
            save_record(self.output, record)
            return record

    def _tried(self, case: Case, key: str) -> Record:
        """Return the record of a scan that has been segmented, or could not be."""
        try:
            record = self._done(case, key)
        except Exception as error:
            if disk_full(error):
                raise
            again = may_pass(error)
            return Record(case.name, case.source, FAILED, key, message=reason(error), model=self.model, again=again)
        return replace(record, sent=UNSENT) if self.settings.send else record

    def _waiting(self, case: Case, key: str) -> Record | None:
        """Return the record of a scan whose results only have to be sent."""
        before = load_record(self.output, case.name) if self.settings.send else None
        return before if before is not None and before.sent != SENT and before.finished(key, self.output) else None

    def _done(self, case: Case, key: str) -> Record:
        if case.problem:
            raise SemganError(case.problem)
        output, outputs = self.output, self.settings.outputs(self.output, case)
        remove_leftovers(outputs.label)
        before = load_record(output, case.name)
        kept = keep_changed(before, output)
        with following_links(self.settings.follow_links), scan_files(case) as path:
            done = segment_file(
                path,
                lambda: self.bundle,
                lambda volume, _: self._segment(volume, case),
                outputs,
                series=case.series or self.settings.series,
                resample=self.settings.resample,
            )
        found, domain = done.segmentation, done.segmentation.domain
        files = map(Path.resolve, done.files)
        states = {file.relative_to(output.resolve()).as_posix(): written_state(file) for file in files}
        notes = [f"Changed after it was written, and kept as {path.name}." for path in kept]
        record = Record(
            case.name,
            case.source,
            DONE,
            key,
            states,
            {name: round(value, 3) for name, value in found.volumes_ml.items()},
            found.prepared.modality,
            None if domain is None or domain.score is None else round(float(domain.score), 4),
            "" if domain is None else str(domain.verdict),
            0.0,
            " ".join([*found.notes, *notes]),
            self.model,
        )
        outdated = set_outdated_aside(before, record, output)
        told = [f"Of an earlier result, and kept as {path.name}." for path in outdated]
        return replace(record, message=" ".join([record.message, *told]).strip())

    def _segment(self, volume: Volume, case: Case) -> Segmentation:
        settings = self.settings
        return segment(
            volume,
            self.bundle,
            settings.mode,
            modality=settings.modality or case.modality,
            labels=settings.labels or None,
            cleanup=settings.cleanup,
            batch_size=settings.batch_size,
            steps=settings.steps,
            objective=settings.objective,
            plane=settings.plane,
        )


def remove_leftovers(path: Path) -> None:
    """Remove half-written files of a process that was killed while it wrote `path`, a file or a folder of one."""
    for leftover in (*path.parent.glob(f".*.part.{glob.escape(path.name)}"), *path.glob(".*.part.*")):
        with contextlib.suppress(OSError):
            leftover.unlink()


def keep_changed(record: Record | None, output: Path) -> list[Path]:
    """Move results out of the way that somebody has changed since they were written: their work is not lost.

    Returns:
        Where they are now: `NAME.nii.gz.changed`.
    """
    changed = record.changed(output) if record is not None else []
    return [_aside(path, "changed") for path in changed if path.is_file() and path.stat().st_size]


def set_outdated_aside(before: Record | None, record: Record, output: Path) -> list[Path]:
    """Move files of an earlier result, which this one did not write again, out of the way when the two differ.

    A map or table beside a label that it does not belong to is a wrong number. Where both results are the same, such
    as after another format was asked for, the files stay.

    Returns:
        Where they are now: `NAME.json.outdated`.
    """
    if before is None or before.status != DONE or _same_result(before, record):
        return []
    files = [output / name for name in before.outputs if name not in record.outputs]
    return [_aside(path, "outdated") for path in files if path.is_file()]


def _same_result(one: Record, other: Record) -> bool:
    return (one.model, one.modality, one.volumes_ml) == (other.model, other.modality, other.volumes_ml)


def _aside(path: Path, mark: str) -> Path:
    places = (path.with_name(f"{path.name}.{mark}{number or ''}") for number in itertools.count())
    return path.rename(next(place for place in places if not place.exists()))


def disk_full(error: BaseException | None) -> bool:
    """Tell whether want of space is behind an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return True
        error = error.__cause__
    return False


def reason(error: Exception) -> str:
    """Say in one line why a scan failed."""
    if isinstance(error, SemganError):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory; use fewer --jobs or a smaller --batch-size"
    return " ".join(f"internal error: {type(error).__name__}: {error}".split())[:300]
