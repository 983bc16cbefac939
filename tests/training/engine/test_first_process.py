"""What the first process does for all: the others wait for it, and no error of it leaves them waiting."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from monai_semgan.training.engine.distributed import Workers
from tests.training.engine.test_kill_and_workers import SECONDS, STUDENT, pair

BEGIN = """
import time
import torch
torch.set_num_threads(1)
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.training.engine.distributed import Workers
workers = Workers(torch.device("cpu"))
"""


def in_two_processes(script: str, *arguments: str) -> list[str]:
    """What each of two processes prints, which have begun to work together; both must end well."""
    return printed_by_two(BEGIN + textwrap.dedent(script) + "\nworkers.close()", *arguments)


def printed_by_two(script: str, *arguments: str) -> list[str]:
    """What each of two processes prints; both must end well."""
    command = [sys.executable, "-c", script, *arguments]
    with pair() as environments:
        started = [subprocess.Popen(command, env=one, stdout=subprocess.PIPE, text=True) for one in environments]
        try:
            printed = [process.communicate(timeout=SECONDS)[0] for process in started]
        finally:
            for process in started:
                process.kill()
    assert [process.returncode for process in started] == [0, 0]
    return printed


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_no_thread_of_the_group_stays_when_a_process_leaves_it_whatever_was_imported_meanwhile() -> None:
    script = """
    import ignite.engine
    import monai.apps
    import monai.bundle
    import monai_semgan.training.run
    from pathlib import Path
    def threads():
        found = set()
        for name in Path("/proc/self/task").glob("*/comm"):
            try:
                found.add(name.read_text().strip())
            except OSError:  # it has just ended
                pass
        return found
    own = {"gloo_tcp_loop", "pt_gloo_runloop"}
    workers.agree(1.0, False)
    print(sorted(own & threads()))
    workers.close()
    end = time.monotonic() + 60
    while own & threads() and time.monotonic() < end:
        time.sleep(0.01)  # Linux lists a thread a moment longer than its end is waited for
    print(sorted(own & threads()))
    """
    for text in in_two_processes(script):
        assert text == "['gloo_tcp_loop', 'pt_gloo_runloop']\n[]\n"


def test_a_plan_of_two_processes_leaves_the_group_which_could_abort_them_at_their_exit(
    datalist: Path, tmp_path: Path
) -> None:
    script = """
    import sys
    import torch
    torch.set_num_threads(1)
    from monai_semgan.training.planning.plan_use import plan_training
    made = plan_training(sys.argv[1], sys.argv[2])[1]
    print(made, torch.distributed.is_initialized())
    """
    printed = printed_by_two(textwrap.dedent(script), str(datalist), str(tmp_path / "run"))
    assert printed == ["True False\n"] * 2


def test_one_process_alone_does_everything_itself() -> None:
    alone = Workers(torch.device("cpu"))
    assert [alone.first(lambda: 1), alone.first_decides(lambda: 2), alone.first_then_others(lambda: 3)] == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        alone.first(lambda: 1 / 0)


def test_the_first_process_works_while_others_wait_and_decides_for_all(tmp_path: Path) -> None:
    script = """
    import sys
    from pathlib import Path
    done = Path(sys.argv[1], "done")
    def work():
        time.sleep(0.5)
        done.touch()
        return "made"
    print(workers.first(work), done.exists())
    print(workers.first_decides(lambda: workers.rank + 5), workers.first_then_others(lambda: workers.rank))
    """
    assert in_two_processes(script, str(tmp_path)) == ["made True\n5 0\n", "None True\n5 1\n"]


def test_an_error_of_the_first_process_is_raised_by_all() -> None:
    script = """
    def fail(error):
        raise error
    for how in (workers.first, workers.first_decides, workers.first_then_others):
        try:
            how(lambda: fail(SemganError("is full", remedy="make room", path="disk")))
        except SemganError as error:
            print(error, "|", error.problem, "|", error.remedy)
    for error in (Cancelled("later"), KeyError("odd"), KeyboardInterrupt()):
        try:
            workers.first(lambda: fail(error))
        except BaseException as error:
            print(type(error).__name__, error)
    """
    first, other = (text.splitlines() for text in in_two_processes(script))
    assert first[:4] == other[:4] == ["disk: is full; make room | is full | make room"] * 3 + ["Cancelled later"]
    assert first[4:] == ["KeyError 'odd'", "KeyboardInterrupt "]
    assert other[4].startswith("RuntimeError the first process has failed: KeyError")
    assert other[5].startswith("RuntimeError the first process has failed: KeyboardInterrupt")


TRAIN = """
import json, sys
from pathlib import Path
from monai_semgan.training.engine import stage_folder
from monai_semgan.training.engine.run_lock import locked_run
from monai_semgan.training.run import train
from monai_semgan.training.training_settings import TrainSettings
out, how = Path(sys.argv[2]), sys.argv[4]
if how == "disk full" and workers.is_main:
    def full(*arguments, **others):
        raise SemganError("the disk is full", path=out)
    stage_folder.save_atomically = full
if how == "locked" and workers.is_main:
    import threading
    from filelock import FileLock
    out.mkdir()
    held = FileLock(out / ".lock", thread_local=False)
    threading.Thread(target=held.acquire).start()
    while not held.is_locked:
        time.sleep(0.01)
try:
    train("student", sys.argv[1], out, TrainSettings.gather(json.loads(sys.argv[3])))
    print("trained")
except SemganError as error:
    print(error.problem)
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("no scan", "the data list is empty"),
        ("disk full", "the disk is full"),
        ("locked", "another process trains in this folder"),
    ],
)
def test_a_training_of_two_processes_ends_on_both_when_the_first_cannot_go_on(
    how: str, told: str, datalist: Path, tmp_path: Path
) -> None:
    settings = {**STUDENT, "steps": 2, "plan": how == "no scan"}
    if how == "no scan":
        datalist = tmp_path / "empty.json"
        datalist.write_text('{"training": []}')
        del settings["num_classes"]
    printed = in_two_processes(TRAIN, str(datalist), str(tmp_path / "run"), json.dumps(settings), how)
    assert [text.strip() for text in printed] == [told, told]


def test_all_processes_try_pairs_or_none_although_one_is_slower() -> None:
    script = """
    from types import SimpleNamespace
    from monai_semgan.training.pair_trial import TrialScores
    from monai_semgan.training.stages import pair_decision
    from monai_semgan.training.stages.student_settings import StudentSettings
    pair_decision.divide = lambda slices: ([1], [2])
    pair_decision.affordable = lambda trial, *others: None if workers.rank == slow else trial
    pair_decision.try_pairs = lambda *arguments: TrialScores(0.5, 0.75)
    pool = SimpleNamespace(first=lambda count: None, acceptance=0.5)
    context = SimpleNamespace(
        workers=workers, device=workers.device, num_classes=3, slices=None, schedule=None, seed=0, should_stop=None
    )
    for slow in (0, 1):
        print(pair_decision.decide(context, pool, StudentSettings()).with_pairs)
    """
    first, other = in_two_processes(script)
    assert first == other == "None\n0.75\n"
