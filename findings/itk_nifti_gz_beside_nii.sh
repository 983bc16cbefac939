#!/usr/bin/env bash
# SimpleITK 2.5.7 and ITK 5.4.7: of `scan.nii.gz` beside `scan.nii` the header is read, and the voxels of `scan.nii`.
#
# Guess before the run: a file is read that is named, whatever lies beside it.
# Seen: the grid is that of `scan.nii.gz`, every voxel that of `scan.nii`; no warning, also where the two differ in size.
# nibabel 5.4.2 reads the named file. The NIfTI library of ITK looks for the file of the voxels by the name without
# ending, and takes `.nii` first. Whoever unpacks a scan beside the packed one and changes one of the two, or keeps two
# phases as `a.nii` and `a.nii.gz`, measures the wrong one in every program on ITK. The other way round is right.
#
# Needs no data; installs into a temporary folder (250 MB); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    "SimpleITK==2.5.7" "itk-io==5.4.7" "nibabel==5.4.2" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
import itk
import nibabel
import numpy as np
import SimpleITK

PLAIN, PACKED = 7, 8


def write(name, value, size, spacing):
    affine = np.diag([spacing, spacing, spacing, 1.0])
    nibabel.save(nibabel.Nifti1Image(np.full(size, value, np.int16), affine), name)


def seen(name):
    """Largest voxel and spacing, as each library reads the file."""
    image = SimpleITK.ReadImage(name)
    other = itk.imread(name)
    return {
        "SimpleITK": (int(SimpleITK.GetArrayFromImage(image).max()), image.GetSpacing()[0]),
        "ITK": (int(np.asarray(other).max()), float(other.GetSpacing()[0])),
        "nibabel": (int(nibabel.load(name).get_fdata().max()), float(nibabel.load(name).header.get_zooms()[0])),
    }


write("scan.nii", PLAIN, (6, 4, 5), 1.0)
write("scan.nii.gz", PACKED, (3, 4, 5), 2.0)
write("alone.nii.gz", PACKED, (3, 4, 5), 2.0)
print("SimpleITK", SimpleITK.Version.VersionString(), "| ITK", itk.Version.GetITKVersion())
beside, alone, plain = seen("scan.nii.gz"), seen("alone.nii.gz"), seen("scan.nii")
print("scan.nii.gz beside scan.nii:", beside)
print("scan.nii.gz alone          :", alone)
print("scan.nii                   :", plain)
wrong = (PLAIN, 2.0)
right = (PACKED, 2.0)
described = beside == {"SimpleITK": wrong, "ITK": wrong, "nibabel": right}
described = described and set(alone.values()) == {right} and set(plain.values()) == {(PLAIN, 1.0)}
raise SystemExit(0 if described else 1)
PY
echo "behaviour as described"
