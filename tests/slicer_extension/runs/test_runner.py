"""Work runs in threads, and its outcome is applied in the main thread."""

from __future__ import annotations

import threading
import time

from SemGANLib.Runs.Runner import Runner


def pumped(runner: Runner, until: object, seconds: float = 60.0) -> None:
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
    deadline = time.monotonic() + 60
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
    deadline = time.monotonic() + 60
    while not heard and time.monotonic() < deadline:
        timer.call()
    assert heard == [5]
    runner.close()
    assert timer.call is None
