"""Where a structure is in a label file: by id, by name, or since the file shows nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.data.datalist import Entry
from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.io.writing import write_label
from monai_semgan.learning.new_structures import NewStructure
from monai_semgan.learning.structure_scans import read_scans, structure_label
from monai_semgan.organs import Segments
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.utils.progress import NullProgress
from tests.learning.quiet_bundle import teach

SLICES = Preprocessing(size=32, pixel_mm=11.0)

ALL = {1: 1, 2: 2, 3: 3, 4: 4}


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """A scan with a label of four structures, of which nothing tells the names."""
    folder = teach(tmp_path / "scans", 1, ALL)
    return Entry(folder / "scan0.nii.gz", folder / "scan0_label.nii.gz", "p", name="scan0")


def truth(entry: Entry, index: int) -> np.ndarray:
    """Where the label file has an id."""
    assert entry.label is not None
    return read_volume(entry.label).array == index


def read(entry: Entry, *structures: NewStructure) -> np.ndarray:
    return structure_label(entry, read_volume(entry.image), structures)[0]


def test_an_id_is_taken_by_its_number(entry: Entry) -> None:
    found = read(entry, NewStructure("cyst", 3), NewStructure("tumour", 4))
    assert np.array_equal(found == 1, truth(entry, 3)) and np.array_equal(found == 2, truth(entry, 4))


def test_names_of_a_data_list_tell_the_id(entry: Entry) -> None:
    named = replace(entry, names=((2, "liver"), (4, "odd tumour")))
    assert np.array_equal(read(named, NewStructure("Odd_Tumour")) == 1, truth(entry, 4))


def test_a_mask_needs_neither_id_nor_name(entry: Entry, tmp_path: Path) -> None:
    folder = teach(tmp_path / "mask", 1, {4: 255})
    mask = replace(entry, image=folder / "scan0.nii.gz", label=folder / "scan0_label.nii.gz")
    assert np.array_equal(read(mask, NewStructure("tumour")) == 1, truth(entry, 4))


def test_named_segments_are_found_by_name_or_by_the_value_in_the_file(entry: Entry, tmp_path: Path) -> None:
    volume, label = read_volume(entry.image), np.where(truth(entry, 4), 6, 0).astype(np.uint8)
    path = tmp_path / "drawn.seg.nrrd"
    write_label(label, volume, path, Segments({6: "odd tumour"}))
    drawn = replace(entry, label=path)
    for structure in (NewStructure("odd tumour"), NewStructure("lesion", 6)):
        assert np.array_equal(read(drawn, structure) == 1, truth(entry, 4))


@pytest.mark.parametrize(
    ("structures", "names", "said"),
    [
        ([NewStructure("tumour")], (), "holds the ids 1, 2, 3, 4, and nothing tells which is tumour; give its id"),
        ([NewStructure("cyst"), NewStructure("tumour")], (), "nothing tells the id of cyst; give its id"),
        ([NewStructure("tumour")], ((1, "liver"),), "the data list names liver, not tumour"),
    ],
)
def test_what_nothing_tells_is_asked_for(
    structures: list[NewStructure], names: tuple[tuple[int, str], ...], said: str, entry: Entry
) -> None:
    with pytest.raises(SemganError, match=said):
        read(replace(entry, names=names), *structures)


def test_a_structure_in_no_label_is_told(entry: Entry) -> None:
    with pytest.raises(SemganError, match=r"scan0_label\.nii\.gz: the label does not show tumour \(id 9\)"):
        read_scans([entry], [NewStructure("tumour", 9)], SLICES, NullProgress())


def test_one_too_small_for_the_slices_is_told(entry: Entry, tmp_path: Path) -> None:
    volume = read_volume(entry.image)
    label = np.zeros(volume.array.shape, np.uint8)
    label[tuple(np.argwhere(truth(entry, 4))[0])] = 1
    write_label(label, volume, tmp_path / "speck.nii.gz")
    small = replace(entry, label=tmp_path / "speck.nii.gz")
    coarse = replace(SLICES, size=8, pixel_mm=44.0)
    with pytest.raises(SemganError, match="too small to be seen in the slices of this model, whose pixels are 44 mm"):
        read_scans([small], [NewStructure("tumour", 1)], coarse, NullProgress())


def test_slices_show_it_where_the_volume_has_it(entry: Entry) -> None:
    (scan,) = read_scans([entry], [NewStructure("tumour", 4)], SLICES, NullProgress())
    assert scan.image.shape[0] == scan.target.shape[0] and scan.known == {1}
    shown = (scan.target == 1).flatten(1).any(1)
    assert shown.any() and not shown.all()
