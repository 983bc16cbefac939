"""The OpenAPI document of the job API: `python -m monai_semgan.jobs.api.openapi > docs/job_api.openapi.json`."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

from monai_semgan.jobs.api.job_routes import job_router
from monai_semgan.jobs.contract import API_VERSION
from monai_semgan.jobs.service import JobService


def document() -> dict[str, Any]:
    """Make the document."""
    from fastapi import FastAPI  # noqa: PLC0415 - optional extra

    app = FastAPI(
        title="SemGAN job API",
        version=API_VERSION,
        summary="Slice-wise inversion as a service, with progress, partial results and cancel. Research use only.",
    )
    app.include_router(job_router(cast(JobService, None)))  # nothing is asked of it
    return app.openapi()


def main() -> int:
    """Print the document."""
    sys.stdout.write(json.dumps(document(), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
