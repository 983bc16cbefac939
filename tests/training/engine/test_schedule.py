"""Durations, schedules and learning rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.training.engine.schedule import (
    CLOCKS,
    Schedule,
    Stopwatch,
    constant_factor,
    cosine_factor,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("25m", 1500), ("1.5h", 5400), ("1h30m", 5400), ("2d", 172800), ("45", 45), (10, 10), (" 5 m", 300)],
)
def test_durations_are_understood(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "abc", "10x", "-5m", "0", "1h30", "inf", float("nan"), -1])
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(SemganError):
        parse_duration(text)


def test_whichever_end_comes_first_counts() -> None:
    schedule = Schedule(steps=100, budget=10.0)
    assert schedule.fraction(50, 1.0) == 0.5
    assert schedule.fraction(10, 9.0) == 0.9
    assert schedule.done(100, 0.0) and schedule.done(0, 10.0) and not schedule.done(99, 9.9)


@pytest.mark.parametrize("ends", [{}, {"steps": 0}, {"budget": 0.0}])
def test_a_schedule_needs_an_end(ends: dict[str, float]) -> None:
    with pytest.raises(SemganError):
        Schedule(**ends)  # type: ignore[arg-type]


def test_time_spent_in_a_pause_does_not_count_and_earlier_time_does() -> None:
    now = [0.0]
    watch = Stopwatch(elapsed=100.0, clock=lambda: now[0])
    now[0] = 5.0
    with watch.paused():
        now[0] = 65.0
        assert watch.elapsed == 105.0
        with watch.paused():
            now[0] = 70.0
    now[0] = 72.0
    assert watch.elapsed == 107.0


def test_processor_time_is_that_of_all_threads_working_undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.process_time", lambda: 12.0)
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    watch = Stopwatch(clock=CLOCKS["processor"])
    monkeypatch.setattr("time.process_time", lambda: 32.0)
    assert watch.elapsed == 5.0


@given(fraction=st.floats(0, 1))
def test_learning_rate_factors_stay_between_zero_and_one(fraction: float) -> None:
    assert 0.0 <= cosine_factor(fraction) <= 1.0
    assert 0.0 <= constant_factor(fraction) <= 1.0


def test_the_cosine_warms_up_and_ends_at_zero() -> None:
    assert cosine_factor(0.0) < 0.05 and cosine_factor(0.05) == pytest.approx(1.0)
    assert cosine_factor(1.0) == pytest.approx(0.0, abs=1e-9)
