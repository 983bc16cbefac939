"""Do the preview's probabilities mean what they say? Reliability by organ, on the grid of the slices.

    python benchmarks/calibration.py --data lists/ct.json --section validation --out calibration_ct.json

Prints, by organ, the expected calibration error over voxels where the organ is neither certain nor impossible, and the
share of true voxels by bin of probability.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from monai_semgan.bundle.load import load_bundle
from monai_semgan.data.datalist import load_datalist
from monai_semgan.inference.slice_modes import preview, preview_settings
from monai_semgan.io.reading import read_label, read_volume

BINS = 10
LEAST, MOST = 0.01, 0.99


def main() -> None:
    """Collect and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--section", default="validation")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    bundle = load_bundle()
    counts = {name: np.zeros((3, BINS)) for name in bundle.labels.values()}
    for entry in getattr(load_datalist(arguments.data), arguments.section):
        volume = read_volume(entry.image)
        prepared = bundle.preprocessing(volume, entry.modality)
        truth = bundle.preprocessing.label_slices(read_label(entry.label, volume).array, prepared.geometry).numpy()
        probabilities = preview(bundle, prepared, preview_settings(bundle)).numpy()
        for index, name in bundle.labels.items():
            p = probabilities[:, index]
            known = (p > LEAST) & (p < MOST) & (truth != 255)
            place = np.minimum((p[known] * BINS).astype(int), BINS - 1)
            for row, weights in enumerate((None, p[known], truth[known] == index)):
                counts[name][row] += np.bincount(place, weights, BINS)
    result = {}
    for name, (number, promised, true) in counts.items():
        share = np.maximum(number, 1)
        error = float((np.abs(promised - true)).sum() / number.sum())
        result[name] = {"ece": round(error, 4), "voxels": int(number.sum()), "true": (true / share).round(3).tolist()}
        print(f"{name}: error {error:.3f}, true share by bin {' '.join(f'{v:.2f}' for v in true / share)}")
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
