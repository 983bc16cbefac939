"""An inversion may start from what is given, from the better of two guesses, and several times."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.inversion.objectives.base import ReconstructionObjective
from monai_semgan.inversion.search import VolumeInverter
from monai_semgan.networks import Latent
from tests.inversion.conftest import assert_same_latents
from tests.inversion.search_phantoms import BASE, invert


def test_further_starts_do_not_depend_on_the_other_slices_either(case):
    settings = replace(BASE, steps=5, restarts=3)
    together = invert(case, settings)
    alone = VolumeInverter(case.network, settings).run(case.slices[3:4], case.start[3:4])
    assert_same_latents(together.latent[3:4], alone.latent, 1e-3)


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


def test_an_earlier_result_can_be_continued(case):
    first = invert(case, replace(BASE, steps=10))
    again = VolumeInverter(case.network, replace(BASE, steps=10)).run(case.slices, first.latent)
    assert (again.curve.amin(0) <= first.curve.amin(0) + 1e-6).all()


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
