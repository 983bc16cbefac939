"""`/activelearning`: which image to label next."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from monailabel.endpoints.activelearning import sample

from monai_semgan.jobs.api.callers import caller_of
from monai_semgan.jobs.api.own_threads import OwnThreads
from monai_semgan.label_app.server.routes.shared import USER, check_tag_and_labels, known_name, running_app

router = APIRouter(prefix="/activelearning", tags=["ActiveLearning"])

SAMPLES = OwnThreads(8, 120, "samples")
"""The next image is opened, and fetched from an archive, before it is given out."""

LONGEST_CLIENT = 200
"""Characters of the name that a client gives itself."""


@router.post("/{strategy}", dependencies=[USER], summary="Run Active Learning strategy to get next sample")
async def next_sample(request: Request, strategy: str, params: dict[str, Any] | None = None) -> Any:
    """Return the next image, or nothing when all have labels."""
    return await SAMPLES.run(_next_sample, request, strategy, params)


def _next_sample(request: Request, strategy: str, params: dict[str, Any] | None) -> Any:
    known_name(strategy, running_app().info()["strategies"], "strategy")
    own = {name: value for name, value in (params or {}).items() if name != "strategy"}
    check_tag_and_labels(own)
    own["client_id"] = _reader(request, own)
    found: dict[str, Any] = sample(strategy, own)
    return running_app().without_old_scores(found["id"], found) if found else found


def _reader(request: Request, params: dict[str, Any]) -> str:
    """Return who will label: the user of the log-in, the client's `client_id`, or its header; else nobody's name."""
    for field in ("client_id", "user"):
        name = params.get(field)
        if name is not None and not (isinstance(name, str) and len(name) <= LONGEST_CLIENT):
            raise HTTPException(422, f"{field} is no text of at most {LONGEST_CLIENT} characters")
    logged_in = getattr(request.state, "user", None)
    return str(logged_in or params.get("client_id") or params.get("user") or caller_of(request) or "")
