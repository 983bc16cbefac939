"""Peak memory and time of `semgan segment` on a long CT that is made up here: 1,000 slices of 512 x 512, int16.

    python benchmarks/memory.py --out memory.json
    python benchmarks/memory.py --slices 300 --inputs nifti --outputs .nii.gz .nrrd

Every run is a process of its own, as a user starts it; the peak is the resident set that the system counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.scale import LAUNCH
from tests.phantoms import CT_VALUES, ORGANS

SHAPE = (512, 512)
SPACING = (0.75, 0.75, 1.0)


def phantom(slices: int) -> tuple[np.ndarray, np.ndarray]:
    """CT of a cylinder with four ellipsoids and noise: values (I, J, K) int16 in HU, affine; axes L, P, S."""
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array([*SHAPE, slices]) - 1) / 2)
    x, y, z = (affine[a, a] * np.arange(n) + affine[a, 3] for a, n in enumerate((*SHAPE, slices)))
    body = (x[:, None] / 165) ** 2 + (y[None, :] / 115) ** 2 < 1
    noise = np.random.default_rng(0).normal(0, 12, (*SHAPE, 8)).astype(np.int16)
    array = np.empty((*SHAPE, slices), dtype=np.int16, order="F")
    for k in range(slices):
        plane = np.where(body, 20, -1000)
        for index, (centre, axes) in ORGANS.items():
            inside = ((x[:, None] - centre[0]) / axes[0]) ** 2 + ((y[None, :] - centre[1]) / axes[1]) ** 2
            plane = np.where(inside + ((z[k] - centre[2]) / axes[2]) ** 2 < 1, CT_VALUES[index], plane)
        array[:, :, k] = plane + noise[:, :, k % 8]
    return array, affine


def write_nifti(path: Path, slices: int) -> None:
    """The phantom as NIfTI."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(*phantom(slices)), path)


def write_series(folder: Path, slices: int) -> None:
    """The phantom as a DICOM series of single slices."""
    from pydicom import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    array, affine = phantom(slices)
    folder.mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(slices):
        image, meta = Dataset(), FileMetaDataset()
        image.SOPClassUID, image.SOPInstanceUID, image.Modality = CTImageStorage, generate_uid(), "CT"
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.SeriesNumber, image.InstanceNumber, image.ImageType = 1, k + 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.PatientName = image.PatientID = "phantom"
        image.PatientBirthDate = image.PatientSex = image.StudyDate = image.StudyTime = image.StudyID = ""
        image.AccessionNumber = image.ReferringPhysicianName = image.PositionReferenceIndicator = ""
        image.ImagePositionPatient = [-affine[0, 3], -affine[1, 3], affine[2, 3] + k * affine[2, 2]]
        image.ImageOrientationPatient, image.PixelSpacing = [1, 0, 0, 0, 1, 0], [SPACING[1], SPACING[0]]
        image.SliceThickness, image.RescaleSlope, image.RescaleIntercept = SPACING[2], 1, -1024
        image.Rows, image.Columns, image.SamplesPerPixel = SHAPE[1], SHAPE[0], 1
        image.PhotometricInterpretation, image.PixelRepresentation = "MONOCHROME2", 0
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
        image.PixelData = (array[:, :, k].T + 1024).astype(np.uint16).tobytes()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta = meta
        image.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)


def measured(command: list[str]) -> dict[str, Any]:
    """Seconds, peak resident memory in GiB and exit code of a command."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    launch = [sys.executable, "-c", LAUNCH, *command]
    run = subprocess.run(launch, env=environment, capture_output=True, text=True, check=True)
    code, _, seconds, peak = json.loads(run.stdout)
    outcome = {"seconds": round(seconds, 1), "peak_gib": round(peak / 2**20, 2), "exit": code}
    return outcome if code == 0 else {**outcome, "said": run.stderr.strip().splitlines()[-1:]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--inputs", nargs="*", default=["nifti", "dicom"], choices=["nifti", "dicom"])
    parser.add_argument("--outputs", nargs="*", default=[".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd", ".dcm"])
    parser.add_argument("--maps", action="store_true", help="with --maps and --overlay")
    parser.add_argument("--mode", default="preview")
    parser.add_argument("--steps", type=int, default=1, help="of an inversion")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {"slices": arguments.slices, "mode": arguments.mode, "maps": arguments.maps}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans = {"nifti": folder / "scan.nii", "dicom": folder / "series"}
        for kind in arguments.inputs:
            (write_nifti if kind == "nifti" else write_series)(scans[kind], arguments.slices)
            for ending in arguments.outputs:
                if kind == "nifti" and ending in (".dcm", "/rtstruct"):
                    continue
                output = folder / f"out{ending}"
                command = [sys.executable, "-m", "monai_semgan", "segment", str(scans[kind]), "-o", str(output)]
                command += ["--quiet", "--device", "cpu", "--mode", arguments.mode, "--modality", "CT"]
                command += ["--steps", str(arguments.steps)] if arguments.mode in ("invert", "refine") else []
                if arguments.maps:
                    command += ["--maps", str(folder / "maps"), "--overlay", str(folder / "overlay.png")]
                results[f"{kind} to {ending}"] = outcome = measured(command)
                print(f"{kind} to {ending}: {outcome}", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
