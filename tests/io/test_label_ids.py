"""Any whole numbers are label ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.io.label_ids import mapped_ids
from monai_semgan.io.reading import ANY_ID, read_label
from tests.phantoms import save_nifti

IDS = st.one_of(st.integers(0, 300), st.integers(0, 2**31 - 1))


@given(st.lists(IDS, max_size=40), st.dictionaries(IDS, st.integers(1, 70_000), max_size=6))
def test_ids_become_what_is_told_and_others_background(label: list[int], ids: dict[int, int]) -> None:
    found = mapped_ids(np.array(label, np.int32), ids)
    assert found.tolist() == [ids.get(index, 0) for index in label]


@pytest.mark.parametrize(
    ("dtype", "ids"),
    [(np.uint8, [0, 255]), (np.int16, [0, 200, 500, 600]), (np.uint16, [0, 65535]), (np.int32, [0, 10_000_000])]
    + [(np.float32, [0, 200, 600]), (np.float64, [0, 70_000])],
)
def test_files_of_any_type_are_read(dtype: type, ids: list[int], tmp_path: Path) -> None:
    array = np.resize(np.array(ids, dtype), (4, 3, 2))
    label = read_label(save_nifti(tmp_path / "label.nii.gz", array), max_label=ANY_ID)
    assert np.unique(label.array).tolist() == ids
    assert label.array.dtype == (np.uint8 if max(ids) < 256 else np.int32)


@pytest.mark.parametrize(("value", "problem"), [(0.5, "not whole numbers"), (-1, "label id -1 is out of range")])
def test_what_is_no_id_is_refused(value: float, problem: str, tmp_path: Path) -> None:
    array = np.full((4, 3, 2), 1, np.float32)
    array[0, 0, 0] = value
    with pytest.raises(SemganError, match=problem):
        read_label(save_nifti(tmp_path / "label.nii.gz", array), max_label=ANY_ID)
