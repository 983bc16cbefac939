"""A young job is looked at often; a server that does not answer is asked again for a while."""

from __future__ import annotations

import pytest
from SemGANLib.Runs.Patience import PATIENCE_SECONDS, QUICK_FOR_SECONDS, Patience
from SemGANLib.Server.Errors import ConnectionLost, Refused


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def patience(now: list[float]) -> Patience:
    return Patience(lambda: now[0])


def test_a_job_is_looked_at_less_often_once_it_is_no_preview(patience, now):
    young = patience.pause()
    now[0] += QUICK_FOR_SECONDS + 1
    assert patience.pause() > young
    patience.begin()
    assert patience.pause() == young


def test_a_broken_connection_is_borne_until_the_server_was_silent_for_too_long(patience, now):
    now[0] += PATIENCE_SECONDS - 1
    assert patience.bears(ConnectionLost("the connection broke"))
    now[0] += 2
    assert not patience.bears(ConnectionLost("the connection broke"))
    patience.answered()
    assert patience.bears(ConnectionLost("the connection broke"))


@pytest.mark.parametrize("error", [Refused("no such job"), ValueError("a fault of ours")])
def test_what_does_not_pass_is_not_borne(patience, error):
    assert not patience.bears(error)
