"""Settings of archives in `--conf`, and folders of their labels."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monailabel.config import settings

from monai_semgan.dicomweb.archive_access import read_access
from monai_semgan.errors import SemganError
from monai_semgan.label_app.archive_store.archive_settings import (
    archive_address,
    cache_limits,
    result_kinds,
    studies_home,
)

URL = "http://127.0.0.1:8042/dicom-web"


def test_addresses_are_told_from_folders(tmp_path: Path) -> None:
    for text in (URL, URL.upper().replace("DICOM-WEB", "dicom-web"), f"dicomweb:{URL}"):
        address = archive_address(text)
        assert address is not None and address.host == "127.0.0.1:8042"
    assert archive_address(str(tmp_path)) is None and archive_address("http_studies") is None
    with pytest.raises(SemganError, match="name or password"):
        archive_address("http://reader:secret@127.0.0.1/dicom-web")


def test_every_archive_has_a_folder_of_its_own_for_labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    home = studies_home(URL, {})
    assert home == tmp_path / "monai_semgan" / "archives" / "127.0.0.1_8042_dicom-web"
    assert studies_home(URL, {"labels": "/elsewhere"}) == Path("/elsewhere")
    assert studies_home(str(tmp_path), {}) == tmp_path


def test_limits_have_defaults_and_have_to_be_numbers() -> None:
    assert cache_limits({}) == (20 << 30, 24 * 3600.0)
    assert cache_limits({"archive_cache_gb": "0.5", "archive_cache_hours": "1"}) == (1 << 29, 3600.0)
    for wrong in ("0", "-1", "nan", "inf", "much"):
        with pytest.raises(SemganError, match="archive_cache_gb"):
            cache_limits({"archive_cache_gb": wrong})


def test_only_what_can_be_made_is_sent_besides() -> None:
    assert result_kinds({}) == () and result_kinds({"archive_also": "rtstruct, report"}) == ("rtstruct", "report")
    with pytest.raises(SemganError, match="jpeg cannot be sent"):
        result_kinds({"archive_also": "jpeg"})


def test_the_password_of_monai_label_counts_unless_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD", "TOKEN", "CA"):
        monkeypatch.setenv(f"SEMGAN_ARCHIVE_{name}", "")  # what is put there goes at the end of the test
    monkeypatch.setattr(settings, "MONAI_LABEL_DICOMWEB_USERNAME", "stock")
    monkeypatch.setattr(settings, "MONAI_LABEL_DICOMWEB_PASSWORD", "its password")
    archive_address(URL)
    assert (read_access().user, read_access().password) == ("stock", "its password")
    monkeypatch.setenv("SEMGAN_ARCHIVE_USER", "own")
    monkeypatch.setenv("SEMGAN_ARCHIVE_PASSWORD", "own password")
    archive_address(URL)
    assert read_access().user == "own"
    for name in ("USER", "PASSWORD"):
        monkeypatch.setenv(f"SEMGAN_ARCHIVE_{name}", "")
    monkeypatch.setenv("SEMGAN_ARCHIVE_TOKEN", "own-token")
    archive_address(URL)
    assert read_access().token == "own-token"
