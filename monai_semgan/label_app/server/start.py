"""Starts the server and ends it in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from monai_semgan.errors import SemganError
from monai_semgan.label_app.server.options import ServerOptions
from monai_semgan.label_app.server.server_log import start_log

if TYPE_CHECKING:
    from monai_semgan.label_app.server.application import Application

FINISHING_SECONDS = 5
"""Requests that run when the server is asked to end may take so long."""


def run(options: ServerOptions) -> None:
    """Serve until Ctrl-C or a termination signal.

    Raises:
        SemganError: the port is taken, the address cannot be used, or the studies or the bundle are at fault.
    """
    if not options.studies.is_dir():
        raise SemganError("no such folder", remedy="give the folder with the scans", path=options.studies)
    if not os.access(options.studies, os.W_OK | os.X_OK):
        raise SemganError("no permission to write", remedy="labels are kept in it", path=options.studies)
    listener = _listen(options.host, options.port)
    try:
        start_log(options.log_file)
        from monai_semgan.label_app.server.application import create_application

        _serve(create_application(options), listener, options)
    finally:
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SemganError(f"cannot listen on {host} port {port}: {reason.lower()}", remedy="try --port 0") from error
    return listener


def _serve(application: Application, listener: socket.socket, options: ServerOptions) -> None:
    import uvicorn

    class Announced(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await asyncio.to_thread(application.close)  # so that requests that wait for jobs are answered
            await super().shutdown(sockets=sockets)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                _announce(listener, options)

    config = uvicorn.Config(
        application.asgi,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=FINISHING_SECONDS,
    )
    with contextlib.suppress(KeyboardInterrupt):
        Announced(config).run(sockets=[listener])


def _announce(listener: socket.socket, options: ServerOptions) -> None:
    """Print one line that tells the address."""
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    facts: dict[str, Any] = {"address": address, "port": port, "pid": os.getpid(), "key": options.api_key is not None}
    line = json.dumps(facts) if options.as_json else f"serving at {address}  (Ctrl-C ends it; research use only)"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
