"""The library is light to import, and its small parts do what they say."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from SemGANLib.Runs.Runner import Runner
from SemGANLib.Signal import Signal
from SemGANLib.Texts import duration, running_text
from SemGANLib.Types import Job

from tests.slicer_extension.conftest import MODULE

LIBRARY = MODULE / "SemGANLib"

HEAVY = ("torch", "monai", "requests", "numpy", "vtk", "slicer", "qt", "ctk", "SimpleITK", "pydantic", "monai_semgan")


def sources() -> list[Path]:
    """All files of the library."""
    return sorted(LIBRARY.rglob("*.py"))


def top_imports(path: Path) -> set[str]:
    """Packages that a file imports when it is imported itself."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


def test_importing_the_library_pulls_in_nothing_heavy():
    code = "import sys\nbefore = set(sys.modules)\nimport SemGANLib.Logic\nprint(*(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], cwd=MODULE, capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {
        f"SemGANLib.{name}" for name in ("Server.Client", "Server.Nrrd", "Runs.Results", "Runs.Runs", "Datastore.Review")
    } <= loaded
    packages = {name.split(".")[0] for name in loaded}
    assert not packages & set(HEAVY)
    assert packages - set(sys.stdlib_module_names) <= {"SemGANLib", *_of_the_interpreter()}


def _of_the_interpreter() -> set[str]:
    """Third-party modules that any program of this environment loads."""
    code = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_no_file_imports_more_at_its_top_than_slicer_ships():
    allowed = {*sys.stdlib_module_names, "qt", "ctk", "slicer", "vtk", "numpy", "SemGANLib"}
    for path in [*sources(), MODULE / "SemGAN.py"]:
        assert top_imports(path) <= allowed, path.name


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_the_syntax_is_that_of_python_3_9(path):
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    for node in ast.walk(tree):
        assert not isinstance(node, getattr(ast, "Match", ())), "match came with 3.10"
        if isinstance(node, ast.Call):
            words = {keyword.arg for keyword in node.keywords}
            assert not words & {"slots", "kw_only"}, "dataclass options of 3.10"
            assert not (getattr(node.func, "id", "") == "zip" and "strict" in words), "zip(strict=) came with 3.10"
    assert not sources_without_future(path), "annotations such as `X | None` need it"


def sources_without_future(path: Path) -> bool:
    """Whether annotations would be evaluated at import."""
    text = path.read_text(encoding="utf-8")
    return "from __future__ import annotations" not in text and (" | " in text or "[" in text)


# runner


def pumped(runner: Runner, until: object, seconds: float = 5.0) -> None:
    """Pump until something is so."""
    deadline = time.monotonic() + seconds
    while not until():  # type: ignore[operator]
        assert time.monotonic() < deadline
        runner.pump()
        time.sleep(0.002)


def test_work_runs_elsewhere_and_its_outcome_is_applied_here():
    runner, threads = Runner(), []
    runner.run(threading.get_ident, threads.append, lambda error: None)
    pumped(runner, lambda: threads)
    assert threads[0] != threading.get_ident()
    here: list[int] = []
    runner.run(lambda: None, lambda _: here.append(threading.get_ident()), lambda error: None)
    pumped(runner, lambda: here)
    assert here == [threading.get_ident()]
    runner.close()


def test_errors_of_work_come_back():
    runner, errors = Runner(), []
    runner.run(lambda: 1 / 0, lambda _: None, errors.append)
    pumped(runner, lambda: errors)
    assert isinstance(errors[0], ZeroDivisionError)
    runner.close()


def test_nothing_is_heard_of_dropped_work():
    runner, heard = Runner(), []
    task = runner.run(lambda: time.sleep(0.05), heard.append, heard.append)
    runner.later(0.0, lambda: heard.append("alarm")).drop()
    task.drop()
    pumped(runner, lambda: runner.open == 0)
    assert not heard
    runner.close()


def test_an_error_while_applying_does_not_stop_the_others(caplog):
    runner, heard = Runner(), []
    runner.run(lambda: 1, lambda _: 1 / 0, lambda error: None)
    pumped(runner, lambda: runner.open == 0)
    runner.run(lambda: 2, heard.append, lambda error: None)
    pumped(runner, lambda: heard)
    assert "SemGAN" in caplog.text
    runner.close()


def test_alarms_ring_in_order_when_their_time_has_come():
    now = [0.0]
    runner, heard = Runner(clock=lambda: now[0]), []
    runner.later(2.0, lambda: heard.append("late"))
    runner.later(1.0, lambda: heard.append("early"))
    runner.pump()
    assert not heard
    now[0] = 3.0
    runner.pump()
    assert heard == ["early", "late"]
    runner.close()


def test_a_closed_runner_takes_no_work_and_its_threads_leave():
    before = threading.active_count()
    runner, heard = Runner(threads=2), []
    runner.run(lambda: 1, heard.append, heard.append)
    runner.close()
    runner.run(lambda: 1, heard.append, heard.append)
    runner.pump()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
    assert 2 not in heard


class HandTimer:
    """A timer that the test turns."""

    call = None

    def start(self, milliseconds, call):
        """Remember."""
        self.call = call

    def stop(self):
        """Forget."""
        self.call = None


def test_a_timer_pumps_until_the_runner_is_closed():
    timer, heard = HandTimer(), []
    runner = Runner(timer)
    runner.run(lambda: 5, heard.append, lambda error: None)
    deadline = time.monotonic() + 5
    while not heard and time.monotonic() < deadline:
        timer.call()
    assert heard == [5]
    runner.close()
    assert timer.call is None


# signals and texts


def test_a_signal_reaches_everybody_once_in_order():
    signal, heard = Signal("text"), []
    signal.connect(heard.append)
    signal.connect(heard.append)
    signal.connect(lambda text: heard.append(text.upper()))
    signal.emit("a")
    assert heard == ["a", "A"]
    signal.disconnect(heard.append)
    signal.disconnect(heard.append)
    signal.emit("b")
    assert heard == ["a", "A", "B"]


def test_one_that_is_disconnected_while_a_signal_is_emitted_is_not_called():
    signal, heard = Signal(), []

    def second() -> None:
        heard.append("second")

    signal.connect(lambda: signal.disconnect(second))
    signal.connect(second)
    signal.emit()
    assert not heard


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (
            Job("0", "running", step=12, steps=60, slices=90, slices_converged=31, loss=(1.0,), eta_seconds=40.0),
            "Step 12 of 60, 31 of 90 slices converged, about 40 s left",
        ),
        (Job("0", "running", step=3, steps=90, slices=90), "Step 3 of 90"),
        (Job("0", "running", message="reading the scan"), "reading the scan"),
        (Job("0", "running"), "Running"),
    ],
)
def test_progress_is_told_in_words(job, text):
    assert running_text(job) == text


def test_durations_are_told_in_units_that_fit():
    assert [duration(seconds) for seconds in (0.2, 40, 100, 3600)] == ["1 s", "40 s", "2 min", "60 min"]
