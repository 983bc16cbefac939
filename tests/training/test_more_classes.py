"""A student that learns more structures still knows those that it knew."""

from __future__ import annotations

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks import build_student
from monai_semgan.networks.weights import load_into
from monai_semgan.training.more_classes import student_classes, with_more_classes

CHANNELS = (8, 16, 16)


@pytest.mark.parametrize("known", [2, 3, 5])
def test_the_logits_of_known_classes_are_what_they_were(known: int) -> None:
    torch.manual_seed(0)
    old, new = build_student(1, known, CHANNELS).eval(), build_student(1, 6, CHANNELS).eval()
    load_into(new, with_more_classes(old.state_dict(), new.state_dict()))
    image = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        before, after = old(image), new(image)
    assert torch.allclose(after[:, :known], before, atol=1e-5)


def test_the_new_classes_are_drawn_anew_and_can_be_told_from_each_other() -> None:
    torch.manual_seed(0)
    old, new = build_student(1, 3, CHANNELS).eval(), build_student(1, 6, CHANNELS).eval()
    load_into(new, with_more_classes(old.state_dict(), new.state_dict()))
    with torch.no_grad():
        added = new(torch.randn(2, 1, 32, 32))[:, 3:]
    assert (added[:, 0] - added[:, 1]).std() > 0.05 and (added[:, 1] - added[:, 2]).std() > 0.05


def test_known_classes_can_learn_from_the_new_ones() -> None:
    torch.manual_seed(0)
    old, new = build_student(1, 3, CHANNELS), build_student(1, 4, CHANNELS)
    load_into(new, with_more_classes(old.state_dict(), new.state_dict()))
    new(torch.randn(2, 1, 32, 32))[:, 1].square().mean().backward()
    last = dict(new.named_parameters())["model.2.1.conv.unit0.conv.weight"]
    assert last.grad is not None and bool((last.grad[1, 3] != 0).any())


def test_a_student_of_other_channels_is_still_refused() -> None:
    old, new = build_student(1, 3, (8, 16, 24)), build_student(1, 4, CHANNELS)
    with pytest.raises(SemganError, match="another architecture"):
        load_into(new, with_more_classes(old.state_dict(), new.state_dict()))
    wide = build_student(1, 3, (16, 16, 16))
    with pytest.raises(SemganError, match="another architecture"):
        load_into(new, with_more_classes(wide.state_dict(), new.state_dict()))


def test_a_student_of_more_classes_is_still_refused() -> None:
    old, new = build_student(1, 5, CHANNELS), build_student(1, 4, CHANNELS)
    with pytest.raises(SemganError, match="another architecture"):
        load_into(new, with_more_classes(old.state_dict(), new.state_dict()))


def test_classes_are_counted_from_the_weights() -> None:
    assert student_classes(build_student(1, 4, CHANNELS).state_dict()) == 4
    assert student_classes({}) == 0
