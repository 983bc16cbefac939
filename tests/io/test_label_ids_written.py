"""Results hold the ids of the user's own label files, in every format whose values are ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import ANY_ID, read_label
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label
from monai_semgan.organs import Segments

LABEL = np.resize(np.array([0, 1, 2], np.uint8), (6, 5, 4))
SCAN = Volume(LABEL.astype(np.float32), np.diag([-2.0, 2.0, 3.0, 1.0]))
PICTURE = Volume(LABEL[..., :1].astype(np.float32), np.eye(4))


def written(path: Path, ids: dict[int, int] | None, scan: Volume = SCAN) -> np.ndarray:
    label = LABEL[..., : scan.array.shape[2]]
    file = write_label(label, scan, path, Segments({1: "liver", 2: "spleen"}), ids)
    return np.asarray(read_label(file, max_label=ANY_ID).array)


@pytest.mark.parametrize("name", ["label.nii.gz", "label.nii", "label.nrrd", "label.mha"])
@pytest.mark.parametrize("ids", [{1: 200, 2: 500}, {1: 255, 2: 7}, {1: 3, 2: 70_000}])
def test_volumes_hold_them(name: str, ids: dict[int, int], tmp_path: Path) -> None:
    found = written(tmp_path / name, ids)
    assert np.array_equal(found, np.array([0, ids[1], ids[2]])[LABEL])
    assert found.dtype == (np.uint8 if max(ids.values()) < 256 else np.int32)


@pytest.mark.parametrize("ids", [{1: 255, 2: 128}, {1: 200, 2: 500}])
def test_pictures_hold_them_in_as_many_bits_as_they_need(ids: dict[int, int], tmp_path: Path) -> None:
    found = written(tmp_path / "mask.png", ids, PICTURE)
    assert np.array_equal(found, np.array([0, ids[1], ids[2]])[LABEL[..., :1]])


def test_a_picture_without_room_for_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="a PNG holds ids up to 65535, and one is 70000; write .nii.gz"):
        written(tmp_path / "mask.png", {1: 1, 2: 70_000}, PICTURE)
    assert not list(tmp_path.iterdir())


def test_named_segments_keep_their_numbers(tmp_path: Path) -> None:
    assert np.array_equal(written(tmp_path / "label.seg.nrrd", {1: 200, 2: 500}), LABEL)
    assert np.array_equal(written(tmp_path / "label.nii.gz", None), LABEL)
