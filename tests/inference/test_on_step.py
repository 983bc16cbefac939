"""What a caller hears of a segmentation, how it ends one, and which wishes are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import monai_semgan as sg
from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.io.volume import Volume
from tests.phantoms import grid, patient


@pytest.fixture(scope="module")
def volume() -> Volume:
    return patient(*grid((8.0, 8.0, 20.0)))


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle, "cpu")


def stop(phase: str, step: int = 0) -> Callable[[Any], None]:
    def on_step(event: Any) -> None:
        if event.phase == phase and event.step >= step:
            raise Cancelled

    return on_step


def test_a_preview_tells_how_many_slices_are_done(volume: Volume, bundle: Bundle) -> None:
    heard: list[tuple[str, int]] = []
    found = sg.segment(volume, bundle, batch_size=2, on_step=lambda event: heard.append((event.phase, event.step)))
    total, steps = len(found.probabilities), [step for _, step in heard]
    assert {phase for phase, _ in heard} == {"preview"}
    assert steps[0] == 0 and steps[-1] == total and steps == sorted(steps)
    assert len(heard) > total // 2  # after every batch


def test_a_refinement_tells_preview_start_and_steps_in_this_order(volume: Volume, bundle: Bundle) -> None:
    heard: list[Any] = []
    sg.segment(volume, bundle, "refine", steps=2, on_step=heard.append)
    phases = [event.phase for event in heard if event.phase != "batch"]
    assert phases == sorted(phases, key=("preview", "start", "step").index)
    steps = [(event.step, event.steps) for event in heard if event.phase == "step"]
    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_a_refinement_gives_the_preview_as_partial_result_before_it_searches(volume: Volume, bundle: Bundle) -> None:
    first: list[sg.Segmentation] = []

    def on_step(event: Any) -> None:
        if event.phase == "start":
            first.append(event.partial())
        elif event.phase == "preview":
            assert event.partial() is None

    sg.segment(volume, bundle, "refine", steps=1, on_step=on_step)
    assert (first[0].label == sg.segment(volume, bundle).label).all() and first[0].inversion is None


@pytest.mark.parametrize("mode", ["preview", "refine"])
def test_a_preview_that_is_cancelled_has_nothing_to_give(mode: str, volume: Volume, bundle: Bundle) -> None:
    with pytest.raises(Cancelled):
        sg.segment(volume, bundle, mode, on_step=stop("preview"))


@pytest.mark.parametrize("phase,step", [("start", 0), ("batch", 0), ("step", 2)])
def test_an_inversion_that_is_cancelled_gives_its_best_so_far(
    phase: str, step: int, volume: Volume, bundle: Bundle
) -> None:
    found = sg.segment(volume, bundle, "invert", steps=40, batch_size=2, on_step=stop(phase, step))
    assert found.cancelled and found.label.shape == volume.array.shape
    assert any("Stopped early" in note for note in found.notes)
    assert found.probabilities.isfinite().all()


def test_an_error_of_the_caller_is_not_taken_for_a_wish_to_stop(volume: Volume, bundle: Bundle) -> None:
    def on_step(event: Any) -> None:
        raise ZeroDivisionError

    for mode in ("preview", "invert"):
        with pytest.raises(ZeroDivisionError):
            sg.segment(volume, bundle, mode, steps=3, on_step=on_step)


def test_the_encoder_announces_no_steps(volume: Volume, bundle: Bundle) -> None:
    heard: list[Any] = []
    sg.segment(volume, bundle, "encoder", steps=30, on_step=heard.append)
    assert {event.steps for event in heard} == {0}


@pytest.mark.parametrize("mode", ["preview", "invert", "refine"])
@pytest.mark.parametrize(
    "wrong,told",
    [
        ({"batch_size": 0}, "batch_size"),
        ({"steps": 1.5}, "steps.*1.5"),
        ({"stepz": 3}, "unknown setting 'stepz'.*known are .*steps"),
        ({"labels": [9]}, "unknown label 9.*liver"),
        ({"labels": []}, "no label is chosen.*liver"),
        ({"labels": ["liver", "heart"]}, "unknown label 'heart'.*liver"),
        ({"objective": "ssim"}, "unknown objective 'ssim'.*structure"),
    ],
)
def test_wishes_without_sense_are_refused_before_anything_is_computed(
    mode: str, wrong: dict[str, Any], told: str, volume: Volume, bundle: Bundle
) -> None:
    heard: list[Any] = []
    with pytest.raises(SemganError, match=told):
        sg.segment(volume, bundle, mode, on_step=heard.append, **wrong)
    assert heard == []


def test_labels_are_chosen_by_name_or_by_id(volume: Volume, bundle: Bundle) -> None:
    names = list(bundle.labels.values())[:2]
    ids = list(bundle.labels)[:2]
    by_name, by_id = (sg.segment(volume, bundle, labels=chosen) for chosen in (names, ids))
    assert (by_name.label == by_id.label).all() and list(by_name.volumes_ml) == names
    assert list(sg.segment(volume, bundle, labels=names[0]).volumes_ml) == names[:1]


def test_only_organs_that_were_asked_for_are_said_not_to_be_found(volume: Volume, bundle: Bundle) -> None:
    air = Volume(volume.array * 0 - 1000, volume.affine)
    student = bundle.network.student
    bundle.network.student = Background(len(bundle.labels) + 1)
    try:
        notes = sg.segment(air, bundle, labels=["spleen"], modality="CT").notes
    finally:
        bundle.network.student = student
    (note,) = [note for note in notes if note.startswith("No organ")]
    assert "spleen" in note and "liver" not in note


def test_slices_whose_inversion_fails_are_told(volume: Volume, bundle: Bundle, monkeypatch: Any) -> None:
    from monai_semgan.inversion.total import SliceObjective

    original = SliceObjective.__call__

    def broken(self: SliceObjective, latents: torch.Tensor, index: torch.Tensor, *neighbours: torch.Tensor) -> Any:
        return original(self, latents, index, *neighbours) + torch.where(index == 1, float("nan"), 0.0)

    monkeypatch.setattr(SliceObjective, "__call__", broken)
    found = sg.segment(volume, bundle, "invert", steps=2, organ_margin=1000)
    assert found.inversion is not None and found.inversion.failed.sum() == 1
    assert any("inversion of 1 of" in note for note in found.notes)


class Background(torch.nn.Module):
    """A student that sees no organ anywhere."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(image.shape[0], self.classes, *image.shape[2:])
        logits[:, 0] = 9.0
        return logits
