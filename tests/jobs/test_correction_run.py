"""A correction in the worker: results as they come, what stays in memory, and what is missing on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label
from monai_semgan.jobs.contract import Part
from monai_semgan.jobs.correction_contract import CorrectionRequest
from monai_semgan.jobs.storage.correction_files import STROKES, save_request
from monai_semgan.jobs.storage.result_files import LABEL, LATENTS, MAPS, REPORT, drop_versions, read_result, versions
from monai_semgan.jobs.workers.correction_run import CorrectionRun
from monai_semgan.jobs.workers.corrector_shelf import CorrectorShelf
from monai_semgan.jobs.workers.job_runner import JobRun
from monai_semgan.jobs.workers.messages import CorrectionTask, Task
from monai_semgan.jobs.workers.turns import JobTurn
from monai_semgan.utils.file_state import file_state, fingerprint

pytestmark = pytest.mark.label

ROOT, FIRST, SECOND, AGAIN = ("0" * 31 + digit for digit in "abcd")
FAR = 1000.0
NEVER_AGAIN = 1e9
"""Seconds between two partial results, the first of which comes at once all the same."""

MakeStudies = Callable[[], Path]


class Bench:
    """A job that has ended, and a worker's means to correct it."""

    def __init__(self, bundle: Path, scan: Path, jobs: Path) -> None:
        self.bundle: Bundle = load_bundle(bundle, "cpu")
        self.scan, self.jobs = scan, jobs
        self.shelf = CorrectorShelf()
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.cancelled: set[str] = set()
        self.cancel_at: tuple[str, int] | None = None
        root = self.task(ROOT)
        assert self.run(JobRun(root, self.bundle, self.say, self.turn(ROOT), 0.0)) == ("done", "done")
        self.made = self.newest(ROOT)

    def say(self, said: str, job: str = "", **values: Any) -> None:
        self.said.append((said, values))
        if self.cancel_at == (said, values.get("version", 0)):
            self.cancelled.add(job)

    def turn(self, job: str) -> JobTurn:
        return JobTurn(job, self.say, None, self.cancelled)

    @staticmethod
    def run(run: Any) -> tuple[str, str]:
        state, message = run.run()
        return str(state), str(message)

    def task(self, job: str) -> Task:
        return Task(
            job,
            str(self.scan),
            str(self.jobs / job / "result"),
            str(self.bundle.folder),
            "preview",
            tuple(self.bundle.labels),
            report=False,
            image_state=fingerprint(file_state(self.scan)),
        )

    def newest(self, job: str) -> Path:
        results = self.jobs / job / "result"
        return results / str(versions(results)[-1])

    def correct(
        self,
        job: str,
        row: int,
        before: str = ROOT,
        earlier: tuple[str, ...] = (),
        reach_mm: float = FAR,
        dropped: int = 0,
        report: bool = False,
    ) -> Any:
        """State and message of a correction by a scribble of three voxels in a row of slice 2."""
        label = self.newest(before) / LABEL
        shape = read_label(label).array.shape
        first = 3 + shape[0] * (row + shape[1] * 2)
        name = self.bundle.labels[2]
        strokes = [{"structure": name, "runs": [[first, 3]]}]
        request = CorrectionRequest.model_validate({"strokes": strokes, "shape": shape})
        save_request(self.jobs / job, request, None)
        correction = CorrectionTask(
            root=ROOT,
            state=before,
            label=str(label),
            latents=str(self.newest(before) / LATENTS),
            requests=(str(self.jobs / job / STROKES),),
            earlier=tuple(str(self.jobs / one / STROKES) for one in earlier),
            result=str(self.made),
            reach_mm=reach_mm,
            dropped=dropped,
        )
        task = replace(self.task(job), correction=correction, report=report)
        run = CorrectionRun(task, correction, self.bundle, self.say, self.turn(job), NEVER_AGAIN, self.shelf)
        ended = self.run(run)
        run.report()
        return ended

    def label(self, job: str) -> np.ndarray:
        return read_label(self.newest(job) / LABEL).array


@pytest.fixture
def bench(tiny_bundle: Path, make_studies: MakeStudies, tmp_path: Path) -> Bench:
    return Bench(tiny_bundle, make_studies() / "ct.nii.gz", tmp_path)


def results_of(bench: Bench) -> list[int]:
    """Versions that were told since the last question."""
    found = [values["version"] for said, values in bench.said if said == "result"]
    bench.said.clear()
    return found


def test_the_touched_slice_is_written_at_once_and_the_rest_as_often_as_is_wanted(bench: Bench) -> None:
    bench.said.clear()
    assert bench.correct(FIRST, 3) == ("done", "done")
    assert results_of(bench) == [1, 2]
    partial, whole = (read_result(bench.jobs / FIRST / "result" / version) for version in ("1", "2"))
    assert partial.partial and not whole.partial and partial.job == whole.job == FIRST
    touched = read_label(bench.jobs / FIRST / "result" / "1" / LABEL).array
    assert (touched[3:6, 3, 2] == 2).all()
    assert (touched[..., 4:] == bench.label(ROOT)[..., 4:]).all()


def test_maps_are_those_of_the_job_and_are_not_written_again(bench: Bench) -> None:
    bench.correct(FIRST, 3)
    assert (bench.newest(FIRST) / MAPS).samefile(bench.made / MAPS)


def test_a_correction_that_is_cancelled_keeps_the_slices_until_then(bench: Bench) -> None:
    bench.cancel_at = ("result", 1)
    assert bench.correct(FIRST, 3) == ("cancelled", "cancelled")
    label, before = bench.label(FIRST), bench.label(ROOT)
    assert (label[3:6, 3, 2] == 2).all() and (label[..., 4:] == before[..., 4:]).all()
    assert not read_result(bench.newest(FIRST)).partial


def test_a_worker_that_has_just_been_started_finds_what_one_finds_that_remembers_the_scan(bench: Bench) -> None:
    bench.correct(FIRST, 3)
    bench.correct(SECOND, 4, before=FIRST, earlier=(FIRST,))
    remembered = bench.label(SECOND)
    assert "reading the scan" not in [values.get("message") for _, values in bench.said[-8:]]
    bench.shelf = CorrectorShelf()
    bench.correct(AGAIN, 4, before=FIRST, earlier=(FIRST,))
    assert (bench.label(AGAIN) == remembered).all()


def test_results_of_a_worker_that_died_are_followed_by_those_of_the_next(bench: Bench) -> None:
    bench.correct(FIRST, 3)
    bench.correct(FIRST, 3)
    assert versions(bench.jobs / FIRST / "result") == [3, 4]


def test_results_after_one_that_was_dropped_have_higher_numbers(bench: Bench) -> None:
    bench.correct(FIRST, 3, dropped=5)
    assert versions(bench.jobs / FIRST / "result") == [6, 7]


def test_a_worker_that_remembers_a_result_that_was_dropped_goes_on_from_the_one_that_took_its_place(
    bench: Bench,
) -> None:
    bench.correct(FIRST, 3, reach_mm=0.0)
    remembered = bench.shelf.take(bench.shelf.keys[0])
    assert remembered is not None
    drop_versions(bench.jobs / FIRST / "result")
    bench.correct(FIRST, 6, reach_mm=0.0, dropped=2)  # by another worker, without the strokes of before
    bench.shelf.put(bench.shelf.keys[0], remembered)
    bench.correct(SECOND, 5, before=FIRST, earlier=(FIRST,), reach_mm=0.0)
    assert (bench.label(SECOND)[3:6, 3, 2] == bench.label(ROOT)[3:6, 3, 2]).all()
    assert (bench.label(SECOND)[3:6, 6, 2] == 2).all()


def test_the_page_tells_of_all_strokes_that_the_label_follows_and_of_its_volumes_before_and_after(bench: Bench) -> None:
    bench.correct(FIRST, 3, report=True)
    bench.correct(SECOND, 6, before=FIRST, earlier=(FIRST,), report=True)
    first, second = ((bench.newest(job) / REPORT).read_text(encoding="utf-8") for job in (FIRST, SECOND))
    assert "corrected by hand with 1 stroke;" in first and "corrected by hand with 2 strokes" in second
    assert "what the model found (preview)" in second
    name, before, after = bench.bundle.labels[2], read_result(bench.made), read_result(bench.newest(SECOND))
    for result in (before, after):
        assert f'<td class="n">{result.volumes_ml[name]:.1f}</td>' in second
    assert before.volumes_ml != after.volumes_ml and Part.report in after.parts
    assert not list(bench.jobs.glob(".*.part"))


def test_no_page_is_written_where_nobody_wants_it(bench: Bench) -> None:
    bench.correct(FIRST, 3)
    assert Part.report not in read_result(bench.newest(FIRST)).parts


def test_after_undo_a_correction_goes_on_from_the_label_of_before(bench: Bench) -> None:
    bench.correct(FIRST, 3, reach_mm=0.0)
    bench.correct(SECOND, 6, before=ROOT, reach_mm=0.0)
    remembered = bench.label(SECOND)
    bench.shelf = CorrectorShelf()
    bench.correct(AGAIN, 6, before=ROOT, reach_mm=0.0)
    assert (bench.label(AGAIN) == remembered).all()


def test_latents_that_are_damaged_are_done_without(bench: Bench) -> None:
    bench.correct(FIRST, 3)
    bench.shelf = CorrectorShelf()
    (bench.newest(FIRST) / LATENTS).write_bytes(b"no latents")
    assert bench.correct(SECOND, 4, before=FIRST) == ("done", "done")


def test_strokes_that_are_gone_are_missed_in_words(bench: Bench) -> None:
    with pytest.raises(SemganError, match="send the strokes again"):
        bench.correct(FIRST, 3, earlier=("d" * 32,))


def test_a_scan_that_was_replaced_meanwhile_is_not_corrected(bench: Bench, make_studies: MakeStudies) -> None:
    bench.correct(FIRST, 3)
    run = bench.task(SECOND)
    bench.scan.write_bytes((bench.scan.parent / "mr.nii.gz").read_bytes())
    correction = replace(run, image_state="another")
    bench.task = lambda job: replace(correction, job=job, results=str(bench.jobs / job / "result"))  # type: ignore[method-assign]
    with pytest.raises(SemganError, match="replaced, changed or removed"):
        bench.correct(SECOND, 4, before=FIRST)


def test_scans_that_take_much_memory_are_not_kept_side_by_side(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from monai_semgan.jobs.workers import corrector_shelf

    bench.correct(FIRST, 3)
    (key,) = bench.shelf.keys
    shelved = bench.shelf.take(key)
    assert shelved is not None
    bench.shelf.put(key, shelved)
    bench.shelf.put(("other", "", None), shelved)
    assert bench.shelf.keys == [key, ("other", "", None)]
    monkeypatch.setattr(corrector_shelf, "KEPT_BYTES", 1)
    bench.shelf.put(("third", "", None), shelved)
    assert bench.shelf.keys == [("third", "", None)]
