"""A server that keeps versions of labels, with a scan, and readers at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from SemGANLib.Server.Nrrd import Grid

from tests.slicer_extension.datastore.versioned_server import VersionedServer
from tests.slicer_extension.scan_files import file_of, phantom
from tests.slicer_extension.session import Session


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Iterator[VersionedServer]:
    """A server with one image, `case`, left-handed as most NIfTI files are."""
    with VersionedServer() as server:
        grid = phantom("LAS")
        server.images["case"] = (".nii.gz", file_of(grid, ".nii.gz"))
        uploaded = server._source

        def source(request: dict[str, Any]) -> Grid:
            return grid if request.get("image") == "case" else uploaded(request)

        monkeypatch.setattr(server, "_source", source)
        yield server
    assert not server.errors


@pytest.fixture
def reader(scene: Any, stored: VersionedServer) -> Session:
    """A reader, connected to it."""
    session = Session(scene)
    session.connect(stored.address)
    return session
