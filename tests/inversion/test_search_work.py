"""An inversion computes nothing twice, and nothing that it does not need."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from monai_semgan.inversion.objectives.base import ReconstructionObjective
from monai_semgan.inversion.search import VolumeInverter
from monai_semgan.networks.layers import ModulatedConv2d
from tests.inversion.conftest import assert_same_latents
from tests.inversion.search_phantoms import BASE, invert, same


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


@pytest.mark.parametrize("chosen", [[True, False, False, True, False], None])
def test_a_search_renders_start_and_last_step_once_and_slices_without_search_once(case, monkeypatch, chosen):
    rendered = rows_of(monkeypatch, case.network.generator, "synthesis")
    settings = replace(BASE, steps=3, organ_margin=None if chosen else 0)
    result = invert(case, settings, active=None if chosen is None else torch.tensor(chosen))
    searched = int((result.steps_done > 0).sum())
    best = result.curve.nan_to_num(torch.inf).argmin(0)
    best_is_neither_start_nor_last = int(((best > 0) & (best < 3)).sum())
    assert sum(rendered) == (3 + 1) * searched + len(case.slices) + best_is_neither_start_nor_last


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
