"""A generator that copies is told from one that invents."""

from __future__ import annotations

import torch

from monai_semgan.evaluation.memorisation import check_memorisation


def patients(count: int, slices: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth random images; slices of one patient are nearly alike."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(count, 1, 8, 8, generator=generator).repeat_interleave(slices, 0)
    images = base + 0.05 * torch.randn(count * slices, 1, 8, 8, generator=generator)
    return torch.nn.functional.interpolate(images, size=32), torch.arange(count).repeat_interleave(slices)


def test_copies_of_training_slices_are_found_and_named() -> None:
    training, owner = patients(6, 10, 0)
    copies = training[[3, 17, 42]] + 0.02 * torch.randn(3, 1, 32, 32)
    report = check_memorisation(copies, training, owner, patients(2, 5, 1)[0])
    assert report.copied_fraction == 1.0
    assert report.nearest.tolist() == [3, 17, 42]
    assert report.generated.max() < report.unseen.min()


def test_invented_patients_are_as_far_from_training_as_unseen_ones() -> None:
    training, owner = patients(6, 10, 0)
    report = check_memorisation(patients(5, 4, 2)[0], training, owner, patients(5, 4, 3)[0])
    assert report.copied_fraction < 0.2
    summary = report.summary()
    assert 0.5 < summary["generated_median"] / summary["unseen_median"] < 2.0
