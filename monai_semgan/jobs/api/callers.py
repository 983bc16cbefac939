"""Who asks: the user of a log-in, else the id that a client has made for itself; stored with things, never told."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Path, Request

from monai_semgan.jobs.job_errors import Forbidden, JobError
from monai_semgan.jobs.ownership import Asker

CLIENT_HEADER = "X-SemGAN-Client"

CLIENT_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")


def asker_of(request: Request) -> Asker:
    """Return who asks about jobs, and whether an administrator of the log-in does.

    Raises:
        JobError: if the header does not hold an id.
    """
    return Asker.named(caller_of(request), bool(getattr(request.state, "admin", False)))


def caller_of(request: Request) -> str | None:
    """Return who sends a request; None if nobody says so.

    `request.state.user` is what a guard in front of the routes has found out from the log-in.

    Raises:
        JobError: if the header does not hold an id.
    """
    user = getattr(request.state, "user", None)
    if user:
        return f"user:{user}"
    sent = request.headers.get(CLIENT_HEADER)
    if sent is None:
        return None
    if CLIENT_ID.fullmatch(sent) is None:
        raise JobError(
            f"{CLIENT_HEADER} must be 8 to 64 letters, digits, '_', '.' or '-'; leave it out if there is none"
        )
    return f"client:{sent}"


def check_may_teach(request: Request) -> None:
    """Make sure that who asks may change the model that all use: with a log-in, as for MONAI Label's own training.

    Raises:
        Forbidden: a user of the log-in who is no administrator.
    """
    state = request.state
    if getattr(state, "user", None) and not getattr(state, "admin", False):
        raise Forbidden("only administrators of the log-in may train, and choose the version that all use")


ID = {"pattern": "^[0-9a-f]{32}$"}
Who = Annotated[Asker, Depends(asker_of)]
TEACHER = Depends(check_may_teach)
JobPath = Annotated[str, Path(description="id of a job", json_schema_extra=ID)]
