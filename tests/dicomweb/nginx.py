"""A real nginx on a free port of 127.0.0.1, without rights and with all its files in one folder."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
from pathlib import Path

import pytest

from tests.dicomweb.processes import ServerProcess

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx (Debian: nginx-light)")

AS_OWNER = " -g 'user root;'" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
"""Where root runs the tests: nginx would become nobody, who may not read their folders."""


class Nginx:
    """A server that runs while the block does.

    Args:
        folder: its prefix, which relative paths of the configuration start from.
        configuration: the whole of it, with `daemon off` and a place for each file that it writes.
        port: one that it says to listen on.
    """

    def __init__(self, folder: Path, configuration: str, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port
        written, errors = folder / "nginx.conf", folder / "error.log"
        written.write_text(configuration)
        command = ["nginx", "-p", str(folder), "-e", str(errors), "-c", str(written), *shlex.split(AS_OWNER)]
        self._process = ServerProcess(command, errors)

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
