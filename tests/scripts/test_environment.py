"""Environments of the scripts: which build of PyTorch is asked for, and which of them a suite of tests needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "scripts"))  # as Python does for a script of that folder
import environment
import run_tests

RELEASE = (("torch==2.14.1", "torchvision==0.29.1"),)


def _index(folder: Path, *releases: tuple[str, str]) -> str:
    """An index of packages with empty wheels, by name and version; its address."""
    for name, version in releases:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        wheel, metadata = place / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{metadata}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{metadata}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{metadata}/RECORD", "")
        links = "".join(f'<a href="{file.name}">{file.name}</a>' for file in sorted(place.glob("*.whl")))
        (place / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return folder.as_uri()


def _would_install(attempts: Sequence[Sequence[str]], further: str) -> list[str]:
    """Versions that pip takes at the first attempt that succeeds, with a further index in its settings."""
    own = {"PIP_EXTRA_INDEX_URL": further, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_CONSTRAINT": ""}
    for attempt in attempts:
        command = [sys.executable, "-m", "pip", *attempt, "--dry-run", "--quiet", "--ignore-installed", "--report", "-"]
        run = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True)
        if run.returncode == 0:
            return sorted(one["metadata"]["version"] for one in json.loads(run.stdout)["install"])
    pytest.fail("no attempt succeeded")


@pytest.fixture
def cpu_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes the index of CPU builds."""

    def make(*releases: tuple[str, str]) -> str:
        address = _index(tmp_path / "cpu", *releases)
        monkeypatch.setattr(environment, "CPU_INDEX", address)
        return address

    return make


@pytest.mark.parametrize("build", ["2.14.1", "2.14.1+cu130", "2.14.1+rocm7.0"])
def test_a_cpu_build_is_taken_whatever_further_indexes_pip_knows(
    build: str, tmp_path: Path, cpu_index: Callable[..., str]
) -> None:
    cpu_index(("torch", "2.14.1+cpu"), ("torchvision", "0.29.1+cpu"))
    further = _index(tmp_path / "further", ("torch", build), ("torchvision", build.replace("2.14.1", "0.29.1")))
    attempts = environment.torch_attempts(RELEASE, small=True)
    assert _would_install(attempts, further) == ["0.29.1+cpu", "2.14.1+cpu"]


def test_without_a_cpu_build_the_one_that_there_is_does(tmp_path: Path, cpu_index: Callable[..., str]) -> None:
    cpu_index(("other", "1.0"))
    further = _index(tmp_path / "further", ("torch", "2.14.1"), ("torchvision", "0.29.1"))
    assert _would_install(environment.torch_attempts(RELEASE, small=True), further) == ["0.29.1", "2.14.1"]


def test_with_a_gpu_nothing_but_the_release_is_asked_for() -> None:
    assert environment.torch_attempts(RELEASE, small=False) == [["install", *RELEASE[0]]]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("tests/slicer_extension/test_end_to_end.py", {(".venv-slicer", ""), (".venv-label", "labeltest")}),
        ("tests/label_app", {(".venv-label", "labeltest")}),
        ("tests/io", {(".venv", "test")}),
    ],
)
def test_a_suite_alone_finds_every_environment_that_it_starts_programs_in(
    path: str, wanted: set[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = set()

    def prepare(extra: str, place: environment.Environment) -> Path:
        prepared.add((place.name, extra))
        return place.python

    monkeypatch.setattr(run_tests, "prepare", prepare)
    monkeypatch.setattr(run_tests, "CHECKS", ())
    monkeypatch.setattr(run_tests, "_pytest", lambda *_: 0)
    assert run_tests.main([path]) == 0
    assert prepared == wanted
