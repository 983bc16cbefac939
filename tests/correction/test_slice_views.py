"""What is seen in a slice, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from monai_semgan.bundle.load import Bundle
from monai_semgan.correction.slice_views import SliceViews, student_view
from monai_semgan.networks import InversionSegmenter
from monai_semgan.networks.added_structures import AddedStructures
from monai_semgan.networks.unet import build_student
from tests.phantoms import grid, patient

CLASSES, CHANNELS = 5, (4, 8, 8)


def student_alone(members: int = 1, added: tuple[int, ...] = ()) -> InversionSegmenter:
    """A small student of random weights, whose added structures show somewhere."""
    torch.manual_seed(0)
    student = build_student(1, CLASSES, CHANNELS, members)
    heads = AddedStructures(student.feature_channels, CLASSES, added, width=8) if added else None
    for head in heads.heads if heads is not None else ():
        nn.init.normal_(head.last.weight)
    return InversionSegmenter(None, None, student, added=heads).eval()


def slices() -> torch.Tensor:
    return torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(("members", "added"), [(1, ()), (3, ()), (1, (1,)), (1, (2, 1)), (2, (1,))])
@torch.no_grad()
def test_what_the_student_sees_is_its_preview_to_the_last_bit(members: int, added: tuple[int, ...]) -> None:
    network = student_alone(members, added)
    logits, features = student_view(network, slices())
    assert torch.equal(logits, network.preview(slices()))
    assert logits.shape[1] == CLASSES + sum(added)
    assert features.shape == (2 * 2 * CHANNELS[0], 16, 16)


@torch.no_grad()
def test_a_student_of_another_kind_has_no_features() -> None:
    network = InversionSegmenter(None, None, nn.Conv2d(1, CLASSES, 3, padding=1)).eval()
    logits, features = student_view(network, slices())
    assert torch.equal(logits, network.preview(slices()))
    assert features.shape == (0, 32, 32)


@pytest.mark.parametrize(("members", "added"), [(0, ()), (1, ()), (3, ()), (1, (1,))])
def test_every_network_runs_once_in_a_slice(model: Bundle, members: int, added: tuple[int, ...]) -> None:
    network = student_alone(members, added) if members else model.network
    affine, shape = grid((9.0, 9.0, 12.0))
    prepared = model.preprocessing(patient(affine, shape, seed=0))
    views = SliceViews(replace(model, network=network), prepared, negatives=False)
    counts: dict[nn.Module, int] = {}

    def count(module: nn.Module, *_: object) -> None:
        counts[module] = counts.get(module, 0) + 1

    convolutions = [module for module in network.student.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(count) for module in convolutions]
    views[3], views[3]
    for hook in hooks:
        hook.remove()
    assert [counts.get(module, 0) for module in convolutions] == [1] * len(convolutions)
