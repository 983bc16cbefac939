"""Settings of an archive among those of the app: `--conf NAME VALUE` of MONAI Label."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monai_semgan.dicomweb.archive_access import PASSWORD, TOKEN, USER
from monai_semgan.dicomweb.archive_address import ArchiveAddress, is_address, parse_address
from monai_semgan.errors import SemganError
from monai_semgan.label_app.job_settings import HOUR, positive
from monai_semgan.label_app.server.options import ARCHIVE_ALSO, GIGABYTE, archive_home


def archive_address(studies: str) -> ArchiveAddress | None:
    """Return the address of the studies; None if they lie in a folder.

    Where MONAI Label's own settings hold a user for DICOMweb, it counts unless ours name one.

    Raises:
        SemganError: the address is none.
    """
    if not (is_address(studies) or studies.lower().startswith(("http://", "https://"))):
        return None
    from os import environ

    from monailabel.config import settings

    user, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
    if user and password and not any(environ.get(name) for name in (USER, PASSWORD, TOKEN)):
        environ[USER], environ[PASSWORD] = user, password
    return parse_address(studies)


def studies_home(studies: str, conf: Mapping[str, str]) -> Path:
    """Return the folder that is written to: labels, jobs, and what the server keeps."""
    if conf.get("labels"):
        return Path(conf["labels"])
    address = archive_address(studies)
    return Path(studies) if address is None else archive_home(address)


def cache_limits(conf: Mapping[str, str]) -> tuple[int, float]:
    """Return how many bytes fetched series may take, and after how many seconds without use they are forgotten.

    Raises:
        SemganError: a value is no positive number.
    """
    gigabytes, hours = positive(conf, "archive_cache_gb"), positive(conf, "archive_cache_hours")
    return round(gigabytes * GIGABYTE), hours * HOUR


def result_kinds(conf: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is sent besides the segmentation.

    Raises:
        SemganError: a word is none of `ARCHIVE_ALSO`.
    """
    wanted = tuple(word for word in conf.get("archive_also", "").replace(" ", "").split(",") if word)
    unknown = next((word for word in wanted if word not in ARCHIVE_ALSO), None)
    if unknown is not None:
        raise SemganError(f"{unknown} cannot be sent to an archive", remedy=f"give {' or '.join(ARCHIVE_ALSO)}")
    return wanted
