"""The zip of a bundle that `monai.bundle download` and `load` take."""

from __future__ import annotations

import zipfile
from pathlib import Path

from monai_semgan.authoring.checks import CHECKS, files_are_small, finding
from monai_semgan.authoring.contents import bundle_files
from monai_semgan.bundle.labels import bundle_folder, read_metadata
from monai_semgan.errors import SemganError
from monai_semgan.utils.files import check_output, written_aside

EPOCH = (1980, 1, 1, 0, 0, 0)


def pack_bundle(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write a bundle as a zip, with its folder's name as the one folder in it.

    The same bundle gives the same zip, byte by byte.

    Args:
        folder: of the bundle.
        out: the zip; `NAME_vVERSION.zip`, as the model zoo calls it, in the current folder when left out.

    Returns:
        The zip.

    Raises:
        SemganError: if a check of the bundle fails, or the zip cannot be written.
    """
    folder = bundle_folder(folder).resolve()
    for name, check in CHECKS.items():
        problem = finding(check, folder) if check is not files_are_small else ""  # a limit of git, not of zips
        if problem:
            raise SemganError(f"{name}: {problem}", remedy="complete the bundle first", path=folder)
    target = Path(out) if out is not None else Path(f"{folder.name}_v{read_metadata(folder)['version']}.zip")
    check_output(target, (".zip",))
    with written_aside(target) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in bundle_files(folder):
            entry = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return target
