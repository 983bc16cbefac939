"""Make this fixture anew with a checkout of release 0.1; see README.md.

python tests/fixtures_0_1/make.py CHECKOUT
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from phantom import LABELS, scan, training_scan

HERE = Path(__file__).resolve().parent

MODES: dict[str, tuple[str, ...]] = {"preview": (), "encoder": (), "invert": ("--steps", "2")}

SETTINGS: dict[str, dict[str, object]] = {
    "gan": {
        "latent_dim": 32,
        "mapping_layers": 2,
        "channels": {"4": 32, "8": 32, "16": 24, "32": 16},
        "joint_channels": 8,
        "quality_images": 64,
        "ema_images": 1000,
    },
    "encoder": {"channels": [8, 16, 24, 32], "grid": 4, "ema_images": 500, "pool_chunks": 4},
    "student": {"channels": [8, 16, 24, 32], "ema_images": 500, "learning_rate": 3e-3, "pool_chunks": 4},
}

STEPS = {"gan": 2000, "encoder": 600, "student": 1200}

CONTENT = ("LICENSE", "configs", "docs", "models")


def main() -> None:
    """Train, fill, calibrate, segment, and put bundle and expected results beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="of release 0.1")
    root = parser.parse_args().checkout.resolve()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bundle = make_bundle(root, folder)
        labels = {mode: segment(root, folder, bundle, mode) for mode in MODES}
        for name in CONTENT:
            target = HERE / "bundle" / name
            shutil.rmtree(target, ignore_errors=True)
            copy = shutil.copytree if (bundle / name).is_dir() else shutil.copyfile
            target.parent.mkdir(exist_ok=True)
            copy(bundle / name, target)
    expected = {mode: facts(label) for mode, label in labels.items()}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
    np.savez_compressed(HERE / "expected.npz", **labels)  # type: ignore[arg-type]


def make_bundle(root: Path, folder: Path) -> Path:
    """A filled and calibrated bundle."""
    grid = ("--size", "32", "--pixel-mm", "10")
    datalist = write_patients(folder)
    common = ("--data", str(datalist), "--device", "cpu", "--quiet")
    semgan(root, folder, "bundle", "new", "kidneys", "--labels", ",".join(LABELS), *grid, "--authors", "Tests")
    for stage, steps in STEPS.items():
        own = [text for key, value in SETTINGS[stage].items() for text in ("--set", f"{key}={json.dumps(value)}")]
        train = ("train", stage, "--out", "run", "--steps", str(steps), "--classes", str(len(LABELS) + 1))
        semgan(root, folder, *train, *grid, *common, *own, "--batch-size", "16")
    semgan(root, folder, "bundle", "fill", "kidneys", "run")
    semgan(root, folder, "calibrate", "--bundle", "kidneys", *common, "--every", "1")
    return folder / "kidneys"


def write_patients(folder: Path) -> Path:
    """Patients 1 to 6 as NIfTI, and their data list."""
    content: dict[str, list[dict[str, str]]] = {"training": [], "validation": []}
    for number in range(1, 7):
        image, label, affine = training_scan(number)
        entry = {"image": f"image_{number}.nii.gz", "label": f"label_{number}.nii.gz", "modality": "CT"}
        nibabel.save(nibabel.Nifti1Image(image, affine), folder / entry["image"])
        nibabel.save(nibabel.Nifti1Image(label, affine), folder / entry["label"])
        content["training" if number < 6 else "validation"].append(entry | {"patient": f"p{number}"})
    (folder / "datalist.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "datalist.json"


def segment(root: Path, folder: Path, bundle: Path, mode: str) -> np.ndarray:
    """Labels of the scan, among which every organ must be."""
    image, truth, affine = scan()
    nibabel.save(nibabel.Nifti1Image(image, affine), folder / "scan.nii.gz")
    options = ("--bundle", bundle.name, "--mode", mode, *MODES[mode], "--device", "cpu", "--quiet")
    semgan(root, folder, "segment", "scan.nii.gz", "-o", f"{mode}.nii.gz", *options)
    label = np.ascontiguousarray(nibabel.load(folder / f"{mode}.nii.gz").dataobj).astype(np.uint8)
    found = np.bincount(label.ravel(), minlength=len(LABELS) + 1)
    dice = [2 * ((label == i) & (truth == i)).sum() / (found[i] + (truth == i).sum()) for i in (1, 2, 3)]
    sys.stderr.write(f"{mode}: voxels {found.tolist()}, Dice {np.round(dice, 2).tolist()}\n")
    assert label.shape == image.shape and min(dice) > 0.3, "an organ was not found: train longer"
    return label


def facts(label: np.ndarray) -> dict[str, object]:
    """What a test compares: hash of the bytes (uint8, C order), and voxels of each class to understand a difference."""
    return {"sha256": hashlib.sha256(label.tobytes()).hexdigest(), "voxels": np.bincount(label.ravel()).tolist()}


def semgan(root: Path, folder: Path, *arguments: str) -> None:
    """Run the command line of the checkout on one thread."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-m", "monai_semgan", *arguments], cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    main()
