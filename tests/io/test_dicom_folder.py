"""What lies in a DICOM folder: which files make up the scan, and why the others are not used.

The right values are those of the arrays that the phantoms are made from: whatever the files are called, in whichever
order they come, whatever lies beside them, and whatever became of their UIDs.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from tests.dicom_phantoms import base, datasets, radiograph, save, write_series

SHAPE = (7, 6, 5)
AFFINE = np.array([[-2.0, 0, 0, 30], [0, -2.5, 0, 40], [0, 0, 3, -50], [0, 0, 0, 1]])
APPLE_DOUBLE = bytes.fromhex("0005160700020000") + bytes(300)


def values(shape: tuple[int, ...] = SHAPE, low: int = -1000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, 1500, shape).astype(np.float32)


def slices(seed: int = 0, **options: Any) -> list[pydicom.Dataset]:
    return datasets(values(seed=seed), AFFINE, **options)


def content(dataset: pydicom.Dataset, folder: Path, before: bytes = b"") -> bytes:
    """What the file of a data set holds, or what comes before an element."""
    path = save(dataset, folder / "made" / "one")
    data = path.read_bytes()
    path.unlink()
    return data[: data.index(before)] if before else data


PIXEL_SPACING, SERIES_NUMBER, MANUFACTURER = b"\x28\x00\x30\x00DS", b"\x20\x00\x11\x00IS", b"\x08\x00\x70\x00LO"


def broken_header(folder: Path) -> bytes:
    """Of another series: a position that is no number."""
    dataset = slices(SeriesInstanceUID="1.2.77", SeriesNumber=77)[0]
    dataset["ImagePositionPatient"] = pydicom.DataElement("ImagePositionPatient", "DS", ["1", "2", "3"])
    data = content(dataset, folder)
    place = data.index(b"1\\2\\3 ")
    return data[:place] + b"1\\x\\3 " + data[place + 6 :]


def frames_without_end(folder: Path) -> bytes:
    dataset = slices(SeriesInstanceUID="1.2.78", SeriesNumber=78, NumberOfFrames=0)[0]
    dataset.NumberOfFrames = 2_000_000
    return content(dataset, folder)


STRAYS: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "shadow file of macOS": ("._IM0003.dcm", lambda d: APPLE_DOUBLE, "1 is no DICOM (._IM0003.dcm)"),
    "shadow file in a folder of its own": ("__MACOSX/._IM0003.dcm", lambda d: APPLE_DOUBLE, "1 is no DICOM"),
    "empty file": ("x.dcm", lambda d: b"", "1 is empty (x.dcm)"),
    "empty file without ending": ("IM9999", lambda d: b"", "1 is empty (IM9999)"),
    "text called DICOM": ("notes.dcm", lambda d: b"see page 3\n" * 40, "1 is no DICOM (notes.dcm)"),
    "text": ("readme.txt", lambda d: b"hello", "1 is no DICOM (readme.txt)"),
    "zeros called DICOM": ("zero.dcm", lambda d: bytes(4000), "1 is no DICOM (zero.dcm)"),
    "picture": ("thumb.ima", lambda d: b"\x89PNG\r\n\x1a\n" + bytes(500), "1 is no DICOM (thumb.ima)"),
    "report": (
        "sr.dcm",
        lambda d: content(base("SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", SOPInstanceUID="1.2.3"), d),
        "1 is a DICOM object without image (sr.dcm)",
    ),
    "broken header of another series": ("b.dcm", broken_header, "1 is damaged and of another series (b.dcm)"),
    "impossible header of another series": ("f.dcm", frames_without_end, "1 is damaged and of another series (f.dcm)"),
    "slice of another series cut off": (
        "c.dcm",
        lambda d: content(slices(SeriesInstanceUID="1.2.79", SeriesNumber=79)[0], d, PIXEL_SPACING),
        "1 is damaged and of another series (c.dcm)",
    ),
    "slice of another modality cut off early": (
        "m.dcm",
        lambda d: content(slices(modality="MR")[0], d, MANUFACTURER),
        "1 is damaged and of another series (m.dcm)",
    ),
}


@pytest.mark.parametrize("zip_it", [False, True])
@pytest.mark.parametrize("stray", STRAYS)
def test_a_stray_file_does_not_stop_the_folder_and_is_told(stray: str, zip_it: bool, tmp_path: Path) -> None:
    name, make, told = STRAYS[stray]
    data = make(tmp_path)
    path = write_series(tmp_path / "scan", slices())
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_bytes(data)
    if zip_it:
        with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
            for file in path.rglob("*"):
                archive.write(file, file.relative_to(path))
        path = tmp_path / "scan.zip"
    volume = read_volume(path)
    assert np.array_equal(volume.array, values()) and np.allclose(volume.affine, AFFINE)
    assert len(volume.notes) == 1 and volume.notes[0].startswith("Not used beside the series: ")
    assert told in volume.notes[0]


def test_stray_files_are_grouped_and_counted_in_one_note(tmp_path: Path) -> None:
    path = write_series(tmp_path, slices())
    for number in range(5):
        (path / f"._IM{number:04d}.dcm").write_bytes(APPLE_DOUBLE)
    (path / "x.dcm").touch()
    assert read_volume(path).notes == (
        "Not used beside the series: 5 are no DICOM (._IM0000.dcm, ._IM0001.dcm, ...), 1 is empty (x.dcm).",
    )


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(place=st.integers(0, 4), keep=st.integers(133, 1150), own_uids=st.booleans())
def test_a_slice_that_is_cut_off_anywhere_is_never_left_out_in_silence(
    tmp_path_factory: pytest.TempPathFactory, place: int, keep: int, own_uids: bool
) -> None:
    stack = slices()
    if own_uids:
        own("SeriesInstanceUID")(stack)
    path = write_series(tmp_path_factory.mktemp("s"), stack, shuffle=None)
    file = path / f"IM{place:04d}"
    keep = min(keep, file.stat().st_size - 1)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(
        SemganError, match=f"IM000{place}: .*(readable|cut off|damaged|no pixel).*copy or export it again"
    ):
        read_volume(path)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(keep=st.integers(0, 300))
def test_a_slice_of_another_series_cut_off_anywhere_behind_its_number_is_a_note(
    tmp_path_factory: pytest.TempPathFactory, keep: int
) -> None:
    folder = tmp_path_factory.mktemp("s")
    data = content(slices(SeriesInstanceUID="1.2.79", SeriesNumber=79)[0], folder)
    path = write_series(folder, slices(), shuffle=None)
    known = data.index(SERIES_NUMBER) + 10
    (path / "c.dcm").write_bytes(data[: min(known + keep, len(data) - 100)])
    volume = read_volume(path)
    assert np.array_equal(volume.array, values())
    assert volume.notes == ("Not used beside the series: 1 is damaged and of another series (c.dcm).",)


def test_a_slice_whose_header_alone_is_left_is_called_cut_off(tmp_path: Path) -> None:
    """It ends between size and spacing: the spacing is not what is wrong with it."""
    path = write_series(tmp_path, slices(), shuffle=None)
    file = path / "IM0004"
    data = file.read_bytes()
    file.write_bytes(data[: data.index(PIXEL_SPACING)])
    with pytest.raises(SemganError, match="IM0004: the file is cut off or damaged: an image without pixel data"):
        read_volume(path)


def test_a_slice_cut_off_before_its_series_may_be_of_the_scan(tmp_path: Path) -> None:
    path = write_series(tmp_path, slices(), shuffle=None)
    (path / "IM0004").write_bytes((path / "IM0004").read_bytes()[:420])
    with pytest.raises(SemganError, match="IM0004: .*cut off.*or take it out of the folder if it is no part"):
        read_volume(path)


def test_a_damaged_entry_of_a_zip_is_named(tmp_path: Path) -> None:
    series = write_series(tmp_path / "s", slices(), shuffle=None)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(series.iterdir()):
            archive.write(file, file.name)
        start = archive.getinfo("IM0004").header_offset + 30 + len("IM0004")
    data = bytearray(path.read_bytes())
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(SemganError, match="IM0004: this entry of the zip is damaged; copy it again, or take it out"):
        read_volume(path)


def constant(name: str) -> Callable[[list[pydicom.Dataset]], None]:
    def change(stack: list[pydicom.Dataset]) -> None:
        for dataset in stack:
            setattr(dataset, name, "1.2.3")

    return change


def own(name: str) -> Callable[[list[pydicom.Dataset]], None]:
    def change(stack: list[pydicom.Dataset]) -> None:
        for dataset in stack:
            setattr(dataset, name, generate_uid())

    return change


def empty(name: str) -> Callable[[list[pydicom.Dataset]], None]:
    def change(stack: list[pydicom.Dataset]) -> None:
        for dataset in stack:
            setattr(dataset, name, "")

    return change


UIDS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    changes=st.lists(st.tuples(st.sampled_from([constant, own, empty]), st.sampled_from(UIDS)), max_size=4),
    strays=st.sets(st.sampled_from(sorted(STRAYS)[:1] + ["empty file", "text", "report", "text called DICOM"])),
    others=st.booleans(),
    twice=st.sets(st.integers(0, 4)),
    data=st.data(),
)
def test_the_scan_is_the_same_whatever_its_files_are_called_and_whatever_became_of_their_uids(
    tmp_path_factory: pytest.TempPathFactory, changes: Any, strays: Any, others: bool, twice: set[int], data: Any
) -> None:
    folder = tmp_path_factory.mktemp("scan")
    stack = slices()
    stack += [slices()[index] for index in sorted(twice)]  # the same slice again, under another SOP instance UID
    if others:  # a smaller series of another number
        stack += datasets(values((5, 4, 3), seed=1), AFFINE, SeriesInstanceUID="1.2.9", SeriesNumber=9)
    for change, name in changes:
        change(name)(stack)
    order = data.draw(st.permutations(range(len(stack))))
    names = data.draw(st.sampled_from(["{:04d}.dcm", "IM{:04d}", "sub{0}/IM", "{:x}.IMA"]))
    for number, index in enumerate(order):
        save(stack[index], folder / "scan" / names.format(number))
    for stray in strays:
        name, make, _ = STRAYS[stray]
        made = make(folder)
        (folder / "scan" / name).parent.mkdir(exist_ok=True)
        (folder / "scan" / name).write_bytes(made)
    volume = read_volume(folder / "scan")
    assert np.array_equal(volume.array, values()) and np.allclose(volume.affine, AFFINE)
    assert any("copies" in note or "copy" in note for note in volume.notes) == bool(twice)
    assert any("Not used" in note for note in volume.notes) == bool(strays or twice)


def test_a_series_uid_of_its_own_in_each_file_is_told(tmp_path: Path) -> None:
    stack = slices()
    own("SeriesInstanceUID")(stack)
    volume = read_volume(write_series(tmp_path, stack))
    assert volume.notes == (
        "The files have 5 series UIDs: since their 5 images lie in one stack, they are read as one series.",
    )


def test_slices_of_two_patients_are_not_made_one_stack(tmp_path: Path) -> None:
    stack = slices()
    own("SeriesInstanceUID")(stack)
    for dataset in stack[3:]:
        dataset.PatientID = "other"
    volume = read_volume(write_series(tmp_path, stack))
    assert volume.array.shape[2] == 3 and np.array_equal(volume.array, values()[..., :3])


def test_a_missing_slice_is_found_among_files_with_series_uids_of_their_own(tmp_path: Path) -> None:
    stack = slices()
    own("SeriesInstanceUID")(stack)
    with pytest.raises(SemganError, match="a gap of 6 mm between"):
        read_volume(write_series(tmp_path, stack[:2] + stack[3:]))


def test_two_images_of_one_uid_and_place_that_differ_are_no_copies(tmp_path: Path) -> None:
    stack = slices() + slices(seed=1)
    constant("SOPInstanceUID")(stack)
    with pytest.raises(SemganError, match="5 places hold more than one slice"):
        read_volume(write_series(tmp_path, stack))


@pytest.mark.parametrize("uid", ["same", "other"])
def test_a_file_that_is_there_twice_is_read_once_and_told(uid: str, tmp_path: Path) -> None:
    stack = slices()
    path = write_series(tmp_path, stack, shuffle=None)
    if uid == "other":
        stack[2].SOPInstanceUID = generate_uid()
    save(stack[2], path / "again.dcm")
    volume = read_volume(path)
    assert np.array_equal(volume.array, values())
    told = "1 is a copy of an image that is there"
    assert len(volume.notes) == 1 and told in volume.notes[0]


def test_several_series_of_one_uid_are_told_apart_by_number(tmp_path: Path) -> None:
    stack = slices() + datasets(values((5, 4, 3), seed=1), AFFINE, SeriesNumber=9)
    path = write_series(tmp_path, stack)
    assert np.array_equal(read_volume(path).array, values())
    assert np.array_equal(read_volume(path, series="9").array, values((5, 4, 3), seed=1))


def test_radiographs_of_one_uid_are_several(tmp_path: Path) -> None:
    for number in range(2):
        stored = np.random.default_rng(number).integers(0, 4000, (30, 20)).astype(np.uint16)
        image = radiograph(stored, SOPInstanceUID="1.2.3")
        save(image, tmp_path / f"{number}.dcm")
    with pytest.raises(SemganError, match="holds 2 radiographs"):
        read_volume(tmp_path)


def test_another_reader_finds_the_same_values_at_the_same_place(tmp_path: Path) -> None:
    import SimpleITK

    from monai_semgan.io.itk import affine_of

    path = write_series(tmp_path, slices())
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    image = reader.Execute()
    (path / "._IM0000.dcm").write_bytes(APPLE_DOUBLE)
    volume = read_volume(path)
    assert np.array_equal(SimpleITK.GetArrayViewFromImage(image).T, volume.array)
    assert np.allclose(affine_of(image), volume.affine)
