"""DICOM radiographs have the grey values and the pixel size that a viewer shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.writing import check_label_output, write_label
from tests.dicom_phantoms import datasets, radiograph, write_series
from tests.dicom_phantoms import save as save_dicom
from tests.io.test_image2d import WHOLE, chest, save
from tests.phantoms import grid, patient


def stored() -> np.ndarray:
    """12 bits (40 rows, 30 columns)."""
    return chest()[0].astype(np.uint16) * 16


def make(folder: Path, modality: str = "DX", **tags: Any) -> Path:
    return save_dicom(radiograph(stored(), modality, **tags), folder / "a.dcm")


@pytest.mark.parametrize("modality", ["DX", "CR", "MG", "XA"])
def test_a_radiograph_has_its_values_and_the_pixel_size_of_its_header(modality: str, tmp_path: Path) -> None:
    volume = read_volume(make(tmp_path, modality, PixelSpacing=["0.3", "0.25"]))
    assert np.array_equal(volume.array[:, :, 0].T, stored()) and volume.array.dtype == np.int16
    assert volume.projection and volume.spacing_known and np.allclose(volume.spacing[:2], [0.25, 0.3])
    assert volume.notes == ()


def test_inverted_grey_is_turned_round(tmp_path: Path) -> None:
    inverse = 4095 - stored()
    path = save_dicom(radiograph(inverse, PhotometricInterpretation="MONOCHROME1"), tmp_path / "a.dcm")
    values = read_volume(path).array[:, :, 0].T
    assert np.array_equal(values - values.min(), stored() - stored().min())


def test_rescale_and_display_window_are_applied_in_that_order(tmp_path: Path) -> None:
    """Stored 960 and 2400 are 1,920 and 4,800 after rescale, at both ends of the window; the corner is beyond it."""
    tags = {"RescaleSlope": "2", "RescaleIntercept": "0", "WindowCenter": "3360.5", "WindowWidth": "2881"}
    values = read_volume(make(tmp_path, BitsStored=12, HighBit=11, **tags)).array[:, :, 0].T
    label = chest()[1]
    assert np.allclose(values[label == 1], values.min(), atol=2) and np.allclose(values[:6, :6], values.max(), atol=2)
    body = values[30:, 26:]
    assert np.allclose(body, values.max(), rtol=1e-3)
    middle = read_volume(make(tmp_path, WindowCenter="1680", WindowWidth="4000")).array[:, :, 0].T
    assert middle[0, 29] > middle[12, 5], "order of grey values is kept"


def test_a_look_up_table_for_display_is_applied_and_one_that_makes_no_sense_is_not(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], (np.arange(4096)[::-1] * 2).astype(np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    values = read_volume(make(tmp_path, VOILUTSequence=[table])).array[:, :, 0].T
    assert np.array_equal(values, (4095 - stored().astype(int)) * 2)
    assert np.array_equal(read_volume(make(tmp_path, WindowCenter="5", WindowWidth="0")).array[:, :, 0].T, stored())


@pytest.mark.parametrize(
    ("tags", "spacing", "known", "note"),
    [
        ({}, 0.2, True, "that on the detector"),
        ({"EstimatedRadiographicMagnificationFactor": "1.25"}, 0.16, True, ""),
        ({"ImagerPixelSpacing": None}, 1.0, False, ""),
        ({"ImagerPixelSpacing": ["0", "0"]}, 1.0, False, ""),
        ({"PatientOrientation": ["R", "F"], "PixelSpacing": ["0.2", "0.2"]}, 0.2, True, "mirrored"),
    ],
)
def test_what_is_known_of_the_pixel_size_is_told(
    tags: dict, spacing: float, known: bool, note: str, tmp_path: Path
) -> None:
    volume = read_volume(make(tmp_path, **tags))
    assert np.allclose(volume.spacing[:2], spacing) and volume.spacing_known is known
    assert note in " ".join(volume.notes) and bool(note) == bool(volume.notes)


def test_dicom_and_picture_of_the_same_radiograph_look_the_same_to_the_model(tmp_path: Path) -> None:
    picture = WHOLE(read_volume(save(tmp_path, "a.png", chest()[0])))
    dicom = WHOLE(read_volume(make(tmp_path, "CR", RescaleSlope="1", RescaleIntercept="0")))
    assert dicom.modality == picture.modality == "DX"
    assert np.allclose(dicom.image, picture.image, atol=0.02)


def several(folder: Path, **tags: Any) -> Path:
    for number in range(2):
        save_dicom(radiograph(stored(), InstanceNumber=number, **tags), folder / "s" / f"{number}.dcm")
    return folder / "s"


def test_several_radiographs_are_not_one(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match=r"holds 2 radiographs, one is expected \(0.dcm and 1.dcm\); give the file"):
        read_volume(several(tmp_path))
    second = pydicom.dcmread(tmp_path / "s" / "1.dcm")
    second.SeriesInstanceUID, second.SeriesNumber = generate_uid(), 9
    second.save_as(tmp_path / "s" / "1.dcm")
    with pytest.raises(SemganError, match="holds 2 series of radiographs; choose with --series; there are 4 .DX, 1"):
        read_volume(tmp_path / "s")
    assert np.array_equal(read_volume(tmp_path / "s", series="9").array[:, :, 0].T, stored())


def test_a_ct_beside_a_radiograph_is_taken_unless_the_user_chooses(tmp_path: Path) -> None:
    affine, shape = grid((30.0, 30.0, 30.0), codes="LPS")
    ct = datasets(np.round(patient(affine, shape).array), affine, SeriesInstanceUID="1.2.3", SeriesNumber=1)
    write_series(tmp_path / "s", ct)
    make(tmp_path / "s")
    assert read_volume(tmp_path / "s").modality == "CT" and "4 (DX, 1 image)" in read_volume(tmp_path / "s").notes[0]
    assert read_volume(tmp_path / "s", series="4").modality == "DX"


@pytest.mark.parametrize("name", ["o.png", "o.nii.gz", "o.seg.nrrd"])
def test_a_dicom_radiograph_is_segmented_pixel_by_pixel(
    name: str, tmp_path: Path, radiograph_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path, PixelSpacing=["0.3", "0.25"])
    command = ["segment", str(path), "-o", str(tmp_path / name), "--bundle", str(radiograph_bundle), "--quiet"]
    assert main(command) == 0
    shown = capfd.readouterr()
    assert "30x40x1 voxels of 0.25x0.30" in shown.out and " cm²" in shown.out
    assert "input is" not in shown.err and "detector" not in shown.err
    assert read_label(tmp_path / name, read_volume(path)).array.shape == (30, 40, 1)


def test_a_bundle_for_volumes_refuses_a_dicom_radiograph(
    tmp_path: Path, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["segment", str(make(tmp_path)), "-o", str(tmp_path / "o.nii"), "--bundle", str(tiny_bundle), "--quiet"]
    assert main(command) == 2
    assert "single image, this model segments CT or MR volumes" in capfd.readouterr().err


def test_a_radiograph_has_no_place_for_a_dicom_segmentation(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    for tags in ({}, {"FrameOfReferenceUID": "1.2.3"}):
        with pytest.raises(SemganError, match="no FrameOfReferenceUID|no place in the patient"):
            check_label_output(tmp_path / "o.dcm", read_volume(make(tmp_path, **tags)))


def test_a_list_of_dicom_radiographs_trains_on_whole_images(tmp_path: Path) -> None:
    from monai_semgan.training.run_plan import field_of_view
    from tests.training.phantoms import train

    items = []
    for number in range(3):
        grey, label = (np.roll(array, number, axis=0) for array in (stored(), chest()[1]))
        path = save_dicom(radiograph(grey, "DX"), tmp_path / str(number) / "a.dcm")
        write_label(label.T[:, :, None], read_volume(path), tmp_path / f"{number}.png")
        items.append({"image": f"{number}/a.dcm", "label": f"{number}.png", "patient": str(number)})
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"training": items[:2], "validation": items[2:]}))
    assert field_of_view(path) == "image"
    options = {"channels": [8, 8], "generated_fraction": 0, "batch_size": 2}
    (result,) = train("student", path, tmp_path / "run", steps=2, size=32, num_classes=3, device="cpu", **options)
    assert result.finished and "dice_1" in result.metrics
