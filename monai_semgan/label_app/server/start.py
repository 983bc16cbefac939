"""Starts the server and ends it in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.errors import SemganError
from monai_semgan.label_app.server.listening import Listener, listen
from monai_semgan.label_app.server.options import ServerOptions
from monai_semgan.label_app.server.server_log import start_log
from monai_semgan.utils.files import write_error

if TYPE_CHECKING:
    import socket

    from monai_semgan.label_app.server.application import Application

log = logging.getLogger(__name__)

FINISHING_SECONDS = 5
"""Requests that run when the server is asked to end may take so long."""


def run(options: ServerOptions) -> None:
    """Serve until Ctrl-C or a termination signal.

    Raises:
        SemganError: the port is taken, the address cannot be used, or the studies or the bundle are at fault.
    """
    if isinstance(options.studies, Path) and not options.studies.is_dir():
        raise SemganError("no such folder", remedy="give the folder with the scans", path=options.studies)
    _check_home(options)
    listener = listen(options.host, options.port, options.port_file)
    try:
        start_log(options.log_file)
        from monai_semgan.label_app.server.application import create_application

        _serve(create_application(options), listener, options)
    finally:
        listener.socket.close()


def _check_home(options: ServerOptions) -> None:
    """Make sure that labels can be kept."""
    home = options.home
    if options.labels is not None or not isinstance(options.studies, Path):
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(error, home) from error
    if not os.access(home, os.W_OK | os.X_OK):
        remedy = "labels are kept in it" if options.labels else "labels are kept in it, or in another one: --labels DIR"
        raise SemganError("no permission to write", remedy=remedy, path=home)


def _serve(application: Application, listener: Listener, options: ServerOptions) -> None:
    import uvicorn

    from monai_semgan.label_app.server.connections import ConnectionLimits, limited

    class Announced(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await asyncio.to_thread(application.close)  # so that requests that wait for jobs are answered
            await super().shutdown(sockets=sockets)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                _announce(application, listener, options)

    config = uvicorn.Config(
        application.asgi,
        http=limited(ConnectionLimits()),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=FINISHING_SECONDS,
    )
    with contextlib.suppress(KeyboardInterrupt):
        Announced(config).run(sockets=[listener.socket])


def _announce(application: Application, listener: Listener, options: ServerOptions) -> None:
    """Print the address, and what else the person at the keyboard has to know."""
    host, port = listener.socket.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    images, told = application.images(), application.told()
    for line in told:
        log.info("%s", line)
    facts: dict[str, Any] = {
        "address": address,
        "port": port,
        "pid": os.getpid(),
        "key": options.api_key is not None,
        "images": images,
        "studies": told,
        "keep_hours": options.keep_hours,
    }
    lines = [
        f"serving at {address}  (Ctrl-C ends it; research use only)",
        listener.note,
        f"{images} image{'' if images == 1 else 's'} in {options.name}" if images else "",
        *told,
        f"ended jobs and what was sent for them are removed after {options.keep_hours:g} hours (--keep-hours)",
    ]
    shown = [json.dumps(facts)] if options.as_json else [line for line in lines if line]
    sys.stdout.write("\n".join(shown) + "\n")
    sys.stdout.flush()
