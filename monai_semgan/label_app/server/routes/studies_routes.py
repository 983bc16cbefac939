"""`/semgan/studies`: how many images are served, and what lies in the folder and is not, with the reasons."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException

from monai_semgan.label_app.datastore import StudiesDatastore
from monai_semgan.label_app.server.routes.shared import USER, running_app

router = APIRouter(prefix="/semgan/studies", tags=["Datastore"])

MOST_TOLD = 2000
"""Things left out that one answer names."""


@router.get("", dependencies=[USER], summary="Count images, and tell what is left out and why")
def studies() -> dict[str, Any]:
    """Return `images`, `left_out` (names with reasons), its full number `left_out_total`, and `pending`.

    `pending` is the number of folders whose DICOM files are being read; their series become images soon.
    """
    store = running_app().datastore()
    if not isinstance(store, StudiesDatastore):
        raise HTTPException(404, "the studies are no folder of this computer")
    left_out = [*store.away(), *store.left_out()]
    told = [one.told() for one in left_out[:MOST_TOLD]]
    images, pending = len(store.list_images()), store.pending()
    return {"images": images, "left_out": told, "left_out_total": len(left_out), "pending": pending}
