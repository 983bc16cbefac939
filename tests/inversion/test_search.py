"""What an inversion promises, on slices whose latents are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.objectives.base import ReconstructionObjective
from monai_semgan.inversion.search import VolumeInverter
from monai_semgan.inversion.selection import near_organs
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.networks import Latent
from monai_semgan.networks.layers import ModulatedConv2d
from tests.inversion.conftest import assert_same_latents

BASE = InversionSettings(
    steps=15,
    learning_rate=0.05,
    spatial_learning_rate=0.05,
    objective="l1",
    prior_weight=0.0,
    patience=0,
    batch_size=2,
    mixed_precision=False,
)


def invert(case, settings=BASE, **options):
    options.setdefault("start", case.start)
    return VolumeInverter(case.network, settings).run(case.slices, **options)


def same(first, second, which=slice(None), tolerance=1e-3):
    assert_same_latents(first.latent[which], second.latent[which], tolerance)
    torch.testing.assert_close(first.probabilities[which], second.probabilities[which], atol=tolerance, rtol=0)


def test_the_objective_falls_and_the_labels_of_renderings_are_recovered(case):
    result = invert(case, replace(BASE, steps=100))
    assert (result.curve[-1] < 0.3 * result.curve[0]).all()
    before = VolumeInverter(case.network, replace(BASE, steps=0)).run(case.slices, case.start).label
    wrong_before, wrong_after = (float((one != case.label).float().mean()) for one in (before, result.label))
    assert wrong_after < 0.25 * wrong_before, (wrong_before, wrong_after)


def test_a_slice_does_not_depend_on_the_size_of_the_batch(case):
    reference = invert(case, replace(BASE, batch_size=1))
    for batch_size in (2, 3, 5, None):
        same(invert(case, replace(BASE, batch_size=batch_size)), reference)


@pytest.mark.parametrize("objective", ["features", "structure"])
def test_a_slice_does_not_depend_on_the_size_of_the_batch_under_any_objective(case, objective):
    # few steps: Adam divides by small gradients, and so enlarges differences of rounding with every step
    settings = replace(BASE, objective=objective, steps=4, prior_weight=0.01, spread_weight=0.01, start_weight=0.01)
    reference = invert(case, replace(settings, batch_size=1))
    same(invert(case, replace(settings, batch_size=4)), reference)


def test_a_slice_does_not_depend_on_the_other_slices(case):
    together = invert(case)
    alone = VolumeInverter(case.network, BASE).run(case.slices[3:4], case.start[3:4])
    assert_same_latents(together.latent[3:4], alone.latent, 1e-3)
    torch.testing.assert_close(together.uncertainty[3:4], alone.uncertainty, atol=1e-3, rtol=0)


def test_further_starts_do_not_depend_on_the_other_slices_either(case):
    settings = replace(BASE, steps=5, restarts=3)
    together = invert(case, settings)
    alone = VolumeInverter(case.network, settings).run(case.slices[3:4], case.start[3:4])
    assert_same_latents(together.latent[3:4], alone.latent, 1e-3)


def test_coupling_draws_neighbours_together_and_weight_zero_leaves_them_alone(case):
    def roughness(result):
        return sum(float((part[1:] - part[:-1]).square().mean()) for part in result.latent.parts)

    apart, coupled = invert(case), invert(case, replace(BASE, neighbour_weight=0.05))
    assert roughness(coupled) < roughness(apart)
    same(invert(case, replace(BASE, neighbour_weight=0.0)), apart, tolerance=0.0)


def test_a_coupled_result_does_not_depend_on_the_size_of_the_batch(case):
    settings = replace(BASE, neighbour_weight=0.05)
    same(invert(case, replace(settings, batch_size=1)), invert(case, replace(settings, batch_size=5)))


def test_a_coupled_slice_feels_its_neighbours_and_no_more_distant_slice_at_once(case):
    changed = case.start.clone()
    changed.put(torch.tensor([4]), changed[4:].map(lambda part: part + 0.5))
    settings = replace(BASE, steps=1, neighbour_weight=0.5, warmup=0.0, learning_rate=0.01)
    first, second = invert(case, settings), invert(case, settings, start=changed)
    same(first, second, slice(0, 3), tolerance=0.0)
    assert first.curve[1, 3] != second.curve[1, 3]


def test_the_best_latent_of_every_slice_is_kept_and_not_the_last(case):
    result = invert(case, replace(BASE, learning_rate=3.0, steps=8, decay=0.0))
    best = result.curve.nan_to_num(torch.inf).amin(0)
    assert (result.curve[-1] > best).any()
    rendered = case.network.render(result.latent).image
    torch.testing.assert_close((rendered - case.slices).abs().mean((1, 2, 3)), best, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(result.reconstruction, rendered, atol=1e-5, rtol=1e-4)


def test_no_result_is_worse_than_its_start(case):
    result = invert(case, replace(BASE, learning_rate=100.0, steps=3))
    rendered = case.network.render(result.latent).image
    assert ((rendered - case.slices).abs().mean((1, 2, 3)) <= result.curve[0] + 1e-4).all()


def test_a_start_of_w_plus_alone_is_completed_with_an_empty_spatial_part(case):
    result = invert(case, replace(BASE, steps=0), start=case.latent.w_plus)
    given = case.network.encoder.start(case.network.generator, 5).clone()
    given.w_plus.copy_(case.latent.w_plus)
    assert_same_latents(result.latent, given)


@pytest.mark.parametrize("change", ["length", "slices", "spatial size"])
def test_latents_of_another_generator_or_scan_are_refused_in_one_line(case, change):
    w_plus, spatial = case.latent.w_plus, case.latent.spatial
    starts = {
        "length": Latent(w_plus[..., :-1], spatial),
        "slices": case.latent[torch.arange(3)],
        "spatial size": Latent(w_plus, torch.zeros(5, 16, 4, 4)),
    }
    with pytest.raises(SemganError, match=r"latents of shape .*, these slices and this model need 5x\d+x16") as error:
        invert(case, start=starts[change])
    assert "\n" not in str(error.value)


def test_the_search_moves_both_parts(case):
    result = invert(case, replace(BASE, steps=3))
    assert all((one != other).any() for one, other in zip(result.latent.parts, case.start.parts, strict=True))


def test_an_improbable_spatial_part_costs(case):
    far = case.latent.map(lambda part: 6 * part)
    tame, free = (invert(case, replace(BASE, prior_weight=weight), start=far) for weight in (1.0, 0.0))
    sizes = [[float(part.square().mean()) for part in result.latent.parts] for result in (tame, free)]
    assert all(one < other for one, other in zip(*sizes, strict=True))


def test_converged_slices_are_no_longer_computed(case, monkeypatch):
    computed = []
    synthesis = case.network.generator.synthesis
    monkeypatch.setattr(
        case.network.generator, "synthesis", lambda w, *rest: computed.append(len(w)) or synthesis(w, *rest)
    )
    start, known = case.start.clone(), torch.tensor([1, 3])
    start.put(known, case.latent[known])
    result = invert(case, replace(BASE, steps=12, patience=3), start=start)
    assert result.converged.tolist() == [False, True, False, True, False]
    assert result.steps_done.tolist() == [12, 3, 12, 3, 12]
    assert result.curve[4:, [1, 3]].isnan().all() and not result.curve[:, [0, 2, 4]].isnan().any()
    rendered_at_the_end = 5  # the start, which is the best of those that have converged; the last step is known
    assert sum(computed) == 3 * 13 + 2 * 4 + rendered_at_the_end
    same(result, invert(case, replace(BASE, steps=12), start=start), [0, 2, 4])


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


def test_a_partial_result_costs_nothing_unless_it_is_asked_for(case, monkeypatch):
    rendered = []
    synthesis = case.network.generator.synthesis
    monkeypatch.setattr(
        case.network.generator, "synthesis", lambda w, *rest: rendered.append(len(w)) or synthesis(w, *rest)
    )
    invert(case, replace(BASE, steps=3))
    quiet = sum(rendered)
    invert(case, replace(BASE, steps=3), on_step=lambda event: None)
    assert sum(rendered) == 2 * quiet
    invert(case, replace(BASE, steps=3), on_step=lambda event: event.partial())
    assert sum(rendered) > 3 * quiet


def test_results_are_repeatable(case):
    same(invert(case), invert(case), tolerance=0.0)


def test_an_earlier_result_can_be_continued(case):
    first = invert(case, replace(BASE, steps=10))
    again = VolumeInverter(case.network, replace(BASE, steps=10)).run(case.slices, first.latent)
    assert (again.curve.amin(0) <= first.curve.amin(0) + 1e-6).all()


def test_only_chosen_slices_are_searched(case):
    active = torch.tensor([False, True, False, False, False])
    result = invert(case, active=active)
    assert result.steps_done.tolist() == [0, 15, 0, 0, 0]
    assert_same_latents(result.latent[~active], case.start[~active])
    same(result, invert(case), [1])


def test_a_slice_that_turns_into_nan_gives_up_alone_and_has_not_converged(case):
    slices = case.slices.clone()
    slices[2] = float("nan")
    result = VolumeInverter(case.network, BASE).run(slices, case.start)
    assert result.failed.tolist() == [False, False, True, False, False]
    assert not result.converged.any()
    assert_same_latents(result.latent[2:3], case.start[2:3])
    same(result, invert(case), [0, 1, 3, 4])


def test_slices_converge_early_although_a_map_is_fitted_as_often_as_patience_ends(case):
    settings = replace(BASE, objective="map", steps=60, patience=10, refit_every=10)
    settings = replace(settings, learning_rate=1e-6, spatial_learning_rate=1e-6)
    result = VolumeInverter(case.network, settings).run(-case.slices, case.start)
    assert result.converged.all()
    assert (result.steps_done < 30).all()


def test_restarts_are_compared_under_one_map_and_not_by_losses_of_different_fits(case):
    """A constant map makes the losses of the second search seem small; its latents are no better for that."""

    class Shrinking(ReconstructionObjective):
        fits = 0

        def prepare(self, target):
            return {"target": target, "scale": 1.0}

        def __call__(self, image, state, index, probabilities=None):
            return state["scale"] * (image - state["target"][index]).abs().mean((1, 2, 3))

        def refit(self, images, state, probabilities=None):
            state["scale"] *= 0.01

    settings = replace(BASE, steps=2, learning_rate=1e-6, restarts=2)
    result = VolumeInverter(case.network, settings, reconstruction=Shrinking()).run(case.slices, case.latent)
    assert_same_latents(result.latent, case.latent, 1e-3)


def test_the_better_of_encoder_and_mean_is_chosen_for_every_slice(case):
    curves = {
        name: invert(case, replace(BASE, steps=0, start=name), start=None).curve[0]
        for name in ("encoder", "mean", "best")
    }
    torch.testing.assert_close(curves["best"], torch.minimum(curves["encoder"], curves["mean"]))


def test_several_starts_are_never_worse_than_one(case):
    one = invert(case, replace(BASE, steps=5))
    three = invert(case, replace(BASE, steps=5, restarts=3))
    assert (three.curve.nan_to_num(torch.inf).amin(0) <= one.curve.amin(0) + 1e-6).all()


def test_one_slice_is_a_volume_too(case):
    result = VolumeInverter(case.network, replace(BASE, neighbour_weight=1.0)).run(case.slices[:1], case.start[:1])
    assert result.label.shape == (1, 32, 32)


def test_the_map_of_grey_values_makes_another_contrast_explicable(case):
    inverted = replace(case, slices=-case.slices)
    settings = replace(BASE, objective="map", steps=20, refit_every=5)
    mapped, literal = (invert(inverted, replace(settings, objective=name)).label for name in ("map", "l1"))
    assert (mapped != case.label).float().mean() < 0.5 * (literal != case.label).float().mean()
    one, five = (invert(inverted, replace(settings, steps=4, batch_size=n)) for n in (1, 5))
    same(one, five, tolerance=5e-3)


@pytest.mark.parametrize("shape", [(5, 1, 16, 16), (5, 2, 32, 32), (32, 32), (0, 1, 32, 32)])
def test_slices_of_another_size_are_refused(case, shape):
    with pytest.raises(SemganError, match="the model needs Dx1x32x32"):
        VolumeInverter(case.network, BASE).run(torch.zeros(shape))


def test_slices_near_an_organ_of_any_label_map_are_chosen():
    labels = torch.zeros(9, 4, 4)
    labels[4, 1, 1] = 2
    assert near_organs([labels], 1).tolist() == [False] * 3 + [True] * 3 + [False] * 3
    other = torch.zeros(9, 4, 4)
    other[0] = 1
    assert near_organs([labels, other], 0).nonzero().flatten().tolist() == [0, 4]


def test_the_margin_decides_what_is_searched(case):
    result = invert(case, replace(BASE, organ_margin=0))
    rendered = case.network.render(case.start).logits.argmax(1).flatten(1).any(1)
    assert (result.steps_done > 0).tolist() == rendered.tolist()
    nothing = case.network.generator.label_bias
    before = nothing.data.clone()
    nothing.data[0] += 1e4
    try:
        assert invert(case, replace(BASE, organ_margin=0)).steps_done.tolist() == [0] * len(case.slices)
        drawn = torch.full(case.label.shape, -1)
        drawn[3, 2, 2] = 1
        result = invert(case, replace(BASE, organ_margin=0), constraints=PixelConstraints(drawn))
        assert (result.steps_done > 0).tolist() == [False, False, False, True, False]
    finally:
        nothing.data.copy_(before)


def rows_of(monkeypatch, module, name):
    """Count the rows of the first argument of a method."""
    counted, method = [], getattr(module, name)

    def counting(first, *others, **options):
        counted.append(len(first))
        return method(first, *others, **options)

    monkeypatch.setattr(module, name, counting)
    return counted


@pytest.mark.parametrize("margin", [None, 0])
def test_what_the_encoder_gives_is_encoded_and_rendered_once_for_label_organs_and_losses(case, monkeypatch, margin):
    settings = replace(BASE, objective="features", organ_margin=margin).rendering_only()
    rendered = rows_of(monkeypatch, case.network.generator, "synthesis")
    looked_at = rows_of(monkeypatch, case.network.encoder, "features")
    result = VolumeInverter(case.network, settings).run(case.slices)
    evaluated = int(result.curve[0].isfinite().sum())
    assert sum(rendered) == 5
    assert sum(looked_at) == 5 + evaluated  # the targets, and the renderings that are compared with them
    monkeypatch.undo()
    latents = case.network.encode(case.slices)
    assert_same_latents(result.latent, latents, 1e-5)
    sample = case.network.render(latents)
    torch.testing.assert_close(result.reconstruction, sample.image, atol=1e-5, rtol=0)
    torch.testing.assert_close(result.probabilities, sample.logits.softmax(1), atol=1e-5, rtol=0)


def test_encoding_with_refinement_passes_starts_from_the_features_of_the_targets(case, monkeypatch):
    monkeypatch.setattr(case.network.encoder, "refinement_passes", 2)
    latents = case.network.encode(case.slices)
    looked_at = rows_of(monkeypatch, case.network.encoder, "features")
    settings = replace(BASE, objective="features", steps=0, learning_rate=1.0)
    result = VolumeInverter(case.network, settings).run(case.slices)
    assert_same_latents(result.latent, latents, 1e-5)
    assert sum(looked_at) == 3 * 5


def test_an_objective_that_looks_at_other_images_does_not_change_the_start(case):
    class OfNegatives(ReconstructionObjective):
        def __init__(self, features_fn):
            self.features_fn = features_fn

        def prepare(self, target):
            return self.features_fn(-target)

        def __call__(self, image, state, index, probabilities=None):
            return (self.features_fn(image)[0] - state[0][index]).square().mean((1, 2, 3))

    inverter = VolumeInverter(case.network, replace(BASE, steps=0))
    inverter.reconstruction = OfNegatives(inverter.features)
    assert_same_latents(inverter.run(case.slices).latent, case.network.encode(case.slices), 1e-5)


@pytest.mark.parametrize("chosen", [[True, False, False, True, False], None])
def test_a_search_renders_start_and_last_step_once_and_slices_without_search_once(case, monkeypatch, chosen):
    rendered = rows_of(monkeypatch, case.network.generator, "synthesis")
    settings = replace(BASE, steps=3, organ_margin=None if chosen else 0)
    result = invert(case, settings, active=None if chosen is None else torch.tensor(chosen))
    searched = int((result.steps_done > 0).sum())
    best = result.curve.nan_to_num(torch.inf).argmin(0)
    best_is_neither_start_nor_last = int(((best > 0) & (best < 3)).sum())
    assert sum(rendered) == (3 + 1) * searched + len(case.slices) + best_is_neither_start_nor_last


@pytest.mark.parametrize("steps", [0, 2])
def test_labels_are_rendered_in_full_precision_also_where_the_search_is_not(case, monkeypatch, steps):
    monkeypatch.setattr("monai_semgan.utils.device.fast_bfloat16", lambda device: True)
    types, synthesis = [], case.network.generator.synthesis

    def watched(latents, *rest):
        types.append((torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
        return synthesis(latents, *rest)

    monkeypatch.setattr(case.network.generator, "synthesis", watched)
    settings = replace(BASE, objective="features", steps=steps, mixed_precision=True, organ_margin=0)
    result = VolumeInverter(case.network, settings).run(case.slices)
    assert (True, True) in types or steps == 0
    assert all(half for gradient, half in types if gradient)
    monkeypatch.undo()
    sample = case.network.render(result.latent)
    torch.testing.assert_close(result.probabilities, sample.logits.softmax(1), atol=1e-5, rtol=0)
    if steps == 0:
        assert_same_latents(result.latent, case.network.encode(case.slices), 1e-5)


def test_the_map_is_first_fitted_to_renderings_that_are_there(case, monkeypatch):
    rendered = rows_of(monkeypatch, case.network.generator, "synthesis")
    invert(case, replace(BASE, steps=0, objective="map"))
    assert sum(rendered) == 5


def test_labels_are_made_probabilities_only_for_objectives_that_look_at_them(case):
    seen = []

    class Looking(ReconstructionObjective):
        def prepare(self, target):
            return target

        def __call__(self, image, state, index, probabilities=None):
            seen.append(probabilities)
            return (image - state[index]).abs().mean((1, 2, 3))

    class NotLooking(Looking):
        uses_probabilities = False

    for objective in (Looking(), NotLooking()):
        VolumeInverter(case.network, replace(BASE, steps=0), reconstruction=objective).run(case.slices, case.start)
    looking, not_looking = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert all(found is not None for found in looking) and all(found is None for found in not_looking)


def test_kernels_are_prepared_once_for_all_steps(case, monkeypatch):
    prepared = []
    sums = torch.Tensor.square
    weights = {id(m.weight) for m in case.network.generator.modules() if isinstance(m, ModulatedConv2d)}
    monkeypatch.setattr(
        torch.Tensor, "square", lambda self: (prepared.append(1) if id(self) in weights else None, sums(self))[1]
    )
    invert(case, replace(BASE, steps=1))
    once = len(prepared)
    prepared.clear()
    invert(case, replace(BASE, steps=5))
    assert 0 < len(prepared) == once
