"""Single HTTP requests with the standard library."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..Protocols.RunnerProtocol import Transfer
from ..Types.ServerTypes import Access
from . import Errors
from .Address import Address
from .Exchange import Body, Exchange
from .Login import Login

if TYPE_CHECKING:  # loaded with the first request: half of the library's time of import
    import http.client
    import ssl

CONNECT_SECONDS = 5.0

BYTES = "application/octet-stream"

CLIENT_HEADER = "X-SemGAN-Client"

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
        sent = Exchange(method, path, body, {**self._headers(body, kind), **(headers or {})}, transfer)
        if not (self._access.key.isascii() and self._access.key.isprintable()):
            raise Errors.unusable_key()
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
        answer = self._exchange(Exchange(method, path, content, headers), self.seconds, "")
        return answer.status, answer.body

    def _exchange(self, sent: Exchange, seconds: float, token: str) -> Answer:
        """Send once, whatever the answer is."""
        import http.client

        connection = self._connection()
        try:
            connection.connect()
            answer, content = sent.over(connection, self.address.path, token, seconds)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if sent.stopped:
                raise Errors.stopped() from None
            raise self._failure(error, sent.patience) from error
        finally:
            sent.over_and_done()
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

    def _failure(self, error: Exception, patience: float | None) -> Errors.ServerError:
        """Say what an error means; `patience` is that of the step, None where there was no connection yet."""
        import http.client
        import socket
        import ssl

        where = str(self.address)
        if isinstance(error, ssl.SSLCertVerificationError):
            return Errors.not_trusted(where, error.verify_message, self._access.certificate)
        if isinstance(error, (socket.timeout, TimeoutError)):
            return Errors.timed_out(where, patience or CONNECT_SECONDS)
        if isinstance(error, ssl.SSLError) and patience is None:  # plain http behind an https address, or no common TLS
            return Errors.other_server(where)
        if isinstance(error, (http.client.RemoteDisconnected, http.client.IncompleteRead)):
            return Errors.connection_lost(where)
        if isinstance(error, http.client.HTTPException):  # not HTTP at all
            return Errors.other_server(where)
        if patience is None and not isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
            return Errors.no_server(where)
        if isinstance(error, ValueError):  # something that no header can carry
            return Errors.Refused(str(error))
        return Errors.connection_lost(where)


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
