"""The committed OpenAPI document is what the server really offers."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("fastapi", reason="needs the environment of the extra label")

from monai_semgan.jobs.api.openapi import document
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.label


def test_the_committed_document_is_up_to_date() -> None:
    committed = json.loads((REPOSITORY / "docs" / "job_api.openapi.json").read_text())
    assert committed == document(), "run python -m monai_semgan.jobs.api.openapi > docs/job_api.openapi.json"


def test_every_answer_that_is_no_success_has_one_body() -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    for path, methods in document()["paths"].items():
        assert path.startswith("/semgan/")
        for method, operation in methods.items():
            assert operation["operationId"] and operation["summary"], (path, method)
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert response["content"]["application/json"]["schema"] == problem, (path, method, status)
