"""Has a change of the tree changed any result? Hashes of voxels and trained weights, old tree against new.

    python benchmarks/same_results.py OLD NEW                   two checkouts, each with monai_semgan/ and bundles/
    python benchmarks/same_results.py OLD --json old.json       keep the hashes
    python benchmarks/same_results.py NEW --against old.json    compare with kept ones

Runs each tree's own command line with its own shipped bundle, on one thread of the CPU: `semgan segment` on a phantom
and, where $SEMGAN_DATA is set and --quick is not, on a CT and an MR; `semgan train all` for five steps of each stage.
Exit code 1 says that something differs or failed. Hashes hold for one machine and one set of libraries only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

MODES: dict[str, tuple[str, ...]] = {"preview": (), "encoder": (), "invert": ("--steps", "3")}
"""Mode of `semgan segment`, and its options."""

REAL = {"ct_12": "abdomen_ct/images/ct_12.nii.gz", "mr_05": "abdomen_mr_t2/images/mr_05.nii.gz"}
"""Scans below $SEMGAN_DATA."""

PHANTOM = "phantom"

BODY = (((160.0, 110.0), 0.0, -100), ((145.0, 95.0), 0.0, 40), ((20.0, 18.0), -62.0, 350))
"""Half axes in mm, shift to the front and HU of skin and fat, of soft tissue, of the spine; later ones win."""

ORGANS = (
    ((70.0, 15.0, 20.0), (55.0, 60.0, 50.0), 110),  # liver, on the patient's right
    ((58.0, -50.0, -35.0), (22.0, 24.0, 40.0), 180),  # right kidney, lower than the left one
    ((-62.0, -48.0, -15.0), (24.0, 22.0, 40.0), 180),  # left kidney
    ((-100.0, -8.0, 30.0), (28.0, 38.0, 36.0), 140),  # spleen
)
"""Centre and half axes in RAS mm, HU; in the order of the shipped bundle's labels."""

TRAINING = {
    "gan_latent_dim": 16,
    "gan_mapping_layers": 2,
    "gan_channels": {"4": 16, "8": 16, "16": 16, "32": 8},
    "gan_joint_channels": 8,
    "gan_quality_images": 32,
    "gan_r1_interval": 2,
    "gan_path_weight": 1.0,
    "gan_path_interval": 2,
    "encoder_channels": [8, 8, 8, 8, 8],
    "encoder_grid": 2,
    "encoder_refinement_passes": 2,
    "student_channels": [8, 8, 16],
    "pool_chunk": 8,
    "pool_chunks": 2,
}
"""Networks so small that a step takes milliseconds, and every regulariser within five steps."""

ALONE = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONHASHSEED": "0",
}
"""Environment in which the same code gives the same bits."""


def main() -> int:
    """Compute, print, save and compare."""
    arguments = parse()
    columns: dict[str, dict[str, str]] = {}
    if arguments.against:
        kept = json.loads(arguments.against.read_text(encoding="utf-8"))
        columns[str(arguments.against)] = kept["results"]
        if kept["machine"] != machine():
            print(f"kept hashes are of another machine: {kept['machine']}, here {machine()}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        scans, datalist = prepare(Path(folder), arguments.quick)
        for number, root in enumerate(arguments.roots):
            out = Path(folder) / f"out_{number}"
            out.mkdir()
            # the same root twice is a test of the hashes themselves, and keeps two columns
            name = str(root) if str(root) not in columns else f"{root} again"
            columns[name] = dict(results(root.resolve(), scans, datalist, out))
    latest = list(columns.values())[-1]
    if arguments.json:
        content = {"machine": machine(), "results": latest}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    if arguments.quick:
        names = [name for name in names if name.split()[0] not in REAL]
    different = show(names, columns)
    return 1 if different else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", type=Path, nargs="+", metavar="ROOT", help="folder that holds monai_semgan/")
    parser.add_argument("--quick", action="store_true", help="phantom and training only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the hashes of the last root")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with saved hashes too")
    arguments = parser.parse_args()
    for root in arguments.roots:
        if not (root / "monai_semgan").is_dir():
            parser.error(f"no monai_semgan/ in {root}")
        asked = "import monai_semgan; print(monai_semgan.__file__)"
        found = python(root.resolve(), "-c", asked, cwd=Path(tempfile.gettempdir())).stdout
        if root.resolve() not in Path(found.strip()).resolve().parents:
            parser.error(f"{root} is not what Python imports, but {found.strip() or 'nothing'}")
    return arguments


def machine() -> dict[str, str]:
    """What the bits of a result may depend on beside the code."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    return {"cpu": torch.backends.cpu.get_cpu_capability(), "system": platform.platform(), **versions}


def prepare(folder: Path, quick: bool) -> tuple[dict[str, Path], Path]:
    """Scans to segment by name, and the data list to train on."""
    affine, shape = oblique_grid()
    image, _ = patient(affine, shape, seed=0)
    nibabel.save(nibabel.Nifti1Image(image, affine), folder / f"{PHANTOM}.nii.gz")
    scans = {PHANTOM: folder / f"{PHANTOM}.nii.gz"}
    data = os.environ.get("SEMGAN_DATA")
    if data and not quick:
        scans |= {name: Path(data).resolve() / path for name, path in REAL.items()}
    return scans, write_patients(folder)


def oblique_grid() -> tuple[np.ndarray, tuple[int, int, int]]:
    """Affine and shape of a grid that is oblique, left-handed, and stored with the slices as its second axis."""
    spacing, shape = np.array([8.0, 15.0, 9.0]), (44, 14, 30)
    x, z = np.radians(6.0), np.radians(-8.0)
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    axes = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]]).T  # to the left, up, to the front
    axes = axes @ np.diag([1, 1, -1])  # to the back
    affine = np.eye(4)
    affine[:3, :3] = turn_z @ turn_x @ axes @ np.diag(spacing)
    affine[:3, 3] = np.array([7.0, -20.0, 35.0]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    assert np.linalg.det(affine[:3, :3]) < 0
    return affine, shape


def patient(affine: np.ndarray, shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """HU and labels 1 to 4 on a grid; every seed moves and sizes the organs a little, none is symmetric."""
    rng = np.random.default_rng(seed)
    points = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    points = points @ affine[:3, :3].T + affine[:3, 3] - (7.0, -20.0, 35.0)
    hu = np.full(shape, -1000.0)
    for half_axes, shift, value in BODY:
        hu[(((points[..., :2] - (0.0, shift)) / half_axes) ** 2).sum(axis=-1) < 1] = value
    label = np.zeros(shape, np.uint8)
    for index, (centre, axes, value) in enumerate(ORGANS, 1):
        place = (points - centre - rng.normal(0, 4, 3)) / (np.array(axes) * rng.uniform(0.9, 1.1))
        inside = (place**2).sum(axis=-1) < 1
        hu[inside], label[inside] = value, index
    return np.round(hu + rng.normal(0, 12, shape)).astype(np.int16), label


def write_patients(folder: Path) -> Path:
    """Four tiny patients, the last for validation and the one before without label, and their data list."""
    shape, spacing = (40, 30, 8), np.array([8.0, 8.0, 20.0])
    names = {"1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"}
    content: dict[str, Any] = {"labels": names, "training": [], "validation": []}
    for number in range(4):
        affine = np.diag([-1.0, 1.0, 1.0, 1.0]) @ np.diag([*spacing, 1.0])
        affine[:3, 3] = np.array([7.0, -20.0, 35.0]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
        image, label = patient(affine, shape, seed=100 + number)
        entry = {"image": f"image_{number}.nii.gz", "patient": f"p{number}", "modality": "CT"}
        nibabel.save(nibabel.Nifti1Image(image, affine), folder / entry["image"])
        if number != 2:
            entry["label"] = f"label_{number}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(label, affine), folder / entry["label"])
        content["validation" if number == 3 else "training"].append(entry)
    path = folder / "datalist.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def results(root: Path, scans: Mapping[str, Path], datalist: Path, out: Path) -> Iterator[tuple[str, str]]:
    """What was made and its hash, for everything that a tree makes."""
    for scan, path in scans.items():
        for mode, options in MODES.items():
            label = out / f"{scan}_{mode}.nii.gz"
            arguments = ("segment", str(path), "-o", str(label), "--mode", mode, *options, "--device", "cpu", "--quiet")
            failure = semgan(root, *arguments, cwd=out)
            yield " ".join((scan, mode, *options)), failure or voxel_hash(label)
    run, steps = out / "run", 5
    options = [text for key, value in TRAINING.items() for text in ("--set", f"{key}={json.dumps(value)}")]
    options += ["--size", "32", "--pixel-mm", "10", "--batch-size", "4", "--seed", "3", "--device", "cpu", "--quiet"]
    arguments = ("train", "all", "--data", str(datalist), "--out", str(run), "--steps", str(steps), *options)
    failure = semgan(root, *arguments, cwd=out)
    if failure:
        yield f"training, {steps} steps", failure
        return
    for path in sorted(path for path in run.rglob("*.pt") if path.parent.name != "cache"):
        yield f"training, {steps} steps: {path.relative_to(run).as_posix()}", weight_hash(path)


def semgan(root: Path, *arguments: str, cwd: Path) -> str:
    """Run a tree's command line; what went wrong, or nothing."""
    started = time.perf_counter()
    done = python(root, "-m", "monai_semgan", *arguments, cwd=cwd)
    seconds = time.perf_counter() - started
    print(f"{root}: {arguments[0]} {Path(arguments[1]).name} {seconds:.1f} s", file=sys.stderr, flush=True)
    if done.returncode == 0:
        return ""
    return f"failed ({done.returncode}): {(done.stderr.strip().splitlines() or ['no message'])[-1]}"


def python(root: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python on a tree; the folder must not hold another `monai_semgan`, which would win."""
    environment = {**os.environ, **ALONE, "PYTHONPATH": str(root)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def voxel_hash(path: Path) -> str:
    """Hash of a label's grid and voxels."""
    image = nibabel.load(path)
    array = np.ascontiguousarray(image.dataobj)  # type: ignore[attr-defined]
    affine = np.round(image.affine, 4) + 0.0  # type: ignore[attr-defined]  # no negative zero
    digest = hashlib.sha256(f"{array.shape} {array.dtype.str} {affine.tolist()}".encode())
    digest.update(array.tobytes())
    return f"{digest.hexdigest()[:16]} ({np.count_nonzero(array)} labelled voxels)"


def weight_hash(path: Path) -> str:
    """Hash of the tensors in a file, by name; of a checkpoint by content only, since its form is nobody's business."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    lines = []
    for name, tensor in tensors(content):
        kept = "" if path.name == "checkpoint.pt" else name
        values = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        lines.append(f"{kept} {tuple(tensor.shape)} {tensor.dtype} {hashlib.sha256(values).hexdigest()}")
    return f"{hashlib.sha256(chr(10).join(sorted(lines)).encode()).hexdigest()[:16]} ({len(lines)} tensors)"


def tensors(content: object, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Name and tensor of all tensors in nested dictionaries and lists."""
    if isinstance(content, torch.Tensor):
        yield name, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from tensors(value, f"{name}/{key}")
    elif isinstance(content, (list, tuple)):
        for index, value in enumerate(content):
            yield from tensors(value, f"{name}/{index}")


def show(names: list[str], columns: Mapping[str, Mapping[str, str]]) -> int:
    """Print the table; how many rows differ or failed."""
    print("| result | " + " | ".join(columns) + " | same |")
    print("|---" * (len(columns) + 2) + "|")
    different = 0
    for name in names:
        found = [column.get(name, "missing") for column in columns.values()]
        same = len(set(found)) == 1 and not found[0].startswith("failed")
        different += not same
        print(f"| {name} | " + " | ".join(found) + f" | {'yes' if same else 'NO'} |")
    print(f"\n{len(names) - different} of {len(names)} are the same" if len(columns) > 1 else "")
    return different


if __name__ == "__main__":
    sys.exit(main())
