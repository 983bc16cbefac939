"""Moves of latents."""

from __future__ import annotations

import torch

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.latent_moves import LatentMover, Move
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.networks import Latent
from tests.conftest import SHIPPED_BUNDLE


def start_of(model: Bundle, count: int) -> Latent:
    return model.network.encoder.start(model.network.generator, count).clone()


def moved(model: Bundle, start: Latent, label: int, steps: int = 12) -> Move:
    size = model.network.generator.size
    fixed = torch.full((len(start), size, size), -1)
    fixed[:, 10:14, 10:14] = label
    trust = torch.ones(len(start), size, size)
    trust[:, 6:18, 6:18] = 0
    return LatentMover(model.network).move(start, PixelConstraints(fixed), trust, steps, CorrectionSettings())


def test_the_label_under_a_stroke_becomes_likelier(model: Bundle) -> None:
    found = moved(model, start_of(model, 2), label=3)
    before, after = (part[:, 3, 10:14, 10:14].mean((1, 2)) for part in (found.before, found.after))
    assert (after > before + 0.05).all()


def test_a_slice_does_not_feel_the_others() -> None:
    shipped = load_bundle(SHIPPED_BUNDLE, "cpu")  # of random weights rounding errors are as large as gradients
    image = torch.nn.functional.interpolate(torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), 128)
    start = shipped.network.encode(image).float()
    pair, alone = (moved(shipped, start[:count], label=3, steps=3) for count in (2, 1))
    differ, change = (pair.after[:1] - alone.after).abs(), (alone.after - alone.before).abs()
    assert change.max() > 0.1
    assert differ.max() < 0.05 and differ.mean() < 0.05 * change.mean()  # rounding differs with the size of a batch


def test_a_slice_whose_loss_is_no_number_stays_and_is_told(model: Bundle) -> None:
    start = start_of(model, 2)
    start.w_plus[1, 0, 0] = torch.nan
    found = moved(model, start, label=3, steps=3)
    assert found.failed.tolist() == [False, True]
    assert found.after[0].isfinite().all()
    assert not torch.equal(found.end.w_plus[0], start.w_plus[0])


def test_the_network_is_left_as_it_was(model: Bundle) -> None:
    wanted = [parameter.requires_grad for parameter in model.network.parameters()]
    moved(model, start_of(model, 1), label=1, steps=1)
    assert [parameter.requires_grad for parameter in model.network.parameters()] == wanted
    assert all(parameter.grad is None for parameter in model.network.parameters())
