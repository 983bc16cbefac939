"""MONAI Label's log-in: a token for a name and a password, and a new one when it has expired."""

from __future__ import annotations

import json
import threading
from typing import Callable
from urllib.parse import urlencode

from . import Errors

Ask = Callable[[str, str, "bytes | None"], "tuple[int, bytes]"]
"""Sends a request without a token: method, path and a form; gives status and content of the answer."""


class Login:
    """The token of one user. The password stays in memory, for the time after the token has expired.

    Args:
        address: of the server, for messages.
        user: name.
        password: forgotten as soon as it was refused: every further try counts towards a locked account.
    """

    def __init__(self, address: str, user: str, password: str) -> None:
        self._address = address
        self._user = user
        self._password = password
        self._lock = threading.Lock()
        self.token = ""

    def renew(self, refused: str, ask: Ask) -> None:
        """Get a token instead of one that the server has refused.

        Args:
            refused: the token that was sent; empty if none was.
            ask: sends requests.

        Raises:
            Errors.WrongKey: if it is not for want of a log-in that the server refuses.
            Errors.NeedsLogin: if it wants another name and password.
        """
        with self._lock:  # one request renews, the others wait for it
            if self.token != refused:
                return
            if not self._wanted(ask):
                raise Errors.wrong_key(self._address)
            if not self._user or not self._password:
                raise Errors.needs_login(self._address)
            self.token = self._ask_for_token(ask)

    def _wanted(self, ask: Ask) -> bool:
        status, content = ask("GET", "/auth/", None)
        return status == 200 and bool(_entry(content, "enabled"))

    def _ask_for_token(self, ask: Ask) -> str:
        form = {"grant_type": "password", "username": self._user, "password": self._password}
        status, content = ask("POST", "/auth/token", urlencode(form).encode())
        token = _entry(content, "access_token") if status == 200 else None
        if isinstance(token, str) and token and token.isascii() and token.isprintable():
            return token
        if status in (400, 401, 422):
            self._password = ""
            raise Errors.login_refused(self._address, self._user)
        raise Errors.status_error(self._address, status if status >= 400 else 502, _entry(content, "detail") or "")


def _entry(content: bytes, name: str) -> object:
    try:
        found = json.loads(content.decode("utf-8"))
    except ValueError:
        return None
    return found.get(name) if isinstance(found, dict) else None
