"""What is known of each scan of a cohort: one JSON file per scan, merged into one table by any number of processes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai_semgan.cohort.cases import Case
from monai_semgan.data.scan_folder import BOOKKEEPING
from monai_semgan.quality.assessment import CANNOT_TELL
from monai_semgan.utils.file_state import content_digest
from monai_semgan.utils.files import check_output, utf8, write_utf8
from monai_semgan.utils.json_text import json_text

SUMMARY = "cohort.csv"
DONE, FAILED, OPEN = "done", "failed", "open"
SENT = "sent"
UNSENT = "not sent: its process ended before"


@dataclass(frozen=True)
class Record:
    """The outcome of one scan.

    Args:
        case: its name.
        input: file or folder as given.
        status: `done` or `failed`.
        key: hash of model, settings and input; a scan with the same key is not computed again.
        outputs: files, relative to the output folder, with size in bytes, time of change and SHA-256.
        volumes_ml: by organ.
        modality: as it was treated.
        domain_score: 0 as in training to 1; None if the model cannot tell.
        domain_verdict: in words; empty if the model has no calibration, which the table shows as `CANNOT_TELL`.
        seconds: reading and writing included.
        message: reason of a failure, or notes.
        model: SHA-256 of the weights.
        sent: where the results of a scan stand that were to go to an archive: `sent`, or why they are not; empty
            otherwise.
        again: whether the reason why it failed, or was not sent, may pass by itself, as of an archive that is down.
        state: hash of the input alone; empty in records of earlier versions.
    """

    case: str
    input: str
    status: str
    key: str = ""
    outputs: dict[str, list[int | str]] = field(default_factory=dict)
    volumes_ml: dict[str, float] = field(default_factory=dict)
    modality: str = ""
    domain_score: float | None = None
    domain_verdict: str = ""
    seconds: float = 0.0
    message: str = ""
    model: str = ""
    sent: str = ""
    again: bool = False
    state: str = ""

    def finished(self, key: str, output: Path) -> bool:
        """Tell whether its results are as they were written, from the same input with the same model and settings."""
        return self.status == DONE and self.key == key and bool(self.outputs) and not self.changed(output)

    def changed(self, output: Path) -> list[Path]:
        """Return results that are missing, or other than they were written: edited, damaged, of another program."""
        return [output / name for name, state in self.outputs.items() if not _is_as_written(output / name, state)]


def written_state(path: Path) -> list[int | str]:
    """Return size, time of change and SHA-256 of a result.

    Raises:
        OSError: it cannot be read.
    """
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, content_digest(path)]


def _is_as_written(path: Path, state: list[int | str]) -> bool:
    """Tell whether a file is the one that was written, or a copy of it, whose time may be another."""
    if not isinstance(state, list) or len(state) != 3:  # of an earlier version: its size alone is known
        return path.is_file() and path.stat().st_size == state
    try:
        found = path.stat()
        return found.st_size == state[0] and (found.st_mtime_ns == state[1] or content_digest(path) == state[2])
    except OSError:
        return False


def record_path(output: Path, case: str) -> Path:
    """Return where the record of a scan lies."""
    return output / BOOKKEEPING / f"{case}.json"


def save_record(output: Path, record: Record) -> None:
    """Write a record, all or nothing.

    Raises:
        SemganError: it cannot be written.
    """
    path = check_output(record_path(output, record.case), (".json",))
    write_utf8(path, json_text(asdict(record), indent=1) + "\n")


def load_record(output: Path, case: str) -> Record | None:
    """Return the record of a scan; None if there is none that can be understood."""
    try:
        content: dict[str, Any] = json.loads(record_path(output, case).read_text(encoding="utf-8"))
        return Record(**content)
    except (OSError, ValueError, TypeError):
        return None


def load_records(output: Path) -> dict[str, Record]:
    """Return all records that can be understood, by the names of their scans."""
    names = sorted(path.name.removesuffix(".json") for path in (output / BOOKKEEPING).glob("*.json"))
    return {name: record for name in names if (record := load_record(output, name)) is not None}


def write_summary(
    output: Path, cases: Sequence[Case], organs: Sequence[str], keys: Mapping[str, str] | None = None
) -> Path:
    """Merge all records into `cohort.csv`.

    Several processes may do so at the same time: each looks again after writing, so that the last one to write has
    seen the records of all before it.

    Args:
        output: folder of the results.
        cases: the whole cohort, not only the part of this process; those without a record are `open`.
        organs: columns of volumes.
        keys: by name of the scan, the key that its record has to have: one from another input, model or settings is
            not shown, the scan is `open`.

    Raises:
        SemganError: it cannot be written.
    """
    path = check_output(output / SUMMARY, (".csv",))
    while True:
        text = summary(output, cases, organs, keys)
        if path.is_file() and path.read_bytes() == utf8(text):
            return path
        write_utf8(path, text)


def summary(output: Path, cases: Sequence[Case], organs: Sequence[str], keys: Mapping[str, str] | None = None) -> str:
    """Make the table as text, see `write_summary`; commas separate, one line per scan."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    volumes = [f"{organ} ml" for organ in organs]
    head = ["case", "status", "modality", *volumes, "domain score", "domain verdict", "seconds", "message", "model"]
    writer.writerow([*head, "input", "sent"])
    for case in cases:
        record = load_record(output, case.name)
        if record is None or (keys and keys.get(case.name, record.key) != record.key):
            record = Record(case.name, case.source, OPEN)
        millilitres = [f"{record.volumes_ml[o]:.2f}" if o in record.volumes_ml else "" for o in organs]
        score = "" if record.domain_score is None else f"{record.domain_score:.3f}"
        verdict = record.domain_verdict or (CANNOT_TELL if record.status == DONE else "")
        row = [record.case, record.status, record.modality, *millilitres, score, verdict]
        writer.writerow([*row, f"{record.seconds:.2f}", record.message, record.model, case.source, record.sent])
    return stream.getvalue()
