"""Reads a scan in a process of its own, so that no damaged file can take the server with it.

`python -m monai_semgan.jobs.scan_checks FILE [LOCK]` prints what it found as JSON. Few such processes run at once, the
large scans one after the other, and none takes more memory than a scan of its size can need.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.lean_nibabel import import_nibabel
from monai_semgan.jobs.job_errors import JobError, in_words
from monai_semgan.utils.files import bytes_in
from monai_semgan.utils.processes import child_environment, module_command

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume

TIMEOUT_SECONDS = 360.0
"""For reading, and for waiting for another large scan."""

AT_ONCE = 2
"""Processes that read."""

FREE_VOXELS = 2**26
"""A scan of no more voxels (256 slices of 512 x 512) may be compressed by any factor."""

VOXELS_PER_BYTE = 40
"""No scan has more of them in a byte of its file; a CT has one or two, a map of one organ a hundred."""

VOXEL_BYTES = 16
"""Of a voxel in memory while it is read, at the most; 4 or 5 are usual."""

LARGE_VOXELS = 2**25
"""Scans with more are read one at a time."""

HEADERS = (".nrrd", ".nhdr", ".mha", ".mhd")

_turns = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class ScanFacts:
    """What is known of a scan that was read.

    Attributes:
        shape: voxels.
        spacing: mm.
        heights: lowest and highest S coordinate (RAS mm) of its voxels.
        empty: it is 0 everywhere, which a label may be, and a scan not.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    heights: tuple[float, float]
    empty: bool = False


def check_scan(path: Path, python: str = sys.executable) -> ScanFacts:
    """Read a scan.

    Raises:
        JobError: if it cannot be read, with the reason.
    """
    module = __spec__.name if __spec__ else __name__
    command = module_command(module, str(path), _lock_file(), python=python)
    try:
        with _turns:
            run = subprocess.run(command, capture_output=True, env=child_environment(1), timeout=TIMEOUT_SECONDS)
        found = json.loads(run.stdout)
    except subprocess.TimeoutExpired:
        raise JobError("reading the volume takes too long; copy or export it again") from None
    except ValueError:
        raise JobError("the volume cannot be read; copy or export it again") from None
    if "problem" in found:
        raise JobError(f"the volume {found['problem']}" if found["problem"][:2] == "is" else found["problem"])
    shape, spacing, heights = (tuple(found[name]) for name in ("shape", "spacing", "heights"))
    return ScanFacts(shape, spacing, heights, found["empty"])


@functools.cache
def _lock_file() -> str:
    """Return the path of a file, gone with this process, that its children lock."""
    handle, path = tempfile.mkstemp(prefix="semgan_reading_")
    os.close(handle)
    atexit.register(Path(path).unlink, missing_ok=True)
    return path


def check_growth(path: Path) -> None:
    """Make sure that a file does not unpack to more than a scan can; its header alone is read.

    Raises:
        SemganError: it does.
    """
    voxels, stored = _declared_voxels(path), _stored_bytes(path)
    if voxels > most_voxels(path):
        raise SemganError(
            f"would unpack to {voxels} voxels, {voxels / max(stored, 1):.0f} for each byte: no scan shrinks that much",
            remedy="save it without compression if it is one",
            path=path,
        )


def most_voxels(path: Path) -> int:
    """Return how many voxels a scan of this size can have."""
    return max(FREE_VOXELS, VOXELS_PER_BYTE * _stored_bytes(path))


def _declared_voxels(path: Path) -> int:
    """Count the voxels of which the header tells; 0 where it tells nothing, which reading it will say."""
    name = path.name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            from monai_semgan.io.nifti import read_nifti_place  # noqa: PLC0415 - after `import_nibabel`

            shape = read_nifti_place(path)[0]
        elif name.endswith(HEADERS):
            from monai_semgan.io.itk import read_itk_place  # noqa: PLC0415 - SimpleITK takes a while

            shape = read_itk_place(path)[0]
        else:
            return 0
    except Exception:  # the libraries have no common class for what damaged files make them raise
        return 0
    return int(np.prod([max(int(size), 0) for size in shape], dtype=object))


def _stored_bytes(path: Path) -> int:
    return bytes_in(path) if path.is_dir() else path.stat().st_size


def scan_facts(path: Path) -> ScanFacts:
    """Read a scan in this process.

    Raises:
        SemganError: if it cannot be read.
    """
    volume, empty = _volume_or_empty_label(path)
    shape = volume.array.shape
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    heights = corners @ volume.affine[2, :3] + volume.affine[2, 3]
    spacing = tuple(float(value) for value in volume.spacing)
    return ScanFacts(shape, spacing, (float(heights.min()), float(heights.max())), empty)  # type: ignore[arg-type]


def _volume_or_empty_label(path: Path) -> tuple[Volume, bool]:
    """Read a scan, or a label from which a reader has removed all that was wrong."""
    from monai_semgan.io.reading import read_label, read_volume  # noqa: PLC0415 - after `import_nibabel`

    try:
        return read_volume(path), False
    except SemganError:
        with contextlib.suppress(SemganError):
            label = read_label(path)
            if not label.array.any():
                return label, True
        raise


def main(path: str, lock: str | None = None) -> int:
    """Print what a file holds, or what is wrong with it."""
    import_nibabel()
    try:
        check_growth(Path(path))
        with _turn_of_large(Path(path), lock):
            limit_memory(most_voxels(Path(path)) * VOXEL_BYTES)
            said = asdict(scan_facts(Path(path)))
    except SemganError as error:
        said = {"problem": in_words(error)}
    except MemoryError:
        said = {"problem": "the volume does not fit into the memory that a scan of its size can need"}
    except OSError:
        said = {"problem": "the file has gone, or changes while it is read; send it again"}
    sys.stdout.write(json.dumps(said))
    return 0


@contextlib.contextmanager
def _turn_of_large(path: Path, lock: str | None) -> Iterator[None]:
    """Let one large scan after the other into memory; folders count by their bytes."""
    large = max(_declared_voxels(path), _stored_bytes(path) // 2 if path.is_dir() else 0) > LARGE_VOXELS
    if not large or lock is None:
        yield
        return
    from filelock import FileLock  # noqa: PLC0415 - optional extra

    with FileLock(lock):
        yield


def limit_memory(further: int) -> None:
    """Let this process take so many bytes more, where the system can hold it to that."""
    try:
        import resource  # noqa: PLC0415 - not on Windows

        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        taken = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = taken + further
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
    except (ImportError, OSError, ValueError, StopIteration):  # the check of the growth holds everywhere
        return


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
