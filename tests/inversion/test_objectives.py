"""Reconstruction objectives of the inversion."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from monai_semgan.errors import SemganError
from monai_semgan.inversion.objectives.intensity_map import IntensityMapObjective
from monai_semgan.inversion.objectives.l1_features import L1FeatureObjective
from monai_semgan.inversion.objectives.registry import OBJECTIVES, build_objective


class Features(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 8, 3, 2, 1)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        first = F.leaky_relu(self.first(image))
        return [first, F.leaky_relu(self.second(first))]


def anatomy(count: int = 5, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth random blobs with edges, a different one in every slice."""
    generator = torch.Generator().manual_seed(seed)
    field = F.interpolate(torch.randn(count, 1, 6, 6, generator=generator), size=size, mode="bicubic")
    return (field * 1.5).round().clamp(-2, 2) / 2.5


def objective_of(name: str):  # type: ignore[no-untyped-def]
    return build_objective(name, Features().requires_grad_(False))


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
class TestEveryObjective:
    def test_the_target_itself_costs_almost_nothing_and_another_slice_costs_more(self, name: str) -> None:
        target = anatomy()
        objective = objective_of(name)
        state = objective.prepare(target)
        same = objective(target, state, torch.arange(5))
        other = objective(target.roll(1, 0), state, torch.arange(5))
        assert same.shape == (5,) and same.dtype == torch.float32
        assert (same < 0.3 * other).all()
        if name != "correlation" and name != "structure":
            assert same.max() < 1e-2

    def test_the_loss_of_a_slice_is_the_same_alone_and_in_a_batch(self, name: str) -> None:
        target, image = anatomy(), anatomy(seed=1)
        objective = objective_of(name)
        state = objective.prepare(target)
        together = objective(image, state, torch.arange(5))
        alone = torch.cat([objective(image[i : i + 1], state, torch.tensor([i])) for i in range(5)])
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
        single = objective(image[3:4], objective.prepare(target[3:4]), torch.tensor([0]))
        torch.testing.assert_close(together[3:4], single, rtol=1e-5, atol=1e-6)

    def test_the_gradient_is_finite_and_descending_along_it_lowers_the_loss(self, name: str) -> None:
        target = anatomy(2)
        objective = objective_of(name)
        state = objective.prepare(target)
        image = (0.6 * target + 0.1 * anatomy(2, seed=3) + 0.02 * torch.randn(2, 1, 32, 32)).requires_grad_()
        before = objective(image, state, torch.arange(2))
        (gradient,) = torch.autograd.grad(before.sum(), image)
        assert torch.isfinite(gradient).all() and gradient.abs().amax() > 0
        after = objective(image - 1e-3 * gradient / gradient.abs().amax(), state, torch.arange(2))
        assert after.sum() < before.sum()

    def test_constant_images_give_finite_losses_and_gradients(self, name: str) -> None:
        objective = objective_of(name)
        for value in (-1.0, 0.0):
            state = objective.prepare(torch.full((2, 1, 32, 32), value))
            image = torch.full((2, 1, 32, 32), -1.0, requires_grad=True)
            loss = objective(image, state, torch.arange(2))
            (gradient,) = torch.autograd.grad(loss.sum(), image)
            assert torch.isfinite(loss).all() and torch.isfinite(gradient).all()

    def test_half_precision_changes_little(self, name: str) -> None:
        target, image = anatomy(), anatomy(seed=1)
        objective = objective_of(name)
        state = objective.prepare(target)
        exact = objective(image, state, torch.arange(5))
        with torch.autocast("cpu", torch.bfloat16):
            mixed = objective(image.bfloat16(), objective.prepare(target), torch.arange(5))
        assert mixed.dtype == torch.float32
        torch.testing.assert_close(mixed, exact, rtol=0.05, atol=0.01)

    def test_three_channels_are_accepted(self, name: str) -> None:
        if name.endswith("features"):
            pytest.skip("the feature extractor of this test takes one channel")
        target = anatomy().expand(-1, 3, -1, -1)
        objective = objective_of(name)
        assert objective(target, objective.prepare(target), torch.arange(5)).shape == (5,)

    def test_targets_are_not_differentiated(self, name: str) -> None:
        objective = objective_of(name)
        state = objective.prepare(anatomy().requires_grad_())
        assert not objective(anatomy(seed=1), state, torch.arange(5)).requires_grad


@pytest.mark.parametrize("name", ["mind", "gradient", "correlation", "structure"])
def test_structural_objectives_recognise_an_inverted_slice(name: str) -> None:
    target = anatomy()
    objective = objective_of(name)
    state = objective.prepare(target)
    inverted = objective(-0.7 * target + 0.1, state, torch.arange(5))
    other = objective(target.roll(1, 0), state, torch.arange(5))
    assert (inverted < 0.5 * other).all()


def test_features_of_the_target_are_computed_once() -> None:
    calls = []
    features = Features().requires_grad_(False)

    def counted(image: torch.Tensor) -> list[torch.Tensor]:
        calls.append(len(image))
        return features(image)

    objective = L1FeatureObjective(counted, chunk=2)
    state = objective.prepare(anatomy())
    assert calls == [2, 2, 1]
    for _ in range(3):
        objective(anatomy(2), state, torch.tensor([4, 1]))
    assert calls == [2, 2, 1, 2, 2, 2]


def test_large_feature_maps_are_left_out() -> None:
    objective = L1FeatureObjective(Features().requires_grad_(False), max_size=8)
    assert [maps.shape[-1] for maps in objective.prepare(anatomy())["features"]] == [8]


def test_unknown_objectives_and_missing_features_are_refused() -> None:
    with pytest.raises(SemganError, match="use one of .*structure"):
        build_objective("ssim")
    with pytest.raises(ValueError, match="feature extractor"):
        build_objective("features")


class TestIntensityMap:
    def contrast(self, image: torch.Tensor) -> torch.Tensor:
        """Dark becomes grey, grey bright, bright dark: no monotone map."""
        return 0.8 - 2.0 * (image - 0.1).abs()

    def test_a_fitted_map_explains_another_contrast(self) -> None:
        image = anatomy(8)
        objective = IntensityMapObjective(L1FeatureObjective(), stride=1)
        state = objective.prepare(self.contrast(image))
        before = objective(image, state, torch.arange(8))
        objective.refit(image, state)
        after = objective(image, state, torch.arange(8))
        assert (after < 0.25 * before).all()

    def test_before_the_first_fit_the_map_is_the_identity(self) -> None:
        image = torch.linspace(-1.5, 1.5, 64).view(1, 1, 8, 8)
        objective = IntensityMapObjective(L1FeatureObjective())
        torch.testing.assert_close(objective.apply(image, objective.prepare(image)), image)

    def test_fitting_equal_images_gives_the_identity(self) -> None:
        image = anatomy(4)
        objective = IntensityMapObjective(L1FeatureObjective())
        state = objective.prepare(image)
        objective.refit(image, state)
        torch.testing.assert_close(objective.apply(image, state), image, atol=1e-3, rtol=0)

    def test_a_fifth_of_wrong_pixels_does_not_spoil_the_fit(self) -> None:
        image = anatomy(8)
        target = self.contrast(image)
        wrong = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)) < 0.2
        objective = IntensityMapObjective(L1FeatureObjective(), stride=1)
        state = objective.prepare(torch.where(wrong, 1.0, target))
        objective.refit(image, state)
        assert (objective.apply(image, state) - target).abs()[~wrong].mean() < 0.08

    def test_the_map_stays_fixed_between_fits(self) -> None:
        image = anatomy(4)
        objective = IntensityMapObjective(L1FeatureObjective())
        state = objective.prepare(self.contrast(image))
        objective.refit(image, state)
        kept = state["coefficients"].clone()
        objective(anatomy(4, seed=2).requires_grad_(), state, torch.arange(4)).sum().backward()
        assert torch.equal(kept, state["coefficients"]) and not kept.requires_grad

    def test_the_refit_reaches_parts_of_a_sum(self) -> None:
        from monai_semgan.inversion.objectives.base import WeightedSum

        image = anatomy(4)
        objective = WeightedSum([(build_objective("map"), 1.0), (build_objective("mind"), 0.0)])
        state = objective.prepare(self.contrast(image))
        before = objective(image, state, torch.arange(4))
        objective.refit(image, state)
        assert (objective(image, state, torch.arange(4)) < before).all()
