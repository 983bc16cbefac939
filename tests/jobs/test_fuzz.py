"""Requests made up from the OpenAPI document, valid and not: never a 5xx, always a documented answer."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="needs the environment of the extra labeltest")

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import REPOSITORY
from tests.jobs.conftest import Server

pytestmark = pytest.mark.label

EXAMPLES = 12
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
SCHEMA = schemathesis.openapi.from_path(str(REPOSITORY / "docs" / "job_api.openapi.json"))


@pytest.fixture(scope="module")
def known(server: Server) -> dict[str, Any]:
    """Ids of a job with results and of an upload, and the grid and a structure of these results."""
    job = server.submit(image="ct")
    server.done(job)
    result = server.get(f"/jobs/{job}/result").json()
    facts = {"shape": result["shape"], "structure": result["labels"][0]["name"]}
    return {**facts, "job": job, "upload": server.upload((server.studies / "ct.nii.gz").read_bytes()).json()["id"]}


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_server(case: Any, server: Server, known: dict[str, Any]) -> None:
    _aim(case, known)
    response = case.call(base_url=server.address, timeout=60)
    assert response.status_code < 500 or response.status_code == 507, response.text
    case.validate_response(response, checks=CHECKS)


def _aim(case: Any, known: dict[str, Any]) -> None:
    """Let half of the requests meet something that is there; what they would remove is made anew by nobody, so not."""
    job = str((case.path_parameters or {}).get("job", ""))
    if case.method == "DELETE" or (job and sum(job.encode("utf-8", "replace")) % 2):
        return
    for name in case.path_parameters or {}:
        if name in known:
            case.path_parameters[name] = known[name]
    if isinstance(case.body, dict) and case.body.get("image") and not case.body.get("upload"):
        case.body["image"] = "ct"
        if isinstance(case.body.get("steps"), int):
            case.body["steps"] = min(case.body["steps"], 2)
    if isinstance(case.body, dict) and isinstance(case.body.get("strokes"), list):
        _draw(case.body, known)


def _draw(body: dict[str, Any], known: dict[str, Any]) -> None:
    """Let strokes be of a structure, and on the grid, of the result."""
    body.update(shape=known["shape"], affine=None, label=None, locked=[])
    for stroke in filter(lambda one: isinstance(one, dict), body["strokes"]):
        stroke["structure"] = known["structure"]
        if isinstance(stroke.get("runs"), list):
            stroke["runs"] = [[first % 1000, length % 9] for first, length in filter(_is_run, stroke["runs"])]


def _is_run(run: Any) -> bool:
    return isinstance(run, list) and len(run) == 2 and all(isinstance(number, int) for number in run)
