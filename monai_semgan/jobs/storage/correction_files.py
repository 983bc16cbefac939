"""Corrections on disk.

<root>/corrections.json         which corrections there are, and which are undone
<correction>/strokes.json       what was asked for
<correction>/given.nrrd         the label that came with it, if one did
<correction>/result/2/          as of any job, see `result_files`, and
<correction>/result/2/latents.pt
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from monai_semgan.jobs.contract import Result
from monai_semgan.jobs.correction_contract import CorrectionRequest
from monai_semgan.jobs.correction_history import HistoryRecord
from monai_semgan.jobs.storage.result_files import GRID, REPORT, RESULT, new_version, read_result, versions
from monai_semgan.jobs.storage.store import make_folder
from monai_semgan.utils.files import write_error, written_aside

HISTORY = "corrections.json"
STROKES = "strokes.json"
GIVEN = "given"


def save_history(folder: Path, record: HistoryRecord) -> None:
    """Write the history of a job into its folder.

    Raises:
        SemganError: if it cannot be written; the one that was there stays.
    """
    with written_aside(folder / HISTORY) as aside:
        aside.write_text(record.model_dump_json(), encoding="utf-8")


def read_history(folder: Path) -> HistoryRecord | None:
    """Return the history in a job's folder; None if there is none, or it cannot be read."""
    try:
        return HistoryRecord.model_validate_json((folder / HISTORY).read_bytes())
    except (OSError, ValueError):
        return None


def save_request(folder: Path, request: CorrectionRequest, label: Path | None) -> None:
    """Write what was asked for into the folder of the new job, and keep the label that came with it.

    Raises:
        SemganError: if it cannot be written.
    """
    make_folder(folder)
    with written_aside(folder / STROKES) as aside:
        aside.write_text(request.model_dump_json(), encoding="utf-8")
    if label is None:
        return
    name = f"{GIVEN}{label.name[label.name.index('.') :]}"
    with written_aside(folder / name) as aside:
        link_or_copy(label, aside)


def read_request(path: Path) -> CorrectionRequest:
    """Return what was asked for.

    Raises:
        OSError: if it is gone.
        ValueError: if it cannot be understood.
    """
    return CorrectionRequest.model_validate_json(path.read_bytes())


def given_label(folder: Path) -> Path | None:
    """Return the label that came with the strokes; None if none did."""
    return next(iter(sorted(folder.glob(f"{GIVEN}.*"))), None)


def share_version(results: Path, version: int, others: Path, job: str) -> Result:
    """Give another job a version of a result, without writing it again.

    Args:
        results: folder of the results of the job that has computed it.
        version: of them.
        others: folder of the results of the other job.
        job: id of the other job.

    Raises:
        SemganError: if it cannot be written, or was removed.
    """
    try:
        result = read_result(results / str(version))
        make_folder(others)
        if not (others / GRID).exists():
            shutil.copyfile(results / GRID, others / GRID)
        with new_version(others, version) as folder:
            for name in os.listdir(results / str(version)):
                if name != RESULT:
                    link_or_copy(results / str(version) / name, folder / name)
            shared = result.model_copy(update={"job": job, "parts": []})
            (folder / RESULT).write_text(shared.model_dump_json(), encoding="utf-8")
    except OSError as error:
        raise write_error(error, others) from error
    return result


def share_report(results: Path, others: Path) -> None:
    """Give another job the page of the newest result, which both have; nothing happens without one, or without room.

    Args:
        results: folder of the results of the job that was computed.
        others: folder of the results of the other job.
    """
    newest = versions(results)[-1:]
    for version in newest:
        with contextlib.suppress(OSError):
            link_or_copy(results / str(version) / REPORT, others / str(version) / REPORT)


def link_or_copy(source: Path, target: Path) -> None:
    """Let a file have a second name, or copy it where the file system has no links.

    Raises:
        OSError: if the disk is full, or the file is gone.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
