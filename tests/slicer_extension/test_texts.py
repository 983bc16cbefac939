"""Progress and durations are told in words."""

from __future__ import annotations

import pytest
from SemGANLib.Texts import duration, running_text
from SemGANLib.Types import Job


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
