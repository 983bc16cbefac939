"""Train in short slots on a machine that has PyTorch and a GPU but no network.

Where the data are (once; the folder is about 30 MB for 24 abdominal CTs):

    .venv/bin/python scripts/gpu_slot.py pack --data datalist.json --carry carry/

On the GPU machine, from a copy of the repository with that folder, once per slot:

    python3 scripts/gpu_slot.py train gan --carry carry/ --run runs/gpu --budget 12m --slot 9m
    python3 scripts/gpu_slot.py train encoder --carry carry/ --run runs/gpu --budget 4m --slot 9m
    python3 scripts/gpu_slot.py train student --carry carry/ --run runs/gpu --budget 3m --slot 9m

A slot resumes what it finds in the run: of every stage the half-precision files (at most 16 MiB each) and record.json
are enough, `checkpoint.pt` and the sheets need not travel. `--keep-small` removes what need not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
WHEELS = ("monai>=1.6,<1.7", "nibabel>=5.2", "pytorch-ignite>=0.5", "tqdm>=4.60", "importlib_resources")
"""What a machine with PyTorch is likely to lack; their own needs come with PyTorch or NumPy."""


def pack(data: Path, carry: Path) -> None:
    """Preprocessed slices and wheels in one folder."""
    from monai_semgan.slicing.preprocessing import Preprocessing
    from monai_semgan.training.datasets import pack as pack_slices
    from monai_semgan.utils.progress import BarProgress

    pack_slices(data, carry / "slices", Preprocessing(), BarProgress("packing"))
    shutil.rmtree(carry / "slices" / "cache", ignore_errors=True)
    download = ["pip", "download", "--quiet", "--no-deps", "--dest", str(carry / "wheels"), *WHEELS]
    subprocess.run([sys.executable, "-m", *download], check=True)
    size = sum(path.stat().st_size for path in carry.rglob("*") if path.is_file())
    print(f"{carry}: {size / 2**20:.0f} MiB")


def train(arguments: argparse.Namespace) -> int:
    """Install the wheels beside, then train for one slot."""
    wheels = sorted((arguments.carry / "wheels").glob("*.whl"))
    with tempfile.TemporaryDirectory() as site:
        install = ["pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site, *map(str, wheels)]
        if wheels:
            subprocess.run([sys.executable, "-m", *install], check=True)
        known = [str(REPOSITORY), site, os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in known if p)}
        options = [arguments.stage, "--data", str(arguments.carry / "slices"), "--out", str(arguments.run)]
        options += ["--budget", arguments.budget, "--slot", arguments.slot, "--resume", *arguments.rest]
        code = subprocess.run([sys.executable, "-m", "monai_semgan", "train", *options], env=environment).returncode
    if arguments.keep_small:
        for path in [*arguments.run.glob("*/checkpoint.pt"), *arguments.run.glob("model.pt")]:
            path.unlink()
    return code


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("--data", type=Path, required=True)
    training = commands.add_parser("train")
    training.add_argument("stage", choices=("gan", "encoder", "student", "all"))
    training.add_argument("--run", type=Path, required=True)
    training.add_argument("--budget", default="12m", help="time of all slots of this stage together")
    training.add_argument("--slot", default="9m", help="time of this process")
    training.add_argument("--keep-small", action="store_true", help="keep only what the next slot needs")
    for command in (packing, training):
        command.add_argument("--carry", type=Path, required=True)
    arguments, rest = parser.parse_known_args()
    arguments.rest = rest
    if arguments.command == "pack":
        pack(arguments.data, arguments.carry)
        return 0
    return train(arguments)


if __name__ == "__main__":
    sys.exit(main())
