"""Processes of a cohort that die before or between scans."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from monai_semgan.cohort import workers
from monai_semgan.cohort.cases import Case
from monai_semgan.cohort.cohort_settings import CohortSettings, case_key
from monai_semgan.cohort.records import load_record
from monai_semgan.cohort.workers import run_cases
from monai_semgan.errors import SemganError

CHILD = """
import os, signal, sys, threading
from pathlib import Path
from monai_semgan.utils.processes import parent_messages, run_child

marks = Path(sys.argv[1])

def first(name):
    try:
        (marks / name).open("x").close()
    except FileExistsError:
        return False
    return True

def work(say):
    say("starting")
    for message in parent_messages():
        if message["say"] == "settings":
            {on_start}
            say("ready")
        elif message["say"] == "case":
            case = message["case"]
            {on_case}
            say("begun")
            {on_begun}
            record = {{"case": case["name"], "input": case["path"], "status": "done", "key": "k"}}
            say("record", record=record)
            {on_answer}

run_child(work)
"""

DIE = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes processes that only pretend to segment, and do what a test wants at a moment that it names."""

    def make(**moments: str) -> None:
        code = CHILD.format(**{**dict.fromkeys(("on_start", "on_case", "on_begun", "on_answer"), "pass"), **moments})
        command = [sys.executable, "-c", code, str(tmp_path)]
        monkeypatch.setattr(workers, "module_command", lambda module: command)
        monkeypatch.setattr(workers, "can_fork", lambda device: False)

    return make


def outcomes(tmp_path: Path, count: int = 6) -> dict[str, tuple[str, str]]:
    (tmp_path / ".cohort").mkdir()
    cases = [Case(f"c{number}", Path(f"c{number}.nii")) for number in range(count)]
    found = [(case.name, record) for case, record in run_cases(cases, CohortSettings(), tmp_path, jobs=2)]
    assert len(found) == count
    return {name: (record.status, record.message) for name, record in found}


def test_a_process_that_dies_at_a_scan_costs_that_scan(tmp_path: Path, pretend) -> None:
    pretend(on_begun=f'if case["name"] == "c2": {DIE}')
    found = outcomes(tmp_path)
    status, message = found.pop("c2")
    assert status == "failed" and "its process was killed (signal 9)" in message
    record = load_record(tmp_path, "c2")
    assert record is not None and record.message == message
    assert record.key == case_key(CohortSettings().key(), Case("c2", Path("c2.nii"))), "the table shows it"
    assert {status for status, _ in found.values()} == {"done"}


def test_a_process_that_dies_between_scans_costs_none(tmp_path: Path, pretend) -> None:
    pretend(on_answer=f'if first("death"): {DIE}')
    assert {status for status, _ in outcomes(tmp_path).values()} == {"done"}


def test_a_scan_that_was_not_begun_is_given_out_again_once(tmp_path: Path, pretend) -> None:
    pretend(on_case=f'if case["name"] == "c1": {DIE}')
    found = outcomes(tmp_path)
    assert found.pop("c1")[0] == "failed"
    assert {status for status, _ in found.values()} == {"done"}


def test_a_process_that_dies_at_its_start_is_replaced(tmp_path: Path, pretend) -> None:
    pretend(on_start=f'if first("death"): {DIE}')
    assert {status for status, _ in outcomes(tmp_path).values()} == {"done"}


def test_processes_that_never_start_end_the_cohort_with_the_reason(
    tmp_path: Path, pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "TRIES", 1)
    pretend(on_start=DIE)
    with pytest.raises(SemganError, match=r"every process was killed \(signal 9\) before its first scan; lower --jobs"):
        outcomes(tmp_path)


def test_a_model_that_cannot_be_used_ends_the_cohort_with_the_reason(tmp_path: Path, pretend) -> None:
    pretend(on_start='say("broken", message="weights are missing"); return 1')
    with pytest.raises(SemganError, match="weights are missing"):
        outcomes(tmp_path)
