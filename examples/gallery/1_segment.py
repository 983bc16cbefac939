"""Segment a scan, and look at it.

The scan is a patient that does not exist: the shipped model has made it up, and the extension for 3D Slicer carries it
as sample data. `preview` takes seconds; `sg.segment(scan, bundle, mode="refine")` goes on from it by inversion.
"""

from __future__ import annotations

import sys
from pathlib import Path

import monai_semgan as sg

out = Path(sys.argv[1] if len(sys.argv) > 1 else "semgan_results")
out.mkdir(exist_ok=True)
scan_file = Path(__file__).parents[2] / "slicer_extension/SemGAN/Resources/SampleData/semgan_synthetic_ct.nrrd"

bundle = sg.load_bundle()
scan = sg.read_volume(scan_file)
result = sg.segment(scan, bundle)

print(f"{scan.array.shape} voxels, taken for {result.prepared.modality}")
for organ, volume in result.volumes_ml.items():
    print(f"{organ:<14}{volume:7.0f} ml   Dice to expect {result.domain.organs[organ]:.2f}")
print(f"out-of-domain score {result.domain.score:.2f}: {result.domain.verdict}")
for note in result.notes:
    print(f"note: {note}")

sg.write_label(result.label, scan, out / "organs.nii.gz")
sg.save_overlay(result, bundle.labels, out / "overlay.png")
