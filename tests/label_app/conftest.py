"""Real servers, each started once: MONAI Label's with an app of its own kind, with ours, and `semgan serve`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.label_app.servers import STOCK_APP, Server, fill, start_monailabel, start_semgan
from tests.phantoms import grid, patient, save_nifti


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A datastore with one oblique CT and one MR of the phantom."""
    return fill(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="session")
def plain(studies: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A plain `monailabel start_server` with a copy of our app's folder, which the server writes into."""
    main = (REPOSITORY / "monai_semgan" / "label_app" / "main.py").read_text()
    home = tmp_path_factory.mktemp("plain") / "home"
    with start_monailabel(main, studies, home, "--conf", "bundle", tiny_bundle) as server:
        yield server


@pytest.fixture(scope="session")
def server(plain: Server) -> str:
    """Address of the plain server with our app."""
    return plain.address


@pytest.fixture(scope="session")
def stock(outside: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MONAI Label's server with an app that changes nothing of it."""
    folder = tmp_path_factory.mktemp("stock")
    with start_monailabel(STOCK_APP, _with_traps(folder / "studies", outside), folder / "home") as server:
        yield server


@pytest.fixture(scope="session")
def served(outside: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`semgan serve`."""
    folder = tmp_path_factory.mktemp("served")
    studies = _with_traps(folder / "studies", outside)
    options = ("--bundle", tiny_bundle, "--upload-limit-mb", 4)
    with start_semgan(studies, folder / "home", *options) as server:
        yield server


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan outside of every datastore."""
    affine, shape = grid((12.0, 12.0, 12.0), codes="LPI")
    return save_nifti(tmp_path_factory.mktemp("outside") / "secret.nii.gz", patient(affine, shape).array, affine)


def _with_traps(studies: Path, outside: Path) -> Path:
    """A datastore with a link that leads out of it, and a hidden file."""
    fill(studies)
    (studies / "link.nii.gz").symlink_to(outside)
    (studies / ".hidden.nii.gz").write_bytes(outside.read_bytes())
    return studies
