"""`/activelearning`: which image to label next."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from monailabel.config import settings
from monailabel.endpoints.activelearning import sample
from monailabel.endpoints.user.auth import RBAC, User

from monai_semgan.label_app.server.routes.shared import known_name, running_app

LEARNER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
router = APIRouter(prefix="/activelearning", tags=["ActiveLearning"])


@router.post("/{strategy}", summary="Run Active Learning strategy to get next sample")
def next_sample(strategy: str, params: dict[str, Any] | None = None, user: User = LEARNER) -> Any:
    """Return the next image, or nothing when all have labels."""
    known_name(strategy, running_app().info()["strategies"], "strategy")
    own = {name: value for name, value in (params or {}).items() if name != "strategy"}
    return sample(strategy, own, user.username)
