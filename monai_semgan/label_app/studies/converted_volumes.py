"""Images that clients cannot take as they lie there, DICOM above all, as one file each: made once, kept aside."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from monai_semgan.errors import SemganError
from monai_semgan.utils.processes import child_environment, module_command

MODULE = "monai_semgan.label_app.studies.conversion"
TIMEOUT_SECONDS = 600.0


class ConvertedVolumes:
    """A folder of such files; one is made at a time.

    Args:
        folder: where they lie. It may be removed: they are made again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._making = threading.Lock()

    def place(self, image: str, state: str, ending: str) -> Path:
        """Return where the file of an image in a state lies or would lie."""
        return self._all(image) / hashlib.sha256(state.encode()).hexdigest()[:16] / f"{image}{ending}"

    def file(self, path: Path, place: Path, series: str, files: list[Path] | None) -> Path:
        """Return the file of an image, which is made if it is not there; that can take minutes.

        Args:
            path: file, zip, or folder of DICOM files.
            place: see `place`.
            series: what the reader of DICOM takes; empty for a file.
            files: of a folder these alone.

        Raises:
            SemganError: the image cannot be read, or the file cannot be written.
        """
        with self._making:
            if not place.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    _convert(path, place, series, files)
                except BaseException:
                    shutil.rmtree(place.parent, ignore_errors=True)
                    raise
                self._remove_others(place)
            return place

    def tidy(self, images: Iterable[str]) -> None:
        """Remove what a killed process left half-written, and files of images that are none of these."""
        wanted = {self._all(image) for image in images}
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if folder not in wanted:
                shutil.rmtree(folder, ignore_errors=True)
        for path in self.folder.glob("*/*/.*"):
            path.unlink(missing_ok=True)

    def _all(self, image: str) -> Path:
        return self.folder / hashlib.sha256(image.encode()).hexdigest()[:16]

    def _remove_others(self, place: Path) -> None:
        """Remove what was made of the image in another state."""
        with contextlib.suppress(OSError):
            for folder in place.parents[1].iterdir():
                if folder != place.parent:
                    shutil.rmtree(folder, ignore_errors=True)


def _convert(path: Path, out: Path, series: str, files: list[Path] | None) -> None:
    asked = {
        "path": str(path),
        "out": str(out),
        "series": series,
        "files": [str(file) for file in files] if files is not None else None,
    }
    command = module_command(MODULE, python=sys.executable)
    try:
        run = subprocess.run(
            command,
            input=json.dumps(asked).encode(),
            capture_output=True,
            env=child_environment(),
            timeout=TIMEOUT_SECONDS,
        )
        said = json.loads(run.stdout)
    except subprocess.TimeoutExpired:
        raise SemganError("reading the image takes too long", remedy="copy or export it again") from None
    except ValueError:
        raise SemganError("the image cannot be read", remedy="copy or export it again") from None
    if said:
        cause = OSError(said["errno"], os.strerror(said["errno"])) if said["errno"] else None
        raise SemganError(said["problem"], remedy=said["remedy"]) from cause
