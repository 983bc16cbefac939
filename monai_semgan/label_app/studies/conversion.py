"""Writes a scan as one file that every client can read, in a process of its own.

`python -m monai_semgan.label_app.studies.conversion` reads what to do from stdin, and prints how it ended, both JSON.
"""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.series_reader import read_dicom
from monai_semgan.io.formats import writable_endings
from monai_semgan.io.itk import MODALITY, write_itk
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume, sheared
from monai_semgan.io.writing import write_volume
from monai_semgan.utils.files import DISK_FULL, written_aside


def convert(path: Path, out: Path, series: str = "", files: list[str] | None = None) -> None:
    """Read a scan and write it on exactly its grid.

    Args:
        path: file, zip, or folder of DICOM files.
        out: `.nrrd`, or `.nii.gz` for pairs of NIfTI files, whose two forms of the grid it keeps.
        series: what the reader of DICOM takes; empty for a file.
        files: of a folder these alone.

    Raises:
        SemganError: it cannot be read or written.
    """
    volume = read_dicom(path, series, files=[Path(file) for file in files] if files else None) if series else None
    volume = volume or read_volume(path)
    if out.suffix != ".nrrd":
        write_volume(volume.array, volume, out)
        return
    if sheared(volume.affine):
        raise SemganError(
            "the axes of its grid are not at right angles, which no NRRD holds", remedy="export it as NIfTI"
        )
    with written_aside(out) as temporary:
        write_itk(volume.array, volume, temporary, _facts(volume))


def _facts(volume: Volume) -> dict[str, str]:
    return {MODALITY: volume.modality} if volume.modality else {}


def main() -> int:
    """Do what stdin asks for."""
    asked: dict[str, Any] = json.load(sys.stdin)
    said: dict[str, Any] = {}
    try:
        assert asked["out"].endswith(writable_endings())
        convert(Path(asked["path"]), Path(asked["out"]), asked["series"], asked["files"])
    except SemganError as error:
        full = isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_FULL
        said = {"problem": error.problem, "remedy": error.remedy, "errno": errno.ENOSPC if full else 0}
    except MemoryError:
        said = {"problem": "it does not fit into memory", "remedy": "", "errno": 0}
    sys.stdout.write(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
