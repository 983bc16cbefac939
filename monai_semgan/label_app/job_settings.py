"""Settings of the job API among those of the app: `--conf NAME VALUE` of MONAI Label."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from monai_semgan.jobs.planner import FindImage
    from monai_semgan.jobs.service import JobService
    from monai_semgan.jobs.training_labels import FindLabels

HOUR = 3600.0
JOB_DEFAULTS = {"upload_limit_mb": 2048.0, "disk_limit_gb": 20.0, "keep_hours": 24.0}
DEFAULTS = {**JOB_DEFAULTS, "archive_cache_gb": 20.0, "archive_cache_hours": 24.0}
"""What numbers are where `--conf` says nothing."""


def make_service(
    conf: Mapping[str, str], studies: Path, find_image: FindImage, find_labels: FindLabels | None = None
) -> JobService:
    """Make the job service of an app, not started yet.

    Args:
        conf: `bundle`, `device`, and those of `JOB_DEFAULTS`; `keep_days` as well.
        studies: folder of the datastore.
        find_image: see `JobService`.
        find_labels: see `JobService`.

    Raises:
        SemganError: a value is no positive number; the bundle or the studies cannot be used.
    """
    from monai_semgan.jobs.service import JobService
    from monai_semgan.jobs.service_settings import ServiceSettings

    if "keep_days" in conf and "keep_hours" not in conf:
        conf = {**conf, "keep_hours": str(24 * positive(conf, "keep_days"))}
    values = {name: positive(conf, name) for name in JOB_DEFAULTS}
    settings = ServiceSettings(
        bundles=tuple(bundle_folders(conf)),
        devices=(conf.get("device", "auto"),),
        upload_limit_bytes=round(values["upload_limit_mb"] * 2**20),
        disk_limit_bytes=round(values["disk_limit_gb"] * 2**30),
        keep_seconds=values["keep_hours"] * HOUR,
    )
    return JobService(studies, find_image, settings, find_labels)


def bundle_folders(conf: Mapping[str, str]) -> list[str]:
    """Return the folders of the models, the default one first; none where the one that comes along is meant."""
    return [folder for folder in conf.get("bundle", "").split(os.pathsep) if folder]


def folder_in_use(conf: Mapping[str, str], home: Path) -> Path:
    """Return the bundle of the default model: the version that the studies use, or the one as shipped.

    Args:
        conf: `bundle`.
        home: folder that the server writes to.

    Raises:
        SemganError: the bundle is missing or broken.
    """
    from monai_semgan.jobs.model_library import VERSIONS, ModelLibrary
    from monai_semgan.jobs.models import served_models
    from monai_semgan.jobs.storage.store import HIDDEN

    models = served_models(bundle_folders(conf)[:1] or [None])
    ModelLibrary(home / HIDDEN / VERSIONS, models)
    return next(iter(models.values())).folder


def positive(conf: Mapping[str, str], name: str) -> float:
    """Return a number of `--conf`, or its default.

    Raises:
        SemganError: it is no positive number.
    """
    try:
        value = float(conf[name]) if name in conf else DEFAULTS[name]
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise SemganError(f"--conf {name} is no positive number")
    return value
