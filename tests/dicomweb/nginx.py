"""A real nginx on a free port of 127.0.0.1, without rights and with all its files in one folder."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from tests.dicomweb.processes import ServerProcess

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx (Debian: nginx-light)")

MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 128; }}
http {{
    include /etc/nginx/mime.types;
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}
}}
"""


class Nginx:
    """A server that runs while the block does.

    Args:
        folder: for configuration, logs and temporary files.
        servers: the `server` blocks of its configuration, which say where it listens.
        port: one of those ports.
    """

    def __init__(self, folder: Path, servers: str, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.access_log = port, folder / "access.log"
        configuration = folder / "nginx.conf"
        configuration.write_text(MAIN.format(folder=folder, servers=servers))
        errors = folder / "error.log"
        self._process = ServerProcess(["nginx", "-p", str(folder), "-e", str(errors), "-c", str(configuration)], errors)

    def __enter__(self) -> Nginx:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self._process.start(self._answers)

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True
