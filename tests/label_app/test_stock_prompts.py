"""Points and scribbles in the words of MONAI Label's clients become strokes of the right voxels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_semgan.correction.strokes import Stroke
from monai_semgan.errors import SemganError
from monai_semgan.io.volume import Volume
from monai_semgan.jobs.correction_contract import StrokeInput
from monai_semgan.label_app.stock_prompts import PointPrompts, ScribblePrompts, point_strokes

pytestmark = pytest.mark.label

LABELS = {1: "liver", 2: "spleen"}
SHAPE = (6, 7, 8)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def voxels(stroke: StrokeInput, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Mask of a stroke, as the worker reads its runs."""
    found = np.zeros(shape, bool)
    found[tuple(Stroke.from_runs(1, stroke.runs, shape).voxels.T)] = True  # type: ignore[arg-type]
    return found


def scribbles(tmp_path: Path, array: np.ndarray, **params: Any) -> ScribblePrompts:
    """What is read of a label map that was sent."""
    path = tmp_path / "sent.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
    image = Volume(np.zeros(SHAPE, np.float32), AFFINE)
    return ScribblePrompts.read(path, image, {"selected_label_name": "Spleen", **params}, LABELS)


@given(arrays(bool, SHAPE, elements=st.booleans()).filter(lambda mask: bool(mask.any())))
def test_scribbles_become_strokes_of_the_same_voxels(mask: np.ndarray) -> None:
    nothing = np.zeros(SHAPE, bool)
    (stroke,) = ScribblePrompts("spleen", nothing.astype(np.uint8), mask, nothing).strokes()
    assert stroke.positive and np.array_equal(voxels(stroke), mask)


def test_segments_get_the_models_ids_whatever_the_client_calls_them(tmp_path: Path) -> None:
    array = np.zeros(SHAPE, np.uint8)
    array[0], array[1], array[2], array[3, 0], array[3, 1] = 1, 2, 3, 4, 5
    told = ["spleen", "tumour", "liver", "background_scribbles", "foreground_scribbles"]
    found = scribbles(tmp_path, array, label_info=[{"name": n, "id": i} for i, n in enumerate(told, 1)])
    assert found.structure == "spleen"
    assert [int(found.label[i].max()) for i in range(6)] == [2, 0, 1, 0, 0, 0]
    assert np.array_equal(found.background, array == 4) and np.array_equal(found.foreground, array == 5)


def test_without_names_scribbles_have_the_ids_after_the_models(tmp_path: Path) -> None:
    array = np.zeros(SHAPE, np.uint8)
    array[0], array[1, 0], array[1, 1] = 2, 3, 4
    found = scribbles(tmp_path, array)
    assert np.array_equal(found.label == 2, array == 2)
    assert np.array_equal(found.background, array == 3) and np.array_equal(found.foreground, array == 4)


def test_a_region_of_interest_is_a_box_that_scribbles_may_contradict(tmp_path: Path) -> None:
    array = np.zeros(SHAPE, np.uint8)
    array[1, 1, 1] = 4
    box, scribble = scribbles(tmp_path, array, roi=[4, 2, -3, 2, 5, 99]).strokes()
    assert (box.kind.value, scribble.kind.value) == ("box", "scribble")
    wanted = np.zeros(SHAPE, bool)
    wanted[2:5, 0:3, 5:8] = True
    assert np.array_equal(voxels(box), wanted)


@pytest.mark.parametrize("roi", [[1, 2, 3], ["a"] * 6, [90, 99, 0, 1, 0, 1]])
def test_a_region_of_interest_that_is_none_is_refused(roi: list[Any], tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="roi|region"):
        scribbles(tmp_path, np.zeros(SHAPE, np.uint8), roi=roi)


def test_scribbles_on_another_grid_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="beyond the image|shape"):
        scribbles(tmp_path, np.zeros((9, 9, 9), np.uint8))


@given(st.tuples(*(st.integers(0, size - 1) for size in SHAPE)), st.booleans())
def test_a_point_is_the_voxel_of_its_indices(point: tuple[int, int, int], positive: bool) -> None:
    (stroke,) = point_strokes("liver", [(point, positive)], SHAPE)
    assert np.argwhere(voxels(stroke)).tolist() == [list(point)] and stroke.positive is positive


@pytest.mark.parametrize("point", [(-1, 0, 0), (6, 0, 0), (0, 0, 8)])
def test_a_point_outside_the_scan_is_refused(point: tuple[int, int, int]) -> None:
    with pytest.raises(SemganError, match="6 x 7 x 8 voxels"):
        point_strokes("liver", [(point, True)], SHAPE)


def test_points_are_read_as_clients_send_them() -> None:
    sent = {"structure": "Liver", "foreground": [[1, 2, 3], [1.4, 2, 3]], "background": [], "reset_state": True}
    found = PointPrompts.from_params(sent, LABELS)
    assert found.structure == "liver" and found.reset and found.points() == {((1, 2, 3), True)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"foreground": [[1, 2]]},
        {"background": {"i": 1}},
        {"foreground": [[True, 0, 0]]},
        {"foreground": [[0, 0, 0]] * 300},
    ],
)
def test_points_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SemganError, match="points"):
        PointPrompts.from_params({"structure": "liver", **wrong}, LABELS)
