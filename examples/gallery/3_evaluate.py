"""Score two methods, and compare them.

Six phantoms, and two ways to segment them that are no networks: limits of the grey value, and of these the largest
piece of every organ. Any program's label files are scored like this; `sg.evaluate("list.json", bundle)` scores a model.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from phantom import HOUNSFIELD, draw, phantom, write_phantoms
from scipy import ndimage

import monai_semgan as sg

out = Path(sys.argv[1] if len(sys.argv) > 1 else "semgan_results")
out.mkdir(exist_ok=True)


def by_grey_value(image: np.ndarray) -> np.ndarray:
    """Give every voxel the organ whose grey value is within 25 HU; kidneys are told apart by their side."""
    label = np.zeros(image.shape, np.uint8)
    for organ, value in HOUNSFIELD.items():
        label[np.abs(image - value) < 25] = organ
    right = np.arange(image.shape[0])[:, None, None] >= image.shape[0] // 2
    label[(label == 3) & right] = 2
    return label


def largest_pieces(image: np.ndarray) -> np.ndarray:
    """Keep the largest piece of every organ."""
    label = by_grey_value(image)
    for organ in HOUNSFIELD:
        pieces, _ = ndimage.label(label == organ)
        size = np.bincount(pieces.ravel())
        label[(pieces > 0) & (pieces != size[1:].argmax() + 1)] = 0
    return label


methods = {"limits": by_grey_value, "pieces": largest_pieces}
studies = {}
with tempfile.TemporaryDirectory() as folder:
    data = Path(folder)
    entries = write_phantoms(data, range(6))
    (data / "list.json").write_text(json.dumps({"validation": entries}))
    for name, method in methods.items():
        (data / name).mkdir()
        for entry in entries:
            scan = sg.read_volume(data / entry["image"])
            sg.write_label(method(scan.array), scan, data / name / entry["image"])
        studies[name] = sg.evaluate(data / "list.json", predictions=data / name)

for name, study in studies.items():
    (out / name).mkdir(exist_ok=True)
    sg.write_study(study, out / name)  # scores.csv, summary.md
    print(name)
    for organ in study.labels.values():
        scores = [patient.organs[organ] for patient in study.scored]
        dice, distance = (np.mean([getattr(score, kind) for score in scores]) for kind in ("dice", "hd95"))
        print(f"  {organ:<14} Dice {dice:.3f}   HD95 {distance:5.1f} mm")

print("\npieces minus limits, in Dice: mean, 95 % interval, signed rank test")
for row in sg.compare(studies["pieces"], studies["limits"]):
    print(f"  {row.organ:<14} {row.mean:+.3f}  ({row.low:+.3f} to {row.high:+.3f})  p = {row.p_value:.3f}")

image, label = phantom(0)
plane = image.array.shape[2] // 2
found = [method(image.array) for method in methods.values()]
draw(out / "truth_limits_pieces.png", *((image.array[..., plane], map_[..., plane]) for map_ in (label.array, *found)))
