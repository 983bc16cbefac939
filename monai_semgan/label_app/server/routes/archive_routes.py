"""`/semgan/archive`: the archive that the studies lie in, and labels that it does not have yet."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException

from monai_semgan.jobs.api.own_threads import OwnThreads
from monai_semgan.label_app.archive_store.submissions import FINAL, Submissions
from monai_semgan.label_app.server.routes.shared import ANNOTATOR, USER, known_label, running_app

router = APIRouter(prefix="/semgan/archive", tags=["Archive"])

NEVER_SENT = "only final labels of readers are sent, and of scans that the archive has"

SENDING = OwnThreads(4, 60, "submissions")


@router.get("", dependencies=[USER], summary="Tell which archive the studies lie in, and what was not sent to it")
def archive() -> dict[str, Any]:
    """Return `archive` (host), `trouble` (why it could not be listed, or empty), and `unsent` with the reasons."""
    app: Any = running_app()
    unsent = [one.told() for one in _submissions().unsent()]
    return {"archive": app.datastore().address.host, "trouble": app.datastore().trouble(), "unsent": unsent}


@router.post("/submissions/{image}/{tag}", dependencies=[ANNOTATOR], summary="Send a label to the archive again")
async def send_again(image: str, tag: str) -> dict[str, Any]:
    """Send the label that is there unless the archive has it, and tell how that went."""
    return await SENDING.run(_send_again, image, tag)


def _send_again(image: str, tag: str) -> dict[str, Any]:
    known_label(image, tag)
    sent = _submissions().submit(image) if tag == FINAL else None
    if sent is None:
        raise HTTPException(409, NEVER_SENT)
    return sent.told()


def _submissions() -> Submissions:
    app: Any = running_app()
    found: Submissions | None = app.submissions
    if found is None:
        raise HTTPException(404, "the studies lie in a folder, not in an archive")
    return found
