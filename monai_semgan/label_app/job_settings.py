"""Settings of the job API among those of the app: `--conf NAME VALUE` of MONAI Label."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from monai_semgan.jobs.planner import FindImage
    from monai_semgan.jobs.service import JobService

DAY = 24 * 3600.0
DEFAULTS = {"upload_limit_mb": 2048.0, "disk_limit_gb": 20.0, "keep_days": 7.0}


def make_service(conf: Mapping[str, str], studies: Path, find_image: FindImage) -> JobService:
    """Make the job service of an app, not started yet.

    Args:
        conf: `bundle`, `device` and those of `DEFAULTS`.
        studies: folder of the datastore.
        find_image: see `JobService`.

    Raises:
        SemganError: a value is no positive number; the bundle or the studies cannot be used.
    """
    from monai_semgan.jobs.service import JobService
    from monai_semgan.jobs.service_settings import ServiceSettings

    values = {name: _number(conf, name) for name in DEFAULTS}
    settings = ServiceSettings(
        bundles=(conf["bundle"],) if conf.get("bundle") else (),
        devices=(conf.get("device", "auto"),),
        upload_limit_bytes=round(values["upload_limit_mb"] * 2**20),
        disk_limit_bytes=round(values["disk_limit_gb"] * 2**30),
        keep_seconds=values["keep_days"] * DAY,
    )
    return JobService(studies, find_image, settings)


def _number(conf: Mapping[str, str], name: str) -> float:
    try:
        value = float(conf.get(name, DEFAULTS[name]))
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise SemganError(f"--conf {name} is no positive number")
    return value
