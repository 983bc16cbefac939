"""Single HTTP requests with the standard library."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import Errors
from .Address import Address

if TYPE_CHECKING:  # loaded with the first request: half of the library's time of import
    import http.client

CONNECT_SECONDS = 5.0

LARGEST_DETAIL = 500
"""Characters of a server's own words that are shown."""


@dataclass(frozen=True)
class Answer:
    """A successful one. Names of headers are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Http:
    """Sends requests to one server, each over a connection of its own, so that threads need not share any.

    https is verified against the certificates of the system. Redirects are errors and proxies are not used: neither
    key nor scan goes to a place that the user has not named.

    Args:
        key: API key; empty for none.
        seconds: patience for every step of an answer.
    """

    def __init__(self, address: Address, key: str = "", seconds: float = 30.0) -> None:
        self.address = address
        self.key = key
        self.seconds = seconds

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "application/octet-stream",
        seconds: float | None = None,
    ) -> Answer:
        """Send a request and wait for its answer.

        Args:
            path: with the query, both quoted.
            kind: content type of the body.
            seconds: patience, if other than usual.

        Raises:
            Errors.ServerError: if there is no answer or not a success.
        """
        import http.client

        patience = CONNECT_SECONDS
        connection = self._connection()
        try:
            connection.connect()
            patience = seconds or self.seconds
            connection.sock.settimeout(patience)
            connection.request(method, self.address.path + path, body, self._headers(body, kind))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._failure(error, patience) from error
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if 200 <= answer.status < 300:
            return Answer(answer.status, content, headers)
        if 300 <= answer.status < 400:
            raise Errors.moved(str(self.address), headers.get("location", ""))
        raise Errors.status_error(str(self.address), answer.status, detail_of(content))

    def _connection(self) -> http.client.HTTPConnection:
        import http.client
        import ssl

        if not self.address.secure:
            return http.client.HTTPConnection(self.address.host, self.address.port, timeout=CONNECT_SECONDS)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            self.address.host, self.address.port, timeout=CONNECT_SECONDS, context=context
        )

    def _headers(self, body: bytes | None, kind: str) -> dict[str, str]:
        headers = {"Accept": "*/*", "User-Agent": "SemGAN-3DSlicer"}
        if body is not None:
            headers["Content-Type"] = kind
        if self.key:
            headers["X-API-Key"] = self.key
        return headers

    def _failure(self, error: Exception, patience: float) -> Errors.ServerError:
        import http.client
        import socket
        import ssl

        where = str(self.address)
        if isinstance(error, ssl.SSLCertVerificationError):
            return Errors.not_trusted(where, error.verify_message)
        if isinstance(error, ssl.SSLError):  # plain http behind an https address, or no TLS that both know
            return Errors.other_server(where)
        if isinstance(error, (socket.timeout, TimeoutError)):
            return Errors.timed_out(where, patience)
        if isinstance(error, (http.client.RemoteDisconnected, http.client.IncompleteRead)):
            return Errors.connection_lost(where)
        if isinstance(error, http.client.HTTPException):  # not HTTP at all
            return Errors.other_server(where)
        if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
            return Errors.connection_lost(where)
        if isinstance(error, ValueError):  # a key or path that no header can carry
            return Errors.Refused(str(error))
        return Errors.no_server(where)


def detail_of(content: bytes) -> str:
    """Find a server's own words of an error; empty if they are not in the form of the job API."""
    try:
        detail = json.loads(content.decode("utf-8"))["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    if isinstance(detail, list):  # FastAPI's own list of what does not fit
        detail = "; ".join(str(entry.get("msg", entry)) if isinstance(entry, dict) else str(entry) for entry in detail)
    return str(detail)[:LARGEST_DETAIL]


def form(fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]) -> tuple[bytes, str]:
    """Encode a multipart form: body and content type.

    Args:
        fields: text by name.
        files: file name and content by name of the field.
    """
    border = secrets.token_hex(16)
    parts: list[bytes] = []
    for name, text in fields.items():
        parts.append(_part(border, f'name="{name}"', text.encode("utf-8")))
    for name, (filename, content) in files.items():
        disposition = f'name="{name}"; filename="{filename}"\r\nContent-Type: application/octet-stream'
        parts.append(_part(border, disposition, content))
    return b"".join([*parts, f"--{border}--\r\n".encode()]), f"multipart/form-data; boundary={border}"


def _part(border: str, disposition: str, content: bytes) -> bytes:
    return f"--{border}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


def as_json(content: Any) -> bytes:
    """Encode as compact JSON."""
    return json.dumps(content, separators=(",", ":")).encode()
