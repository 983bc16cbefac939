"""Does the generator repeat its training patients? Nearest training slice of generated and of unseen real slices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class MemorisationReport:
    """Distances to the nearest training slice, as root mean square difference of images in [-1, 1].

    Attributes:
        generated: `(n,)` distance of every generated slice.
        unseen: `(m,)` distance of every slice of patients that the generator did not train on.
        between_patients: `(k,)` distance of training slices to the nearest slice of another training patient.
        copied_fraction: fraction of generated slices nearer to training than the nearest 1 % of
            `between_patients`; about .01 for a generator that invents patients, near 1 for one that copies.
        nearest: `(n,)` index of the nearest training slice of every generated slice.
    """

    generated: torch.Tensor
    unseen: torch.Tensor
    between_patients: torch.Tensor
    copied_fraction: float
    nearest: torch.Tensor

    def summary(self) -> dict[str, float]:
        """Medians and first percentiles, ready for JSON."""
        values = {"copied_fraction": self.copied_fraction}
        for name in ("generated", "unseen", "between_patients"):
            distances = getattr(self, name)
            if len(distances):
                values[f"{name}_median"] = float(distances.median())
                values[f"{name}_percentile_1"] = float(distances.quantile(0.01))
        return values


def check_memorisation(
    generated: torch.Tensor, training: torch.Tensor, patients: torch.Tensor, unseen: torch.Tensor, size: int = 32
) -> MemorisationReport:
    """Compare generated slices with all training slices.

    A distance between images says little by itself, so it is read against what separates slices of different
    people: the nearest slice of another training patient.

    Args:
        generated: `(n, C, H, W)` in [-1, 1].
        training: `(t, C, H, W)`.
        patients: `(t,)` patient of every training slice.
        unseen: `(m, C, H, W)` real slices of patients that are not in training; may be empty.
        size: edge length to which the slices are averaged first, so that noise does not hide a copy.
    """
    reference = _flatten(training, size)
    generated_distance, nearest = _nearest(_flatten(generated, size), reference)
    unseen_distance = _nearest(_flatten(unseen, size), reference)[0] if len(unseen) else torch.empty(0)
    between = torch.cat(
        [_nearest(reference[patients == p], reference[patients != p])[0] for p in patients.unique()]
        if len(patients.unique()) > 1
        else [torch.empty(0)]
    )
    limit = between.quantile(0.01) if len(between) else torch.tensor(0.0)
    copied = float((generated_distance < limit).float().mean())
    return MemorisationReport(generated_distance, unseen_distance, between, copied, nearest)


def _flatten(images: torch.Tensor, size: int) -> torch.Tensor:
    return F.adaptive_avg_pool2d(images.float(), min(size, images.shape[-1])).flatten(1)


def _nearest(queries: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Root mean square distance to, and index of, the nearest row of `reference` for every query."""
    found = [torch.cdist(chunk, reference).min(1) for chunk in queries.split(512)]
    distance = torch.cat([f.values for f in found]) / queries.shape[1] ** 0.5
    return distance, torch.cat([f.indices for f in found])
