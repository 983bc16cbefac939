"""Pseudo labels say what a network is sure of, and nothing elsewhere."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceCELoss

from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.training.pseudo_labels import known_pixels, sure_labels, unlabelled_rows


def pixels(probabilities: list[list[float]]) -> torch.Tensor:
    """Probabilities (1, K, 1, W) of the given ones of each pixel."""
    return torch.tensor(probabilities).T[None, :, None]


def test_only_pixels_that_are_sure_get_a_label() -> None:
    probabilities = pixels([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.02, 0.02, 0.96], [0.4, 0.3, 0.3]])
    label, share = sure_labels(probabilities, confidence=0.85)
    assert label.tolist() == [[[0, UNLABELLED, 2, UNLABELLED]]] and label.dtype == torch.int64
    assert float(share) == 0.5


def test_a_lower_confidence_lets_more_pixels_teach() -> None:
    probabilities = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0)).softmax(1)
    shares = [float(sure_labels(probabilities, confidence)[1]) for confidence in (0.0, 0.5, 0.9)]
    assert shares[0] == 1.0 and shares[0] > shares[1] > shares[2] > 0.0


@pytest.mark.parametrize("agree", [True, False])
def test_two_networks_are_sure_together_where_they_agree(agree: bool) -> None:
    first = torch.tensor([0.95, 0.05]).view(1, 2, 1, 1)
    second = first if agree else first.flip(1)
    assert sure_labels((first + second) / 2, 0.85)[0].item() == (0 if agree else UNLABELLED)


def test_slices_without_any_label_are_found_and_partly_labelled_ones_are_not() -> None:
    labels = torch.zeros(3, 4, 4, dtype=torch.long)
    labels[1] = UNLABELLED
    labels[2, :3] = UNLABELLED
    assert unlabelled_rows(labels).tolist() == [1]


def test_the_loss_of_known_pixels_is_that_of_the_slices_where_all_are_known() -> None:
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 16, 16, generator=source)
    labels = torch.randint(0, 4, (3, 16, 16), generator=source)
    loss = DiceCELoss(to_onehot_y=True, softmax=True, batch=True)
    assert torch.allclose(loss(*known_pixels(logits, labels)), loss(logits, labels[:, None]), rtol=1e-6)


def test_unknown_pixels_get_no_gradient_and_change_no_loss() -> None:
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 16, 16, generator=source).requires_grad_()
    labels = torch.randint(0, 4, (3, 16, 16), generator=source)
    labels[0, :8] = UNLABELLED
    loss = DiceCELoss(to_onehot_y=True, softmax=True, batch=True)
    first = loss(*known_pixels(logits, labels))
    first.backward()
    assert logits.grad is not None
    assert not bool(logits.grad[0, :, :8].any()) and bool((logits.grad[0, :, 8:] != 0).all())
    other = logits.detach().clone()
    other[0, :, :8] = 7.0
    assert torch.equal(loss(*known_pixels(other, labels)), first)
