"""Viewers from npm, kept between runs in the user's cache: the very archives that these tests were written with."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

OHIF = ("@ohif/app", "3.13.2")
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="

LIBRARIES = Path(__file__).with_name("viewer_libraries")


def ohif_viewer() -> Path:
    """Find the built viewer (`dist` of the package), downloaded at the first call.

    A test is skipped without npm or its registry, and fails if the registry gives another file than expected.
    """
    kept = cache() / f"ohif-{OHIF[1]}"
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f"{kept.name}-") as folder:
            _unpack(_packed("@".join(OHIF), Path(folder)), Path(folder))
            keep(Path(folder) / "package" / "dist", kept)
    return kept


def libraries() -> Path:
    """Find `node_modules` with what viewer_libraries/package.json asks for, installed at the first call.

    A test is skipped without npm or its registry.
    """
    asked = (LIBRARIES / "package.json").read_bytes()
    kept = cache() / f"libraries-{hashlib.sha256(asked).hexdigest()[:8]}"
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f"{kept.name}-") as folder:
            made = Path(folder) / "made"
            made.mkdir()
            (made / "package.json").write_bytes(asked)
            npm("install", "--ignore-scripts", "--no-audit", "--no-fund", folder=made)
            keep(made, kept)
    return kept / "node_modules"


def cache() -> Path:
    """Make the folder outside the repository that downloads are kept in."""
    root = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(root) if root else Path.home() / ".cache") / "monai_semgan-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(made: Path, kept: Path) -> None:
    """Move a complete folder to where it is looked for; whoever comes second has the first one's."""
    try:
        made.rename(kept)
    except OSError:
        if not kept.is_dir():
            raise


def npm(*arguments: str, folder: Path) -> str:
    """Run npm in a folder; the test is skipped if there is none, or no way to its registry."""
    program = shutil.which("npm")
    if program is None:
        pytest.skip("needs npm (Debian: npm)")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"npm {arguments[0]}: {' '.join(done.stderr.split())[:200]}")
    return done.stdout


def _packed(package: str, folder: Path) -> Path:
    (told,) = json.loads(npm("pack", package, "--json", folder=folder))
    packed = folder / told["filename"]
    digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == told["integrity"] == INTEGRITY, f"another {package} than the tests were written with"
    return packed


def _unpack(packed: Path, folder: Path) -> None:
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
