"""Labels of a network that teach another, or itself, where it is sure: pseudo labels of unlabelled slices.

Sohn et al., "FixMatch" (NeurIPS 2020): what a network is sure of on an easy view teaches it on a hard one.
"""

from __future__ import annotations

import torch

from monai_semgan.losses.label_losses import UNLABELLED


def sure_labels(probabilities: torch.Tensor, confidence: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Take the most probable class where it is probable enough.

    Args:
        probabilities: `(N, K, H, W)`, such as the mean of two networks' ones.
        confidence: probability in [0, 1] that the class must exceed.

    Returns:
        Labels `(N, H, W)` int64, `UNLABELLED` where the class is less sure, and the share of pixels that are sure, a
        scalar on the device of the probabilities.

    Examples:
        >>> label, share = sure_labels(torch.tensor([[[[0.1, 0.9]], [[0.6, 0.1]]]]), 0.85)
        >>> label.tolist(), float(share)
        ([[[255, 0]]], 0.5)
    """
    highest, label = probabilities.max(dim=1)
    sure = highest > confidence
    return torch.where(sure, label, UNLABELLED), sure.float().mean()


def fill_unknown(labels: torch.Tensor, known: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """Put what a teacher is sure of into labels that know some classes only, where these show background.

    Args:
        labels: `(N, H, W)` integers.
        known: `(N, K)` bool, which classes the label of a slice knows.
        taught: labels `(N, H, W)` of a teacher, `UNLABELLED` where it is not sure.

    Returns:
        New labels: background becomes a class that the label does not know where the teacher sees one.
    """
    index = torch.where(taught == UNLABELLED, 0, taught).long()
    unknown = ~known.gather(1, index.flatten(1)).view_as(index)
    return torch.where((labels == 0) & (index > 0) & unknown, index.to(labels.dtype), labels)


def partial_rows(known: torch.Tensor) -> torch.Tensor:
    """Find the slices of a batch whose labels know some classes only.

    Args:
        known: `(N, K)` bool.

    Returns:
        Their indices `(n,)`.
    """
    return (~known).any(dim=1).nonzero().flatten()


def unlabelled_rows(labels: torch.Tensor) -> torch.Tensor:
    """Find the slices of a batch that have no label at all.

    Args:
        labels: `(N, H, W)` integers, `UNLABELLED` where unknown.

    Returns:
        Their indices `(n,)`.
    """
    return (labels == UNLABELLED).flatten(1).all(dim=1).nonzero().flatten()


def known_pixels(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Put the pixels with a label in one row, for losses over a batch that know no label to ignore, as those of MONAI.

    Args:
        logits: `(N, K, H, W)`.
        labels: `(N, H, W)` integers, `UNLABELLED` where unknown.

    Returns:
        Logits `(1, K, P)` and labels `(1, 1, P)` of the P pixels that are known.
    """
    known = (labels != UNLABELLED).flatten().nonzero().flatten()
    rows = logits.transpose(0, 1).flatten(1).index_select(1, known)
    return rows[None], labels.flatten().index_select(0, known)[None, None]
