"""A batch of the student is divided between labelled slices, unlabelled ones, and those that a teacher labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.data.slice_set import SliceSet
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.training.stages.student_batches import StudentBatches
from monai_semgan.training.stages.student_settings import StudentSettings
from tests.training.stages.encoder_phantoms import encoder_context, phantom_slices, tiny_generator


@pytest.fixture(scope="module")
def slices(datalist: Path, tmp_path_factory: pytest.TempPathFactory) -> SliceSet:
    return phantom_slices(datalist, tmp_path_factory.mktemp("cache"))


def batches(slices: SliceSet, progress: float = 0.5, with_pairs: bool = False, **settings: Any) -> StudentBatches:
    """Batches of 10 at a progress at which unlabelled slices have begun."""
    chosen = StudentSettings(**{"batch_size": 10, "pool_chunk": 4, "pool_chunks": 1, **settings})
    drawing = StudentBatches(encoder_context(slices), chosen, tiny_generator() if with_pairs else None)
    drawing.progress = progress
    return drawing


def test_after_a_quarter_of_the_training_a_share_of_each_batch_is_unlabelled(slices: SliceSet) -> None:
    for progress, expected in ((0.0, 0), (0.24, 0), (0.25, 3), (0.9, 3)):
        image, label = batches(slices, progress).draw(step=4)
        unknown = (label == UNLABELLED).flatten(1).all(1)
        assert len(image) == len(label) == 10 and int(unknown.sum()) == expected


def test_unlabelled_slices_are_those_of_unlabelled_patients(slices: SliceSet) -> None:
    drawn = torch.cat([batches(slices).unlabelled_sampler.batch(step) for step in range(5)])
    assert {slices.patients[volume] for volume in slices.volume_index[drawn].tolist()} == {"p2"}


def test_one_labelled_slice_at_least_remains_in_a_batch(slices: SliceSet) -> None:
    drawing = batches(slices, batch_size=4, unlabelled_fraction=1.0)
    label = drawing.draw(step=0)[1]
    assert drawing.unlabelled == 3 and not bool((label[3:] == UNLABELLED).any())


def test_the_teacher_sees_the_clean_slice_and_the_student_another_contrast(slices: SliceSet) -> None:
    seen = []

    def teacher(image: torch.Tensor) -> torch.Tensor:
        seen.append(image.clone())
        return torch.ones_like(image[:, 0]).long()

    clean, taught = batches(slices, contrast=False).draw(0, teacher)
    randomised, _ = batches(slices, contrast_probability=1.0).draw(0, teacher)
    assert torch.equal(seen[0], clean[:3]) and torch.equal(seen[1], clean[:3]) and bool((taught[:3] == 1).all())
    assert (randomised[:3] - clean[:3]).abs().mean() > 0.05


def test_pairs_that_are_left_out_make_room_as_if_there_were_no_generator(slices: SliceSet) -> None:
    settings = {"generated_fraction": 0.5}
    drawing, without = batches(slices, with_pairs=True, **settings), batches(slices, **settings)
    assert (drawing.generated, drawing.labelled) == (5, 5)
    assert not torch.equal(drawing.draw(3)[0], without.draw(3)[0])
    drawing.leave_out_pairs()
    assert drawing.pool is None and (drawing.generated, drawing.labelled) == (0, 10)
    assert all(torch.equal(one, other) for one, other in zip(drawing.draw(3), without.draw(3), strict=True))
