"""Single HTTP requests with the standard library."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Union

from ..Protocols import Transfer
from ..Types import Access
from . import Errors
from .Address import Address
from .Login import Login

if TYPE_CHECKING:  # loaded with the first request: half of the library's time of import
    import http.client
    import socket
    import ssl

CONNECT_SECONDS = 5.0

BLOCK = 2**15
"""Bytes that are sent or read at once: what a network must move within the patience, however slow it is."""

SEND_BUFFER = 2**19

BYTES = "application/octet-stream"

CLIENT_HEADER = "X-SemGAN-Client"

Body = Union[bytes, memoryview]

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

    https is verified against the certificates of the application, and one that the user has named. Redirects are
    errors and proxies are not used: neither key nor scan goes to a place that the user has not named.

    Args:
        access: what the server wants to know of whoever asks.
        seconds: patience for every step: a block that is sent, the beginning of the answer, a block that is read.
    """

    def __init__(self, address: Address, access: Access | None = None, seconds: float = 30.0) -> None:
        self.address = address
        self.seconds = seconds
        self._access = access or Access()
        self._login = Login(str(address), self._access.user, self._access.password)
        self._context: ssl.SSLContext | None = None

    @property
    def logged_in(self) -> bool:
        """Whether there is a token of MONAI Label's log-in."""
        return bool(self._login.token)

    def request(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        kind: str = BYTES,
        seconds: float | None = None,
        transfer: Transfer | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and wait for its answer.

        Args:
            path: with the query, both quoted.
            kind: content type of the body.
            seconds: patience, if other than usual.
            transfer: counts the bytes of the body, or of the answer where there is no body, and may stop it.
            headers: further ones.

        Raises:
            Errors.ServerError: if there is no answer or not a success.
        """
        sent = _Request(method, path, body, {**self._headers(body, kind), **(headers or {})}, transfer)
        token = self._login.token
        answer = self._exchange(sent, seconds or self.seconds, token)
        if answer.status == 401:
            self._login.renew(token, self._ask_for_login)
            answer = self._exchange(sent, seconds or self.seconds, self._login.token)
        if 200 <= answer.status < 300:
            return answer
        if 300 <= answer.status < 400:
            raise Errors.moved(str(self.address), answer.headers.get("location", ""))
        raise Errors.status_error(str(self.address), answer.status, detail_of(answer.body))

    def _ask_for_login(self, method: str, path: str, content: bytes | None) -> tuple[int, bytes]:
        headers = self._headers(content, "application/x-www-form-urlencoded")
        answer = self._exchange(_Request(method, path, content, headers), self.seconds, "")
        return answer.status, answer.body

    def _exchange(self, sent: _Request, seconds: float, token: str) -> Answer:
        """Send once, whatever the answer is."""
        import http.client

        patience, connected = CONNECT_SECONDS, False
        transfer = sent.transfer
        connection = self._connection()
        try:
            connection.connect()
            patience, connected = seconds, True
            connection.sock.settimeout(patience)
            sent.prepare(connection.sock)
            if transfer is not None:
                transfer.on_stop(_breaking(connection.sock))
            answer = sent.over(connection, self.address.path, token)
            content = sent.content_of(answer)
            if transfer is not None and transfer.stopped:  # what was broken off may look like a short answer
                raise Errors.stopped()
        except (OSError, http.client.HTTPException, ValueError) as error:
            if transfer is not None and transfer.stopped:
                raise Errors.stopped() from None
            raise self._failure(error, patience, connected) from error
        finally:
            if transfer is not None:
                transfer.on_stop(None)
            connection.close()
        return Answer(answer.status, content, {name.lower(): value for name, value in answer.getheaders()})

    def _connection(self) -> http.client.HTTPConnection:
        import http.client

        host, port = self.address.host, self.address.port
        if not self.address.secure:
            return http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        if self._context is None:
            from .Trust import trusting

            self._context = trusting(self._access.certificate)
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=self._context)

    def _headers(self, body: Body | None, kind: str) -> dict[str, str]:
        headers = {"Accept": "*/*", "User-Agent": "SemGAN-3DSlicer"}
        if body is not None:
            headers["Content-Type"] = kind
        if self._access.key:
            headers["X-API-Key"] = self._access.key
        if self._access.client:
            headers[CLIENT_HEADER] = self._access.client
        return headers

    def _failure(self, error: Exception, patience: float, connected: bool) -> Errors.ServerError:
        import http.client
        import socket
        import ssl

        where = str(self.address)
        if isinstance(error, ssl.SSLCertVerificationError):
            return Errors.not_trusted(where, error.verify_message, self._access.certificate)
        if isinstance(error, (socket.timeout, TimeoutError)):
            return Errors.timed_out(where, patience)
        if isinstance(error, ssl.SSLError) and not connected:  # plain http behind an https address, or no common TLS
            return Errors.other_server(where)
        if isinstance(error, (http.client.RemoteDisconnected, http.client.IncompleteRead)):
            return Errors.connection_lost(where)
        if isinstance(error, http.client.HTTPException):  # not HTTP at all
            return Errors.other_server(where)
        if connected and isinstance(error, OSError):
            return Errors.connection_lost(where)
        if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
            return Errors.connection_lost(where)
        if isinstance(error, ValueError):  # a key or path that no header can carry
            return Errors.Refused(str(error))
        return Errors.no_server(where)


@dataclass(frozen=True)
class _Request:
    """What goes out, and how it does."""

    method: str
    path: str
    body: Body | None
    headers: Mapping[str, str]
    transfer: Transfer | None = None

    def prepare(self, connected: socket.socket) -> None:
        """Bound what waits in the system's buffer: what is there counts as sent, and the patience begins after it."""
        import socket

        if self.body is not None and len(self.body) > SEND_BUFFER:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def over(self, connection: http.client.HTTPConnection, prefix: str, token: str) -> http.client.HTTPResponse:
        """Send it, block by block so that patience is for each of them, and wait for the answer."""
        headers = dict(self.headers)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self.body is not None:
            headers["Content-Length"] = str(len(self.body))
        try:
            connection.request(self.method, prefix + self.path, self._blocks(), headers)
        except (BrokenPipeError, ConnectionResetError) as error:  # a server may answer before it has read all
            try:
                return connection.getresponse()
            except Exception:
                raise error from None
        return connection.getresponse()

    def _blocks(self) -> Iterator[memoryview] | None:
        return None if self.body is None else _counted(memoryview(self.body), self.transfer)

    def content_of(self, answer: http.client.HTTPResponse) -> bytes:
        """Read the content of the answer, to its end."""
        import http.client

        if self.transfer is None or self.body is not None:
            return answer.read()
        self.transfer.begin(answer.length)
        blocks: list[bytes] = []
        while block := answer.read(BLOCK):
            blocks.append(block)
            self.transfer.moved(len(block))
            if self.transfer.stopped:
                raise Errors.stopped()
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return b"".join(blocks)


def _counted(body: memoryview, transfer: Transfer | None) -> Iterator[memoryview]:
    for start in range(0, len(body), BLOCK):
        block = body[start : start + BLOCK]
        yield block
        if transfer is not None:
            transfer.moved(len(block))
            if transfer.stopped:
                raise Errors.stopped()


def _breaking(connected: socket.socket) -> Callable[[], None]:
    """Make what ends a step that waits at a socket, from another thread.

    The plain `shutdown` also for TLS: that of `ssl` takes the encryption away before it stops the sending.
    """
    import socket

    return lambda: socket.socket.shutdown(connected, socket.SHUT_RDWR)


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
