"""nibabel without pydicom: in programs only, and with DICOM headers in NIfTI files kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np

from tests.conftest import REPOSITORY

PROGRAM = """
import sys
from monai_semgan.io.lean_nibabel import import_nibabel
import_nibabel()
assert "pydicom" not in sys.modules
import pydicom
from monai_semgan import read_volume
print(read_volume(sys.argv[1]).array.sum())
import nibabel
found = nibabel.load(sys.argv[1])
print([extension.get_code() for extension in found.header.extensions])
nibabel.save(found, sys.argv[2])
"""


def dicom_extension() -> nibabel.nifti1.Nifti1Extension:
    """A DICOM header in implicit VR: patient's sex."""
    return nibabel.nifti1.Nifti1Extension(2, b"\x10\x00\x40\x00\x02\x00\x00\x00F ")


def test_a_dicom_header_in_a_nifti_file_is_read_past_and_kept(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header.extensions.append(dicom_extension())
    nibabel.save(image, tmp_path / "scan.nii")
    command = [sys.executable, "-c", PROGRAM, tmp_path / "scan.nii", tmp_path / "copy.nii"]
    printed = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True).stdout.split("\n")
    assert float(printed[0]) == 1770 and printed[1] == "[2]"
    kept = nibabel.load(tmp_path / "copy.nii").header.extensions[0]
    assert kept.get_code() == 2 and len(kept.get_content()) == 1


def test_importing_the_package_leaves_nibabel_as_the_user_has_it() -> None:
    program = "import monai_semgan.io.reading, nibabel, sys; sys.exit(not nibabel.nifti1.have_dicom)"
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)
