"""Paired augmentation moves images and labels together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.training.augmentation.paired import PairedAugmentation


def phantom(count: int = 4, size: tuple[int, int] = (64, 64)) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose grey value tells the label, off centre so that every motion shows."""
    labels = torch.zeros(count, *size, dtype=torch.long)
    labels[:, 12:34, 20:30] = 1
    labels[:, 36:52, 34:50] = 4
    return labels[:, None].float() / 4 * 1.8 - 0.9, labels


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), wide=st.booleans())
def test_labels_stay_on_their_anatomy(seed: int, wide: bool) -> None:
    image, labels = phantom(2, (64, 96) if wide else (64, 64))
    moved, moved_labels = PairedAugmentation()(image, labels, seeded(seed))
    assert moved.shape == image.shape and moved_labels.shape == labels.shape
    assert set(moved_labels.unique().tolist()) <= {0, 1, 4}
    told = ((moved[:, 0] + 0.9) / 1.8 * 4).round().clamp(0, 4)
    # Interpolation blurs edges only: nearly all pixels still say which label they carry.
    assert (told == moved_labels).float().mean() > 0.9


def test_the_same_seed_gives_the_same_result() -> None:
    image, labels = phantom()
    first, second = (PairedAugmentation()(image, labels, seeded(3)) for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_probability_zero_changes_nothing() -> None:
    image, labels = phantom()
    same, same_labels = PairedAugmentation(probability=0.0)(image, labels, seeded())
    torch.testing.assert_close(same, image, atol=1e-5, rtol=0)
    assert torch.equal(same_labels, labels)


def test_what_comes_in_from_outside_is_air_and_background() -> None:
    image, labels = torch.ones(8, 1, 32, 32), torch.ones(8, 32, 32, dtype=torch.long)
    small = PairedAugmentation(probability=1.0, scale=(0.5, 0.5), shift=0.0, elastic=0.0)
    moved, moved_labels = small(image, labels, seeded())
    assert (moved[:, :, 0, 0] == -1).all() and (moved_labels[:, 0, 0] == 0).all()
    assert (moved_labels[:, 16, 16] == 1).all()
    covered = (moved_labels == 1).float().mean()
    assert 0.2 < covered < 0.3


def test_a_slice_without_label_stays_unknown_everywhere() -> None:
    image, labels = phantom(2)
    labels[1] = 255
    _, moved = PairedAugmentation(probability=1.0, scale=(0.5, 0.6))(image, labels, seeded())
    assert (moved[1] == 255).all() and not (moved[0] == 255).any()


def test_left_and_right_are_not_exchanged_unless_asked() -> None:
    image, labels = phantom(16)
    column = torch.arange(64.0)

    def side(label: torch.Tensor) -> torch.Tensor:
        return torch.stack([column[:, None].expand(64, 64)[one == 1].mean() for one in label])

    still = {"rotation": 0.0, "scale": (1.0, 1.0), "stretch": 0.0, "shift": 0.0, "elastic": 0.0}
    _, kept = PairedAugmentation(probability=1.0)(image, labels, seeded())
    assert (side(kept) < 40).all()
    mirrored_image, mirrored = PairedAugmentation(flip_probability=1.0, **still)(image, labels, seeded())
    assert torch.equal(mirrored, labels.flip(1))
    torch.testing.assert_close(mirrored_image, image.flip(2), atol=1e-4, rtol=0)


def test_images_without_labels_are_accepted() -> None:
    image, _ = phantom()
    moved, labels = PairedAugmentation()(image, None, seeded())
    assert labels is None and moved.shape == image.shape


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_the_type_of_the_labels_is_kept(dtype: torch.dtype) -> None:
    image, labels = phantom()
    assert PairedAugmentation()(image, labels.to(dtype), seeded())[1].dtype == dtype
