"""Losses on labels: per slice, for the inversion, and masked, for training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_semgan.errors import SemganError

UNLABELLED = 255
"""Class index of pixels whose class nobody knows: they count in no loss and in no score."""

IMPOSSIBLE = -1e4
"""Logit of a class that a pixel cannot be: its probability is 0, and its gradient as well."""


@dataclass(frozen=True)
class PixelConstraints:
    """Hold pixels whose label a user has fixed.

    Attributes:
        labels: `(D, H, W)` integers on the slice grid, classes with the background as 0, -1 where nothing is fixed.
        weight: weight of the constraints in the loss, 0 or more.

    Raises:
        SemganError: if the labels are no such integers, or the weight is no such number.
    """

    labels: Tensor
    weight: float = 1.0

    def __post_init__(self) -> None:
        dtype, shape = self.labels.dtype, tuple(self.labels.shape)
        if len(shape) != 3 or dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
            remedy = "give integers (D, H, W), -1 where nothing is fixed"
            raise SemganError(f"constraints of shape {shape} and type {dtype}", remedy=remedy)
        if not 0 <= self.weight < math.inf:
            raise SemganError(f"constraints of weight {self.weight}", remedy="give a number of 0 or more")

    def loss(self, logits: Tensor, index: Tensor) -> Tensor:
        """Compute the weighted cross-entropy of each slice.

        Args:
            logits: `(n, K, H, W)` of the slices `index`.
            index: which slices these are, `(n,)`.

        Returns:
            Losses `(n,)`; 0 for slices without constraint.
        """
        return self.weight * constraint_loss(logits, self.labels.to(logits.device)[index])


def constraint_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross-entropy per slice, a mean over the pixels with a label of 0 or more.

    Args:
        logits: `(n, K, H, W)`.
        labels: `(n, H, W)` integers; negative means unconstrained.

    Returns:
        Losses `(n,)`; 0 for slices without constrained pixel.
    """
    fixed = labels >= 0
    loss = F.cross_entropy(logits.float(), labels.long().clamp_min(0), reduction="none") * fixed
    return loss.flatten(1).sum(dim=1) / fixed.flatten(1).sum(dim=1).clamp_min(1)


def soft_label_loss(logits: Tensor, probabilities: Tensor, weight: Tensor | None = None) -> Tensor:
    """Compute the Kullback-Leibler divergence of each slice's labels from given probabilities, a mean over pixels.

    Args:
        logits: `(n, K, H, W)`.
        probabilities: `(n, K, H, W)`, such as a student's; not differentiated.
        weight: optional trust per pixel `(n, H, W)`.

    Returns:
        Losses `(n,)`, 0 where both agree.
    """
    target = probabilities.detach().float()
    divergence = torch.special.xlogy(target, target) - target * logits.float().log_softmax(dim=1)
    divergence = divergence.sum(dim=1)
    if weight is not None:
        divergence = divergence * weight
    return divergence.flatten(1).mean(dim=1)


def marginal_logits(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Let background mean "background or what the label does not know", in labels that know some classes only.

    Where a slice's label shows background, the classes that it does not know are added to the background's probability
    and cannot be told apart from it, so that no loss punishes them there; what the label shows stays what it is, and
    excludes them. The idea is that of the marginal and the exclusion loss (Shi et al., "Marginal loss and exclusion
    loss for partially supervised multi-organ segmentation", Medical Image Analysis 2021).

    Args:
        logits: `(N, K, H, W)`.
        labels: `(N, H, W)` integers, 0 background, 255 unknown.
        known: `(N, K)` bool, which classes the label of a slice knows.

    Returns:
        Logits `(N, K, H, W)` for any loss of labels.
    """
    unknown = ~known
    unknown[:, 0] = False
    joined = unknown.clone()
    joined[:, 0] = True
    background = logits.masked_fill(~joined[:, :, None, None], -torch.inf).logsumexp(dim=1, keepdim=True)
    others = logits[:, 1:].masked_fill(unknown[:, 1:, None, None], IMPOSSIBLE)
    doubtful = (labels == 0) & unknown.any(dim=1)[:, None, None]
    return torch.where(doubtful[:, None], torch.cat([background, others], dim=1), logits)


class MaskedDiceCELoss(nn.Module):
    """Add soft Dice of the foreground and cross-entropy, over the pixels whose label is known.

    The Dice of a class is taken over the batch, so that slices without the organ do not count as errors, and only
    over classes that are present. MONAI's `DiceCELoss` knows no label to ignore.

    Args:
        dice_weight: weight of the Dice term.
        smooth: added to both parts of the quotient.
        balance: how much the pixels of rare classes count in the cross-entropy: by (n of the most frequent class / n of
            their own) to this power, of the pixels in the batch; 0: all alike, 1: all classes alike.
    """

    def __init__(self, dice_weight: float = 1.0, smooth: float = 1e-5, balance: float = 0.0) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.smooth = smooth
        self.balance = balance

    def forward(self, logits: Tensor, labels: Tensor, classes: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Args:
            logits: `(N, K, H, W)`.
            labels: `(N, H, W)` integers, 255 = unknown.
            classes: `(N, K)` bool, which classes the labels know (see `marginal_logits`); all when left out.

        Returns:
            A scalar; 0 with a gradient of 0 when nothing is known.
        """
        known = labels != UNLABELLED
        target = torch.where(known, labels, 0).long()
        logits = logits.float() if classes is None else marginal_logits(logits.float(), labels, classes)
        weights = self._pixel_weights(target, known, logits.shape[1])
        entropy = (F.cross_entropy(logits, target, reduction="none") * weights).sum() / weights.sum().clamp_min(1)
        mask = known[:, None].float()
        predicted = logits.softmax(dim=1)[:, 1:] * mask
        truth = F.one_hot(target, logits.shape[1]).permute(0, 3, 1, 2)[:, 1:] * mask
        overlap = (predicted * truth).sum(dim=(0, 2, 3))
        sizes = truth.sum(dim=(0, 2, 3))
        total = predicted.sum(dim=(0, 2, 3)) + sizes
        present = (sizes > 0).float()
        dice = 1.0 - (2.0 * overlap + self.smooth) / (total + self.smooth)
        return entropy + self.dice_weight * (dice * present).sum() / present.sum().clamp_min(1.0)

    def _pixel_weights(self, target: Tensor, known: Tensor, classes: int) -> Tensor:
        if not self.balance:
            return known
        pixels = torch.bincount(target[known], minlength=classes)
        return known * ((pixels.max() / pixels.clamp_min(1)) ** self.balance)[target]
