"""Correct a label by one stroke, and take it back.

From the preview of a made-up patient the front half of the liver is taken away in fifteen slices, as a model may miss
it. One short stroke in the middle slice brings it back, there and in the slices beside it. The picture shows that
slice and one above it: with the hole, and after the stroke.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from phantom import draw

import monai_semgan as sg

out = Path(sys.argv[1] if len(sys.argv) > 1 else "semgan_results")
out.mkdir(exist_ok=True)
scan_file = Path(__file__).parents[2] / "slicer_extension/SemGAN/Resources/SampleData/semgan_synthetic_ct.nrrd"
scan, bundle = sg.read_volume(scan_file), sg.load_bundle()
preview = sg.segment(scan, bundle).label
liver = next(index for index, name in bundle.labels.items() if name == "liver")

middle = int((preview == liver).sum(axis=(0, 1)).argmax())
columns = np.flatnonzero((preview[..., middle] == liver).any(axis=0))
half = int(columns.mean())
hole = np.zeros(preview.shape, bool)
hole[:, half:, middle - 7 : middle + 8] = True
hole &= preview == liver
label = np.where(hole, 0, preview).astype(np.uint8)

missing = np.argwhere(hole[..., middle])
stroke = [[*pixel, middle] for pixel in missing[np.abs(missing - missing.mean(axis=0)).sum(axis=1).argsort()[:10]]]
corrector = sg.Corrector(bundle, scan, label)
corrected = corrector.correct([sg.Stroke(liver, stroke)], sg.CorrectionSettings(reach_mm=30.0))


def dice(array: np.ndarray) -> float:
    """Dice of the liver against that of the preview."""
    found, true = array == liver, preview == liver
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


print(f"{int(hole.sum())} voxels of the liver are missing: Dice {dice(label):.3f}")
print(f"a stroke of {len(stroke)} voxels changes {len(corrected.slices)} slices: Dice {dice(corrected.label):.3f}")
others = (preview != liver) & (corrected.label != liver)
print(f"other structures differ in {int((preview != corrected.label)[others].sum())} voxels")

pairs = [
    (scan.array[::-1, :, k], (array[::-1, :, k] == liver).astype(int))  # this scan is stored from right to left
    for array in (label, corrected.label)
    for k in (middle, middle + 5)
]
draw(out / "hole_and_correction.png", *pairs)

corrector.restore(label, None)
print(f"undone, without computing: Dice {dice(corrector.label):.3f}")
