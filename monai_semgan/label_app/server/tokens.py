"""MONAI Label's own log-in (Keycloak), whose check of tokens fails for every token with the PyJWT of today."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

from monai_semgan.label_app.server.guard import Denial, Person

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Those with a public key: a shared secret cannot be what the realm publishes."""

LOGIN_PATHS = ("/auth/", "/auth/token")

log = logging.getLogger(__name__)


def enabled() -> bool:
    """Tell whether $MONAI_LABEL_AUTH_ENABLE asks for the log-in."""
    from monailabel.config import settings

    return bool(settings.MONAI_LABEL_AUTH_ENABLE)


def repair() -> None:
    """Name the algorithms when MONAI Label decodes a token: PyJWT refuses to without, since 2.0."""
    import jwt
    from monailabel.endpoints.user import auth

    def decode(token: str, key: str, options: Any) -> dict[str, Any]:
        return jwt.decode(token, key, algorithms=list(ALGORITHMS), options=options)

    auth.jwt = SimpleNamespace(decode=decode)


async def check_token(token: str) -> Denial | Person:
    """Return whose token it is, or what is wrong with it; the routes look at the role that they need themselves."""
    from jwt import InvalidTokenError
    from monailabel.config import settings
    from monailabel.endpoints.user.auth import from_token
    from pydantic import ValidationError
    from starlette.concurrency import run_in_threadpool

    roles = {
        settings.MONAI_LABEL_AUTH_ROLE_ADMIN,
        settings.MONAI_LABEL_AUTH_ROLE_REVIEWER,
        settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR,
        settings.MONAI_LABEL_AUTH_ROLE_USER,
    }
    try:
        user = await run_in_threadpool(from_token, token)
    except (InvalidTokenError, ValidationError, AttributeError):  # the last: a token without the claims of the realm
        return Denial(401, "log in: the token is missing, wrong or expired")
    except (OSError, KeyError, ValueError) as error:
        log.error("the log-in server gives no key: %s", type(error).__name__)
        return Denial(503, "the log-in server gives no key to check tokens with")
    if not user.username:
        return Denial(401, "log in: the token names no user")
    if not roles & set(user.roles):
        return Denial(403, "this user has no role of MONAI Label")
    return Person(user.username, settings.MONAI_LABEL_AUTH_ROLE_ADMIN in user.roles)
