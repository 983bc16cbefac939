"""The five commands of docs/viewers.md do what the page says."""

from __future__ import annotations

import json
import shlex
import urllib.request
from pathlib import Path

from pydicom import Dataset, dcmread

from tests.dicomweb.nginx import needs_nginx
from tests.dicomweb.ohif import OPEN, PUSH, SEGMENT, reading_place
from tests.dicomweb.orthanc import needs_orthanc
from tests.dicomweb.phantom_series import write_ct

pytestmark = [needs_orthanc, needs_nginx]


def asked(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def test_a_scan_is_pushed_segmented_sent_back_and_opened(tmp_path: Path) -> None:
    scan = write_ct(tmp_path / "scan", spacing=(3.0, 3.0, 8.0))
    study = str(dcmread(next(scan.iterdir())).StudyInstanceUID)
    with reading_place(tmp_path) as place:
        assert len(place.commands) == 5
        place.give(PUSH)
        assert len(json.loads(asked(f"{place.archive}/instances"))) == len(list(scan.iterdir()))
        place.give(SEGMENT, study)
        page, address = shlex.split(place.commands[OPEN].replace("$STUDY", study))
        assert page == "xdg-open" and b"OHIF" in asked(address)
        through_viewer = json.loads(asked(f"{place.viewer}/dicom-web/studies/{study}/series"))
        series = [Dataset.from_json(one) for one in through_viewer]
        assert sorted(one.Modality for one in series) == ["CT", "SEG"]
        assert all(one.RetrieveURL.startswith(f"{place.viewer}/dicom-web/studies/{study}/series/") for one in series)
    organs = dcmread(tmp_path / "organs.dcm")
    assert organs.SeriesInstanceUID in {one.SeriesInstanceUID for one in series}
    assert "liver" in {segment.SegmentLabel for segment in organs.SegmentSequence}
