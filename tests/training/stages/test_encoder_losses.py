"""Every loss of the encoder's training looks at what it is about, and counts with its weight."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_semgan.inversion.objectives.l1_features import L1FeatureObjective
from monai_semgan.networks import JointSample, Latent
from monai_semgan.training.stages.encoder_batches import Batch
from monai_semgan.training.stages.encoder_losses import EncoderLosses
from monai_semgan.training.stages.encoder_settings import EncoderSettings

MEAN, SPREAD = torch.zeros(4), torch.full((4,), 2.0)


def losses(factor: int = 1, **settings: Any) -> EncoderLosses:
    return EncoderLosses(EncoderSettings(**settings), L1FeatureObjective(), factor, MEAN, SPREAD)


def batch(known: torch.Tensor) -> Batch:
    """Two black pictures, class 1 on the right half; `known` W+ of the first."""
    image, label = torch.full((2, 1, 8, 8), -1.0), torch.zeros(2, 8, 8, dtype=torch.long)
    label[:, :, 4:] = 1
    return Batch(image, image, label, known, None)


def perfect(size: int = 8) -> JointSample:
    """What renders such a batch without fault."""
    logits = torch.zeros(2, 2, size, size)
    logits[:, 0, :, : size // 2] = logits[:, 1, :, size // 2 :] = 20.0
    return JointSample(torch.full((2, 1, size, size), -1.0), logits)


@pytest.mark.parametrize("factor", [1, 2])
def test_what_is_right_costs_nothing(factor: int) -> None:
    criterion, known = losses(factor), torch.zeros(1, 3, 4)
    found = criterion.of(perfect(8 // factor), Latent(torch.zeros(2, 3, 4)), criterion.targets(batch(known)))
    assert all(float(value) < 1e-3 for value in found.values())


def test_known_w_plus_is_compared_in_standard_deviations_and_real_slices_are_drawn_to_the_mean() -> None:
    criterion = losses()
    w_plus = torch.stack([torch.full((3, 4), 6.0), torch.full((3, 4), 8.0)])
    found = criterion.of(perfect(), Latent(w_plus), criterion.targets(batch(torch.full((1, 3, 4), 2.0))))
    assert float(found["latent"]) == pytest.approx(2.0**2) and float(found["prior"]) == pytest.approx(4.0**2)
    nothing_known = criterion.of(perfect(), Latent(w_plus), criterion.targets(batch(torch.zeros(0, 3, 4))))
    assert float(nothing_known["latent"]) == 0.0
    assert float(nothing_known["prior"]) == pytest.approx((3.0**2 + 4.0**2) / 2)


def test_a_spatial_part_costs_its_mean_square() -> None:
    criterion = losses()
    latent = Latent(torch.zeros(2, 3, 4), torch.full((2, 5, 4, 4), 3.0))
    assert float(criterion.of(perfect(), latent, criterion.targets(batch(torch.zeros(1, 3, 4))))["spatial"]) == 9.0


@pytest.mark.parametrize("name", ["label", "latent", "prior", "spatial"])
def test_every_loss_has_its_weight(name: str) -> None:
    values = {key: torch.tensor(0.0) for key in ("reconstruction", "label", "latent", "prior", "spatial")}
    values[name] = torch.tensor(2.0)
    others = {f"{key}_weight": 0.0 for key in ("label", "latent", "prior", "spatial") if key != name}
    assert float(losses(**{f"{name}_weight": 0.25}, **others).weighted(values)) == 0.5


def test_pairs_alone_judge_what_the_tuned_generator_makes_of_their_w_plus() -> None:
    criterion = losses()
    targets = criterion.targets(batch(torch.zeros(1, 3, 4)))
    sample = JointSample(*(part[:1] for part in perfect()))
    assert float(criterion.own(sample, targets)) < 1e-3
    brighter = JointSample(sample.image + 0.5, sample.logits)
    mislabelled = JointSample(sample.image, -sample.logits)
    assert float(criterion.own(brighter, targets)) == pytest.approx(0.5, abs=1e-3)
    assert float(criterion.own(mislabelled, targets)) > 1.0
