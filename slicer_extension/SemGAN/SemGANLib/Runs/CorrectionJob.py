"""One correction at the server: brought there once, in whatever state the server is, and followed to its end."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, TypeVar

from ..Protocols.ClientProtocol import Client
from ..Scene import LabelChange
from ..Scene.Strokes import Stroke, to_inputs
from ..Server.Errors import Gone, Refused, ServerError
from ..Server.Nrrd import Grid, encode
from ..Types.CorrectionTypes import CorrectionRequest, StrokeInput
from ..Types.JobTypes import Job
from ..Types.ResultTypes import Result
from .CorrectionRoot import Root
from .CorrectionTexts import strokes_text
from .Results import fetch_label

if TYPE_CHECKING:
    import numpy

T = TypeVar("T")

AGAIN_SECONDS = (1.0, 3.0, 10.0)
"""Waits between attempts where the server does not answer or takes no more at the moment."""

UNDER_WAY = ("queued", "warming", "running", "paused")
"""States of a correction that has not ended."""


@dataclass(eq=False)
class Pending:
    """A correction that is not back yet.

    Attributes:
        strokes: in the order of drawing.
        texts: what it is, and what was computed together with it.
        job: as last heard; None before the server has it.
        version: of the newest result that was taken over.
        upload: id of the label that went with it; empty if none did.
        client: speaks to the server that has it.
        moved: it was brought to another job, the first one being gone.
        dropped: nobody waits for it any more.
    """

    strokes: tuple[Stroke, ...]
    texts: list[str]
    reach_mm: float
    locked: tuple[str, ...]
    time: float = field(default_factory=time.time)
    job: Job | None = None
    version: int = 0
    upload: str = ""
    client: Client | None = None
    moved: bool = False
    dropped: bool = False

    def take_in(self, earlier: Pending) -> None:
        """Become one with an earlier correction; if both reach as far, they are told in one sentence."""
        alike = earlier.reach_mm == self.reach_mm and len(earlier.texts) == len(self.texts) == 1
        self.strokes, self.texts = earlier.strokes + self.strokes, earlier.texts + self.texts
        if alike:
            self.texts = [strokes_text(self.strokes, self.reach_mm)]


@dataclass(frozen=True, eq=False)
class Base:
    """The state that a correction is made on.

    Attributes:
        label: (K, J, I) label map.
        affine: (4, 4) of the scan here.
        shape: (I, J, K) of the scan here.
        servers: its number at the server; None where the server does not have it.
        sure: the server has it in force, or has the corrections before this one.
        newest: number of the newest correction that is known here.
        values: numbers of the structures in `label`, by name.
    """

    label: numpy.ndarray
    affine: numpy.ndarray
    shape: tuple[int, int, int]
    servers: int | None
    sure: bool
    newest: int
    values: Mapping[str, int]


@dataclass(frozen=True)
class Sent:
    """What came of bringing a correction to the server.

    Attributes:
        upload: id of the label that was sent with it; empty if none was.
    """

    job: Job
    upload: str = ""


def send(client: Client, root: Root, pending: Pending, base: Base, compressed: bool) -> Sent:
    """Bring a correction to the server; not for the main thread.

    Where the server does not have the state that it is made on, the label goes with it.

    Raises:
        ServerError: if it cannot be; `Gone` if the server does not have the job any more, or the scan was moved
            since, so that it has it elsewhere.
    """
    import numpy as np

    try:
        strokes = to_inputs(pending.strokes, base.affine, base.shape, np.array(root.affine), root.shape)
    except ValueError as error:
        raise Gone(str(error)) from None
    upload, newest = "", base.newest
    if not base.sure:  # it may have corrections that are not known here, as after a scene was loaded
        steps = _again(lambda: client.corrections(root.job)).steps
        newest = max([newest, *(step.number for step in steps)])
        for step in steps:
            if step.state in UNDER_WAY:  # nobody waits for it any more, and the word that it should end was lost
                with suppress(ServerError):
                    client.cancel(step.job)
    if not base.sure and not _again(lambda: in_force(client, root, base.servers)):
        label = translated(base.label, base.values, root.values)
        content = encode(Grid(label, base.affine), compressed)
        upload = _again(lambda: client.upload(content)).id
    try:
        return Sent(_posted(client, root, _request(root, pending, strokes, upload), newest), upload)
    except ServerError:
        if upload:
            with suppress(ServerError):  # else the server does so in time
                client.delete_upload(upload)
        raise


def _request(root: Root, pending: Pending, strokes: Sequence[StrokeInput], upload: str) -> CorrectionRequest:
    return CorrectionRequest(tuple(strokes), root.shape, root.affine, pending.reach_mm, pending.locked, upload or None)


def _again(call: Callable[[], T]) -> T:
    """Call what may be called twice, several times where the server does not answer or is busy."""
    for seconds in AGAIN_SECONDS:
        try:
            return call()
        except ServerError as error:
            if not error.passing:
                raise
            time.sleep(seconds)
    return call()


def in_force(client: Client, root: Root, number: int | None) -> bool:
    """Have the server go to a state; not for the main thread.

    Args:
        number: of a correction of `root`, 0 for the result itself; None for a state that the server does not have.

    Returns:
        False where it cannot.

    Raises:
        ServerError: if it does not answer, or does not have the job any more.
    """
    if number is None:
        return False
    listed = client.corrections(root.job)
    if listed.current == number and all(step.state == "done" or step.undone for step in listed.steps):
        return True
    try:
        return client.use_correction(root.job, number).current == number
    except (Gone, Refused):  # it has dropped that correction
        return False


def _posted(client: Client, root: Root, request: CorrectionRequest, newest: int) -> Job:
    """Ask for the correction; where the answer is lost, it is looked for, so that no stroke is drawn twice."""
    for seconds in (*AGAIN_SECONDS, None):
        try:
            return client.correct(root.job, request)
        except ServerError as error:
            if not error.passing or seconds is None:
                raise
            time.sleep(seconds)
            if error.undecided:
                with suppress(ServerError):
                    made = [step for step in client.corrections(root.job).steps if step.number > newest]
                    if made:
                        return client.job(made[-1].job)
    raise AssertionError("not reached")


@dataclass(frozen=True, eq=False)
class Corrected:
    """A result of a correction, partial or final.

    Attributes:
        label: (K, J, I) label map, with the numbers that structures have here.
        change: from the state before to it, by `LabelChange`; empty while it is partial.
    """

    result: Result
    label: numpy.ndarray
    change: bytes


def get(client: Client, job: Job, base: Base) -> Corrected:
    """Fetch what a correction has found so far; not for the main thread.

    Args:
        base: the state before it.

    Raises:
        ServerError: if it cannot be had, or does not fit the scan.
    """
    result, found = fetch_label(client, job.id, base.affine, base.shape)
    label = translated(found, {entry.name: entry.id for entry in result.labels}, base.values)
    label = _with_unknown(label, base, {entry.name for entry in result.labels})
    return Corrected(result, label, LabelChange.between(base.label, label) if job.ended else b"")


def _with_unknown(label: numpy.ndarray, base: Base, known: Collection[str]) -> numpy.ndarray:
    """Keep structures that the server's model does not know, such as one that an earlier version had learnt."""
    import numpy as np

    unknown = [value for name, value in base.values.items() if name not in known]
    if not unknown:
        return label
    return np.where((label == 0) & np.isin(base.label, unknown), base.label, label)


def translated(label: numpy.ndarray, values: Mapping[str, int], wanted: Mapping[str, int]) -> numpy.ndarray:
    """Give the structures of a label map other numbers; those that have none are left out.

    Args:
        label: (K, J, I).
        values: numbers in it, by name.
        wanted: numbers that they shall have, by name.
    """
    import numpy as np

    if values == wanted:
        return label
    table = np.zeros(256, dtype=np.uint8)
    for name, value in values.items():
        table[value] = wanted.get(name, 0)
    return table[label]
