"""A run survives kill -9, Ctrl-C, and can be shared by two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed import TCPStore

from monai_semgan.networks.weights import load_weights
from tests.training.phantoms import TINY, train

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16, 16), "generated_fraction": 0.0, "checkpoint_steps": 5}

SECONDS = 300
"""Only so that a process that hangs ends the test."""

SCRIPT = """
import json, sys
import torch
torch.set_num_threads(1)
from monai_semgan.training.run import train
from monai_semgan.training.training_settings import TrainSettings
train("student", sys.argv[1], sys.argv[2], TrainSettings.gather(json.loads(sys.argv[3])))
"""


def alone() -> dict[str, str]:
    """Environment of a process that finds the package and works by itself."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}


@contextmanager
def pair() -> Iterator[list[dict[str, str]]]:
    """Environments of two processes as `torchrun` makes them, which also holds the store where they meet."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # takes a port that nobody can take away
    shared = {**alone(), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    shared["TORCHELASTIC_USE_AGENT_STORE"] = "True"
    yield [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]


def start(
    datalist: Path, out: Path, settings: dict[str, Any], environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(datalist), str(out), json.dumps(settings)]
    return subprocess.Popen(command, env=environment or alone())


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < end, "no checkpoint in time"
        time.sleep(0.02)


def step_of(out: Path) -> int:
    return int(torch.load(out / "student" / "checkpoint.pt")["step"])


def test_a_run_killed_with_signal_9_resumes_and_ends_as_if_never_killed(datalist: Path, tmp_path: Path) -> None:
    settings = {**STUDENT, "steps": 150}
    process = start(datalist, tmp_path / "killed", settings)
    wait_for(tmp_path / "killed" / "student" / "checkpoint.pt", process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < step_of(tmp_path / "killed") < 150
    (resumed,) = train("student", datalist, tmp_path / "killed", resume=True, **settings)
    assert resumed.steps == 150 and resumed.finished
    train("student", datalist, tmp_path / "whole", **settings)
    killed, whole = (load_weights(tmp_path / d / "model.pt") for d in ("killed", "whole"))
    assert all(torch.equal(killed[name], whole[name]) for name in whole)


def test_ctrl_c_writes_a_checkpoint_and_ends_cleanly(datalist: Path, tmp_path: Path) -> None:
    process = start(datalist, tmp_path, {**STUDENT, "steps": 100_000, "checkpoint_steps": 3})
    wait_for(tmp_path / "student" / "checkpoint.pt", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=SECONDS) == 0
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["step"] == step_of(tmp_path) > 0 and not record["finished"]


def test_a_slot_ends_the_process_and_the_next_one_goes_on(datalist: Path, tmp_path: Path) -> None:
    settings = {**STUDENT, "budget": "5s"}
    (first,) = train("student", datalist, tmp_path, slot=0.8, **settings)
    assert not first.finished and not first.cancelled
    (second,) = train("student", datalist, tmp_path, resume=True, **settings)
    assert second.finished and second.steps > first.steps
    assert first.seconds < 0.95 * 5.0 <= second.seconds, "the time of the first slot counts"


def test_gradients_are_averaged_and_weights_shared_between_two_processes() -> None:
    script = """
    import torch
    from monai_semgan.training.engine.distributed import Workers
    workers = Workers(torch.device("cpu"))
    layer = torch.nn.Linear(3, 2)
    torch.nn.init.constant_(layer.weight, float(workers.rank))
    workers.share([layer])
    assert (layer.weight == 0).all()
    layer.weight.grad = torch.full_like(layer.weight, 1.0 + workers.rank)
    if workers.rank == 0:
        layer.bias.grad = torch.ones(2)
    workers.average_gradients(layer.parameters())
    assert (layer.weight.grad == 1.5).all() and (layer.bias.grad == 0.5).all()
    assert workers.agree(10.0 + workers.rank, workers.rank == 1) == (10.0, True)
    workers.close()
    """
    with pair() as environments:
        command = [sys.executable, "-c", textwrap.dedent(script)]
        processes = [subprocess.Popen(command, env=environment) for environment in environments]
        assert [process.wait(timeout=SECONDS) for process in processes] == [0, 0]


def test_two_processes_train_one_model(datalist: Path, tmp_path: Path) -> None:
    settings = {**STUDENT, "steps": 6}
    with pair() as environments:
        processes = [start(datalist, tmp_path / "two", settings, environment) for environment in environments]
        assert [process.wait(timeout=SECONDS) for process in processes] == [0, 0]
    record = json.loads((tmp_path / "two" / "student" / "record.json").read_text())
    assert record["images"] == 6 * 4 * 2 and record["machine"]["processes"] == 2
    train("student", datalist, tmp_path / "one", **settings)
    two, one = (load_weights(tmp_path / d / "model.pt") for d in ("two", "one"))
    assert any(not torch.equal(two[name], one[name]) for name in one), "the second process had no say"
