"""Orthanc behind nginx, and OHIF in front of it, set up as docs/viewers.md tells readers to."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.dicomweb.nginx import Nginx
from tests.dicomweb.orthanc import Orthanc
from tests.dicomweb.viewer_packages import ohif_viewer
from tests.free_ports import free_port

PAGE = REPOSITORY / "docs" / "viewers.md"
ARCHIVE_PORT, VIEWER_PORT = "127.0.0.1:8042", "127.0.0.1:3000"
"""As the page has them."""


@dataclass(frozen=True)
class ReadingPlace:
    """Archive and viewer that run.

    Attributes:
        orthanc: the archive.
        url: of the viewer, without a slash at the end.
    """

    orthanc: Orthanc
    url: str

    def viewer(self, study: str) -> str:
        """Address of a study in the viewer, by its `StudyInstanceUID`."""
        return f"{self.url}/viewer?StudyInstanceUIDs={study}"


def block(language: str) -> str:
    """Read the one block of the page in a language, `json`, `nginx` or `js`."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    return str(text)


@contextmanager
def reading_place(folder: Path) -> Iterator[ReadingPlace]:
    """Start both in a folder, with the files of the page but for the ports; skips without npm."""
    viewer = _copy(ohif_viewer(), folder / "package" / "dist")
    (viewer / "app-config.js").unlink()  # another name of the file in the cache, which stays as it is
    (viewer / "app-config.js").write_text(block("js"))
    port = free_port()
    with Orthanc(folder / "orthanc", settings=_settings()) as orthanc:
        own = {ARCHIVE_PORT: f"127.0.0.1:{orthanc.port}", VIEWER_PORT: f"127.0.0.1:{port}"}
        with Nginx(folder, _replaced(block("nginx"), own), port):
            yield ReadingPlace(orthanc, f"http://127.0.0.1:{port}")


def _settings() -> dict[str, object]:
    """Those of the page, but for what tells one archive from another: port and storage."""
    settings = json.loads(block("json"))
    assert f"127.0.0.1:{settings.pop('HttpPort')}" == ARCHIVE_PORT
    return {name: value for name, value in settings.items() if name not in {"StorageDirectory", "IndexDirectory"}}


def _replaced(text: str, others: dict[str, str]) -> str:
    for old, new in others.items():
        assert old in text, f"{PAGE.name} has no {old}"
        text = text.replace(old, new)
    return text


def _copy(source: Path, target: Path) -> Path:
    """Copy a folder without its content, if the file system can."""

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:
            shutil.copyfile(old, new)

    return Path(shutil.copytree(source, target, copy_function=link))
