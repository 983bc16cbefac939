"""`semgan watch`: what arrives in a folder or archive is segmented, once."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.archive_options import archive_options, refuse_files_to_send, scan_source, use_access
from monai_semgan.cli.arguments import (
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    model_options,
    name_list,
    non_negative_int,
    note,
    positive_int,
    say,
    threads_option,
)
from monai_semgan.cli.cohort import is_bad, organs_of, prepared_folder, settings_of, stopped_by_term, told
from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from monai_semgan.cohort.arrivals import ArrivalSource
    from monai_semgan.cohort.cohort_settings import CohortSettings
    from monai_semgan.cohort.watch_rules import WatchRules
    from monai_semgan.cohort.watching import Look, Runner, Watch

EVERY_FOLDER, EVERY_ARCHIVE = 10.0, 30.0

EPILOG = """\
SOURCE is a folder, where DICOM series and files of volumes are scans at any depth, or an archive:
dicomweb:URL?Modality=CT&StudyDate=20260101- asks for less than all of it.

A scan is taken when it has not changed between two looks, and done once: not again after a restart, with other options
or a newer version, nor when its results are taken away; again only when its files or images have changed. What failed
is tried again when it has changed, or with --retry; what an archive that was down did not give or take, by itself.
Results and records are those of semgan segment with a folder as OUT: OUT/NAME.nii.gz (--format) and OUT/cohort.csv.

Ctrl-C and SIGTERM end it; the same command goes on. One semgan watch at a time writes into OUT.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "watch",
        parents=[common],
        help="segment what arrives in a folder or archive",
        description="Watch a folder or an archive, and segment each new CT or MR series once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("input", type=scan_source, metavar="SOURCE", help="folder, or dicomweb:URL")
    parser.add_argument("--output", "-o", type=Path, required=True, metavar="OUT", help="folder of the results")
    parser.add_argument(
        "--every", type=_seconds, metavar="SECONDS", help="between two looks (default 10, or 30 for an archive)"
    )
    parser.add_argument("--once", action="store_true", help="end when what is there now is done, as cron wants it")
    parser.add_argument("--retry", action="store_true", help="try again what has failed before")
    rules = parser.add_argument_group("rules")
    rules.add_argument(
        "--modality",
        type=name_list,
        default=["CT", "MR"],
        metavar="NAMES",
        help="CT, MR, or CT,MR (default); files that do not tell theirs are taken, and for what a single name says",
    )
    rules.add_argument(
        "--description",
        action="append",
        default=[],
        metavar="GLOB",
        help="only where this fits the description of series or study, or the file's name, such as '*liver*'; several "
        "times: one of them",
    )
    rules.add_argument("--not-description", action="append", default=[], metavar="GLOB", help="none where this fits")
    _result_options(parser)
    archive_options(parser)
    parser.set_defaults(run=run)


def _result_options(parser: argparse.ArgumentParser) -> None:
    """Add what `semgan segment` has as well."""
    group = parser.add_argument_group("results, as of semgan segment")
    group.add_argument("--format", metavar="END", help="ending of the labels: nii.gz (default), seg.nrrd, dcm, ...")
    group.add_argument("--labels", type=name_list, metavar="NAMES", help="only these organs, for example liver,spleen")
    group.add_argument("--mode", choices=("preview", "encoder", "invert", "refine"), default="preview")
    group.add_argument("--steps", type=non_negative_int, metavar="N", help="optimisation steps of invert and refine")
    group.add_argument("--objective", metavar="NAME", help="what compares slice and rendering (default auto)")
    group.add_argument("--plane", choices=("auto", "stored", "axial"), default="auto", help="of the slices")
    group.add_argument("--no-cleanup", action="store_true", help="keep specks and holes")
    group.add_argument("--resample", action="store_true", help="take tilted and uneven DICOM slices too")
    group.add_argument("--maps", type=Path, metavar="NAME", help="folder in OUT/SCAN/ for probabilities, uncertainty")
    group.add_argument("--overlay", type=Path, metavar="NAME", help="PNG in OUT/SCAN/")
    group.add_argument("--report", type=Path, metavar="NAME", help="folder in OUT/SCAN/ for report.html")
    group.add_argument("--split", type=Path, metavar="NAME", help="folder in OUT/SCAN/ for one file per organ")
    group.add_argument("--statistics", type=Path, metavar="NAME", help="JSON file in OUT/SCAN/")
    group.add_argument("--rtstruct", type=Path, metavar="NAME", help="folder in OUT/SCAN/ for a DICOM structure set")
    group.add_argument(
        "--structured-report", type=Path, metavar="NAME", help="DICOM report of the volumes in OUT/SCAN/, --format dcm"
    )
    group.add_argument("--identifiers", action="store_true", help="the report names file, patient and study")
    group.add_argument("--follow-links", action="store_true", help="in folders, take links wherever they lead")
    group.add_argument("--batch-size", type=positive_int, metavar="N", help="slices computed together")
    model_options(parser)
    threads_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    from monai_semgan.cohort.watch_rules import WatchRules
    from monai_semgan.cohort.watching import locked_output

    use_access(arguments)
    refuse_files_to_send(arguments)
    modalities = tuple(arguments.modality)
    rules = WatchRules(modalities, tuple(arguments.description), tuple(arguments.not_description))
    arguments.modality = rules.modalities[0] if len(set(rules.modalities)) == 1 else "auto"
    arguments.series = None
    settings = settings_of(arguments)
    _check_source(arguments.input, arguments.output)
    output = prepared_folder(arguments.output)
    with locked_output(output):
        return _watch(arguments, rules, settings, output)


def _watch(arguments: argparse.Namespace, rules: WatchRules, settings: CohortSettings, output: Path) -> int:
    from monai_semgan.cohort.watching import Watch

    default = EVERY_FOLDER if isinstance(arguments.input, Path) else EVERY_ARCHIVE
    every = arguments.every or default

    def make_runner() -> Runner:
        from monai_semgan.cohort.case_runner import CaseRunner

        return CaseRunner(settings, output)

    source = _source(arguments, output)
    watch = Watch(source, rules, settings, output, make_runner, retry=arguments.retry, every=every)
    organs = organs_of(settings)
    try:
        with stopped_by_term():
            if not arguments.once:
                watch.load()
                say(f"watching {arguments.input}, a look every {every:g} s; Ctrl-C ends")
            failed = _follow(watch, arguments.once, organs)
    except KeyboardInterrupt:
        watch.summarise(organs)
        sys.stderr.write("semgan: stopped; finished scans are kept, the same command goes on\n")
        return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if failed else 0


def _follow(watch: Watch, once: bool, organs: list[str]) -> bool:
    """Print what happens; returns at the end of `once` whether a scan failed."""
    from monai_semgan.cohort.watching import Back, Look, Outcome, Trouble

    first, failed, look = True, False, None
    with contextlib.closing(watch.events(once)) as events:  # type: ignore[type-var]
        for event in events:
            if isinstance(event, Look):
                look = event
                if first:
                    _tell_first(watch, event)
                watch.summarise(organs, now=first)
                first = False
            elif isinstance(event, Outcome):
                say(f"{_now()} {event.case.name}: {told(event.record)}")
                failed = failed or is_bad(event.record)
                watch.summarise(organs, now=False)
            elif isinstance(event, Trouble):
                note(f"{_now()} {event.message}; the watch goes on")
            elif isinstance(event, Back):
                note(f"{_now()} the source can be looked at again")
    if look is not None and look.waiting:
        note(f"{look.waiting} scans still change, and are left for the next time")
    say(f"wrote {watch.summarise(organs)}")
    return failed


def _tell_first(watch: Watch, look: Look) -> None:
    """Say what is there at the start, and which rules leave out how many."""
    counts = watch.counts(look)
    total, finished, failed = len(look.taken), counts["finished"], counts["failed"]
    again = f", {failed} failed before (--retry tries them again)" if failed else ""
    say(f"{total} scans there, {finished} finished before{again}, {total - finished - failed} to do")
    if counts["otherwise"]:
        note(f"{counts['otherwise']} were made with other options or another version, and stay; another OUT makes all")
    if look.others:
        note(f"{len(look.others)} series left out by rules")
    for pattern in watch.rules.idle([*look.taken, *look.others]):
        note(f"no description that is there now fits {pattern!r}")
    if look.single:
        note(f"{look.single} series of single images left out, such as overviews")


def _source(arguments: argparse.Namespace, output: Path) -> ArrivalSource:
    from monai_semgan.cohort.arrivals import ArchiveArrivals, FolderArrivals
    from monai_semgan.cohort.records import load_records

    if isinstance(arguments.input, Path):
        return FolderArrivals(arguments.input, output, load_records(output).values(), arguments.follow_links)
    return ArchiveArrivals(arguments.input, output)


def _check_source(source: Any, output: Path) -> None:
    """Refuse what cannot be watched.

    Raises:
        SemganError: it is no folder, or that of the results.
    """
    if not isinstance(source, Path):
        return
    if not source.is_dir():
        problem = "is no folder" if source.exists() else "no such folder"
        raise SemganError(problem, remedy="give a folder or dicomweb:URL", path=source)
    if source.resolve() == output.resolve():
        raise SemganError("is watched, and cannot hold the results", remedy="choose another OUT", path=output)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


_seconds.__name__ = "number of seconds"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
