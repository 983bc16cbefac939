"""Who watches an inversion hears of every step, may end it, and may look at what it has found."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from monai_semgan.errors import Cancelled
from tests.inversion.conftest import assert_same_latents
from tests.inversion.search_phantoms import BASE, invert, same


def test_everything_ends_when_all_slices_have_converged(case):
    steps = []
    settings = replace(BASE, steps=50, patience=2, batch_size=5)
    result = invert(case, settings, start=case.latent, on_step=lambda event: steps.append((event.phase, event.step)))
    assert steps == [("start", 0), ("step", 0), ("step", 1), ("step", 2)]
    assert result.converged.all() and not result.cancelled


def test_the_callback_hears_of_the_start_and_of_every_step(case):
    heard = []

    def on_step(event):
        losses = event.losses
        finite = losses is not None and losses.shape == (5,) and bool(losses.isfinite().all())
        heard.append((event.phase, event.step, event.steps, event.slices, event.converged, finite))

    invert(case, replace(BASE, steps=4, batch_size=5), on_step=on_step)
    assert heard == [("start", 0, 4, 5, 0, False), *(("step", step, 4, 5, 0, True) for step in range(5))]


def test_the_steps_of_restarts_are_counted_through(case):
    heard = []
    settings = replace(BASE, steps=2, restarts=2, batch_size=5)
    invert(case, settings, on_step=lambda event: heard.append((event.step, event.steps)))
    assert heard == [(0, 4), (0, 4), (1, 4), (2, 4), (2, 4), (3, 4), (4, 4)]


def stopping_at(step, phase="step"):
    def on_step(event):
        if event.phase == phase and event.step == step:
            raise Cancelled

    return on_step


def test_cancelling_leaves_a_valid_result_with_the_best_latents_so_far(case):
    result = invert(case, replace(BASE, steps=40), on_step=stopping_at(6))
    full = invert(case, replace(BASE, steps=40))
    assert result.cancelled and not full.cancelled
    assert result.steps_done.tolist() == [6] * 5
    assert result.curve[7:].isnan().all()
    torch.testing.assert_close(result.curve[:7], full.curve[:7], atol=1e-4, rtol=1e-3)
    assert (result.curve[:7].amin(0) < result.curve[0]).all()
    assert result.label.shape == case.label.shape and result.probabilities.isfinite().all()
    torch.testing.assert_close(result.probabilities.sum(1), torch.ones_like(result.probabilities[:, 0]))


def test_a_wish_to_stop_is_heard_between_batches(case):
    heard = []

    def on_step(event):
        heard.append(event.phase)
        if heard.count("batch") == 2:
            raise Cancelled

    result = invert(case, replace(BASE, batch_size=1), on_step=on_step)
    assert heard == ["start", "batch", "batch"]
    assert result.cancelled
    assert result.curve[0, :2].isfinite().all() and result.curve[0, 2:].isnan().all()
    assert_same_latents(result.latent[2:], case.start[2:])
    assert result.probabilities.isfinite().all()


@pytest.mark.parametrize("start", ["encoder", "mean", "best"])
def test_a_wish_to_stop_at_the_start_still_gives_a_whole_result(case, start):
    settings = replace(BASE, start=start, organ_margin=1, restarts=2)
    result = invert(case, settings, start=None, on_step=stopping_at(0, "start"))
    assert result.cancelled and result.steps_done.tolist() == [0] * 5
    assert result.probabilities.isfinite().all()


@pytest.mark.parametrize("objective,restarts", [("l1", 1), ("l1", 2), ("map", 2)])
def test_a_partial_result_is_the_best_until_then_and_stays_as_it_is(case, objective, restarts):
    kept = []

    def on_step(event):
        if event.phase == "step" and event.step == 4 * restarts:
            found = event.partial()
            kept.append((found, found.latent.clone(), found.label.clone()))

    settings = replace(BASE, steps=6, objective=objective, restarts=restarts, refit_every=3)
    watched = invert(case, settings, on_step=on_step)
    same(watched, invert(case, settings), tolerance=0.0)
    ((partial, latent, label),) = kept
    assert not partial.cancelled and partial.probabilities.isfinite().all()
    assert partial.latent.same(latent).all() and torch.equal(partial.label, label)
    if restarts == 1:
        same(partial, invert(case, settings, on_step=stopping_at(4)), tolerance=0.0)
