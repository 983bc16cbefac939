"""Progress and durations are told in words."""

from __future__ import annotations

import pytest
from SemGANLib.Texts import connected_text, consent_text, duration, phase_text, running_text
from SemGANLib.Types.JobTypes import Job
from SemGANLib.Types.ServerTypes import Health, Worker


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (
            Job("0", "running", step=12, steps=60, slices=90, slices_converged=31, loss=(1.0,), eta_seconds=40.0),
            "Step 12 of 60, 31 of 90 slices done, about 40 s left",
        ),
        (Job("0", "running", step=3, steps=90, slices=90), "Step 3 of 90"),
        (Job("0", "running", message="reading the scan"), "Reading the scan"),
        (Job("0", "running"), "Running"),
        (
            Job("0", "running", step=59, steps=60, message="takes longer than expected"),
            "Step 59 of 60, takes longer than expected",
        ),
    ],
)
def test_progress_is_told_in_words(job, text):
    assert running_text(job) == text


def test_durations_are_told_in_units_that_fit():
    assert [duration(seconds) for seconds in (0.2, 40, 100, 3600)] == ["1 s", "40 s", "2 min", "60 min"]


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        (("cpu",), " on CPU."),
        (("cuda:0", "cuda:1"), " on GPU."),
        (("cpu", "cuda:0"), " on CPU, GPU."),
        (("auto",), "no model."),
    ],
)
@pytest.mark.parametrize("ready", [True, False])
def test_device_and_readiness_are_told_in_words(devices, told, ready):
    health = Health(version="0.2.0", ready=ready, workers=tuple(Worker(device, "ready") for device in devices))
    first, second = connected_text("http://127.0.0.1:8000", health, ()).splitlines()
    assert first.startswith("Ready: " if ready else "Warming up") and first.endswith(told)
    assert second == "Connected to http://127.0.0.1:8000, SemGAN 0.2.0."


@pytest.mark.parametrize(
    ("phase", "job", "text"),
    [
        ("queued", Job("0", "queued", position=2), "Waiting: 2 before this one"),
        ("queued", Job("0", "queued", position=1, eta_seconds=30.0), "Waiting: 1 before this one, done in about 30 s"),
        ("queued", Job("0", "queued", position=0), "Waiting for the server to begin"),
        ("paused", Job("0", "paused"), "Paused: a preview goes first, then this goes on where it was"),
        ("paused", Job("0", "paused", message="paused for a preview"), "Paused for a preview"),
        ("warming", Job("0", "warming"), "The server loads the model; this is done once"),
    ],
)
def test_waiting_is_told_with_its_reason(phase, job, text):
    assert phase_text(phase, job) == text


@pytest.mark.parametrize(
    ("states", "told"),
    [
        (("starting",), "Warming up"),
        (("warming", "stopped"), "Warming up"),
        (("busy", "warming"), "Busy"),
        (("stopped",), "Stopped"),
        ((), "Warming up"),
    ],
)
def test_a_server_that_is_not_ready_says_what_it_does(states, told):
    health = Health(ready=False, workers=tuple(Worker("cpu", state) for state in states))
    assert connected_text("http://127.0.0.1:8000", health, ()).startswith(told)


@pytest.mark.parametrize(
    ("keep", "told"), [(86400.0, "after 24 hours at the latest"), (7 * 86400.0, "after 7 days at the latest")]
)
def test_before_a_volume_is_sent_it_is_told_how_long_it_stays(keep, told):
    assert told in consent_text("CT", "https://server", keep)
    assert "at the latest" not in consent_text("CT", "https://server"), "an older server does not say"
