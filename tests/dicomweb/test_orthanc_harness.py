"""The Orthanc that the tests start is a real archive: it keeps, finds, gives back, and refuses strangers."""

from __future__ import annotations

import io
import json
import ssl
import urllib.error
import urllib.request
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from tests.dicomweb.certificates import make_certificates
from tests.dicomweb.nginx import needs_nginx
from tests.dicomweb.orthanc import Orthanc, needs_orthanc
from tests.dicomweb.phantom_series import write_ct

pytestmark = needs_orthanc


def read(folder: Path) -> dict[str, Dataset]:
    """Data sets of a folder by the UID of their instance."""
    files = (dcmread(path) for path in folder.iterdir())
    return {file.SOPInstanceUID: file for file in files}


def test_what_was_stored_is_found_by_qido(orthanc: Orthanc, ct_series: Path) -> None:
    one = next(iter(read(ct_series).values()))
    stored = orthanc.store([ct_series])
    found = json.loads(
        orthanc.get(f"/dicom-web/studies/{one.StudyInstanceUID}/series?Modality=CT", Accept="application/dicom+json")
    )
    assert [Dataset.from_json(series).SeriesInstanceUID for series in found] == [one.SeriesInstanceUID]
    assert len(stored) == len(set(stored)) == len(list(ct_series.iterdir()))
    assert Dataset.from_json(found[0]).NumberOfSeriesRelatedInstances == len(stored)


def test_what_was_stored_comes_back_by_wado(orthanc: Orthanc, ct_series: Path) -> None:
    files = read(ct_series)
    one = next(iter(files.values()))
    orthanc.store(sorted(ct_series.iterdir()))
    path = f"/dicom-web/studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}"
    request = urllib.request.Request(
        orthanc.root + path, headers={"Accept": 'multipart/related; type="application/dicom"'}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + answer.read(), policy=HTTP).get_payload()
    back = [dcmread(io.BytesIO(part.get_payload(decode=True))) for part in parts]
    assert {file.SOPInstanceUID for file in back} == set(files)
    for file in back:
        np.testing.assert_array_equal(file.pixel_array, files[file.SOPInstanceUID].pixel_array)


def test_a_restart_keeps_the_address_and_what_is_stored(tmp_path: Path) -> None:
    with Orthanc(tmp_path / "orthanc") as orthanc:
        url = orthanc.url
        stored = orthanc.store([write_ct(tmp_path / "ct", spacing=(30.0, 30.0, 60.0))])
        orthanc.restart()
        assert orthanc.url == url
        assert sorted(orthanc.rest("/instances")) == sorted(stored)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/studies", timeout=10)


def test_strangers_are_refused_where_there_are_users(tmp_path: Path) -> None:
    with Orthanc(tmp_path, user=("reader", "pass:word")) as orthanc:
        assert orthanc.rest("/dicom-web/studies") == []
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{orthanc.url}/studies", timeout=10)
        assert refused.value.code == 401


@needs_nginx
def test_https_is_trusted_by_whoever_knows_the_authority_only(tmp_path: Path) -> None:
    with Orthanc(tmp_path, user=("reader", "secret"), certificates=make_certificates(tmp_path)) as orthanc:
        assert orthanc.url.startswith("https://127.0.0.1:")
        orthanc.store([write_ct(tmp_path / "ct", spacing=(30.0, 30.0, 60.0))])
        (study,) = orthanc.rest("/dicom-web/studies")
        assert study["00081190"]["Value"][0].startswith(f"{orthanc.url}/studies/")  # links lead here as well
        with pytest.raises(urllib.error.URLError) as refused:
            urllib.request.urlopen(f"{orthanc.url}/studies", timeout=10)
        assert isinstance(refused.value.reason, ssl.SSLCertVerificationError)


def test_a_server_that_cannot_start_fails_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("no folder")
    with pytest.raises(pytest.fail.Exception, match="has ended with .*\n(.*\n)*.*storage"):
        Orthanc(tmp_path).start()
