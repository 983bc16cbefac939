#!/usr/bin/env bash
# dcmqi 1.5.7: segimage2itkimage puts frames of a valid DICOM Segmentation beside their places, without an error.
#
# Guess before the run: frames lie where Image Position (Patient) says; frames that make up no regular stack are refused.
# Seen: without Spacing Between Slices (which may be absent) the distance of planes is taken to be Slice Thickness, with
# a warning, and all planes are put straight behind one another. Exit code 0. Where slices are thinner than they are
# apart they move by up to half a thickness; where they are thicker several fall onto one and voxels are lost; those of a
# tilted gantry end up centimetres away. highdicom reads a volume where slices are missing, and refuses the tilted ones.
# Whoever writes such a segmentation should tell Spacing Between Slices where there are regular planes.
#
# Needs no data; installs into a temporary folder (250 MB); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "dcmqi==1.5.7" "highdicom==0.28.2" "SimpleITK==2.5.7"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, generate_uid

STUDY, SERIES, PLACE = generate_uid(), generate_uid(), generate_uid()


def image(number, position, orientation, thickness):
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID, one.InstanceNumber = CTImageStorage, generate_uid(), number
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = STUDY, SERIES, PLACE
    one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = "Phantom^", "1", "", "O"
    one.StudyDate = one.StudyTime = one.StudyID = one.AccessionNumber = one.ReferringPhysicianName = ""
    one.PositionReferenceIndicator, one.Modality, one.SeriesNumber = "", "CT", 1
    one.Rows, one.Columns, one.PixelSpacing, one.SliceThickness = 80, 60, [2, 2], thickness
    one.ImagePositionPatient = [float(value) for value in position]
    one.ImageOrientationPatient = [float(value) for value in np.ravel(orientation)]
    return one


def farthest(name, positions, orientation, thickness):
    images = [image(k, p, orientation, thickness) for k, p in enumerate(positions, start=1)]
    mask = np.zeros((len(images), 80, 60), np.uint8)
    mask[:, 40, 30] = 1  # one voxel in every slice
    algorithm = hd.AlgorithmIdentificationSequence("none", codes.DCM.ArtificialIntelligence, "1")
    segment = hd.seg.SegmentDescription(
        1, "spot", codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC, algorithm
    )
    hd.seg.Segmentation(
        images, mask, hd.seg.SegmentationTypeValues.BINARY, [segment], hd.UID(), 2, hd.UID(), 1, "a", "b", "c", "d"
    ).save_as(f"{name}.dcm")
    Path(name).mkdir()
    program = Path(sys.executable).with_name("segimage2itkimage")
    command = [str(program), "--inputDICOM", f"{name}.dcm", "--outputDirectory", name]
    code = subprocess.run(command, capture_output=True).returncode
    read = sitk.ReadImage(f"{name}/1.nrrd")
    seen = np.argwhere(sitk.GetArrayFromImage(read))[:, ::-1]
    places = np.array([read.TransformIndexToPhysicalPoint([int(i) for i in index]) for index in seen])
    true = np.array(positions) + 30 * 2 * orientation[0] + 40 * 2 * orientation[1]
    off = max(np.linalg.norm(places - place, axis=1).min() for place in true)
    print(f"{name:22} exit code {code}, {len(seen):2} of {len(true)} voxels, up to {off:.1f} mm beside their places")
    return code, len(seen) - len(true), round(float(off), 1)


straight = np.eye(3)[:2]
tilted = np.array([[1, 0, 0], [0, np.cos(np.radians(15)), np.sin(np.radians(15))]])
heights = np.arange(16) * 7.0
stack = np.c_[np.zeros(16), np.zeros(16), heights]
gap = np.delete(stack, [7, 8], axis=0)
seen = [
    farthest("regular", stack, straight, 5),
    farthest("two missing, 5 thick", gap, straight, 5),
    farthest("two missing, 10 thick", gap, straight, 10),
    farthest("tilted by 15 degrees", stack, tilted, 5),
]
raise SystemExit(0 if seen[0] == (0, 0, 0.0) and all(code == 0 and off >= 2 for code, _, off in seen[1:]) else 1)
PY
echo "behaviour as described"
