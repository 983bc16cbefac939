"""Read and write: nothing moves.

A volume is voxels with an affine, from voxel index to millimetres in the patient (RAS: to the right, to the front,
upwards). Here an oblique, anisotropic grid goes through every format, and comes back where it was.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import monai_semgan as sg

out = Path(sys.argv[1] if len(sys.argv) > 1 else "semgan_results")
out.mkdir(exist_ok=True)

angle = np.deg2rad(12)
turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
affine = np.eye(4)
affine[:3, :3] = turn @ np.diag([-0.8, -0.8, 3.0])
affine[:3, 3] = 110, 95, -40

image = np.random.default_rng(0).normal(40, 200, (60, 50, 12)).round().astype(np.float32)
volume = sg.Volume(image, affine)
label = (image > 200).astype(np.uint8)

print(f"voxel: {volume.spacing.round(2)} mm, {volume.voxel_ml:.5f} ml\n")
print("file            values    corners (mm)")
corners = np.array([[i, j, k, 1] for i in (0, 59) for j in (0, 49) for k in (0, 11)]).T
for name in ("scan.nii.gz", "scan.nrrd", "scan.mha"):
    back = sg.read_volume(sg.write_volume(image, volume, out / name))
    moved = np.abs((back.affine - affine) @ corners).max()
    print(f"{name:<15} {'equal' if np.array_equal(back.array, image) else 'CHANGED':<9} {moved:.6f}")
for name in ("label.nii.gz", "label.seg.nrrd"):
    back = sg.read_label(sg.write_label(label, volume, out / name))
    moved = np.abs((back.affine - affine) @ corners).max()
    print(f"{name:<15} {'equal' if np.array_equal(back.array, label) else 'CHANGED':<9} {moved:.6f}")

try:
    sg.read_volume(out / "missing.nii.gz")
except sg.SemganError as error:
    print(f"\nA mistake is one line, with a remedy:\n{error.path.name}: {error.problem}; {error.remedy}")
