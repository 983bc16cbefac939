"""A real archive with series of every kind, and one server on it for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from pydicom.uid import JPEG2000Lossless

from tests.dicom_phantoms import several_volumes, write_series
from tests.dicomweb.certificates import Certificates, make_certificates
from tests.dicomweb.orthanc import Orthanc
from tests.label_app.archive_store.serving import KEY, PASSWORD, USER, new_uids, serving, write_scan
from tests.label_app.servers import Server
from tests.phantoms import grid, patient

AFFINE, SHAPE = grid((14.0, 14.0, 14.0), codes="LPS")


@pytest.fixture(scope="package")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of series: an oblique CT, an MR, a compressed CT, an MR of two echoes, overviews, no scan."""
    folder = tmp_path_factory.mktemp("scans")
    write_scan(folder / "ct", degrees=(3.0, -4.0, 5.0))
    write_scan(folder / "mr", "MR", SeriesNumber=7)
    write_scan(folder / "packed", SeriesNumber=9, spacing=(6.0, 6.0, 25.0), syntax=JPEG2000Lossless)
    write_scan(folder / "overview", SeriesNumber=1, spacing=(12.0, 12.0, 100.0))
    write_scan(folder / "other", "PT", spacing=(20.0, 20.0, 20.0))
    echoes: dict[tuple[float, ...], np.ndarray] = {}
    for echo in (1, 2):
        echoes[float(echo),] = np.rint(patient(AFFINE, SHAPE, "MR", seed=echo).array / echo)
    slices = several_volumes(echoes, AFFINE, ("EchoNumbers",), SeriesNumber=12, **new_uids())
    write_series(folder / "echoes", slices)
    write_scan(folder / "unseen", SeriesNumber=44, spacing=(30.0, 30.0, 30.0))
    return folder


@pytest.fixture(scope="package")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates | None:
    """Of an authority that nobody else trusts; None where no nginx can serve HTTPS with them."""
    return make_certificates(tmp_path_factory.mktemp("certificates")) if shutil.which("nginx") else None


@pytest.fixture(scope="package")
def archive(
    scans: Path, certificates: Certificates | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orthanc]:
    """An archive that has all of them, and wants a password."""
    with Orthanc(tmp_path_factory.mktemp("orthanc"), user=(USER, PASSWORD), certificates=certificates) as orthanc:
        orthanc.store([scans])
        yield orthanc


@pytest.fixture(scope="package")
def server(
    archive: Orthanc, certificates: Certificates | None, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with a key of its own, whose cache holds one kilobyte, and that sends contours and reports as well."""
    folder = tmp_path_factory.mktemp("served")
    for name, secret in (("password", PASSWORD), ("key", KEY)):
        (folder / name).write_text(f"{secret}\n")
        (folder / name).chmod(0o600)
    options: list[object] = ["--archive-user", USER, "--archive-password-file", folder / "password"]
    options += ["--archive-ca", certificates.authority] if certificates else []
    options += ["--api-key-file", folder / "key", "--archive-cache-gb", "0.000001"]
    options += ["--archive-also", "rtstruct", "--archive-also", "report"]
    with serving(archive.url, folder, tiny_bundle, *options) as server:
        yield server
