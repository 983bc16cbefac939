"""What a student knows already, kept while it learns more: it may not say anything else of the same images.

Li and Hoiem, "Learning without Forgetting" (ECCV 2016), with the background taken as Cermelli et al., "Modeling the
Background for Incremental Learning in Semantic Segmentation" (CVPR 2020): what is background to the old student may be
a new structure to the new one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from monai_semgan.errors import SemganError
from monai_semgan.losses.label_losses import UNLABELLED, soft_label_loss
from monai_semgan.networks import StudentUNet
from monai_semgan.networks.weights import part
from monai_semgan.training.more_classes import student_classes
from monai_semgan.training.teachers import build_student_teacher


class KeptKnowledge:
    """The student as it was, and how far another one has gone from it.

    Args:
        student: frozen network from images `(N, C, H, W)` to logits `(N, K, H, W)`.
        classes: K of them, background included, the first ones of the student that learns.
    """

    def __init__(self, student: StudentUNet, classes: int) -> None:
        self.student, self.classes = student, classes

    @staticmethod
    def of(weights: Mapping[str, torch.Tensor], device: torch.device) -> KeptKnowledge:
        """Take the student among initial weights.

        Raises:
            SemganError: there is none.
        """
        classes = student_classes(part(weights, "student"))
        if classes == 0:
            remedy = "give the run or the bundle that is trained on in --init, or set keep_weight=0"
            raise SemganError("there is no student whose knowledge could be kept", remedy=remedy)
        return KeptKnowledge(build_student_teacher(weights, classes, device), classes)

    def loss(
        self, image: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, known: torch.Tensor | None
    ) -> torch.Tensor:
        """Compute the divergence from the old student, a mean over the pixels where no label contradicts it.

        Args:
            image: `(N, C, H, W)`.
            logits: `(N, L, H, W)` of the student that learns, with as many classes or more.
            labels: `(N, H, W)` integers, 255 where unknown.
            known: `(N, L)` bool, which classes the label of a slice knows; None for all.

        Returns:
            A scalar, at least 0.
        """
        with torch.no_grad():
            target = self.student(image).float().softmax(1)
        weight = (~self.contradicted(target.argmax(1), labels, known)).float()
        losses = soft_label_loss(self.as_old(logits), target, weight)
        return losses.mean() / weight.mean().clamp_min(1e-6)

    def as_old(self, logits: torch.Tensor) -> torch.Tensor:
        """Join classes that the old student does not know, `(N, L, H, W)`, with the background: `(N, K, H, W)`."""
        background = torch.cat([logits[:, :1], logits[:, self.classes :]], 1).logsumexp(1, keepdim=True)
        return torch.cat([background, logits[:, 1 : self.classes]], 1)

    def contradicted(self, found: torch.Tensor, labels: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        """Find pixels `(N, H, W)` where a label says something else than the old student, whose classes are `found`."""
        told = torch.where(labels < self.classes, labels, 0).long()
        differs = (told != found) & (labels != UNLABELLED)
        if known is None:
            return differs
        knows = known.gather(1, found.flatten(1)).view_as(found)
        return differs & (knows | (told > 0))
