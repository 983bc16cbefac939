#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4): a NIfTI whose sform is the qform mirrored along one voxel axis is read by the sform.
#
# Guess before the run: with qform_code 1 and sform_code 2 ITK takes the qform, for it prefers the sform only with
# sform_code 1 or without a qform (ITK pull request 1868), or where both "are very similar" and the sform is merely the
# more precise one. A mirror image is not similar, so the qform was expected.
# Seen: the sform. Whether the forms are similar is judged by singular values and by the left factor U of the singular
# value decompositions alone, which stays the same when a column of the matrix changes its sign; so right and left of
# the scan change sides with the form that its codes rank second. Mirrored in a rotated matrix it depends on the signs
# that the decomposition happens to give. An sform that is turned by 10 degrees instead is not taken, as guessed.
# nibabel reads the sform of both. Whoever writes results beside a scan has to ask ITK, not the two codes.
#
# Needs no data; installs into a temporary folder (150 MB); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "SimpleITK==2.5.7" "nibabel==5.4.2" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
import nibabel
import numpy as np
import SimpleITK as sitk

qform = np.diag([-2.0, -2.0, 3.0, 1.0])
mirrored = qform @ np.diag([-1.0, 1.0, 1.0, 1.0])
angle = np.radians(10)
turn = np.eye(4)
turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]


def taken(sform, qform_code, sform_code):
    image = nibabel.Nifti1Image(np.zeros((6, 5, 4), np.int16), qform)
    image.set_qform(qform, qform_code)
    image.set_sform(sform, sform_code)
    nibabel.save(image, "scan.nii")
    read = sitk.ReadImage("scan.nii")
    to_ras = np.diag([-1.0, -1.0, 1.0]) @ np.array(read.GetDirection()).reshape(3, 3) @ np.diag(read.GetSpacing())
    near = {name: np.abs(to_ras - form[:3, :3]).max() for name, form in (("qform", qform), ("sform", sform))}
    return min(near, key=near.get)


print("SimpleITK", sitk.Version.VersionString(), "nibabel", nibabel.__version__)
table = {
    (name, codes): taken(sform, *codes)
    for name, sform in (("mirrored", mirrored), ("turned", turn @ qform))
    for codes in ((1, 2), (2, 2), (1, 1))
}
for (name, codes), form in table.items():
    print(f"sform {name:8} qform_code {codes[0]} sform_code {codes[1]}: ITK takes the {form}")
seen = [table["mirrored", codes] for codes in ((1, 2), (2, 2), (1, 1))] == ["sform", "sform", "sform"]
seen = seen and table["turned", (1, 2)] == "qform" and table["turned", (2, 2)] == "qform"
raise SystemExit(0 if seen else 1)
PY
echo "behaviour as described"
