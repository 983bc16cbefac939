"""Requests made up from the server's own OpenAPI document, valid and not, for MONAI Label's routes: never a 5xx."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")
pytest.importorskip("schemathesis", reason="needs the environment of the extra labeltest")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.label_app.servers import Server

pytestmark = pytest.mark.label
KNOWN = {"image": "ct", "label": "ct", "model": "semgan_preview", "strategy": "random", "tag": "final"}


ROUNDS = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_no_request_breaks_the_server(served: Server) -> None:
    schema = schemathesis.openapi.from_url(f"{served.address}/openapi.json")
    # jobs have tests of their own; what is removed is made anew by nobody
    schema = schema.exclude(path_regex="^/semgan").exclude(method="DELETE")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:
        ROUNDS(given(case=operation.as_strategy())(_check))()


def _check(case: Any) -> None:
    for place in (case.path_parameters, case.query):
        for name in set(place or {}) & set(KNOWN):
            if len(repr(place[name])) % 2:  # half of them meet something that is there
                place[name] = KNOWN[name]
    response = case.call(timeout=60)
    assert response.status_code < 500, f"{case.as_curl_command()}: {response.text}"
    if response.status_code >= 400 and case.method != "HEAD":
        assert isinstance(response.json()["detail"], str), response.text
