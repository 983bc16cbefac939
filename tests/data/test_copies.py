"""A scan under two names is told, and refused where one is trained on and the other one scored."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.data.copies import copied_files, copied_slices
from monai_semgan.data.datalist import DataList, Entry
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.errors import SemganError
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.phantoms import save_patient

COARSE = Preprocessing(size=32, pixel_mm=11.0)


@pytest.fixture
def ann(tmp_path: Path) -> Entry:
    return Entry(tmp_path / save_patient(tmp_path, "ann", spacing=(8.0, 8.0, 40.0))["image"], patient="ann")


@pytest.fixture
def bert(tmp_path: Path) -> Entry:
    return Entry(tmp_path / save_patient(tmp_path, "bertha", spacing=(8.0, 8.0, 40.0))["image"], patient="bert")


def copy(entry: Entry, name: str) -> Entry:
    """The same bytes under another name."""
    return Entry(shutil.copy(entry.image, entry.image.with_name(name)), patient=name)


def saved_again(entry: Entry, name: str) -> Entry:
    """The same voxels, stored with another type, along other axes, and compressed otherwise."""
    image = nibabel.load(entry.image)
    turned = nibabel.as_closest_canonical(image).slicer[::-1]
    again = nibabel.Nifti1Image(np.asarray(turned.dataobj, np.float64), turned.affine)
    path = entry.image.with_name(name)
    path.write_bytes(gzip.compress(again.to_bytes(), compresslevel=1))
    return Entry(path, patient=name)


def test_different_scans_are_no_copies(ann: Entry, bert: Entry) -> None:
    assert copied_files(DataList((ann,), (bert,))) == []
    assert copied_slices(build_slice_set([ann], COARSE), build_slice_set([bert], COARSE)) == []


@pytest.mark.parametrize("section", ["validation", "test"])
def test_equal_files_in_two_sections_are_refused_before_they_are_read(section: str, ann: Entry, bert: Entry) -> None:
    listed = DataList(training=(bert, ann), **{section: (copy(ann, "other.nii.gz"),)})
    told = f'ann.nii.gz in "training" and other.nii.gz in "{section}" are the same image; take one of them out'
    with pytest.raises(SemganError, match=told) as caught:
        copied_files(listed, Path("list.json"))
    assert caught.value.path == Path("list.json")


def test_equal_files_in_one_section_are_told(ann: Entry, bert: Entry) -> None:
    (note,) = copied_files(DataList((ann, bert, copy(ann, "other.nii.gz"))))
    assert note.startswith('ann.nii.gz and other.nii.gz in "training" are the same image')


def test_the_same_voxels_in_another_file_are_found_by_their_slices(ann: Entry, bert: Entry) -> None:
    again = saved_again(ann, "again.nii.gz")
    assert copied_files(DataList((ann,), (again,))) == []
    training, scored = build_slice_set([bert, ann], COARSE), build_slice_set([again], COARSE)
    with pytest.raises(SemganError, match='ann.nii.gz in "training" and again.nii.gz in "validation" are the same'):
        copied_slices(training, scored)
    assert len(copied_slices(build_slice_set([ann, bert, again], COARSE))) == 1
