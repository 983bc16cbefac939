"""Passwords and keys are told nobody, the cache is bounded, and MONAI Label's own server does the same."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.conftest import REPOSITORY
from tests.dicomweb.certificates import Certificates
from tests.dicomweb.orthanc import Orthanc, needs_orthanc
from tests.label_app.archive_store.serving import (
    KEY,
    PASSWORD,
    USER,
    ask,
    ask_without_key,
    download,
    ids,
    images,
    label_file,
    organs,
    results,
    save_label,
    saved,
)
from tests.label_app.servers import Server, start_monailabel

pytestmark = [pytest.mark.label, needs_orthanc]


def test_a_full_cache_forgets_what_is_not_in_use_and_no_label(server: Server, scans: Path, tmp_path: Path) -> None:
    first, second = (ids(scans, name)[0] for name in ("ct", "mr"))
    cache = server.studies / ".semgan" / "archive"
    volume = download(server, first, tmp_path)
    file = label_file(organs(volume), volume, tmp_path / "label.nii.gz")
    assert save_label(server, first, file, tag="preliminary").ok
    assert (cache / "series" / first).is_dir()  # just used: it may be read, however small the cache
    for folder in (*cache.glob("series/*"), *cache.glob("volumes/*")):
        os.utime(folder, (1e9, 1e9))
    download(server, second, tmp_path)
    assert not (cache / "series" / first).exists()
    assert len(list(cache.glob("volumes/*"))) == 1
    assert "preliminary" in images(server)[first]["labels"]
    assert download(server, first, tmp_path).array.any()  # fetched once more


def test_password_and_key_are_told_nobody(server: Server) -> None:
    told = server.logged() + ask(server, "GET", "/info/").text + ask(server, "GET", "/semgan/archive").text
    processes = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    shown = told + " ".join(word for process in processes for word in process.cmdline())
    assert PASSWORD not in shown and KEY not in shown


def test_routes_of_the_archive_want_the_key(server: Server) -> None:
    again = "/semgan/archive/submissions/x/final"
    for method, path in (("GET", "/semgan/archive"), ("POST", again), ("GET", "/proxy/dicom/x")):
        assert ask_without_key(server, method, path).status_code == 401, path
    described = ask(server, "GET", "/openapi.json").json()["paths"]
    assert {"/semgan/archive", "/semgan/archive/submissions/{image}/{tag}"} < set(described)
    assert ask(server, "POST", again).status_code == 404


def test_monai_labels_own_server_lists_fetches_and_sends(
    archive: Orthanc, certificates: Certificates | None, scans: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    main = (REPOSITORY / "monai_semgan" / "label_app" / "main.py").read_text()
    conf = ("--conf", "bundle", tiny_bundle, "--conf", "labels", tmp_path / "labels")
    access = {"MONAI_LABEL_DICOMWEB_USERNAME": USER, "MONAI_LABEL_DICOMWEB_PASSWORD": PASSWORD}
    access |= {"SEMGAN_ARCHIVE_CA": str(certificates.authority)} if certificates else {}
    home, kept = tmp_path / "home", tmp_path / "labels"
    with start_monailabel(main, archive.url, home, *conf, variables=access, kept=kept) as plain:
        (image,) = ids(scans, "mr")
        assert image in images(plain)
        volume = download(plain, image, tmp_path)
        before = results(archive, tmp_path)
        told = saved(plain, image, label_file(organs(volume), volume, tmp_path / "label.nii.gz"))
        assert told["state"] == "sent" and told["series"] in results(archive, tmp_path).keys() - before.keys()
        assert PASSWORD not in plain.logged()
