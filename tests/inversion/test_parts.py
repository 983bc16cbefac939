"""The parts of an inversion, each by itself."""

from __future__ import annotations

import math

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.inversion.adam import SliceAdam, learning_rate_factor
from monai_semgan.inversion.constraints import constrained_slices, impose
from monai_semgan.inversion.guidance import LabelGuidance
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.prior import LatentPrior
from monai_semgan.inversion.restarts import varied_start
from monai_semgan.inversion.result import predictive_entropy, residual_map
from monai_semgan.inversion.stopping import SliceTracker
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.networks import Latent


def nothing(count: int) -> Latent:
    """Latents of so many slices, all 0."""
    return Latent(torch.zeros(count, 1, 1), torch.zeros(count, 1, 1, 1))


def test_adam_moves_rows_as_torch_does():
    ours = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    theirs = [row.clone().requires_grad_() for row in ours]
    adam, reference = SliceAdam(ours), torch.optim.Adam(theirs, lr=0.1)
    for step in range(5):
        gradient = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(step))
        for row, grad in zip(theirs, gradient, strict=True):
            row.grad = grad
        adam.step(torch.arange(3), gradient, 0.1)
        reference.step()
    torch.testing.assert_close(ours, torch.stack([row.detach() for row in theirs]))


def test_adam_leaves_rows_alone_that_have_dropped_out():
    rows = torch.zeros(3, 2)
    adam = SliceAdam(rows)
    adam.step(torch.tensor([0, 2]), torch.ones(2, 2), 0.1)
    assert (rows[1] == 0).all() and (rows[[0, 2]] < 0).all()


@pytest.mark.parametrize("steps", [1, 2, 7, 60])
@pytest.mark.parametrize("warmup,decay", [(0.1, 0.5), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_no_step_is_wasted_on_a_learning_rate_of_zero(steps, warmup, decay):
    factors = [learning_rate_factor(step, steps, warmup, decay) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    if decay == 0.0 and warmup < 1.0:
        assert factors[-1] == 1.0


def test_the_learning_rate_rises_stays_and_falls():
    factors = [learning_rate_factor(step, 100, 0.1, 0.5) for step in range(100)]
    assert factors[:10] == sorted(factors[:10]) and factors[50:] == sorted(factors[50:], reverse=True)
    assert set(factors[9:50]) == {1.0} and factors[-1] < 0.01


def test_the_tracker_keeps_the_best_and_notices_idling():
    tracker = SliceTracker(nothing(2), torch.ones(2, dtype=torch.bool), 5, tolerance=0.1, patience=2)
    for step, losses in enumerate([(1.0, 1.0), (0.5, 0.95), (0.2, 1.2)]):
        tracker.record(
            step, tracker.active_index, nothing(2).map(lambda part, step=step: part + step), torch.tensor(losses)
        )
    assert tracker.best.w_plus.flatten().tolist() == [2.0, 1.0]
    assert tracker.converged.tolist() == [False, True]
    assert tracker.active_index.tolist() == [0]


def test_slow_but_steady_progress_is_not_taken_for_idling():
    tracker = SliceTracker(nothing(1), torch.ones(1, dtype=torch.bool), 30, tolerance=0.02, patience=4)
    for step in range(30):
        tracker.record(step, torch.tensor([0]), nothing(1), torch.tensor([0.99**step]))
    assert not tracker.converged.any()


def test_idle_steps_count_across_changes_of_the_objective_but_its_jump_is_no_progress():
    tracker = SliceTracker(nothing(2), torch.ones(2, dtype=torch.bool), 30, tolerance=0.02, patience=4)
    losses = [(1.0, 1.0), (1.0, 0.9), (1.0, 0.8), "change", (0.1, 0.1), (0.1, 0.09), (0.1, 0.08), (0.1, 0.07)]
    for step, values in enumerate(losses):
        if values == "change":
            tracker.forget()
            continue
        index = tracker.active_index
        tracker.record(step, index, nothing(len(index)), torch.tensor(values)[index])
    assert tracker.converged.tolist() == [True, False]


def test_a_loss_that_is_no_number_is_not_taken_for_convergence():
    tracker = SliceTracker(nothing(2), torch.ones(2, dtype=torch.bool), 5, tolerance=0.1, patience=1)
    tracker.record(0, tracker.active_index, nothing(2), torch.tensor([1.0, float("nan")]))
    assert tracker.failed.tolist() == [False, True] and not tracker.converged.any()
    assert tracker.active_index.tolist() == [0]


def test_the_prior_is_one_for_each_part_of_a_typical_latent_and_large_for_a_strange_one(network):
    generator = network.generator
    prior = LatentPrior.from_network(network)
    typical = network.encoder.start(generator, 400).clone()
    typical.w_plus.copy_(generator.styles(torch.randn(400, generator.latent_dim)).detach())
    if typical.spatial is not None:
        typical.spatial.normal_().mul_(prior.spatial_scale)
    assert float(prior.length(prior.whiten(typical)).mean()) == pytest.approx(len(typical.parts), abs=0.2)
    strange = network.encoder.start(generator, 1)
    for number in range(len(strange.parts)):
        scales = (prior.scale, prior.spatial_scale)
        parts = [part + 20 * scales[number] if n == number else part for n, part in enumerate(strange.parts)]
        assert float(prior.length(prior.whiten(Latent(*parts)))) > 10


def test_a_spatial_part_is_measured_by_its_spread_on_training_slices(network):
    latent = Latent(torch.zeros(2, 8, 16), torch.ones(2, 3, 8, 8))
    prior = LatentPrior(torch.randn(64, 16), torch.tensor([0.5, 1.0, 2.0]))
    whitened = prior.whiten(latent).spatial
    assert whitened is not None and whitened[0, :, 0, 0].tolist() == [2.0, 1.0, 0.5]


def test_the_statistics_of_the_latent_space_are_always_the_same(network):
    first, second = (LatentPrior.from_network(network, 256, seed=4) for _ in range(2))
    assert torch.equal(first.whitening, second.whitening)


def test_the_prior_survives_a_mapping_that_has_collapsed():
    prior = LatentPrior(torch.ones(64, 4))
    assert prior.whiten(Latent(torch.ones(1, 2, 4))).w_plus.isfinite().all()


def test_latents_with_equal_layers_have_no_spread(network):
    prior = LatentPrior.from_network(network)
    latents = torch.randn(2, 1, network.generator.latent_dim).expand(-1, 8, -1)
    assert prior.spread(prior.whiten(Latent(latents))).abs().max() < 1e-6


def test_varied_starts_treat_all_slices_alike(network):
    prior = LatentPrior.from_network(network)
    mean = network.encoder.start(network.generator, 4)
    start = mean.map(torch.randn_like)
    first, second = (varied_start(start, mean, prior, number, seed=0) for number in (1, 2))
    for one, other in zip(first.parts, second.parts, strict=True):
        offsets = other - one
        assert torch.allclose(offsets, offsets[:1].expand_as(offsets), atol=1e-6) and offsets.abs().max() > 0


def test_guidance_is_zero_where_both_agree_and_hears_a_small_organ():
    logits = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    guidance = LabelGuidance(logits.softmax(1))
    assert guidance(logits, torch.tensor([0, 1])).abs().max() < 1e-5
    target = torch.zeros(1, 3, 16, 16)
    target[:, 0] = 1
    target[:, 0, :3, :3], target[:, 2, :3, :3] = 0, 1
    empty = torch.zeros(1, 3, 16, 16)
    empty[:, 0] = 9
    assert LabelGuidance(target)(empty, torch.tensor([0])) > 0.4


def test_what_a_user_has_drawn_always_wins():
    labels = torch.full((2, 4, 4), -1)
    labels[1, 2, 3] = 2
    constraints = PixelConstraints(labels)
    probabilities = torch.full((2, 3, 4, 4), 1 / 3)
    imposed = impose(constraints, probabilities)
    assert constrained_slices(constraints).tolist() == [False, True]
    assert imposed[1, :, 2, 3].tolist() == [0, 0, 1]
    assert torch.equal(imposed[0], probabilities[0])


def test_uncertainty_is_zero_for_one_certain_opinion_and_one_for_evenly_split_ones():
    certain = torch.eye(2)[:, :, None, None]
    assert predictive_entropy([certain]).tolist() == [[[0.0]], [[0.0]]]
    assert predictive_entropy([certain, certain.flip(1)]).flatten().tolist() == pytest.approx([1.0, 1.0])
    doubtful = torch.tensor([0.9, 0.1])[None, :, None, None]
    expected = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / math.log(2)
    assert float(predictive_entropy([doubtful])) == pytest.approx(expected, rel=1e-5)


def test_the_residual_out_of_domain_does_not_count_the_contrast():
    rendering = torch.linspace(-1, 1, 32).repeat(2, 1, 32, 1)
    target = -0.5 * rendering
    target[1, 0, :4, :4] = 1.0
    assert residual_map(target, rendering, in_domain=True).mean() > 0.5
    residual = residual_map(target, rendering, in_domain=False)
    assert residual[0].max() < 0.05
    assert residual[1, :4, :4].min() > 5 * residual[1, 6:, 6:].max()


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"batch_size": 0},
        {"prior_weight": -0.1},
        {"neighbour_weight": float("nan")},
        {"student_weight": 1.5},
        {"start": "moon"},
        {"restarts": 0},
        {"refit_every": 0},
        {"organ_margin": -1},
        {"steps": 1.5},
        {"patience": True},
        {"objective": 3},
        {"tolerance": float("nan")},
    ],
)
def test_settings_without_sense_are_refused_by_name(wrong):
    with pytest.raises(SemganError, match=next(iter(wrong))):
        InversionSettings(**wrong)


def test_the_old_name_of_restarts_still_works_and_says_so():
    with pytest.warns(FutureWarning, match="starts is called restarts"):
        assert InversionSettings(starts=3).restarts == 3
