"""Orthanc, nginx and OHIF, set up and used by the very files and commands of docs/viewers.md, but for the ports."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.dicomweb.nginx import AS_OWNER
from tests.dicomweb.processes import ServerProcess
from tests.dicomweb.viewer_packages import ohif_viewer
from tests.free_ports import free_port

PAGE = REPOSITORY / "docs" / "viewers.md"
ARCHIVE, VIEWER = "8042", "3000"
"""Ports as the page has them."""

PUSH, SEGMENT, OPEN = 2, 3, 4
"""The page's commands after the first two, which start archive and viewer."""


@dataclass(frozen=True)
class ReadingPlace:
    """Archive and viewer that run.

    Attributes:
        folder: that the commands are given in; `scan` in it goes into the archive.
        archive: address of Orthanc.
        viewer: address of OHIF.
        commands: of the page.
    """

    folder: Path
    archive: str
    viewer: str
    commands: list[str]

    def give(self, number: int, study: str = "") -> str:
        """Give a command of the page, counted from 0; returns what it says."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        variables = {**os.environ, "PATH": path, "STUDY": study}
        done = subprocess.run(
            ["sh", "-c", self.commands[number]], cwd=self.folder, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr


def blocks(language: str) -> list[str]:
    """Read the blocks of the page in a language: `json`, `nginx`, `js` or `sh`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)


@contextmanager
def reading_place(folder: Path) -> Iterator[ReadingPlace]:
    """Follow the page up to its second command; skips without npm."""
    viewer = _copy(ohif_viewer(), folder / "package" / "dist")
    (viewer / "app-config.js").unlink()  # another name of the file in the cache, which stays as it is
    ports = {ARCHIVE: str(free_port()), VIEWER: str(free_port())}
    files = {"orthanc.json": "json", "nginx.conf": "nginx", "package/dist/app-config.js": "js"}
    for name, language in files.items():
        (text,) = blocks(language)
        (folder / name).write_text(_replaced(text, ports))
    commands = [_replaced(line, ports) for line in blocks("sh")[-1].splitlines()]
    archive, seen = (f"http://127.0.0.1:{port}" for port in ports.values())
    with ExitStack() as running:
        for command, url in ((commands[0], f"{archive}/system"), (commands[1] + AS_OWNER, seen)):
            process = ServerProcess(["sh", "-c", f"exec {command}"], folder / "server.log", folder)
            running.callback(process.stop)
            process.start(partial(answers, url))
        yield ReadingPlace(folder, archive, seen, commands)


def answers(url: str) -> bool:
    """Whether there is somebody at an address."""
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except OSError:
        return False
    return True


def _replaced(text: str, ports: dict[str, str]) -> str:
    for old, new in ports.items():
        text = re.sub(rf"\b{old}\b", new, text)
    return text


def _copy(source: Path, target: Path) -> Path:
    """Copy a folder without its content, if the file system can."""

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:
            shutil.copyfile(old, new)

    return Path(shutil.copytree(source, target, copy_function=link))
