"""A batch says of every pixel what is known of it: by labels, by the generator, or by a teacher that is sure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.data.slice_set import SliceSet
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.training.datasets import hide_labels
from monai_semgan.training.stages.encoder_batches import EncoderBatches, batch_shares
from monai_semgan.training.stages.encoder_settings import EncoderSettings
from tests.training.stages.encoder_phantoms import SMALL, encoder_context, phantom_slices, tiny_generator

SHARES = {"generated_fraction": 0.25, "labelled_fraction": 0.25}


@pytest.fixture(scope="module")
def slices(datalist: Path, tmp_path_factory: pytest.TempPathFactory) -> SliceSet:
    return phantom_slices(datalist, tmp_path_factory.mktemp("cache"))


def batches(slices: SliceSet, num_classes: int = 3, tuned: bool = True, **settings: Any) -> EncoderBatches:
    """Batches of 2 generated pairs, 2 labelled slices, 4 slices of which some have no label."""
    chosen = EncoderSettings(**{**SMALL, **SHARES, **settings})
    return EncoderBatches(encoder_context(slices), chosen, tiny_generator(num_classes).requires_grad_(False), tuned)


def sure_of_two(image: torch.Tensor) -> torch.Tensor:
    """A teacher that is sure of class 2 on the left half, and of nothing on the right."""
    logits = torch.zeros(len(image), 3, *image.shape[2:])
    logits[:, 2, :, :16] = 9.0
    return logits.softmax(1)


def test_a_batch_is_divided_and_needs_labels_for_labelled_slices(slices: SliceSet) -> None:
    settings = EncoderSettings(batch_size=12)
    assert batch_shares(settings, slices) == (3, 6, 3)
    assert batch_shares(settings, hide_labels(slices, 0)) == (3, 0, 9)
    assert batch_shares(EncoderSettings(batch_size=12, generated_fraction=1.0), slices) == (12, 0, 0)


def test_background_of_generated_labels_teaches_a_tuned_generator_nothing(slices: SliceSet) -> None:
    fixed, tuned = (batches(slices, tuned=tuned).draw(0).label[:2] for tuned in (False, True))
    assert (fixed == 0).any() and (fixed > 0).any() and not (fixed == UNLABELLED).any()
    assert torch.equal(tuned, torch.where(fixed == 0, UNLABELLED, fixed))


def test_labels_of_other_classes_are_not_believed(slices: SliceSet) -> None:
    assert (batches(slices, num_classes=2).draw(0).label[:2] == UNLABELLED).all()


def test_a_teacher_labels_generated_pairs_and_slices_without_label(slices: SliceSet) -> None:
    source = batches(slices)
    plain, taught = source.draw(3), source.draw(3, sure_of_two)
    unknown = (plain.label[2:] == UNLABELLED).flatten(1).all(1).nonzero().flatten() + 2
    assert len(unknown) > 0, "a batch of this step has slices without label"
    for row in [0, 1, *unknown.tolist()]:
        assert (taught.label[row, :, :16] == 2).all() and (taught.label[row, :, 16:] == UNLABELLED).all()
    others = [row for row in range(2, 8) if row not in unknown.tolist()]
    assert torch.equal(taught.label[others], plain.label[others]), "real labels are the last word"
    assert torch.equal(taught.image, plain.image)
    assert plain.sure is None and taught.sure is not None and float(taught.sure) == 0.5


def test_without_consistency_a_teacher_labels_generated_pairs_alone(slices: SliceSet) -> None:
    source = batches(slices, consistency=False)
    plain, taught = source.draw(3), source.draw(3, sure_of_two)
    assert (taught.label[:2, :, :16] == 2).all() and torch.equal(taught.label[2:], plain.label[2:])


def test_a_generator_that_is_not_tuned_knows_its_labels_better_than_a_teacher(slices: SliceSet) -> None:
    source = batches(slices, tuned=False)
    assert torch.equal(source.draw(3, sure_of_two).label[:2], source.draw(3).label[:2])


def test_a_teacher_sees_clean_slices(slices: SliceSet) -> None:
    seen: list[torch.Tensor] = []

    def teacher(image: torch.Tensor) -> torch.Tensor:
        seen.append(image)
        return sure_of_two(image)

    batch = batches(slices, contrast_probability=1.0).draw(3, teacher)
    assert torch.equal(seen[0][:2], batch.image[:2]) and not torch.equal(seen[0][:2], batch.source[:2])
