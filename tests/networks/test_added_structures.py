"""Heads beside a student, whose own results stay as they are."""

from __future__ import annotations

import pytest
import torch

from monai_semgan.networks import InversionSegmenter
from monai_semgan.networks.added_structures import AddedStructures
from monai_semgan.networks.unet import build_student
from monai_semgan.utils.shared_background import whole_background


def images(count: int = 2) -> torch.Tensor:
    """Random slices."""
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("channels", [(8, 8), (8, 16, 16, 8)])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_maps_of_a_student_cost_no_bit_of_its_logits(members: int, channels: tuple[int, ...], bfloat16: bool) -> None:
    torch.manual_seed(0)
    student = build_student(1, 4, channels, members).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits, features = student.with_features(images())
        expected = student(images())
    assert torch.equal(logits, expected)
    assert [feature.shape[1] for feature in features] == student.feature_channels


def network(structures: list[int]) -> InversionSegmenter:
    """A student of 3 classes with heads that find something everywhere."""
    torch.manual_seed(0)
    student = build_student(1, 3, (8, 16, 8))
    added = AddedStructures(student.feature_channels, 3, structures, width=8)
    for head in added.heads:
        torch.nn.init.normal_(head.last.weight, std=5.0)
    return InversionSegmenter(None, None, student, added=added).eval()


@torch.no_grad()
def test_added_classes_follow_the_old_ones_and_leave_them_alone() -> None:
    model = network([2, 1])
    assert model.added_count == 3 and model.added_counts == (2, 1)
    old = model.student(images()).softmax(1)
    found = model(images()).softmax(1)
    assert found.shape == (2, 6, 32, 32)
    torch.testing.assert_close(found[:, 1:3], old[:, 1:], atol=1e-6, rtol=0)
    torch.testing.assert_close(whole_background(found, (2, 1)), old, atol=1e-6, rtol=0)
    assert (found[:, 3:].amax((0, 2, 3)) > 0.1).all(), "each added class is found somewhere"


@torch.no_grad()
def test_a_second_head_does_not_move_the_first() -> None:
    model = network([2, 1])
    alone = network([2])
    alone.load_state_dict({k: v for k, v in model.state_dict().items() if ".heads.1." not in k})
    one, both = alone.preview_parts(images()), model.preview_parts(images())
    assert torch.equal(both[:, : one.shape[1]], one)


def test_a_student_without_additions_exports_as_before() -> None:
    model = InversionSegmenter(None, None, build_student(1, 3, (8, 8)).eval())
    scripted = torch.jit.script(model)
    torch.testing.assert_close(scripted(images()), model(images()))
