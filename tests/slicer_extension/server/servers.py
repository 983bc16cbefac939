"""Servers that behave badly, or in their own ways, for tests of the wire."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.slicer_extension.fake_server import FakeServer

BUFFER = 65536


class Reader:
    """Takes one request after the other, whose body it reads in steps, and answers with nothing in particular.

    Args:
        pause: seconds to wait before every further 128 kB.
        answer: what it says in the end.
        tls: for https.
    """

    def __init__(self, pause: float, answer: bytes = b"ok", tls: ssl.SSLContext | None = None) -> None:
        self.pause = pause
        self.answer = answer
        self.tls = tls
        self.received: list[int] = []

    def __enter__(self) -> str:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection if self.tls is None else self.tls.wrap_socket(connection, server_side=True) as wrapped:
                self._take(wrapped)

    def _take(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        wanted = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        got = 0
        self.received.append(0)
        while got < wanted:
            time.sleep(self.pause)
            step = 0
            while step < 2 * BUFFER and got < wanted:
                piece = connection.recv(min(BUFFER, wanted - got))
                if not piece:
                    return
                step, got = step + len(piece), got + len(piece)
                self.received[-1] = got
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.answer)}\r\n\r\n".encode() + self.answer)


class Listening:
    """Listens while it is used as a context manager, which gives its address; every connection has a thread."""

    def __enter__(self) -> str:
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._take, args=(connection,), daemon=True).start()

    def _take(self, connection: socket.socket) -> None:
        raise NotImplementedError


class Speaker(Listening):
    """Answers every connection with the same pieces of bytes, with pauses between them.

    Args:
        pieces: what is said; the connection is closed after them.
        pause: seconds between them.
    """

    def __init__(self, pieces: Sequence[bytes], pause: float = 0.0) -> None:
        self.pieces = pieces
        self.pause = pause

    def _take(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(BUFFER)
            for piece in self.pieces:
                try:
                    connection.sendall(piece)
                except OSError:
                    return
                time.sleep(self.pause)


def make_certificate(folder: Path, name: str, *, host: str = "localhost", issuer: str = "", days: int = 2) -> Path:
    """Make a key and a certificate, `NAME.key` and `NAME.pem`.

    Args:
        host: that the certificate is for.
        issuer: name of the certificate that signs it; it signs itself if left out.
        days: that it is valid.
    """
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
    words += ["-days", str(days), "-keyout", f"{name}.key", "-out", f"{name}.pem"]
    words += ["-addext", f"subjectAltName=DNS:{host}"]
    if issuer:
        words += ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-addext", "basicConstraints=critical,CA:false"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder / f"{name}.pem"


def serving(certificate: Path) -> ssl.SSLContext:
    """Make the context of a server with a certificate and the key beside it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


class Secure:
    """The fake server with https.

    Args:
        certificate: its own, with the key beside it.
    """

    def __init__(self, certificate: Path) -> None:
        self.certificate = certificate

    def __enter__(self) -> str:
        self.server = FakeServer()
        self.server.listen(tls=serving(self.certificate))
        return f"https://localhost:{self.server.port}"

    def __exit__(self, *_: object) -> None:
        self.server.die()


class BreakingNetwork(Listening):
    """A way to a server on this computer whose connections break.

    Args:
        port: where the server listens.
        breaks: bytes to the server after which a connection breaks, one after the other; small ones do not count.
    """

    LEAST = 20_000
    """Bytes of a connection that counts: others are questions."""

    def __init__(self, port: int, breaks: Sequence[int]) -> None:
        self.port = port
        self.breaks = list(breaks)

    def _take(self, here: socket.socket) -> None:
        try:
            there = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            here.close()
            return
        threading.Thread(target=self._pass, args=(there, here, False), daemon=True).start()
        self._pass(here, there, True)

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        passed = 0
        with suppress(OSError):
            while block := source.recv(BUFFER):
                passed += len(block)
                if counted and self.breaks and passed > max(self.breaks[0], self.LEAST):
                    self.breaks.pop(0)
                    break
                target.sendall(block)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
