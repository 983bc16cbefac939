"""How many organ voxels of a preview does a change move, and what does it do to the Dice? Old tree against new.

    python benchmarks/same_voxels.py OLD NEW $SEMGAN_DATA/abdomen_ct/images/ct_{00,21,15,12}.nii.gz

OLD and NEW are checkouts, each with monai_semgan/ and bundles/. Every scan is segmented by each tree's own command line
and bundle. The label of a scan lies in the folder `labels` beside `images`, under the same name, with the bundle's ids.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from startup import run


def segmented(root: Path, scan: Path, mode: str, folder: Path) -> np.ndarray:
    """Label ids that a tree's program gives a scan."""
    output = folder / "label.nii.gz"
    command = ["-m", "monai_semgan", "segment", str(scan.resolve()), "--device", "cpu", "--quiet", "--mode", mode]
    run(root.resolve(), [*command, "--output", str(output)], None, folder)
    return np.asarray(nibabel.load(output).dataobj)


def mean_dice(found: np.ndarray, truth: np.ndarray, ids: np.ndarray) -> float:
    """Mean Dice over the organs that the truth holds."""
    pairs = [(truth == index, found == index) for index in ids if (truth == index).any()]
    return float(np.mean([2.0 * np.count_nonzero(a & b) / (a.sum() + b.sum()) for a, b in pairs]))


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--mode", default="preview")
    arguments = parser.parse_args()
    for scan in arguments.scans:
        with tempfile.TemporaryDirectory() as name:
            old, new = (segmented(root, scan, arguments.mode, Path(name)) for root in (arguments.old, arguments.new))
        truth = np.asarray(nibabel.load(scan.parents[1] / "labels" / scan.name).dataobj)
        ids = np.unique(np.concatenate([np.unique(old), np.unique(new)]))[1:]
        moved = 100.0 * np.count_nonzero(old != new) / max(1, np.count_nonzero(old))
        dice = [mean_dice(label, truth, ids) for label in (old, new)]
        print(
            f"{scan.name}: {moved:.3f} % of organ voxels differ, mean Dice {dice[0]:.4f} -> {dice[1]:.4f}", flush=True
        )


if __name__ == "__main__":
    main()
