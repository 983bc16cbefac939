"""`semgan segment FOLDER_OR_DATALIST`: many scans, one line each."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.archive_options import refuse_files_to_send
from monai_semgan.cli.arguments import EXIT_INTERRUPTED, EXIT_SOME_FAILED, note, positive_int, say

if TYPE_CHECKING:
    from monai_semgan.cohort.cases import Case
    from monai_semgan.cohort.cohort_settings import CohortSettings
    from monai_semgan.cohort.records import Record


def cohort_options(parser: argparse.ArgumentParser) -> None:
    """Add options for many scans."""
    group = parser.add_argument_group("many scans: INPUT is a folder, data list (.json) or archive, OUT a folder")
    group.add_argument("--cohort", action="store_true", help="take OUT for a folder whatever its name")
    group.add_argument("--format", metavar="END", help="ending of the labels: nii.gz (default), seg.nrrd, dcm, ...")
    group.add_argument("--section", metavar="NAME", help="training, validation or test of a data list (default: all)")
    group.add_argument("--jobs", type=positive_int, metavar="N", help="processes on this machine (default 1)")
    group.add_argument("--part", metavar="I/N", help="only part I of N, for several machines; torchrun sets it itself")
    group.add_argument("--overwrite", action="store_true", help="compute finished scans again")


def is_cohort(arguments: argparse.Namespace) -> bool:
    """Tell whether many scans are meant: for a data list, and for a folder when OUT does not name a file."""
    from monai_semgan.io.formats import label_endings

    source, output = arguments.input, arguments.output
    names_file = output.name.lower().endswith((*label_endings(), "rtstruct"))
    if not isinstance(source, Path):
        return bool(arguments.cohort or not names_file)
    if arguments.cohort or source.suffix.lower() == ".json":
        return True
    return bool(source.is_dir() and not names_file and (output.is_dir() or not output.suffix))


def refuse_cohort_options(arguments: argparse.Namespace) -> None:
    """Refuse options for many scans when there is one.

    Raises:
        SemganError: one was given.
    """
    from monai_semgan.errors import SemganError

    for name in ("format", "section", "jobs", "part", "overwrite"):
        if getattr(arguments, name):
            remedy = "give a folder or data list as INPUT and a folder as OUT, or --cohort"
            raise SemganError(f"--{name} is for many scans", remedy=remedy)


def run_cohort(arguments: argparse.Namespace) -> int:
    """Segment all scans of a folder or data list."""
    from monai_semgan.cohort.cases import find_cases
    from monai_semgan.cohort.parts import choose_part
    from monai_semgan.cohort.records import write_summary
    from monai_semgan.cohort.workers import run_cases
    from monai_semgan.utils.threads import threads_each

    refuse_files_to_send(arguments)
    settings = settings_of(arguments)
    output = prepared_folder(arguments.output)
    pictures = settings.format == ".png"
    listing = find_cases(arguments.input, output, arguments.section, pictures, arguments.follow_links)
    if listing.single:
        note(f"{listing.single} series of single images left out, such as overviews")
    if listing.ignored:
        shown = ", ".join(os.path.relpath(path, arguments.input) for path in listing.ignored[:3])
        note(f"{len(listing.ignored)} left out, being named like labels: {shown}")
    if listing.unfollowed:
        shown = ", ".join(path.name for path in listing.unfollowed[:3])
        note(f"{len(listing.unfollowed)} links to folders or DICOM files left out: {shown}; --follow-links takes them")
    part = choose_part(arguments.part)
    jobs = arguments.jobs or 1
    threads = threads_each(jobs * part.local)
    mine = part.of(listing.cases)
    keys, organs = known_keys(listing.cases, settings, output), organs_of(settings)
    todo = unfinished(mine, keys, output, arguments.overwrite, arguments.send)
    announce(len(listing.cases), len(mine), len(todo), jobs, threads)
    failed: list[str] = []
    try:
        with stopped_by_term():
            device = _device(settings, part.local, part.local_index)
            work = run_cases(todo, device, output, jobs, threads)
            with contextlib.closing(work):  # type: ignore[type-var]
                for line, bad in lines(_noted(work, keys), len(todo), jobs):
                    say(line)
                    failed += [bad] if bad else []
    except KeyboardInterrupt:
        write_summary(output, listing.cases, organs, keys)
        sys.stderr.write("semgan: stopped; finished scans are kept, the same command goes on\n")
        return EXIT_INTERRUPTED
    say(f"wrote {write_summary(output, listing.cases, organs, keys)}")
    if failed:
        what = "failed or were not sent" if arguments.send else "failed"
        sys.stderr.write(
            f"semgan: error: {len(failed)} of {len(todo)} scans {what}; the same command tries them again\n"
        )
    return EXIT_SOME_FAILED if failed else 0


def settings_of(arguments: argparse.Namespace) -> CohortSettings:
    """Return the options that say what to do with each scan.

    Raises:
        SemganError: one makes no sense.
    """
    from monai_semgan.cohort.cohort_settings import CohortSettings

    return CohortSettings(
        arguments.bundle,
        arguments.device,
        arguments.mode,
        None if arguments.modality == "auto" else arguments.modality,
        tuple(arguments.labels or ()),
        not arguments.no_cleanup,
        arguments.batch_size,
        arguments.steps,
        arguments.objective,
        arguments.format or (".dcm" if arguments.send else ".nii.gz"),
        None if arguments.maps is None else str(arguments.maps),
        None if arguments.overlay is None else str(arguments.overlay),
        None if arguments.report is None else str(arguments.report),
        arguments.identifiers,
        arguments.follow_links,
        None if arguments.split is None else str(arguments.split),
        None if arguments.statistics is None else str(arguments.statistics),
        arguments.series,
        arguments.resample,
        arguments.plane,
        None if arguments.rtstruct is None else str(arguments.rtstruct),
        None if arguments.structured_report is None else str(arguments.structured_report),
        arguments.send,
    )


def prepared_folder(output: Path) -> Path:
    """Make the folder of the results if it is missing.

    Raises:
        SemganError: it cannot be written, or is a file.
    """
    from monai_semgan.data.scan_folder import BOOKKEEPING
    from monai_semgan.utils.files import check_output, check_output_folder

    check_output_folder(output, "--output", "cohort.csv")
    check_output(output / BOOKKEEPING / "case.json", (".json",))
    return output.resolve()


def known_keys(cases: Sequence[Case], settings: CohortSettings, output: Path) -> dict[str, str]:
    """Return, for every scan with a record, the key of results of this model, these settings and its present input."""
    from monai_semgan.cohort.cohort_settings import case_key
    from monai_semgan.cohort.records import record_path

    key = settings.key()
    return {case.name: case_key(key, case) for case in cases if record_path(output, case.name).exists()}


def unfinished(
    cases: Sequence[Case], keys: Mapping[str, str], output: Path, overwrite: bool, send: bool = False
) -> list[Case]:
    """Return scans without results of their key, or whose results have to be sent."""
    from monai_semgan.cohort.records import SENT, load_record

    def done(case: Case, record: Record | None) -> bool:
        finished = record is not None and record.finished(keys.get(case.name, ""), output)
        return finished and (not send or record is None or record.sent == SENT)

    if overwrite:
        return list(cases)
    records = [(case, load_record(output, case.name)) for case in cases]
    return [case for case, record in records if not done(case, record)]


def _noted(work: Iterator[tuple[Case, Record]], keys: dict[str, str]) -> Iterator[tuple[Case, Record]]:
    """Pass on what is done, whose key counts from now on."""
    for case, record in work:
        keys[case.name] = record.key
        yield case, record


def organs_of(settings: CohortSettings) -> list[str]:
    """Return the names of the model's organs."""
    from monai_semgan.bundle.labels import bundle_folder, organ_labels, read_metadata

    return list(organ_labels(read_metadata(bundle_folder(settings.bundle))).values())


def announce(total: int, mine: int, todo: int, jobs: int, threads: int | None) -> None:
    """Say what will be done."""
    part = f", {mine} of them here" if mine != total else ""
    finished = f", {mine - todo} finished before (--overwrite computes them again)" if todo != mine else ""
    each = f"{threads} thread{'s' if threads != 1 else ''} each"
    processes = f"; {jobs} processes, {each}, memory for {jobs} scans at once" if jobs > 1 else ""
    say(f"{total} scans{part}{finished}{processes}")


def lines(work: Iterator[tuple[Case, Record]], total: int, jobs: int) -> Iterator[tuple[str, str]]:
    """Yield one line per scan, and the scan's name if it failed."""
    started = time.perf_counter()
    for number, (case, record) in enumerate(work, start=1):
        elapsed = time.perf_counter() - started
        eta = f", ETA {_clock(elapsed / number * (total - number))}" if number < total else ""
        yield f"[{number}/{total}] {case.name}: {told(record)}{eta}", case.name if is_bad(record) else ""


def told(record: Record) -> str:
    """Tell in one line what became of a scan."""
    from monai_semgan.cohort.records import DONE

    if record.status != DONE:
        return f"FAILED: {record.message}"
    organs = ", ".join(f"{name} {value:.0f} ml" for name, value in record.volumes_ml.items())
    verdict = f"; {record.domain_verdict}" if record.domain_verdict else ""
    sent = f"; {record.sent}" if record.sent else ""
    return f"{organs or 'done'}{verdict}; {record.seconds:.1f} s{sent}"


def is_bad(record: Record) -> bool:
    """Tell whether a scan failed, or its results were not sent where they should be."""
    from monai_semgan.cohort.records import DONE, SENT

    return record.status != DONE or record.sent not in ("", SENT)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _device(settings: CohortSettings, local: int, index: int) -> CohortSettings:
    """Give every process under torchrun a GPU of its own."""
    from dataclasses import replace

    if local < 2:
        return settings
    from monai_semgan.cohort.workers import device_of

    return replace(settings, device=device_of(settings.device, index))


@contextlib.contextmanager
def stopped_by_term() -> Iterator[None]:
    """Treat a scheduler's end of time (SIGTERM) like Ctrl-C."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
