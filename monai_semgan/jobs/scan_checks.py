"""Reads a scan in a process of its own, so that no damaged file can take the server with it.

`python -m monai_semgan.jobs.scan_checks FILE` prints what it found as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.jobs.job_errors import JobError, in_words
from monai_semgan.utils.processes import child_environment, module_command

TIMEOUT_SECONDS = 180.0


@dataclass(frozen=True)
class ScanFacts:
    """What is known of a scan that was read.

    Attributes:
        shape: voxels.
        spacing: mm.
        heights: lowest and highest S coordinate (RAS mm) of its voxels.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    heights: tuple[float, float]


def check_scan(path: Path, python: str = sys.executable) -> ScanFacts:
    """Read a scan.

    Raises:
        JobError: if it cannot be read, with the reason.
    """
    command = module_command(__spec__.name if __spec__ else __name__, str(path), python=python)
    try:
        run = subprocess.run(command, capture_output=True, env=child_environment(), timeout=TIMEOUT_SECONDS)
        found = json.loads(run.stdout)
    except subprocess.TimeoutExpired:
        raise JobError("reading the volume takes too long; copy or export it again") from None
    except ValueError:
        raise JobError("the volume cannot be read; copy or export it again") from None
    if "problem" in found:
        raise JobError(f"the volume {found['problem']}" if found["problem"][:2] == "is" else found["problem"])
    return ScanFacts(tuple(found["shape"]), tuple(found["spacing"]), tuple(found["heights"]))


def scan_facts(path: Path) -> ScanFacts:
    """Read a scan in this process.

    Raises:
        SemganError: if it cannot be read.
    """
    volume = read_volume(path)
    shape = volume.array.shape
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    heights = corners @ volume.affine[2, :3] + volume.affine[2, 3]
    spacing = tuple(float(value) for value in volume.spacing)
    return ScanFacts(shape, spacing, (float(heights.min()), float(heights.max())))  # type: ignore[arg-type]


def main(path: str) -> int:
    """Print what a file holds, or what is wrong with it."""
    try:
        said = asdict(scan_facts(Path(path)))
    except SemganError as error:
        said = {"problem": in_words(error)}
    except MemoryError:
        said = {"problem": "the volume does not fit into memory"}
    sys.stdout.write(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
