"""A validation before the end looks at as many slices as there is time for; the last one at all of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.errors import Cancelled
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training import validation_check
from monai_semgan.training.validation_check import ValidationCheck, sparser
from tests.training.phantoms import write_patients


class Volumes(SimpleNamespace):
    """So many volumes of so many slices each."""

    def __len__(self) -> int:
        return int(self.num_volumes * self.depth)


@given(st.integers(1, 80), st.integers(1, 300), st.integers(1, 5000))
def test_about_as_many_slices_are_chosen_as_there_is_time_for(volumes: int, depth: int, most: int) -> None:
    chosen, every = sparser(Volumes(num_volumes=volumes, depth=depth), most)  # type: ignore[arg-type]
    looked_at = len(chosen) * -(-depth // every)
    assert chosen[0] == 0 and chosen == sorted(set(chosen)) and chosen[-1] < volumes
    assert looked_at <= max(2 * most, 2 * validation_check.LEAST_SLICES, depth if depth < 16 else 0)
    assert looked_at == volumes * depth or most < volumes * depth


def test_single_images_are_left_out_as_whole_scans() -> None:
    chosen, every = sparser(Volumes(num_volumes=72, depth=1), 20)  # type: ignore[arg-type]
    assert every == 1 and len(chosen) == 18


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a check needs of a stage, with five validation patients of eight slices."""
    folder = tmp_path_factory.mktemp("many")
    entries = load_datalist(write_patients(folder, training=1, unlabelled=0, validation=5)).validation
    slices = build_slice_set(entries, Preprocessing(size=32, pixel_mm=10.0, num_classes=3))
    context = SimpleNamespace(validation=slices, device=torch.device("cpu"), num_classes=3)
    return SimpleNamespace(context=context, check_stop=lambda: None)


def nothing_found(image: torch.Tensor) -> torch.Tensor:
    return torch.eye(3)[0][None, :, None, None].expand(len(image), 3, *image.shape[2:])


def test_the_last_check_scores_every_slice_of_every_scan(stage: Any) -> None:
    check = ValidationCheck(stage)
    assert check(nothing_found, 4, True, 0.0) == {"dice": 0.0, "dice_1": 0.0, "dice_2": 0.0}
    assert check.picture() is not None
    details = check.details()
    assert set(details["validation_dice"]) == {"p1", "p2", "p3", "p4", "p5"} and details["validation_slices"] == 40
    assert len(details["worst_slices"]) == 8, "those of the picture"
    assert check.full_seconds > 0


def test_the_first_check_looks_at_a_few_slices_and_later_ones_at_what_there_is_time_for(stage: Any) -> None:
    check = ValidationCheck(stage)
    check(nothing_found, 4, False, 0.0)
    assert check.slices == 16
    check(nothing_found, 4, False, 1e6)
    assert check.slices == 40


def test_without_time_a_later_check_is_skipped_and_its_scores_stay(stage: Any) -> None:
    check = ValidationCheck(stage)
    check(nothing_found, 4, False, 1.0)
    scores = dict(check.scores)
    assert check(nothing_found, 4, False, 0.0) == {} and check.scores == scores


def test_a_stop_ends_a_check_between_two_batches_and_keeps_the_scores_of_before(stage: Any) -> None:
    calls: list[int] = []

    def counted(image: torch.Tensor) -> torch.Tensor:
        calls.append(len(image))
        return nothing_found(image)

    def stop_at(count: int) -> Callable[[], None]:
        def check_stop() -> None:
            if len(calls) >= count:
                raise Cancelled

        return check_stop

    stopping = SimpleNamespace(context=stage.context, check_stop=stop_at(3))
    check = ValidationCheck(stopping)
    with pytest.raises(Cancelled):
        check(counted, 4, True, 0.0)
    assert calls == [4, 4, 4] and check.scores == {}


def test_a_stage_without_validation_has_no_score() -> None:
    context = SimpleNamespace(validation=None)
    check = ValidationCheck(SimpleNamespace(context=context, check_stop=lambda: None))  # type: ignore[arg-type]
    assert check(nothing_found, 4, True, 1.0) == {} and check.full_seconds == 0.0 and check.picture() is None
