"""Whether a reader can open an image: nobody is given a damaged one as the next sample."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.io.itk import read_itk_place
from monai_semgan.jobs.scan_checks import check_growth
from monai_semgan.label_app.image_ids import image_state

NIFTI = (".nii", ".nii.gz")
ITK = (".nrrd", ".mha")


class Openable:
    """Looks at each state of an image once; safe to use from several threads.

    Headers are read, and NIfTI to its last voxel, since a file that was copied in part has a whole header.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, bool]] = {}
        self._lock = threading.Lock()

    def __call__(self, image: str, datastore: Any) -> bool:
        """Tell whether an image can be opened.

        Raises:
            ArchiveError: nobody knows, since the archive does not answer.
        """
        state = image_state(image, datastore)
        with self._lock:
            before, usable = self._known.get(image, ("", False))
        if not state or before != state:
            usable = _opens(image, datastore)
            with self._lock:
                self._known[image] = (state, usable)
        return usable


def _opens(image: str, datastore: Any) -> bool:
    try:
        path = Path(datastore.get_image_uri(image))
        check_growth(path)
        name = path.name.lower()
        if name.endswith(NIFTI):
            _read_last_slice(path)
        elif name.endswith(ITK):
            read_itk_place(path)
    except ArchiveError as error:
        if error.passing:
            raise
        return False
    except Exception:  # the libraries have no common class for what damaged files make them raise
        return False
    return True


def _read_last_slice(path: Path) -> None:
    import nibabel

    stored = nibabel.load(path).dataobj  # type: ignore[attr-defined]
    stored[..., -1]
