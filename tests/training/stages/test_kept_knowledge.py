"""A student that learns more is held to what it knew, save where a label says otherwise."""

from __future__ import annotations

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.networks import StudentUNet, build_student
from monai_semgan.networks.weights import load_into, with_prefix
from monai_semgan.training.more_classes import with_more_classes
from monai_semgan.training.stages.kept_knowledge import KeptKnowledge

CHANNELS = (8, 16, 16)
CLASSES = 3
IMAGE = torch.linspace(-1, 1, 2 * 32 * 32).reshape(2, 1, 32, 32)
OPEN = torch.full((2, 32, 32), UNLABELLED)


@pytest.fixture
def old() -> StudentUNet:
    torch.manual_seed(0)
    student = build_student(1, CLASSES, CHANNELS).eval()
    assert isinstance(student, StudentUNet)
    return student


@pytest.fixture
def kept(old: StudentUNet) -> KeptKnowledge:
    return KeptKnowledge.of(with_prefix(old.state_dict(), "student"), torch.device("cpu"))


def test_nothing_is_lost_while_the_student_says_the_same(old: StudentUNet, kept: KeptKnowledge) -> None:
    assert float(kept.loss(IMAGE, old(IMAGE).detach(), OPEN, None)) == pytest.approx(0.0, abs=1e-6)


def test_what_was_background_may_become_a_new_structure(old: StudentUNet, kept: KeptKnowledge) -> None:
    logits = old(IMAGE).detach()
    shared = logits[:, :1] - torch.log(torch.tensor(2.0))
    assert float(kept.loss(IMAGE, torch.cat([shared, logits[:, 1:], shared], 1), OPEN, None)) < 1e-6


def test_what_was_an_organ_may_not(old: StudentUNet, kept: KeptKnowledge) -> None:
    logits = old(IMAGE).detach()
    assert float(kept.loss(IMAGE, torch.cat([logits, logits.amax(1, keepdim=True) + 5], 1), OPEN, None)) > 0.5


def test_a_step_away_from_the_old_student_costs_more_the_farther_it_goes(old: StudentUNet, kept: KeptKnowledge) -> None:
    logits = old(IMAGE).detach()
    losses = [
        float(kept.loss(IMAGE, logits + torch.tensor([0.0, far, 0.0])[:, None, None], OPEN, None)) for far in (1, 2, 4)
    ]
    assert 0 < losses[0] < losses[1] < losses[2]


def test_a_label_that_says_otherwise_wins(old: StudentUNet, kept: KeptKnowledge) -> None:
    logits = old(IMAGE).detach()
    other = (logits.argmax(1) + 1) % CLASSES
    moved = logits + 3 * torch.nn.functional.one_hot(other, CLASSES).permute(0, 3, 1, 2)
    assert float(kept.loss(IMAGE, moved, other, None)) == 0.0
    assert float(kept.loss(IMAGE, moved, logits.argmax(1), None)) > 0.1


@pytest.mark.parametrize(("knows", "contradicts"), [(True, True), (False, False)])
def test_background_contradicts_a_structure_only_where_the_label_knows_it(
    kept: KeptKnowledge, knows: bool, contradicts: bool
) -> None:
    found, background = torch.ones(2, 4, 4, dtype=torch.long), torch.zeros(2, 4, 4)
    known = torch.tensor([[True, knows, True, True]] * 2)
    assert bool(kept.contradicted(found, background, known).all()) is contradicts
    assert bool(kept.contradicted(found, background, known).any()) is contradicts


def test_a_new_structure_on_old_background_is_no_contradiction(kept: KeptKnowledge) -> None:
    found, new = torch.zeros(2, 4, 4, dtype=torch.long), torch.full((2, 4, 4), CLASSES)
    assert not bool(kept.contradicted(found, new, None).any())


def test_a_grown_student_begins_close_to_the_old_one(old: StudentUNet, kept: KeptKnowledge) -> None:
    new = build_student(1, CLASSES + 1, CHANNELS).eval()
    load_into(new, with_more_classes(old.state_dict(), new.state_dict()))
    with torch.no_grad():
        joined = kept.as_old(new(IMAGE))
        assert torch.allclose(joined[:, 1:], old(IMAGE)[:, 1:], atol=1e-5)


def test_without_a_student_there_is_nothing_to_keep() -> None:
    with pytest.raises(SemganError, match="no student"):
        KeptKnowledge.of({}, torch.device("cpu"))
