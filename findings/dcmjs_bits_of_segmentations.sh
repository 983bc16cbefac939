#!/usr/bin/env bash
# dcmjs 0.52.2 (in OHIF 3.13.2): AsyncDicomReader takes wrong bits of a valid binary DICOM Segmentation.
#
# Guess before the run: frames of one bit per pixel come back as they were written, also where a frame does not begin at
# a byte (PS3.5 8.1.1: pixels follow one another without padding between frames, the first in the lowest bit).
# Seen: frames that begin at a byte are right. Where rows x columns is no multiple of 8, bits of the neighbouring pixels
# are given out, without an error, so that OHIF draws segments beside their places; the same library's other reader
# (DicomMessage.readFile and BitArray.unpack) reads the file right, as do highdicom and dcmqi.
#
# Needs node and npm; no data; installs into a temporary folder (200 MB); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "highdicom==0.28.2" "pydicom==3.0.2"
cd "$folder"
npm install --silent --no-audit --no-fund dcmjs@0.52.2 >/dev/null
"$folder/venv/bin/python" -W ignore - <<'PY'
import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, generate_uid

STUDY, SERIES, PLACE = generate_uid(), generate_uid(), generate_uid()


def image(number, rows, columns):
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID, one.InstanceNumber = CTImageStorage, generate_uid(), number
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = STUDY, SERIES, PLACE
    one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = "Phantom^", "1", "", "O"
    one.StudyDate = one.StudyTime = one.StudyID = one.AccessionNumber = one.ReferringPhysicianName = ""
    one.PositionReferenceIndicator, one.Modality, one.SeriesNumber = "", "CT", 1
    one.Rows, one.Columns, one.PixelSpacing, one.SliceThickness = rows, columns, [1, 1], 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    return one


def segmentation(rows, columns):
    images = [image(number, rows, columns) for number in range(1, 5)]
    mask = np.random.default_rng(0).integers(0, 2, (4, rows, columns), dtype=np.uint8)
    algorithm = hd.AlgorithmIdentificationSequence("none", codes.DCM.ArtificialIntelligence, "1")
    segment = hd.seg.SegmentDescription(
        1, "spots", codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC, algorithm
    )
    kind = hd.seg.SegmentationTypeValues.BINARY
    made = hd.seg.Segmentation(
        images, mask, kind, [segment], hd.UID(), 2, hd.UID(), 1, "a", "b", "c", "d", omit_empty_frames=False
    )
    made.save_as(f"{rows}x{columns}.dcm")
    read = hd.seg.segread(f"{rows}x{columns}.dcm").pixel_array  # frames in its own order
    assert sorted(frame.tobytes() for frame in read.astype(np.uint8)) == sorted(frame.tobytes() for frame in mask)


segmentation(8, 12)
segmentation(9, 12)
PY
cat > read.mjs <<'JS'
import { readFileSync } from "node:fs";
import dcmjs from "dcmjs";

const { AsyncDicomReader } = dcmjs.async ?? dcmjs;

async function wrongPixels(path) {
    const file = readFileSync(path);
    const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
    const whole = dcmjs.data.DicomMetaDictionary.naturalizeDataset(dcmjs.data.DicomMessage.readFile(bytes).dict);
    const pixels = whole.Rows * whole.Columns;
    const right = dcmjs.data.BitArray.unpack([].concat(whole.PixelData)[0]);
    const reader = new AsyncDicomReader();
    reader.stream.addBuffer(bytes);
    reader.stream.setComplete();
    const { dict } = await reader.readFile();
    let wrong = 0;
    dict["7FE00010"].Value.forEach((frame, number) => {
        const found = dcmjs.data.BitArray.unpack(Array.isArray(frame) ? frame[0] : frame);
        for (let i = 0; i < pixels; i++) wrong += Boolean(found[i]) !== Boolean(right[number * pixels + i]);
    });
    console.log(`${path}: ${wrong} of ${pixels * whole.NumberOfFrames} pixels are wrong`);
    return wrong;
}

const aligned = await wrongPixels("8x12.dcm");
const unaligned = await wrongPixels("9x12.dcm");
process.exit(aligned === 0 && unaligned > 0 ? 0 : 1);
JS
node read.mjs
echo "behaviour as described"
