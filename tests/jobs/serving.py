"""A server with the job API and nothing else: `python -m tests.jobs.serving STUDIES BUNDLE LISTENER OPTIONS`."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


def main(studies: Path, bundle: Path, listener: int, options: dict[str, object]) -> None:
    """Serve until the process is ended, on a socket that was inherited as the file with this number."""
    import uvicorn
    from fastapi import FastAPI

    from monai_semgan.jobs.api.attaching import attach_jobs
    from monai_semgan.jobs.service import JobService
    from monai_semgan.jobs.service_settings import ServiceSettings

    def find_image(image: str) -> Path | None:
        path = studies / f"{image}.nii.gz"
        return path if path.exists() else None

    bundles = options.pop("bundles", [str(bundle)])
    settings = ServiceSettings(tuple(bundles), **{"devices": ("cpu",), **options})  # type: ignore[arg-type]
    service = JobService(studies, find_image, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(lifespan=lifespan)
    attach_jobs(app, service)
    own = socket.socket(fileno=listener)
    own.set_inheritable(False)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[own])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
