"""`/auth`: MONAI Label's log-in, where it is switched on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

import requests
from fastapi import APIRouter, Depends, HTTPException
from fastapi.security import OAuth2PasswordRequestForm
from monailabel.config import settings
from monailabel.endpoints.login import auth_enabled
from monailabel.endpoints.user.auth import Token, User, get_current_user, token_uri

from monai_semgan.label_app.server.checked_forms import CheckedRoute

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)
router = APIRouter(prefix="/auth", tags=["Auth"], route_class=CheckedRoute)
router.add_api_route("/", auth_enabled, methods=["GET"], summary="Check If Auth is Enabled")

TIMEOUT_SECONDS = 30


@router.post("/token", response_model=Token, summary="Fetch new access code/token")
def access_token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Any:
    """Get a token of the log-in server for a name and a password."""
    data = {"client_id": settings.MONAI_LABEL_AUTH_CLIENT_ID, "grant_type": "password"}
    data |= {"username": form.username, "password": form.password}
    try:
        answer = requests.post(token_uri(), data=data, timeout=TIMEOUT_SECONDS)
        told = answer.json()
    except (requests.RequestException, ValueError) as error:
        log.error("the log-in server does not answer: %s", type(error).__name__)
        raise HTTPException(503, "the log-in server does not answer") from error
    if not answer.ok:
        raise HTTPException(401, "the log-in server refuses this name and password")
    return told


@router.get("/token/valid", summary="Check If current token is Valid")
def valid_token(user: Annotated[User, Depends(get_current_user)]) -> Any:
    """Tell who the token belongs to."""
    return user.model_dump()


def add_login(app: FastAPI) -> None:
    """Add the log-in if it is switched on; clients ask for `/auth/` to know."""
    if settings.MONAI_LABEL_AUTH_ENABLE:
        app.include_router(router)
