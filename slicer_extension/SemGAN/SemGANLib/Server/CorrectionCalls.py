"""What a client asks to have a result corrected by strokes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from ..Types.CorrectionTypes import CorrectionList, CorrectionRequest
from ..Types.JobTypes import Job
from .Http import Answer, Http, as_json

if TYPE_CHECKING:
    import numpy

T = TypeVar("T")


class CorrectionCalls:
    """Part of the client. See `Protocols.ClientProtocol.Client` for what each call promises."""

    _http: Http

    if TYPE_CHECKING:

        def _get(self, path: str) -> Any: ...

        def _json(self, answer: Answer) -> Any: ...

        def _parsed(self, kind: type[T], content: Any) -> T: ...

    def correct(self, job: str, request: CorrectionRequest) -> Job:
        """Have the result of a job corrected, on the state that is in force; the answer is a job of its own."""
        return self._parsed(Job, self._sent(_corrections(job), request.to_json()))

    def corrections(self, job: str) -> CorrectionList:
        """List the corrections of a job, and which of them is in force."""
        return self._parsed(CorrectionList, self._get(_corrections(job)))

    def use_correction(self, job: str, number: int) -> CorrectionList:
        """Set which correction of a job is in force; 0 for its own result. Those under way are cancelled."""
        return self._parsed(CorrectionList, self._sent(f"{_corrections(job)}/current", {"number": number}))

    def _sent(self, path: str, content: Any) -> Any:
        return self._json(self._http.request("POST", path, as_json(content), "application/json"))


def runs_of(indices: numpy.ndarray) -> tuple[tuple[int, int], ...]:
    """Write flat indices as runs.

    Args:
        indices: (N,) in ascending order, each once.

    >>> import numpy as np
    >>> runs_of(np.array([3, 4, 5, 9]))
    ((3, 3), (9, 1))
    """
    import numpy as np

    if indices.size == 0:
        return ()
    starts = np.flatnonzero(np.diff(indices, prepend=indices[0] - 2) != 1)
    lengths = np.diff(starts, append=indices.size)
    return tuple(zip(indices[starts].tolist(), lengths.tolist()))


def _corrections(job: str) -> str:
    return f"/semgan/jobs/{quote(job, safe='')}/corrections"
