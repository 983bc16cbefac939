"""A photograph in another light is explained by a fitted map of colours."""

from __future__ import annotations

import torch

from monai_semgan.inversion.objectives.colour_map import apply_colours, fit_colours, identity_colours
from monai_semgan.inversion.objectives.intensity_map import IntensityMapObjective
from monai_semgan.inversion.objectives.l1_features import L1FeatureObjective
from monai_semgan.inversion.result import residual_map
from monai_semgan.training.stages.search_inside import mapped
from tests.skin_lesions import lesion

LIGHT = torch.tensor([[0.7, 0.05, 0.0], [0.1, 0.6, 0.05], [0.0, 0.1, 0.5], [-0.1, 0.05, 0.1]])
"""Yellow and dim, seen by a camera that mixes the colours a little."""


def pictures(count: int = 4) -> torch.Tensor:
    """(N, 3, 96, 128) in [-1, 1]."""
    found = [torch.from_numpy(lesion(seed)[0]).permute(2, 0, 1) for seed in range(count)]
    return torch.stack(found).float() / 127.5 - 1


def test_the_fit_finds_the_light_although_some_pixels_show_something_else() -> None:
    rendered = pictures()
    target = apply_colours(rendered, LIGHT)
    target[:, :, 40:50, 40:60] = 1.0
    found = apply_colours(rendered, fit_colours(rendered, target, ridge=1e-3, iterations=4))
    assert (found - apply_colours(rendered, LIGHT)).abs().max() < 0.05
    assert torch.allclose(fit_colours(rendered, rendered, 1e-3, 4), identity_colours(rendered.device), atol=1e-3)


def test_after_the_fit_the_same_lesion_in_another_light_costs_almost_nothing() -> None:
    rendered = pictures()
    objective, index = IntensityMapObjective(L1FeatureObjective()), torch.arange(4)
    state = objective.prepare(apply_colours(rendered, LIGHT))
    before = objective(rendered, state, index)
    objective.refit(rendered, state)
    after, other = objective(rendered, state, index), objective(rendered.roll(1, 0), state, index)
    assert (before > 0.1).all() and (after < 0.02).all() and (other > 5 * after).all()


def test_the_residual_out_of_domain_shows_what_is_there_and_not_the_light() -> None:
    rendered = pictures(2)
    target = apply_colours(rendered, LIGHT)
    target[0, :, 40:50, 40:60] = 1.0
    residual = residual_map(target, rendered, in_domain=False)
    assert residual[0, 40:50, 40:60].min() > 0.3 and residual[1].max() < 0.05


def test_a_search_during_training_maps_every_picture_by_its_own_light() -> None:
    rendered = pictures(3).requires_grad_()
    lights = [LIGHT, identity_colours(LIGHT.device), LIGHT.flip(1)]
    pairs = zip(pictures(3).split(1), lights, strict=True)
    source = torch.cat([apply_colours(one, light) for one, light in pairs])
    found = mapped(rendered, source)
    assert (found - source).abs().mean() < 0.02
    found.sum().backward()
    assert rendered.grad is not None and torch.isfinite(rendered.grad).all()
