"""HTTP of the server of the tests: what comes is checked against the document, and breaks where it is told to."""

from __future__ import annotations

import json
import re
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.slicer_extension.contract import request_errors, response_errors
from tests.slicer_extension.server_answers import REPORT

DATASTORE = re.compile(r"/semgan/(labels/|archive\b|uploads/[^/]+/image\b)")
"""Routes that are the datastore's and not in the document of the job API."""


class QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that hang up."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


def handler_of(server: Any) -> type[BaseHTTPRequestHandler]:
    """Make what answers requests by a server's `reply`, checks them against the document, and fails when told to."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if self.command == "PATCH" and server.breaks:
                server.keep(self.path, self.rfile.read(min(length, server.breaks.pop(0))))
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = self.rfile.read(length)
            kind = self.headers.get("Content-Type", "")
            server.requests.append((self.command, self.path, dict(self.headers), body))
            time.sleep(server.deaf)
            if server.drop > 0:
                server.drop -= 1
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            semgan = self.path.startswith("/semgan/") and server.check
            semgan = semgan and not DATASTORE.match(self.path)
            if semgan:
                server.errors += request_errors(self.command, self.path, kind, body)
            denied = server.denied(self.path, self.headers)
            status, content = denied or server.reply(self.command, self.path, self.headers, body, kind)
            broken = [one for one in server.unanswered if re.fullmatch(one, f"{self.command} {self.path}")]
            if broken:
                server.unanswered.remove(broken[0])
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            if semgan and status < 400:
                server.errors += response_errors(self.command, self.path, status, data)
            self.send_response(status)
            name = "application/octet-stream" if isinstance(content, bytes) else "application/json"
            name = "text/html" if content == REPORT else name
            self.send_header("Content-Type", name)
            if "/datastore/image" in self.path and isinstance(content, bytes):
                image = parse_qs(urlsplit(self.path).query)["image"][0]
                suffix = server.images[image][0]
                self.send_header("Content-Disposition", f'attachment; filename="{image}{suffix}"')
            for header, value in server.further_headers(self.command, self.path).items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    return Handler


def read_form(body: bytes, kind: str) -> dict[str, tuple[str, bytes]]:
    """Read a multipart form: file name and content by field."""
    from email import message_from_bytes

    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_filename() or "",
            part.get_payload(decode=True),  # type: ignore[misc]
        )
        for part in message.get_payload()  # type: ignore[union-attr]
    }
