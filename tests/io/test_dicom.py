"""DICOM series become volumes, whatever the order of their files; what cannot be one is explained."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom import dicom_files as dicom_files
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.writing import write_label, write_volume
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.dicom_phantoms import base, datasets, enhanced, lps, nuclear, pixels, save, write_series
from tests.phantoms import grid, patient

SHAPE = (7, 6, 5)
AFFINE = np.array([[-2.0, 0, 0, 30], [0, -2.5, 0, 40], [0, 0, 3, -50], [0, 0, 0, 1]])


def values(shape: tuple[int, ...] = SHAPE, low: int = -1000) -> np.ndarray:
    return np.random.default_rng(0).integers(low, 1500, shape).astype(np.float32)


def slices(**options: Any) -> list[pydicom.Dataset]:
    return datasets(values(), AFFINE, **options)


def changed(index: int | slice = slice(None), **tags: Any) -> Callable[[Path], Path]:
    """A series of which some slices have other tags; None removes one."""

    def make(folder: Path) -> Path:
        stack = slices()
        for dataset in stack[index] if isinstance(index, slice) else [stack[index]]:
            for name, value in tags.items():
                if value is None:
                    delattr(dataset, name)
                else:
                    setattr(dataset, name, value)
        return write_series(folder / "series", stack)

    return make


def tilted(degrees: float) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        affine = AFFINE.copy()
        affine[1, 2] = 3 * np.tan(np.radians(degrees))
        affine_slices = datasets(values(), affine)
        return write_series(folder / "series", affine_slices)

    return make


def without(*missing: int) -> Callable[[Path], Path]:
    return lambda folder: write_series(folder / "s", [d for k, d in enumerate(slices()) if k not in missing])


def doubled(folder: Path) -> Path:
    return write_series(folder / "series", slices() + datasets(values() + 1, AFFINE)[1:3])


def coloured(folder: Path) -> Path:
    stack = slices()
    for dataset in stack:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.PixelData = bytes(3 * len(dataset.PixelData))
    return write_series(folder / "series", stack)


def cut_pixels(folder: Path) -> Path:
    stack = slices()
    stack[2].PixelData = stack[2].PixelData[:-20]
    return write_series(folder / "series", stack)


def broken_codestream(folder: Path) -> Path:
    path = compressed_series(folder, JPEG2000Lossless)[0]
    file = sorted(path.iterdir())[1]
    dataset = pydicom.dcmread(file)
    dataset.PixelData = dataset.PixelData[:16] + bytes(len(dataset.PixelData) - 16)
    dataset.save_as(file)
    return path


def cut_file(folder: Path) -> Path:
    path = write_series(folder / "series", slices())
    file = path / "IM0002"
    file.write_bytes(file.read_bytes()[:600])
    return path


def link_outside(folder: Path) -> Path:
    path = write_series(folder / "series", slices())
    (folder / "other").mkdir()
    (path / "IM0000").rename(folder / "other" / "IM0000")
    (path / "IM0000").symlink_to(folder / "other" / "IM0000")
    return path


def zipped(folder: Path, name: str = "", link: bool = False) -> Path:
    series = write_series(folder / "series", slices())
    with zipfile.ZipFile(folder / "scan.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in series.iterdir():
            info = zipfile.ZipInfo(name + f"sub/{file.name}")
            info.external_attr = (0o120777 if link else 0o100644) << 16
            archive.writestr(info, file.read_bytes())
    shutil.rmtree(series)
    return folder / "scan.zip"


def damaged_zip(folder: Path, keep: float) -> Path:
    path = zipped(folder)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    return path


def locked_zip(folder: Path) -> Path:
    path = zipped(folder)
    content = bytearray(path.read_bytes())
    at = 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:
        content[at + 8] |= 1
        at += 4
    path.write_bytes(content)
    return path


def bomb(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "scan.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("IM0", b"\0" * (1 << 20))
    path = folder / "scan.zip"
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    struct.pack_into("<I", content, at + 24, 0xFFFFFF00)
    path.write_bytes(content)
    return path


def written(path: Path, content: bytes = b"hello" * 100) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def other_kind(folder: Path, **tags: Any) -> Path:
    dataset = base(SOPInstanceUID=generate_uid(), **tags)
    pixels(dataset, np.zeros((4, 4), np.uint16))
    return save(dataset, folder / "series" / "a.dcm").parent


def photographed(folder: Path) -> Path:
    dataset = base(SOPInstanceUID=generate_uid(), Modality="XC")
    pixels(dataset, np.zeros((4, 4), np.uint16))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.PixelData = bytes(3 * len(dataset.PixelData))
    return save(dataset, folder / "photographs" / "a.dcm")


# what each makes is given to the command line in tests/test_bad_input.py, which expects the message
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty folder": (lambda d: d, "folder holds no DICOM images"),
    "folder of other files": (lambda d: written(d / "x" / "notes.txt").parent, "folder holds no DICOM images"),
    "file that is no DICOM": (lambda d: written(d / "a.dcm"), "not a readable DICOM file"),
    "zip without DICOM": (lambda d: written_zip(d), "no DICOM image"),
    "zip cut off": (lambda d: damaged_zip(d, 0.7), "not a readable zip"),
    "zip with a password": (locked_zip, "password"),
    "zip entry that leaves": (lambda d: zipped(d, "../../"), "leaves the folder"),
    "zip entry of an absolute path": (lambda d: zipped(d, "/tmp/"), "leaves the folder"),
    "zip entry of a drive": (lambda d: zipped(d, "C:\\"), "leaves the folder"),
    "zip entry that is a link": (lambda d: zipped(d, link=True), "is a link"),
    "zip bomb": (bomb, "unpack to 4.0 GB.*zip bomb"),
    "link that leaves": (link_outside, "link that leaves the folder"),
    "gap": (without(2), "gap of 6 mm between .*3 mm apart.*whole series again"),
    "doubled slices": (doubled, "2 places hold more than one slice"),
    "uneven": (changed(2, ImagePositionPatient=["-30", "-40", "-43.2"]), "unevenly spaced, from 2.2 to 3.8 mm"),
    "gantry tilt": (tilted(12), "tilted by 12.0 degrees.*gantry.*--resample"),
    "mixed orientations": (changed(3, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "2 different orientations"),
    "impossible orientation": (changed(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "orientation is not possible"),
    "mixed sizes": (
        lambda d: write_series(d / "s", slices()[:2] + datasets(values((8, 6, 5)), AFFINE)[2:]),
        "differ in size: 6x7 and 6x8",
    ),
    "mixed spacing": (changed(3, PixelSpacing=["2", "2"]), "differ in pixel spacing"),
    "no spacing": (changed(PixelSpacing=None), "no pixel spacing"),
    "spacing 0": (changed(PixelSpacing=["0", "2"]), "spacing 0 x 2 mm is not possible"),
    "no position": (changed(1, ImagePositionPatient=None), "no image position"),
    "no orientation": (changed(ImageOrientationPatient=None), "no image orientation"),
    "no rescale": (changed(RescaleSlope=None, RescaleIntercept=None), "no rescale slope.*not HU"),
    "no rescale in one": (changed(2, RescaleSlope=None, RescaleIntercept=None), "no rescale slope"),
    "only localisers": (changed(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "only overview images"),
    "colours": (coloured, "colours or inverted grey where plain"),
    "inverted grey": (changed(PhotometricInterpretation="MONOCHROME1"), "inverted grey"),
    "no pixel data": (changed(1, PixelData=None), "without pixel data"),
    "pixel data cut off": (cut_pixels, "pixel data are damaged"),
    "compressed pixel data damaged": (broken_codestream, "pixel data are damaged"),
    "file cut off": (cut_file, "IM0002: the file is cut off.*or take it out of the folder"),
    "report": (lambda d: other_kind(d, Modality="SR"), "no scan and no radiograph; there are 4 .SR, 1 image"),
    "ultrasound pictures": (lambda d: other_kind(d, Modality="US"), "no scan and no radiograph; there are 4 .US"),
    "photographs": (photographed, "no scan and no radiograph.*export photographs as PNG or JPEG"),
    "dose": (
        lambda d: write_series(d / "s", datasets(values(low=0), AFFINE, "RTDOSE")),
        "no scan and no radiograph; there are 4 .RTDOSE, 5 images",
    ),
    "constant": (lambda d: write_series(d / "s", datasets(0 * values(), AFFINE)), "all voxels have the same value 0"),
}


def written_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "scan.zip", "w") as archive:
        archive.writestr("notes.txt", "hello")
    return folder / "scan.zip"


@pytest.mark.parametrize("zip_it", [False, True])
def test_a_series_is_read_in_any_order_and_under_any_name(zip_it: bool, tmp_path: Path) -> None:
    if zip_it:
        path = zipped(tmp_path)
    else:
        path = write_series(tmp_path / "series", slices())
        written(path / "DICOMDIR.txt")
        (path / "again").symlink_to(path / "IM0000")
        save(base(SOPInstanceUID="1.2.3", Modality="SR"), path / "report.dcm")
    volume = read_volume(path)
    assert np.array_equal(volume.array, values()) and volume.array.dtype == np.int16
    assert np.allclose(volume.affine, AFFINE) and volume.modality == "CT"
    beside = "1 is no DICOM (DICOMDIR.txt), 1 is a DICOM object without image (report.dcm)"
    assert volume.notes == (() if zip_it else (f"Not used beside the series: {beside}.",))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    codes=st.sampled_from(["LAS", "RPI", "PSR", "SLA", "AIL", "LPS", "IRP"]),
    degrees=st.tuples(*[st.floats(-44, 44)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 9)] * 3),
    seed=st.integers(0, 99),
    suffix=st.sampled_from([".nii.gz", ".nrrd", ".mha"]),
    multi_frame=st.booleans(),
)
def test_any_geometry_in_any_order_reaches_every_format(
    tmp_path: Path, codes: str, degrees: Any, spacing: Any, seed: int, suffix: str, multi_frame: bool
) -> None:
    field = tuple(s * n for s, n in zip(spacing, (4, 5, 6), strict=True))
    affine, shape = grid(spacing, codes=codes, degrees=degrees, field=field)  # type: ignore[arg-type]
    array = np.random.default_rng(seed).integers(-500, 500, shape).astype(np.float32)
    folder = tmp_path / f"{seed}{suffix}{multi_frame}"
    shutil.rmtree(folder, ignore_errors=True)
    if multi_frame:
        array = array - array % 2  # slopes are 1 and 2
        order = np.random.default_rng(seed).permutation(shape[2])
        save(enhanced(array, affine, order), folder / "multi")
    else:
        write_series(folder, datasets(array, affine), seed)
    volume = read_volume(folder)
    flipped = np.linalg.det(volume.affine) * np.linalg.det(affine) < 0  # slices are stacked along their own normal
    wanted, place = array, affine.copy()
    if flipped:
        wanted = array[:, :, ::-1]
        place[:3, 3] += (shape[2] - 1) * place[:3, 2]
        place[:3, 2] *= -1
    assert np.array_equal(volume.array, wanted)
    assert np.allclose(volume.affine, place, atol=1e-3)
    again = read_volume(write_volume(volume.array, volume, folder / f"a{suffix}"))
    assert np.array_equal(again.array, wanted) and np.allclose(again.affine, place, atol=2e-3)


def test_slope_and_intercept_may_differ_from_slice_to_slice(tmp_path: Path) -> None:
    array = values() - values() % 20
    path = write_series(tmp_path / "s", datasets(array, AFFINE, scale=lambda k: (2.0 * (k + 1) if k < 4 else 1, -1000)))
    expected = np.concatenate(
        [np.rint((array[..., k : k + 1] + 1000) / s) * s - 1000 for k, s in enumerate((2, 4, 6, 8, 1))], 2
    )
    assert np.array_equal(read_volume(path).array, expected)


def test_fractional_slopes_give_real_values(tmp_path: Path) -> None:
    stack = datasets(values(low=0), AFFINE, "MR", scale=lambda k: (0.37 + k / 10, 0.0))
    volume = read_volume(write_series(tmp_path / "s", stack))
    assert volume.array.dtype == np.float32 and volume.modality == "MR"
    assert np.abs(volume.array - values(low=0)).max() < 0.5


def test_values_beyond_16_bits_survive(tmp_path: Path) -> None:
    array = values() + 40000
    assert np.array_equal(read_volume(write_series(tmp_path / "s", datasets(array, AFFINE))).array, array)


def test_hu_without_rescale_tags_are_taken_with_a_note(tmp_path: Path) -> None:
    stack = slices(scale=(1, 0))
    for dataset in stack:
        del dataset.RescaleSlope, dataset.RescaleIntercept
    volume = read_volume(write_series(tmp_path / "s", stack))
    assert np.array_equal(volume.array, values()) and "taken as HU" in volume.notes[0]


def test_a_localiser_in_the_series_is_left_out_with_a_note(tmp_path: Path) -> None:
    overview = datasets(values((9, 9, 1)), AFFINE, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    volume = read_volume(write_series(tmp_path / "s", slices() + overview))
    assert volume.array.shape == SHAPE and "1 overview image (localiser) of the series left out" in volume.notes[0]


def test_one_slice_is_a_volume_with_a_note(tmp_path: Path) -> None:
    path = write_series(tmp_path / "s", slices()[:1])
    assert read_volume(path).spacing[2] == 3 and "only one slice: its thickness of 3 mm" in read_volume(path).notes[0]
    assert "give its folder" in read_volume(path / "IM0000").notes[1]


def several(folder: Path) -> Path:
    """A CT of 5 slices, an MR of 3, a report image with more voxels, and two series 9."""
    write_series(folder / "a", slices())
    write_series(folder / "b", datasets(values()[..., :3], AFFINE, "MR", SeriesInstanceUID="1.2.7", SeriesNumber=7))
    for uid in ("1.2.8", "1.2.9"):
        write_series(folder / uid, datasets(values()[..., :2], AFFINE, SeriesInstanceUID=uid, SeriesNumber=9))
    page = base(SOPInstanceUID="1.2.3.4", SeriesInstanceUID="1.2.5", SeriesNumber=99, Modality="CT")
    page.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    pixels(page, np.zeros((300, 300), np.uint16))
    save(page, folder / "page.dcm")
    return folder


def test_of_several_series_the_largest_scan_is_taken_and_the_user_is_told(tmp_path: Path) -> None:
    volume = read_volume(several(tmp_path))
    assert volume.array.shape == SHAPE
    assert volume.notes[0].startswith("Series 4 (CT, 5 images) is taken, the largest CT or MR; there are also")
    assert "7 (MR, 3 images)" in volume.notes[0] and "--series" in volume.notes[0] and "ecret" not in volume.notes[0]


def test_a_series_is_chosen_by_number_or_uid(tmp_path: Path) -> None:
    path = several(tmp_path)
    assert read_volume(path, series="7").modality == "MR" and read_volume(path, series="7").notes == ()
    assert read_volume(path, series="1.2.8").array.shape[2] == 2
    with pytest.raises(SemganError, match="2 series have the number 9; give its UID, 1.2.8 or 1.2.9"):
        read_volume(path, series="9")
    with pytest.raises(SemganError, match=r"no series 5; there are 4 \(CT, 5 images\), 7"):
        read_volume(path, series="5")
    with pytest.raises(SemganError, match="no image orientation|no image position"):
        read_volume(path, series="99")


@pytest.mark.parametrize("modality", ["PT", "US", "OT"])
def test_a_volume_that_is_neither_ct_nor_mr_is_read_as_what_it_is(modality: str, tmp_path: Path) -> None:
    volume = read_volume(write_series(tmp_path / "s", datasets(values(low=0), AFFINE, modality)))
    assert volume.modality == modality and np.array_equal(volume.array, values(low=0)) and volume.notes == ()


@pytest.mark.parametrize("towards", [1, -1])
def test_a_scan_of_nuclear_medicine_is_stacked_in_the_direction_of_its_header(towards: int, tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[2, 2] *= towards
    volume = read_volume(save(nuclear(values(low=0), affine), tmp_path / "a.dcm"))
    wanted = values(low=0)[:, :, ::towards]
    assert volume.modality == "NM" and np.array_equal(volume.array, wanted)
    corner = affine @ [0, 0, 0 if towards > 0 else SHAPE[2] - 1, 1]
    assert np.allclose(volume.affine[:, 3], corner) and volume.affine[2, 2] > 0


def test_ct_and_mr_come_before_larger_series_of_other_kinds(tmp_path: Path) -> None:
    large = datasets(values((9, 9, 9), 0), AFFINE, "PT", SeriesInstanceUID="1.2.6", SeriesNumber=6)
    write_series(tmp_path / "pet", large)
    write_series(tmp_path / "ct", slices())
    assert read_volume(tmp_path).modality == "CT" and "6 (PT, 9 images)" in read_volume(tmp_path).notes[0]
    assert read_volume(tmp_path, series="6").modality == "PT"
    shutil.rmtree(tmp_path / "ct")
    write_series(tmp_path / "pet2", datasets(values(), AFFINE, "PT", SeriesInstanceUID="1.2.7", SeriesNumber=7))
    assert read_volume(tmp_path).array.shape == (9, 9, 9)
    assert "the largest volume, since there is no CT or MR" in read_volume(tmp_path).notes[0]


def test_a_large_result_beside_the_scan_does_no_harm(tmp_path: Path) -> None:
    """Segmentations of a hundred organs have more frames and voxels than any scan."""
    result = base("SEG", SOPInstanceUID=generate_uid(), SeriesInstanceUID="1.2.4", SeriesNumber=5)
    pixels(result, np.zeros((4, 4), np.uint8))
    result.Rows, result.Columns, result.NumberOfFrames = 65535, 65535, 2_000_000
    result.PerFrameFunctionalGroupsSequence = []
    save(result, tmp_path / "s" / "result.dcm")
    volume = read_volume(write_series(tmp_path / "s", slices()))
    assert np.array_equal(volume.array, values()) and "5 (SEG, 1 image)" in volume.notes[0]


def test_a_huge_matrix_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    """Compressed data may be small; the header alone says how much memory they would need."""
    dataset = pydicom.dcmread(save(slices()[0], tmp_path / "a.dcm"))
    dataset.compress(RLELossless)
    for rows, columns, frames in ((65535, 65535, 1), (9000, 9000, 90_000)):
        dataset.Rows, dataset.Columns, dataset.NumberOfFrames = rows, columns, frames
        dataset.save_as(tmp_path / "a.dcm")
        with pytest.raises(SemganError, match="declares .* voxels, too many for an image"):
            read_volume(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.keyword)
def test_a_code_stream_larger_than_its_header_is_not_decoded(syntax: str, tmp_path: Path) -> None:
    pytest.importorskip("openjpeg")
    pytest.importorskip("jpeg_ls")
    path, _ = compressed_series(tmp_path, syntax)
    file = sorted(path.iterdir())[0]
    dataset = pydicom.dcmread(file)
    stream = bytearray(dataset.PixelData)
    at = stream.find(b"\xff\x51") + 6 if syntax == JPEG2000Lossless else stream.find(b"\xff\xf7") + 5
    stream[at : at + 4] = b"\x00\x00\xff\xff" if syntax == JPEG2000Lossless else b"\xff\xff\xff\xff"
    dataset.PixelData = bytes(stream)
    dataset.save_as(file)
    with pytest.raises(SemganError, match="damaged or cannot be decoded"):
        read_volume(path)


def test_a_text_that_names_deflate_does_not_make_a_file_deflated(tmp_path: Path) -> None:
    array = np.arange(90.0).reshape(6, 5, 3)
    path = write_series(tmp_path, datasets(array, np.eye(4), SeriesDescription="1.2.840.10008.1.2.1.99"))
    assert np.array_equal(read_volume(path).array, array)


@pytest.mark.parametrize("zip_it", [False, True])
def test_a_deflated_file_is_read_and_one_that_grows_beyond_measure_is_not(zip_it: bool, tmp_path: Path) -> None:
    dataset = slices()[0]
    path = save(dataset, tmp_path / "s" / "a.dcm")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    assert np.array_equal(read_volume(path).array, values()[..., :1])
    head = path.read_bytes()[: 144 + struct.unpack_from("<I", path.read_bytes(), 140)[0]]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    path.write_bytes(head + body)
    if zip_it:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(path, "a.dcm")
        path = tmp_path / "a.zip"
    with pytest.raises(SemganError, match="unpacks to more than 0.2 GB: it may be a zip bomb"):
        read_volume(path)


def test_a_series_of_a_file_that_is_no_dicom_makes_no_sense(tmp_path: Path) -> None:
    affine, shape = grid((20.0, 20.0, 20.0))
    volume = patient(affine, shape)
    path = write_volume(volume.array, volume, tmp_path / "a.nii.gz")
    with pytest.raises(SemganError, match="only DICOM has series; leave out --series"):
        read_volume(path, series="4")


def compressed_series(folder: Path, syntax: str) -> tuple[Path, np.ndarray]:
    array = values((64, 72, 3))
    path = write_series(folder / "series", datasets(array, AFFINE))
    for file in path.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.compress(syntax)
        dataset.save_as(file)
    return path, array


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("plugins", [True, False])
def test_compressed_series_are_read(
    syntax: str, plugins: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openjpeg")
    pytest.importorskip("jpeg_ls")
    path, array = compressed_series(tmp_path, syntax)
    if not plugins:
        from pydicom.pixels.decoders.base import Decoder

        monkeypatch.setattr(Decoder, "is_available", property(lambda self: False))
    assert np.array_equal(read_volume(path).array, array)


@pytest.mark.skipif(not shutil.which("dcmcjpeg"), reason="dcmcjpeg of DCMTK is not installed")
def test_lossless_jpeg_is_read(tmp_path: Path) -> None:
    path = write_series(tmp_path / "series", datasets(values((64, 72, 3)), AFFINE))
    for file in path.iterdir():
        subprocess.run(["dcmcjpeg", "+e1", str(file), str(file)], check=True)
    assert pydicom.dcmread(path / "IM0000").file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    assert np.array_equal(read_volume(path).array, values((64, 72, 3)))


def test_an_enhanced_multi_frame_file_is_read_whatever_the_order_of_its_frames(tmp_path: Path) -> None:
    array = values() - values() % 2
    path = save(enhanced(array, AFFINE, np.array([3, 0, 4, 1, 2])), tmp_path / "a.dcm")
    volume = read_volume(path)
    assert np.array_equal(volume.array, array) and np.allclose(volume.affine, AFFINE) and volume.notes == ()


def test_a_multi_frame_file_that_lacks_frames_in_its_header_is_explained(tmp_path: Path) -> None:
    dataset = enhanced(values(), AFFINE)
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:-1]
    with pytest.raises(SemganError, match="describes 4 frames, 5 are said"):
        read_volume(save(dataset, tmp_path / "a.dcm"))


def test_files_without_preamble_are_read(tmp_path: Path) -> None:
    path = write_series(tmp_path / "s", slices())
    for file in list(path.iterdir()):
        dataset = pydicom.dcmread(file)
        stripped = pydicom.Dataset({element.tag: element for element in dataset})
        stripped.save_as(file.with_suffix(".dcm"), implicit_vr=True, little_endian=True, enforce_file_format=False)
        file.unlink()
    assert np.array_equal(read_volume(path).array, values())


def test_a_slight_tilt_is_kept_exactly(tmp_path: Path) -> None:
    volume = read_volume(tilted(0.3)(tmp_path))
    corner = volume.affine @ [0, 0, 4, 1]
    assert np.isclose(corner[1], 40 + 4 * 3 * np.tan(np.radians(0.3)), atol=1e-4)


def test_the_modality_of_the_header_beats_the_guess(tmp_path: Path) -> None:
    affine, shape = grid((12.0, 12.0, 20.0))
    array = np.round(patient(affine, shape, "CT", seed=0).array)
    as_mr = datasets(array - array.min(), affine, "MR", scale=(1, 0))
    assert Preprocessing(size=32, pixel_mm=11)(read_volume(write_series(tmp_path / "m", as_mr))).modality == "MR"
    soft = datasets(np.maximum(array, 0), affine, "CT")
    assert Preprocessing(size=32, pixel_mm=11)(read_volume(write_series(tmp_path / "c", soft))).modality == "CT"


def test_labels_of_a_dicom_scan_go_into_other_formats(tmp_path: Path) -> None:
    scan = read_volume(write_series(tmp_path / "s", slices()))
    ids = np.random.default_rng(0).integers(0, 5, SHAPE)
    for suffix in (".nii.gz", ".nii", ".nrrd", ".mha"):
        label = read_label(write_label(ids, scan, tmp_path / f"l{suffix}"), scan)
        assert np.array_equal(label.array, ids)
        assert b"ecret" not in (tmp_path / f"l{suffix}").read_bytes()


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_files, "MAX_FILES", 3)
    with pytest.raises(SemganError, match="more than 3 files"):
        read_volume(write_series(tmp_path / "s", slices()))


@pytest.mark.real_data
def test_the_real_series_agrees_with_another_reader(data_folder: Path) -> None:
    import SimpleITK

    from monai_semgan.io.itk import affine_of

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(data_folder / "dicom_ct" / "series")))
    image = reader.Execute()
    volume = read_volume(data_folder / "dicom_ct" / "series")
    assert volume.array.shape == (512, 512, 78) and volume.array.dtype == np.int16 and volume.modality == "CT"
    assert np.array_equal(SimpleITK.GetArrayViewFromImage(image).T, volume.array)
    assert np.allclose(affine_of(image), volume.affine)


def test_the_phantom_itself_is_at_its_place() -> None:
    first = slices()[0]
    assert np.allclose([float(v) for v in first.ImagePositionPatient], lps(AFFINE)[:3, 3])
