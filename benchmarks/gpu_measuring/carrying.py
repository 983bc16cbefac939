"""What a GPU machine without network lacks: wheels, and slices of a scan."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from .room import SLICES_FILE, made_slices

ROOT = Path(__file__).resolve().parents[2]

WHEELS = ("monai", "pytorch-ignite", "nibabel", "pydicom")
"""What the parts import, and images with PyTorch, numpy, scipy, pillow, tqdm, jinja2 and tensorboard often lack."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
LIMIT_MIB = 64


def pack(arguments: argparse.Namespace) -> int:
    """Collect wheels and slices in a folder, and compare the whole with the limit."""
    import numpy as np

    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.no_wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--python-version", arguments.python, "--implementation", "cp", "--dest", str(folder)]
        command += [part for name in PLATFORMS for part in ("--platform", name)]
        subprocess.run([*command, *WHEELS], check=True)
    np.savez_compressed(folder / SLICES_FILE, slices=made_slices(arguments.scan, 100))
    own = sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout
    files = [ROOT / name for name in tracked.decode().split("\0") if name]
    total = own + sum(file.stat().st_size for file in files if file.is_file())
    print(f"{folder}: {own / 2**20:.1f} MiB, with the repository {total / 2**20:.1f} MiB of {LIMIT_MIB}")
    return 0 if total < LIMIT_MIB * 2**20 else 1


def use_wheels(carried: Path) -> None:
    """Unpack the wheels beside themselves, and put those on the path that are not installed."""
    site = carried / "site"
    for wheel in sorted(carried.glob("*.whl")):
        if not any(site.glob(f"{wheel.name.split('-')[0]}-*.dist-info")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
    sys.path.append(str(site.resolve()))  # at the end: what is installed there is preferred
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(site.resolve())]))
