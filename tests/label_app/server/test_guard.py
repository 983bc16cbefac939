"""What a browser fetches for a page of another server reaches nothing, whether or not the page sees the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the environment of the extra label")

from monai_semgan.label_app.server.guard import Denial, Guard, Person

pytestmark = pytest.mark.label
HOST = {"Host": "127.0.0.1:8000"}
EVIL, VIEWER, OWN = "https://evil.example", "https://viewer.example", "http://127.0.0.1:8000"
HEAVY = "/datastore/dataset"


def status(path: str, headers: dict[str, str], method: str = "GET", **options: Any) -> int:
    """Of the answer to a request."""
    return asked(path, headers, method, **options)[0]


def asked(path: str, headers: dict[str, str], method: str = "GET", **options: Any) -> tuple[int, dict[str, Any]]:
    """Status of the answer, and what routes are told of the request."""
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append(dict(scope.get("state", {})))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request"}

    statuses: list[int] = []

    async def send(message: Any) -> None:
        if "status" in message:
            statuses.append(message["status"])

    raw = [(name.lower().encode(), value.encode()) for name, value in {**HOST, **headers}.items()]
    scope = {"type": "http", "method": method, "path": path, "scheme": "http", "headers": raw}
    guard = Guard(app, **{"host": "127.0.0.1", "origins": (VIEWER,), **options})
    asyncio.run(guard(scope, receive, send))
    return statuses[0], told[0] if told else {}


PICTURE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
VISIT = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything-new"])
@pytest.mark.parametrize("mode", [PICTURE, VISIT, {}], ids=["picture", "link", "not told"])
@pytest.mark.parametrize("path", [HEAVY, "/datastore/image", "/infer/semgan_preview", "/info/", "/semgan/jobs"])
def test_pages_of_others_start_nothing(path: str, mode: dict[str, str], site: str) -> None:
    assert status(path, {"Sec-Fetch-Site": site, **mode}) == 403


@pytest.mark.parametrize("referer", [f"{EVIL}/page", "http://127.0.0.1:9999/", "http://[broken", "about:blank", ""])
def test_older_browsers_are_known_by_the_page_that_they_come_from(referer: str) -> None:
    assert status(HEAVY, {"Referer": referer}) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", **PICTURE, "Referer": f"{OWN}/ohif/"},
        {"Sec-Fetch-Site": "none", **VISIT},
        {"Referer": f"{OWN}/docs"},
        {"Sec-Fetch-Site": "cross-site", **PICTURE, "Referer": f"{VIEWER}/x"},
        {"Sec-Fetch-Site": "cross-site", "Origin": VIEWER},
    ],
    ids=["no browser", "own page", "typed", "own page, older browser", "page that may ask", "its script"],
)
def test_everybody_else_is_served(headers: dict[str, str]) -> None:
    assert status(HEAVY, headers) == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/ohif/", "/ohif/viewer", "/static/logo.png"])
def test_links_to_pages_for_people_work_from_anywhere(path: str) -> None:
    assert status(path, {"Sec-Fetch-Site": "cross-site", **VISIT, "Referer": f"{EVIL}/"}) == 200
    assert status(path, {"Sec-Fetch-Site": "cross-site", **VISIT}, "POST") == 403


def test_with_a_key_a_proxy_may_change_what_the_server_is_called() -> None:
    headers = {"Referer": "https://proxy.example/docs", "X-API-Key": "k" * 20}
    assert status(HEAVY, headers, key="k" * 20) == 200
    assert status(HEAVY, {"Referer": "https://proxy.example/docs"}, key="k" * 20) == 401


def test_routes_are_told_who_has_logged_in_and_never_by_the_client() -> None:
    async def check(token: str) -> Denial | Person:
        return Person("eva", admin=token == "admin") if token else Denial(401, "log in")

    for token, admin in (("user", False), ("admin", True)):
        found = asked("/info/", {"Authorization": f"Bearer {token}"}, check_token=check)
        assert found == (200, {"user": "eva", "admin": admin})
    assert asked("/info/", {"X-User": "eva"}, check_token=check) == (401, {})
    assert asked("/auth/", {}, check_token=check, open_paths=("/auth/",)) == (200, {})
