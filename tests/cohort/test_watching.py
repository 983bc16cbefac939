"""What a watch takes, when, and how often; the model is one that only notes what it was given."""

from __future__ import annotations

import contextlib
import csv
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.cohort.arrivals import ArchiveArrivals, ArrivalSource, FolderArrivals
from monai_semgan.cohort.attempts import ATTEMPTS, attempt, mark_path
from monai_semgan.cohort.cases import Case
from monai_semgan.cohort.cohort_settings import CohortSettings, case_key, input_state
from monai_semgan.cohort.records import DONE, FAILED, SENT, Record, load_records, save_record
from monai_semgan.cohort.watch_rules import WatchRules
from monai_semgan.cohort.watching import Event, Look, Outcome, Trouble, Watch, locked_output
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.errors import SemganError
from tests.dicom_phantoms import datasets, write_series
from tests.dicomweb.odd_answers import Answer
from tests.dicomweb.odd_archive import OddArchive

AFFINE = np.diag([-5.0, -5.0, 5.0, 1.0])


class Runner:
    """Notes the names of scans, and makes the records that a test wants."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.worked: list[str] = []

    def run_once(self, case: Case) -> Record:
        self.worked.append(case.name)
        key = case_key(self.bench.settings.key(), case)
        record = self.bench.outcome(Record(case.name, case.source, DONE, key, state=input_state(case)))
        save_record(self.bench.output, record)
        return record


class Bench:
    """A folder or archive, and watches of it one after the other."""

    def __init__(self, folder: Path, address: str = "") -> None:
        self.incoming, self.output, self.address = folder / "in", folder / "out", address
        self.incoming.mkdir(exist_ok=True)
        (self.output / ".cohort").mkdir(parents=True, exist_ok=True)
        self.settings = CohortSettings()
        self.outcome: Callable[[Record], Record] = lambda record: record
        self.runner = Runner(self)

    def watch(self, rules: WatchRules | None = None, **options) -> Watch:
        """Begin anew, as after a restart."""
        source: ArrivalSource = FolderArrivals(self.incoming, self.output, load_records(self.output).values())
        if self.address:
            source = ArchiveArrivals(parse_address(self.address), self.output)
        self.runner = Runner(self)
        rules = rules or WatchRules()
        return Watch(source, rules, self.settings, self.output, lambda: self.runner, every=1e-6, **options)

    def events(self, *meanwhile: Callable[[], object], rules: WatchRules | None = None, **options) -> list[Event]:
        """Watch anew, for as many looks as things happen between them, and one more."""
        steps = iter(meanwhile)
        found: list[Event] = []
        with contextlib.suppress(EndOfTest):
            for event in self.watch(rules, **options).events(sleep=lambda seconds: next(steps, end)()):
                found.append(event)
        return found

    def names(self, *meanwhile: Callable[[], object], **options) -> list[str]:
        """Watch anew, and tell the names of the scans that were worked at."""
        self.events(*meanwhile, **options)
        return self.runner.worked

    def series(self, folder: str, modality: str = "CT", uid: str = "1.2.3", count: int = 4, **tags) -> Path:
        """Put a series into the folder."""
        stack = datasets(np.zeros((6, 5, count)), AFFINE, modality, (1.0, 0.0), SeriesInstanceUID=uid, **tags)
        return write_series(self.incoming / folder, stack)


class EndOfTest(Exception):
    """There is nothing more to wait for."""


def end() -> None:
    """End a watch that waits."""
    raise EndOfTest


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def nothing() -> None:
    """Let time pass."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_scan_is_taken_when_it_has_not_changed_between_two_looks_and_once(bench: Bench) -> None:
    scan = bench.incoming / "anna.nii.gz"
    grow = lambda: scan.write_bytes(b"more of it")  # noqa: E731
    scan.write_bytes(b"begun")
    events = bench.events(grow, nothing, nothing, nothing)
    assert kinds(events) == ["Look", "Look", "Look", "Outcome", "Look", "Look"] and bench.runner.worked == ["anna"]


def test_a_series_with_images_that_come_late_is_done_with_all_of_them(bench: Bench) -> None:
    late = bench.series("study", count=6)
    kept = sorted(late.iterdir())[3:]
    away = bench.output / "away"
    away.mkdir()
    moved = [Path(shutil.move(file, away)) for file in kept]
    come = lambda: [shutil.move(file, late) for file in moved]  # noqa: E731
    assert len(bench.names(come, nothing, nothing)) == 1
    assert bench.names(nothing, nothing) == [], "a restart does nothing again"


def test_each_series_of_a_folder_is_a_scan_and_neither_scouts_nor_results_are(bench: Bench) -> None:
    bench.series("flat", uid="1.2.1", SeriesNumber=1)
    bench.series("flat/deep", uid="1.2.2", SeriesNumber=2, modality="MR")
    bench.series("flat/scout", uid="1.2.9", count=1, SeriesNumber=9)
    bench.series("flat/pet", modality="PT", uid="1.2.8")
    bench.series("flat/result", modality="SEG", uid="1.2.7")
    events = bench.events(nothing)
    assert [name[:5] for name in bench.runner.worked] == ["ct_1_", "mr_2_"]
    first = events[0]
    assert isinstance(first, Look) and first.single == 1


def test_a_copy_of_a_series_elsewhere_is_not_done_again(bench: Bench) -> None:
    made = bench.series("one")
    assert len(bench.names(nothing)) == 1
    assert bench.names(lambda: shutil.copytree(made, bench.incoming / "two" / "copy"), nothing, nothing) == []


def test_results_inside_the_watched_folder_are_not_watched(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.output = bench.incoming / "out"
    (bench.output / ".cohort").mkdir(parents=True)
    (bench.incoming / "anna.nii.gz").write_bytes(b"scan")
    for name in ("bert.nii.gz", "deep.nrrd"):
        (bench.output / name).write_bytes(b"label")
    bench.series("out/fetched")
    assert bench.names(nothing, nothing) == ["anna"]


def test_a_scan_keeps_its_name_when_another_of_that_name_comes(bench: Bench) -> None:
    for folder in ("anna", "bert"):
        (bench.incoming / folder).mkdir()
    scan = lambda name: lambda: (bench.incoming / name).write_bytes(b"scan")  # noqa: E731
    scan("anna/ct.nii.gz")()
    assert bench.names(nothing, scan("bert/CT.nii.gz"), nothing, nothing) == ["ct", "bert__CT"]
    assert bench.names(scan("ct.nrrd"), nothing, nothing)[0] not in ("ct", "bert__CT")
    assert bench.names(nothing, nothing) == []


def test_what_was_finished_stays_whatever_options_come_and_whoever_takes_results_away(bench: Bench) -> None:
    (bench.incoming / "anna.nii.gz").write_bytes(b"scan")
    assert bench.names(nothing) == ["anna"]
    bench.settings = CohortSettings(mode="refine", format="seg.nrrd")
    assert bench.names(nothing, nothing) == []
    watch = bench.watch()
    look = next(iter(watch.events(sleep=lambda seconds: None)))
    assert isinstance(look, Look) and watch.counts(look) == {"finished": 1, "otherwise": 1, "failed": 0}


def test_what_changed_is_done_again(bench: Bench) -> None:
    scan = bench.incoming / "anna.nii.gz"
    scan.write_bytes(b"scan")
    assert bench.names(nothing) == ["anna"]
    scan.write_bytes(b"another")
    assert bench.names(nothing) == ["anna"]


def test_what_failed_is_tried_again_when_it_changes_or_is_asked_for(bench: Bench) -> None:
    scan = bench.incoming / "anna.nii.gz"
    scan.write_bytes(b"broken")

    bench.outcome = lambda record: replace(record, status=FAILED, message="broken")
    assert bench.names(nothing, nothing, nothing) == ["anna"]
    assert bench.names(nothing, nothing) == []
    assert bench.names(nothing, nothing, nothing, retry=True) == ["anna"]
    scan.write_bytes(b"mended")
    bench.outcome = lambda record: record
    assert bench.names(nothing, nothing) == ["anna"]
    assert bench.names(nothing, retry=True) == [], "it has not failed again"


def test_rules_by_modality_and_description_of_series_and_study(bench: Bench) -> None:
    bench.series("a", uid="1.2.1", SeriesNumber=1, SeriesDescription="Abdomen VENOUS 3mm", StudyDescription="Liver")
    bench.series("b", uid="1.2.2", SeriesNumber=2, SeriesDescription="Lung", StudyDescription="Liver")
    bench.series("c", "MR", uid="1.2.3", SeriesNumber=3, SeriesDescription="T2", StudyDescription="Spine")
    (bench.incoming / "liver_venous.nii.gz").write_bytes(b"scan")

    def taken(**rules) -> list[str]:
        look = bench.events(rules=WatchRules(**rules))[0]
        assert isinstance(look, Look) and len(look.taken) + len(look.others) == 4
        return ["file" if one.modality == "" else one.case.name[:4] for one in look.taken]

    assert taken() == ["file", "ct_1", "ct_2", "mr_3"]
    assert taken(modalities=("mri",)) == ["file", "mr_3"]
    assert taken(wanted=("*venous*",)) == ["file", "ct_1"]
    assert taken(wanted=("liver", "t2")) == ["ct_1", "ct_2", "mr_3"]
    assert taken(unwanted=("lung", "*.nii.gz")) == ["ct_1", "mr_3"]
    look = bench.events()[0]
    assert isinstance(look, Look)
    assert WatchRules(wanted=("liver*", "x*"), unwanted=("LUNG",)).idle(look.taken) == ["x*"]
    with pytest.raises(SemganError, match="use CT, MR, or CT,MR"):
        WatchRules(("CT", "DX"))


def table(output: Path) -> dict[str, dict[str, str]]:
    with open(output / "cohort.csv", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def test_the_table_keeps_scans_that_were_moved_away_and_shows_no_numbers_of_another_input(bench: Bench) -> None:
    for name in ("anna", "bert", "carl"):
        (bench.incoming / f"{name}.nii.gz").write_bytes(b"scan")
    bench.names(nothing)
    (bench.incoming / "anna.nii.gz").unlink()
    (bench.incoming / "bert.nii.gz").write_bytes(b"another")
    watch = bench.watch()
    next(iter(watch.events()))
    watch.summarise(["liver"])
    assert {name: row["status"] for name, row in table(bench.output).items()} == {
        "anna": "done",
        "bert": "open",
        "carl": "done",
    }


def test_one_watch_at_a_time_writes_into_a_folder(bench: Bench) -> None:
    with (
        locked_output(bench.output),
        pytest.raises(SemganError, match="another semgan watch writes"),
        locked_output(bench.output),
    ):
        pass
    with locked_output(bench.output):
        pass


def test_a_scan_that_kills_its_process_is_counted_until_one_lives(tmp_path: Path) -> None:
    def killed() -> int:
        with attempt(tmp_path, "anna", "key") as died:
            content = mark_path(tmp_path, "anna").read_text()
        mark_path(tmp_path, "anna").write_text(content)  # as of a process that never came to its end
        return died

    assert [killed() for _ in range(ATTEMPTS + 1)] == [0, 1, 2, 3]
    with attempt(tmp_path, "anna", "another key") as died:
        assert died == 0
    assert not mark_path(tmp_path, "anna").exists()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[OddArchive]:
    with OddArchive() as server:
        yield server


@pytest.fixture
def distant(tmp_path: Path, archive: OddArchive) -> Bench:
    return Bench(tmp_path, f"dicomweb:{archive.url}")


def test_a_series_in_an_archive_waits_for_its_last_image(distant: Bench, archive: OddArchive) -> None:
    files = sorted(distant.series("x", count=6).iterdir())
    archive.add(files[:4])
    come = lambda: archive.add(files[4:])  # noqa: E731
    events = distant.events(come, nothing, nothing)
    assert kinds(events) == ["Look", "Look", "Look", "Outcome", "Look"]
    assert distant.names(nothing, nothing) == []


@pytest.mark.parametrize("status", [401, 500, 503])
def test_an_archive_that_does_not_answer_is_told_once_and_once_that_it_is_back(
    status: int, distant: Bench, archive: OddArchive
) -> None:
    archive.add(distant.series("x").iterdir())
    spoil = lambda: archive.spoil("series", lambda answer: Answer(status))  # noqa: E731
    spoil()
    events = distant.events(nothing, nothing, archive.heal, nothing, nothing)
    assert kinds(events) == ["Trouble", "Back", "Look", "Look", "Outcome", "Look"]
    trouble = events[0]
    assert isinstance(trouble, Trouble) and str(status) in trouble.message and archive.netloc in trouble.message
    with pytest.raises(SemganError, match=str(status)):
        spoil()
        list(distant.watch().events(once=True, sleep=lambda seconds: None))


def test_scans_that_an_archive_did_not_give_are_tried_again_and_not_told_while_it_is_down(
    distant: Bench, archive: OddArchive
) -> None:
    for uid in ("1.2.1", "1.2.2"):
        archive.add(distant.series(uid, uid=uid).iterdir())
    failures = [{"status": FAILED, "message": "down", "again": True}]
    distant.outcome = lambda record: replace(record, **failures.pop()) if failures else record
    down = lambda: archive.spoil("series", lambda answer: Answer(503), 1)  # noqa: E731
    events = distant.events(nothing, down, nothing, nothing, nothing)
    assert [kind for kind in kinds(events) if kind != "Look"] == ["Trouble", "Back", "Outcome", "Outcome"]
    assert len(distant.runner.worked) == 3 and len(set(distant.runner.worked)) == 2


def test_a_scan_that_an_archive_never_gives_is_told_while_the_others_go_on(distant: Bench, archive: OddArchive) -> None:
    for uid in ("1.2.1", "1.2.2"):
        archive.add(distant.series(uid, uid=uid).iterdir())
    bad: list[str] = []

    def outcome(record: Record) -> Record:
        bad[:] = bad or [record.case]
        return replace(record, status=FAILED, message="500", again=True) if record.case in bad else record

    distant.outcome = outcome
    events = distant.events(nothing, nothing, nothing, nothing)
    told = [event.record.status for event in events if isinstance(event, Outcome)]
    assert told.count(DONE) == 1 and told.count(FAILED) >= 1 and "Trouble" not in kinds(events)


def test_results_that_an_archive_refused_wait_for_a_retry_and_those_of_one_that_was_down_do_not(
    distant: Bench, archive: OddArchive
) -> None:
    archive.add(distant.series("x").iterdir())
    assert len(distant.names(nothing)) == 1
    distant.settings = CohortSettings(format="dcm", send=True)

    def worked(sent: str, again: bool = False, looks: int = 1, **options) -> int:
        distant.outcome = lambda record: replace(record, sent=sent, again=again)
        return len(distant.names(*[nothing] * looks, **options))

    assert worked("not sent: down", again=True) == 1, "what was finished without --send is sent with it"
    assert worked("not sent: refused") == 1, "it was down"
    assert worked(SENT, looks=2) == 0, "it was refused"
    assert worked(SENT, looks=2, retry=True) == 1
    assert worked(SENT, looks=2) == 0
