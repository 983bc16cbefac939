"""What an inversion promises, on slices whose latents are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.inversion.search import VolumeInverter
from monai_semgan.inversion.selection import near_organs
from monai_semgan.losses.label_losses import PixelConstraints
from tests.inversion.conftest import assert_same_latents
from tests.inversion.search_phantoms import BASE, invert, same


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


def test_the_search_moves_both_parts(case):
    result = invert(case, replace(BASE, steps=3))
    assert all((one != other).any() for one, other in zip(result.latent.parts, case.start.parts, strict=True))


def test_an_improbable_spatial_part_costs(case):
    far = case.latent.map(lambda part: 6 * part)
    tame, free = (invert(case, replace(BASE, prior_weight=weight), start=far) for weight in (1.0, 0.0))
    sizes = [[float(part.square().mean()) for part in result.latent.parts] for result in (tame, free)]
    assert all(one < other for one, other in zip(*sizes, strict=True))


def test_results_are_repeatable(case):
    same(invert(case), invert(case), tolerance=0.0)


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
