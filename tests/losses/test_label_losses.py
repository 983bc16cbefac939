"""Losses on labels."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from monai_semgan.errors import SemganError
from monai_semgan.losses.label_losses import (
    MaskedDiceCELoss,
    PixelConstraints,
    constraint_loss,
    marginal_logits,
    soft_label_loss,
)


def test_constraints_act_on_the_fixed_pixels_only() -> None:
    logits = torch.zeros(2, 3, 4, 4, requires_grad=True)
    labels = torch.full((2, 4, 4), -1)
    labels[0, 1, 2] = 2
    loss = constraint_loss(logits, labels)
    assert loss[0].item() == pytest.approx(math.log(3)) and loss[1] == 0
    loss.sum().backward()
    touched = logits.grad.abs().sum(dim=1) > 0
    assert touched[0, 1, 2] and touched.sum() == 1


def test_constraints_of_a_slice_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 3, 8, 8), torch.randint(-1, 3, (5, 8, 8))
    constraints = PixelConstraints(labels, weight=2.0)
    together = constraints.loss(logits, torch.arange(5))
    alone = torch.cat([constraints.loss(logits[i : i + 1], torch.tensor([i])) for i in range(5)])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together, 2 * constraint_loss(logits, labels))


@pytest.mark.parametrize("labels", [torch.zeros(4, 4).long(), torch.zeros(1, 4, 4), torch.zeros(1, 4, 4).bool()])
def test_constraints_of_the_wrong_shape_or_type_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(SemganError, match=r"give integers \(D, H, W\), -1 where nothing is fixed"):
        PixelConstraints(labels)


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_constraints_of_a_weight_that_makes_no_sense_are_refused(weight: float) -> None:
    with pytest.raises(SemganError, match="a number of 0 or more"):
        PixelConstraints(torch.zeros(1, 4, 4).long(), weight)


def test_soft_labels_cost_nothing_where_both_agree() -> None:
    logits = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(soft_label_loss(logits, logits.softmax(dim=1)), torch.zeros(2), atol=1e-6, rtol=0)
    assert (soft_label_loss(logits, (-logits).softmax(dim=1)) > 0.1).all()
    hard = F.one_hot(torch.randint(0, 4, (2, 5, 5)), 4).permute(0, 3, 1, 2).float()
    assert torch.isfinite(soft_label_loss(logits, hard)).all()


def test_soft_labels_can_be_trusted_pixel_by_pixel() -> None:
    logits, other = torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5).softmax(dim=1)
    assert (soft_label_loss(logits, other, torch.zeros(2, 5, 5)) == 0).all()


def test_unknown_pixels_do_not_count_in_training() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    labels = torch.randint(0, 3, (2, 8, 8))
    labels[1] = 255
    loss = MaskedDiceCELoss()(logits, labels)
    torch.testing.assert_close(loss, MaskedDiceCELoss()(logits[:1], labels[:1]))
    loss.backward()
    assert (logits.grad[1] == 0).all() and (logits.grad[0] != 0).any()


def test_a_batch_without_any_label_gives_zero() -> None:
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = MaskedDiceCELoss()(logits, torch.full((2, 8, 8), 255))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_a_perfect_prediction_costs_almost_nothing() -> None:
    labels = torch.randint(0, 3, (2, 8, 8))
    logits = F.one_hot(labels, 3).permute(0, 3, 1, 2) * 40.0
    assert MaskedDiceCELoss()(logits, labels) < 1e-4
    assert MaskedDiceCELoss()(-logits, labels) > 1.0


def test_pixels_of_rare_classes_count_more_in_a_balanced_loss() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, 0, :4] = 1
    labels[0, 7] = 255
    rare, frequent = torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)
    rare[0, 0, 0, 0] = frequent[0, 1, 4, 4] = 3.0  # one pixel of either class is wrong

    def price(balance: float) -> tuple[float, float]:
        loss = MaskedDiceCELoss(dice_weight=0.0, balance=balance)
        sure = loss(torch.zeros_like(rare), labels)
        return float(loss(rare, labels) - sure), float(loss(frequent, labels) - sure)

    same, root, full = price(0.0), price(0.5), price(1.0)
    assert same[0] == pytest.approx(same[1])
    assert root[0] / root[1] == pytest.approx((52 / 4) ** 0.5, rel=1e-4)
    assert full[0] / full[1] == pytest.approx(52 / 4, rel=1e-4)


def test_background_of_a_partial_label_may_be_what_it_does_not_know() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 4, 3, 3), torch.zeros(2, 3, 3, dtype=torch.long)
    labels[:, 0, 0] = 1
    known = torch.tensor([[True, True, False, False], [True] * 4])
    plain, marginal = logits.softmax(1), marginal_logits(logits, labels, known).softmax(1)
    assert torch.allclose(marginal[0, 0, 1:], (plain[0, 0] + plain[0, 2] + plain[0, 3])[1:], atol=1e-6)
    assert torch.equal(marginal[0, 2:, 1:], torch.zeros(2, 2, 3))
    assert torch.allclose(marginal[0, :, 0, 0], plain[0, :, 0, 0])  # what is labelled excludes the unknown
    assert torch.allclose(marginal[1], plain[1])


def test_no_loss_pushes_an_unknown_class_off_the_background() -> None:
    labels, known = torch.zeros(1, 4, 4, dtype=torch.long), torch.tensor([[True, True, False]])
    logits = torch.zeros(1, 3, 4, 4)
    logits[:, 2] = 20.0  # the whole slice is of the class that the label does not know
    logits.requires_grad_(True)
    loss = MaskedDiceCELoss()
    assert loss(logits, labels, known).item() == pytest.approx(0.0, abs=1e-4)
    assert loss(logits, labels).item() > 10
    loss(logits, labels, known).backward()
    assert torch.isfinite(logits.grad).all() and logits.grad.abs().max() < 1e-3
