"""What server and worker say to each other: one JSON object a line.

The server says `run` (with a `Task`), `cancel` and nothing more; the end of its pipe means that the worker shall leave.
The worker says `ready`, `started`, `progress`, `result`, `parts`, `end` and `broken`.
"""

from __future__ import annotations

import json
import math
import threading
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a job.

    Attributes:
        job: id.
        image: file.
        results: folder for the results.
        bundle: folder of the model.
        mode: `preview`, `invert` or `refine`.
        labels: ids to give out.
        modality: `CT` or `MR`; None to guess.
        steps: of the inversion; None for the bundle's.
        objective: of the inversion; None for the bundle's.
        slice_range_mm: only slices between these; None for all.
        report: whether the page for people is written, which takes seconds.
    """

    job: str
    image: str
    results: str
    bundle: str
    mode: str
    labels: tuple[int, ...]
    modality: str | None = None
    steps: int | None = None
    objective: str | None = None
    slice_range_mm: tuple[float, float] | None = None
    report: bool = True

    def to_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return asdict(self)


class LineWriter:
    """Writes messages, from any thread.

    Args:
        stream: a pipe.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self._lock = threading.Lock()

    def __call__(self, say: str, **values: Any) -> None:
        """Write one message.

        Raises:
            OSError: if nobody reads any more.
        """
        line = json.dumps({"say": say, **{key: _finite(value) for key, value in values.items()}}).encode() + b"\n"
        with self._lock:
            self.stream.write(line)
            self.stream.flush()


def read_line(line: bytes) -> dict[str, Any] | None:
    """A message; None if it is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and isinstance(message.get("say"), str) else None


def _finite(value: Any) -> Any:
    """NaN and infinity, which JSON lacks, become None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
