"""What the OpenAPI document says of answers, for all routes of the job API."""

from __future__ import annotations

from typing import Any

from monai_semgan.jobs.contract import Problem

BYTES = "application/octet-stream"
BINARY = {"schema": {"type": "string", "format": "binary"}}

MEANINGS = {
    403: "it belongs to somebody else",
    404: "there is no such thing",
    409: "not in this state",
    413: "larger than the server takes",
    415: "not a kind of content that the server takes",
    422: "something in the request makes no sense",
    429: "too many are waiting or unfinished",
    503: "the server is starting or stopping",
    507: "the disk is full, or what jobs may take of it",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of answers that are no success."""
    return {status: {"model": Problem, "description": MEANINGS[status]} for status in statuses}
