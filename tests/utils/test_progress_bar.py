"""The bar on a terminal and the lines in a log file say where the work stands, and when it will end."""

from __future__ import annotations

import io

import torch

from monai_semgan.utils.progress import StepEvent, on_step_of
from monai_semgan.utils.progress_bar import BarProgress


def test_the_bar_shows_message_count_and_eta() -> None:
    stream = io.StringIO()
    with BarProgress(stream=stream) as bar:
        for done in range(4):
            bar.update(done, 3, "segmenting slice", loss=0.5)
    assert "segmenting slice 3/3" in stream.getvalue()
    assert "ETA" in stream.getvalue() and "loss=0.5" in stream.getvalue()


def test_a_count_that_falls_back_begins_a_new_bar() -> None:
    stream = io.StringIO()
    with BarProgress(stream=stream) as bar:
        bar.update(5, 5, "first")
        bar.update(0, 5, "second")
    assert "first 5/5" in stream.getvalue() and "second 0/5" in stream.getvalue()


def test_the_steps_of_a_segmentation_are_shown_on_a_bar() -> None:
    stream = io.StringIO()
    with BarProgress(stream=stream) as bar:
        on_step = on_step_of(bar)
        on_step(StepEvent("preview", 3, 3, 3))
        on_step(StepEvent("start", 0, 5, 3))
        on_step(StepEvent("batch", 0, 5, 3))
        on_step(StepEvent("step", 5, 5, 3, 1, torch.tensor([0.25, float("nan"), 0.75])))
    shown = stream.getvalue()
    for part in ("segmenting slice 3/3", "finding latents to start from, step 0/5", "inverting step 5/5", "loss=0.5"):
        assert part in shown


def test_a_search_without_steps_still_comes_to_its_end_on_the_bar() -> None:
    stream = io.StringIO()
    with BarProgress(stream=stream) as bar:
        on_step_of(bar)(StepEvent("start", 0, 0, 3))
        on_step_of(bar)(StepEvent("step", 0, 0, 3, 0, torch.zeros(3)))
    assert "0/1" in stream.getvalue() and "1/1" in stream.getvalue()


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def logged(seconds: int, total: int = 1800, **values: float) -> list[str]:
    """Lines in a log file of work that tells every second where it stands."""
    stream, clock = io.StringIO(), Clock()
    with BarProgress(stream=stream, clock=clock) as bar:
        for second in range(seconds + 1):
            clock.now = 100.0 + second
            bar.update(second, total, "student", **values)
    assert "\r" not in stream.getvalue()
    return stream.getvalue().splitlines()


def test_a_log_file_gets_lines_with_the_truth_at_sensible_intervals() -> None:
    lines = logged(1800)
    assert lines[0] == "student 0/1800, 00:00, ETA ?"
    assert lines[1] == "student 10/1800, 00:10, ETA 29:50"
    assert lines[-1] == "student 1800/1800, 30:00, ETA 00:00"
    assert 40 < len(lines) < 100


def test_hours_fill_a_log_file_with_hundreds_of_lines_at_most() -> None:
    assert len(logged(40_000, 40_000)) < 250


def test_work_that_ends_early_leaves_its_last_state() -> None:
    assert logged(17)[-1] == "student 17/1800, 00:17, ETA 29:43"


def test_a_time_left_that_is_told_is_shown_in_place_of_an_estimate() -> None:
    assert logged(1, total=4, ETA=3700.0, loss=0.25)[-1] == "student 25 %, 00:01, ETA 1:01:40, loss=0.25"


def test_a_terminal_gets_a_bar_with_the_time_left_that_is_told() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with BarProgress(stream=stream) as bar:
        bar.update(1, 4, "student", ETA=75.0, dice=0.875)
        bar.update(4, 4, "student", ETA=0.0, dice=0.9)
    shown = stream.getvalue()
    assert "student 25 % |" in shown and "ETA 01:15, dice=0.875" in shown and "student 100 % |" in shown
