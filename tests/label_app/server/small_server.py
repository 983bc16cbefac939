"""A server in this process: the gate and the connections of `semgan serve`, with a few routes of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from monai_semgan.label_app.server.connections import ConnectionLimits, limited
from monai_semgan.label_app.server.input_gate import InputGate

LARGE = 40 << 20
"""Bytes of an answer that no system's buffers hold."""


def small_app() -> Any:
    """Routes that echo what has come, and one with a large answer."""
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> Any:
        return {"bytes": len(await request.body()), "query": dict(request.query_params)}

    @app.put("/session/")
    async def take(request: Request) -> Any:
        return {"bytes": len(await request.body())}

    @app.get("/large")
    async def large() -> StreamingResponse:
        return StreamingResponse(iter([bytes(LARGE)]))

    @app.get("/info/")
    async def info() -> str:
        return "here"

    return app


@contextlib.contextmanager
def running(
    limits: ConnectionLimits | None = None, limit_bytes: int = 8 << 20, patience_seconds: float = 1.0
) -> Iterator[tuple[str, int]]:
    """Serve; the address."""
    gate = InputGate(small_app(), limit_bytes=limit_bytes, patience_seconds=patience_seconds)
    config = uvicorn.Config(gate, http=limited(limits or ConnectionLimits()), ws="none", log_config=None)
    server = uvicorn.Server(config)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(100)
        listener.close()


def connected(address: tuple[str, int], sent: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
    """A connection on which something was sent."""
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(120)
    client.connect(address)
    client.sendall(sent)
    return client


def all_of(client: socket.socket) -> bytes:
    """What the server sends until it closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)
