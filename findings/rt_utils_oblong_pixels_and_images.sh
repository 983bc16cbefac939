#!/usr/bin/env bash
# rt-utils 1.2.7: masks of images whose rows and columns differ come back on another grid, and with oblong pixels the
# contours in the RTSTRUCT lie elsewhere.
#
# Guess before the run: `get_roi_mask_by_name` is the inverse of `add_roi` for images of any shape and pixels of any form,
# and the contours lie where DICOM puts the pixels: along x by the second value of Pixel Spacing (between columns), along
# y by the first (between rows; PS3.3 C.7.6.2.1.1).
# Seen (pydicom 3.0.2): for square images with square pixels both hold. For images of 24 rows and 40 columns the mask has
# 40 rows and 24 columns, without a message. With pixels of 0.9 mm between rows and 0.6 mm between columns the two values
# are exchanged in writing: a box of 4 x 9 pixels is written as 3.6 x 5.4 mm instead of 2.4 x 8.1 mm. Reading exchanges
# them again, so that a round trip within rt-utils shows nothing, while every other reader sees another shape.
#
# Needs no data; installs into a temporary folder (300 MB); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "rt-utils==1.2.7" "pydicom==3.0.2" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from rt_utils import RTStructBuilder


def series(folder, rows, columns, row_mm, column_mm):
    folder = Path(folder)
    folder.mkdir()
    study, number, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(3):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, generate_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, number, frame
        image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Phantom", "1", "", ""
        image.StudyDate = image.StudyTime = image.StudyID = image.AccessionNumber = ""
        image.Modality, image.SeriesNumber, image.InstanceNumber = "CT", 1, k + 1
        image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * k]
        image.PixelSpacing, image.SliceThickness = [row_mm, column_mm], 3
        image.Rows, image.Columns, image.SamplesPerPixel = rows, columns, 1
        image.PhotometricInterpretation, image.PixelRepresentation = "MONOCHROME2", 1
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
        image.PixelData = np.zeros((rows, columns), np.int16).tobytes()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.save_as(folder / f"{k}.dcm", enforce_file_format=True)
    return str(folder)


def there_and_back(name, rows, columns, row_mm=1.0, column_mm=1.0):
    place = series(name, rows, columns, row_mm, column_mm)
    mask = np.zeros((rows, columns, 3), bool)
    mask[4:14, 6:11, 1] = True
    written = RTStructBuilder.create_new(dicom_series_path=place)
    written.add_roi(mask=mask, name="box")
    written.save(f"{name}.dcm")
    points = pydicom.dcmread(f"{name}.dcm").ROIContourSequence[0].ContourSequence[0].ContourData
    back = RTStructBuilder.create_from(dicom_series_path=place, rt_struct_path=f"{name}.dcm").get_roi_mask_by_name("box")
    same = back.shape == mask.shape and bool(np.array_equal(back, mask))
    size = np.ptp(np.array(points, float).reshape(-1, 3), axis=0)
    print(f"{name:8} images {mask.shape}, mask read back {back.shape}, voxels {int(mask.sum())} -> {int(back.sum())},",
          f"equal: {same}, contour {size[0]:.1f} mm along x, {size[1]:.1f} mm along y")
    return same, back.shape, int(back.sum()), size


print("rt-utils", version("rt-utils"), "pydicom", pydicom.__version__)
square = there_and_back("square", 32, 32)
wide = there_and_back("wide", 24, 40)
oblong = there_and_back("oblong", 32, 32, 0.9, 0.6)
seen = square[0] and not wide[0] and wide[1] == (40, 24, 3)
seen = seen and oblong[0] and np.allclose(oblong[3], (3.6, 5.4, 0)) and np.allclose(square[3], (4, 9, 0))
raise SystemExit(0 if seen else 1)
PY
echo "behaviour as described"
