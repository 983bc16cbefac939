"""Probabilities of another network as a soft label for the rendered one."""

from __future__ import annotations

import torch

from monai_semgan.losses.label_losses import soft_label_loss


class LabelGuidance:
    """Measure the divergence of the rendered label from given probabilities, slice by slice.

    Cross-entropy minus the entropy of the given probabilities (Kullback-Leibler, so 0 where they agree), averaged over
    the pixels, plus a soft Dice loss over the foreground classes, which does not let the background drown small organs.

    Args:
        probabilities: `(D, K, H, W)`.
        dice_weight: weight of the Dice part.
    """

    def __init__(self, probabilities: torch.Tensor, dice_weight: float = 0.5) -> None:
        self.probabilities = probabilities.float()
        self.dice_weight = dice_weight

    def __call__(self, logits: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Compare logits `(n, K, H, W)` of slices `index` `(n,)`; returns `(n,)`."""
        target = self.probabilities[index]
        divergence = soft_label_loss(logits, target)
        rendered, target = logits.float().softmax(1)[:, 1:], target[:, 1:]
        overlap = 2 * (rendered * target).sum((1, 2, 3))
        size = (rendered.square() + target.square()).sum((1, 2, 3))
        return divergence + self.dice_weight * (1 - (overlap + 1.0) / (size + 1.0))
