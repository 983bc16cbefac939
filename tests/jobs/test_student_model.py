"""A server of a student alone gives previews, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs.conftest import Serve, Server
from tests.jobs.reader import Reader, stroke

pytestmark = pytest.mark.label


@pytest.fixture
def server(serve: Serve, make_studies: Callable[[], Path], student_bundle: Path) -> Server:
    return serve(make_studies(), bundles=[str(student_bundle)])


def test_it_previews_and_refuses_other_modes_before_a_job_begins(server: Server) -> None:
    (model,) = server.get("/models").json()["models"]
    assert [mode["name"] for mode in model["modes"]] == ["preview"]
    refused = server.ask("POST", "/jobs", json={"image": "ct", "mode": "refine"})
    assert refused.status_code == 422 and "a student alone: mode preview only" in refused.json()["detail"]
    server.done(server.submit(image="ct"))


def test_strokes_are_followed_without_a_generator(server: Server) -> None:
    reader = Reader.of(server)
    job = reader.corrected(stroke(reader, 3, 2))
    assert (reader.label(job["id"])[3:6, 3, 2] == 2).all()


def test_the_label_app_offers_the_preview_alone(student_bundle: Path, tiny_bundle: Path) -> None:
    pytest.importorskip("monailabel", reason="needs the environment of the extra label")
    from monai_semgan.label_app.infer import LocalEngine, infer_tasks

    for folder, count in ((student_bundle, 1), (tiny_bundle, 3)):
        engine = LocalEngine(str(folder), "cpu")
        assert len(infer_tasks(engine, None, engine.modes)) == count
