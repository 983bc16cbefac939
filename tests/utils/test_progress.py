"""Whoever works long can be stopped, and tells what is being done."""

from __future__ import annotations

import io
import os
import signal
import threading

import pytest

from monai_semgan.errors import Cancelled
from monai_semgan.utils.progress import CancelToken, NullProgress, StepEvent, on_step_of
from monai_semgan.utils.progress_bar import BarProgress


def test_the_first_ctrl_c_asks_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    said = io.StringIO()
    with CancelToken("stopping", said) as token:
        bar = BarProgress(token=token, stream=io.StringIO())
        assert not bar.should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert bar.should_stop() and "stopping" in said.getvalue()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 1) if hasattr(signal, "sigtimedwait") else None
    assert signal.getsignal(signal.SIGINT) is before


def test_a_token_works_outside_the_main_thread_without_signals() -> None:
    states = []

    def work() -> None:
        with CancelToken() as token:
            token.cancel()
            states.append(token.cancelled)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert states == [True]


def test_no_progress_never_stops() -> None:
    progress = NullProgress()
    progress.update(1, 2, "anything", loss=1.0)
    assert not progress.should_stop()


def test_ctrl_c_during_a_segmentation_cancels_it() -> None:
    token = CancelToken()
    on_step = on_step_of(BarProgress(token=token, stream=io.StringIO()))
    on_step(StepEvent("preview", 1, 3, 3))
    token.cancel()
    with pytest.raises(Cancelled):
        on_step(StepEvent("preview", 2, 3, 3))


def test_a_partial_result_is_made_only_when_asked_for() -> None:
    made: list[int] = []
    event = StepEvent("step", 1, 2, make_partial=lambda: made.append(1) or 20)  # type: ignore[func-returns-value]
    converted = event.converted(lambda value: value + 1)
    assert made == []
    assert converted.partial() == 21 and made == [1]
    assert StepEvent("preview", 1, 2).converted(str).partial() is None
