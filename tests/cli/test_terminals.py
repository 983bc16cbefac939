"""Other people's terminals: encodings that lack a name's letters, closed pipes and streams, full disks."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.cohort.cases import find_cases
from monai_semgan.utils.files import utf8
from tests.phantoms import grid, labels_at, patient, points_of, save_nifti

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names of bytes and sh are POSIX")

NAMES = ("plain", "Müller", "患者", "\N{MATHEMATICAL FRAKTUR CAPITAL U}nfall", os.fsdecode(b"scan \xff\xfe"))
"""Latin-1, Chinese, beyond 16 bits, and bytes that are no UTF-8."""

TERMINALS: dict[str, dict[str, str]] = {
    "ASCII": {"PYTHONIOENCODING": "ascii:strict"},
    "Windows": {"PYTHONIOENCODING": "cp1252:strict"},
    "strict UTF-8": {"PYTHONIOENCODING": "utf-8:strict"},
    "no locale, no UTF-8 mode": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}

RUN_ALL = """\
import json, os, sys
from monai_semgan.cli import main
lines = json.loads(sys.argv[1])
codes = [main([os.fsdecode(part.encode("utf-8", "surrogateescape")) for part in line]) for line in lines]
sys.exit(max(codes))
"""


def run(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, env=environment, timeout=240)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, itself no text, of scans of all names with their labels and a list."""
    folder = tmp_path_factory.mktemp("names") / os.fsdecode(b"Klinik \xe4 \xc3\xa4")
    folder.mkdir()
    affine, shape = grid((12.0, 12.0, 16.0))
    label, entries = labels_at(points_of(affine, shape)), []
    for number, name in enumerate(NAMES):
        array = np.round(patient(affine, shape, seed=number).array)
        save_nifti(folder / f"{name}.nii.gz", array, affine)
        save_nifti(folder / f"{name}_label.nii.gz", label, affine)
        entries.append({"image": f"{name}.nii.gz", "label": f"{name}_label.nii.gz", "patient": name})
    (folder / "list.json").write_text(json.dumps({"training": entries[:-1], "validation": entries[-1:]}))
    return folder


def commands(folder: Path, out: Path, bundle: Path) -> list[list[str]]:
    model = ["--bundle", str(bundle), "--device", "cpu"]
    scans, odd = str(folder / "list.json"), str(folder / f"{NAMES[-1]}.nii.gz")
    beside = ["--maps", str(out / "maps"), "--overlay", str(out / "ä\udcff.png"), "--report", str(out / "report")]
    scored = ["evaluate", "--data", scans, "--section", "training"]
    size = ["--size", "32", "--pixel-mm", "11", "--device", "cpu"]
    return [
        ["segment", odd, "-o", str(out / f"{NAMES[-1]}.nii.gz"), "--identifiers", *beside, *model],
        ["segment", odd, "-o", str(out / f"{NAMES[-1]}.nii"), *model],
        ["segment", scans, "-o", str(out / "cohort"), *model],
        [*scored, "--predictions", str(out / "cohort"), "--out", str(out / "scores"), *model],
        ["evaluate", "--data", scans, "--section", "validation", "--out", str(out / "of model"), *model],
        ["info", *model],
        ["train", "student", "--data", scans, "--out", str(out.parent / "run"), "--steps", "1", *size],
    ]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("terminal", TERMINALS)
def test_every_command_shows_and_writes_every_name_on_every_terminal(
    terminal: str, named: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / os.fsdecode(b"out \xff")
    done = run(RUN_ALL, json.dumps(commands(named, out, tiny_bundle)), **TERMINALS[terminal])
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"Traceback" not in done.stderr and b"internal error" not in done.stderr
    assert rb"scan \udcff\udcfe" in done.stdout
    rows = table(out / "cohort" / "cohort.csv")
    assert [row["status"] for row in rows] == ["done"] * len(NAMES)
    assert {Path(row["input"]).name for row in rows} == {utf8(f"{name}.nii.gz").decode() for name in NAMES}
    assert {row["patient"] for row in table(out / "scores" / "scores.csv")} == set(NAMES[:-1])
    scores = json.loads((out / "of model" / "scores.json").read_text(encoding="utf-8"))
    assert [item["patient"] for item in scores["patients"]] == [NAMES[-1]]
    assert r"scan \xff\xfe" in (out / "report" / "report.html").read_text(encoding="utf-8")


def test_processes_of_a_cohort_tell_names_that_the_terminal_lacks(
    named: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    (named / "Bruch \N{SNOWMAN}.nii.gz").write_bytes(b"no scan")
    arguments = ["segment", str(named), "-o", str(tmp_path / "out"), "--bundle", str(tiny_bundle), "--jobs", "2"]
    done = run(RUN_ALL, json.dumps([[*arguments, "--device", "cpu"]]), PYTHONIOENCODING="ascii:strict")
    (named / "Bruch \N{SNOWMAN}.nii.gz").unlink()
    assert done.returncode == 3, done.stderr
    assert rb"Bruch \u2603: FAILED:" in done.stdout
    assert [row["status"] for row in table(tmp_path / "out" / "cohort.csv")].count("done") == len(NAMES)


@pytest.mark.parametrize("end", ["| head -n 1", "2>&1 | head -n 1", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_cohort_goes_on_when_nobody_listens(end: str, named: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    arguments = [str(named), "-o", str(tmp_path / "out"), "--bundle", str(tiny_bundle), "--device", "cpu"]
    done = piped(end, ["segment", *arguments])
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
    assert (tmp_path / "code").read_text() == "0\n", done.stderr
    assert [row["status"] for row in table(tmp_path / "out" / "cohort.csv")] == ["done"] * len(NAMES)
    assert len(find_cases(tmp_path / "out", tmp_path).cases) == len(NAMES)


@pytest.mark.parametrize(
    ("end", "code"), [("| head -n 1", "0"), ("| true", "0"), (">&-", "0"), ("2>&-", "0"), (">/dev/full", "2")]
)
def test_what_a_full_disk_did_not_take_is_no_success(end: str, code: str, tmp_path: Path) -> None:
    done = piped(end, ["info", "--device", "cpu"], tmp_path)
    assert (tmp_path / "code").read_text() == f"{code}\n"
    assert (b"standard output cannot be written: No space left" in done.stderr) == (code == "2")
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


def piped(end: str, arguments: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command with an end of a shell's line behind it; its exit code goes into the file `code`."""
    folder = folder or Path(arguments[arguments.index("-o") + 1]).parent
    before, pipe, after = end.partition("|")
    line = f'{{ "$0" -m monai_semgan "$@" {before}; echo $? >"$CODE"; }} {pipe}{after}'
    if before.strip() == "2>&1":  # also what the shell's group says goes into the pipe
        line = f'{{ "$0" -m monai_semgan "$@"; echo $? >"$CODE"; }} 2>&1 |{after}'
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CODE": str(folder / "code")}
    return subprocess.run(
        ["sh", "-c", line, sys.executable, *arguments], capture_output=True, env=environment, timeout=240
    )
