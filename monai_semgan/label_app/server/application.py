"""The ASGI application: guard, own routes, and MONAI Label's app behind them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.label_app import pydicom_compat
from monai_semgan.label_app.server import failures, tokens
from monai_semgan.label_app.server import server_log as logs
from monai_semgan.label_app.server.body_limit import PATIENCE_SECONDS
from monai_semgan.label_app.server.guard import Guard
from monai_semgan.label_app.server.input_gate import InputGate
from monai_semgan.label_app.server.open_files import allow_open_files
from monai_semgan.label_app.server.options import MEGABYTE, ServerOptions, check_access

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp


APP_FOLDER = Path(__file__).resolve().parents[1]
SESSION_CLEANING_SECONDS = 300


def prepare_monailabel(options: ServerOptions) -> None:
    """Give MONAI Label its settings; its modules read them when they are imported."""
    pydicom_compat.install()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        from monailabel.config import settings
    settings.MONAI_LABEL_APP_DIR = str(APP_FOLDER)
    settings.MONAI_LABEL_STUDIES = str(options.studies)
    settings.MONAI_LABEL_APP_CONF = app_conf(options)
    settings.MONAI_LABEL_SESSION_PATH = str(options.private / "sessions")
    settings.MONAI_LABEL_AUTO_UPDATE_SCORING = False  # a process with a second model after every question
    os.environ.setdefault("PYTHONPATH", "")  # MONAI Label reads it
    tokens.repair()
    logs.silence()


def app_conf(options: ServerOptions) -> dict[str, str]:
    """Return the options as MONAI Label's `--conf`."""
    conf: dict[str, Any] = {
        "device": options.device,
        "keep_hours": options.keep_hours,
        "disk_limit_gb": options.disk_limit_gb,
        "upload_limit_mb": options.upload_limit_mb,
    }
    if not isinstance(options.studies, Path):
        conf["archive_cache_gb"], conf["archive_cache_hours"] = options.archive_cache_gb, options.archive_cache_hours
        conf["archive_also"] = ",".join(options.archive_also)
    if options.bundles:
        conf["bundle"] = os.pathsep.join(map(str, options.bundles))
    if options.labels is not None:
        conf["labels"] = options.labels
    return {name: str(value) for name, value in conf.items()}


@dataclass(frozen=True)
class Application:
    """What uvicorn runs, what ends the work behind it, and what it serves.

    Attributes:
        asgi: for uvicorn.
        close: ends workers and jobs.
        images: how many there are now.
        told: lines about the studies for whoever starts the server.
    """

    asgi: ASGIApp
    close: Callable[[], None]
    images: Callable[[], int]
    told: Callable[[], list[str]]


def create_application(options: ServerOptions) -> Application:
    """Make the application of a server.

    Raises:
        SemganError: nothing would guard the studies; the bundle or the datastore cannot be used; another server holds
            the studies.
    """
    prepare_monailabel(options)
    allow_open_files()
    check_access(options, tokens.enabled())
    app = _routes(options)
    store = app.state.instance.datastore()

    def close() -> None:
        app.state.instance.close()
        app.state.semgan_jobs.close()

    return Application(_guarded(app, options), close, lambda: len(store.list_images()), store.told_at_start)


def _routes(options: ServerOptions) -> FastAPI:
    from fastapi import FastAPI
    from fastapi.staticfiles import StaticFiles
    from monailabel import endpoints
    from monailabel.interfaces.utils.app import app_instance

    from monai_semgan.label_app.server.checked_forms import keep_little_in_memory
    from monai_semgan.label_app.server.routes import add_routes
    from monai_semgan.label_app.server.routes.tasks_routes import score_again

    keep_little_in_memory()
    instance = app_instance()
    app = FastAPI(title="MONAILabel", docs_url="/", redoc_url="/docs", lifespan=_lifespan)
    app.state.options, app.state.instance = options, instance
    failures.answer_errors(app)
    static = Path(endpoints.__file__).parent / "static"
    app.mount("/static", StaticFiles(directory=static), name="static")
    add_routes(app)
    instance.use_jobs(app)
    instance.offer_training()
    instance.on_new_model.append(score_again)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Do what MONAI Label does at its start, without its scoring and its scheduler's threads."""
    instance = app.state.instance
    instance.server_mode(True)
    cleaning = asyncio.create_task(_clean_sessions(instance))
    try:
        yield
    finally:
        cleaning.cancel()


async def _clean_sessions(instance: Any) -> None:
    while True:
        await asyncio.to_thread(instance.cleanup_sessions)
        await asyncio.sleep(SESSION_CLEANING_SECONDS)


def _guarded(app: ASGIApp, options: ServerOptions) -> ASGIApp:
    """Put the guard outside, so that nothing of MONAI Label is reached without a right to."""
    from starlette.middleware.cors import CORSMiddleware

    with_tokens = tokens.enabled()
    limit_bytes = options.upload_limit_mb * MEGABYTE
    guarded: ASGIApp = InputGate(failures.WordsForAll(app), limit_bytes=limit_bytes, patience_seconds=PATIENCE_SECONDS)
    guarded = Guard(
        guarded,
        host=options.host,
        key=options.api_key,
        origins=options.allow_origins,
        check_token=tokens.check_token if with_tokens else None,
        open_paths=tokens.LOGIN_PATHS if with_tokens else (),
    )
    if options.allow_origins:
        origins = list(options.allow_origins)
        guarded = CORSMiddleware(guarded, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    return failures.RequestLog(guarded)
