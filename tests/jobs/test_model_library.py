"""Versions of the models that a server runs: found again, chosen, and passed over where they are damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the environment of the extra label")

from monai_semgan.bundle.model_versions import VersionRecord, VersionStore
from monai_semgan.jobs.job_errors import Conflict, NoSpace, Unknown
from monai_semgan.jobs.model_library import ModelLibrary
from monai_semgan.jobs.models import served_models

pytestmark = pytest.mark.label


def library(root: Path, bundle: Path) -> ModelLibrary:
    """As a server has it after its start."""
    return ModelLibrary(root / "models", served_models([bundle]))


def made(root: Path, bundle: Path) -> tuple[VersionStore, str]:
    """The store of the model with a version that is in use, and the model's name."""
    first = library(root, bundle)
    name = first.name(None)
    store = first.stores[name]
    store.add(bundle, VersionRecord(structures=("aorta",), figures={"aorta": 0.7}))
    first.use(name, 1)
    return store, name


def test_a_damaged_version_is_passed_over_and_told(tiny_bundle: Path, tmp_path: Path) -> None:
    store, name = made(tmp_path, tiny_bundle)
    (store.root / "1" / "models" / "model.pt").write_bytes(b"half")
    found = library(tmp_path, tiny_bundle)
    assert found.models[name].folder == tiny_bundle
    assert found.versions(name).current == 0
    with pytest.raises(Conflict, match="damaged"):
        found.use(name, 1)
    assert found.use(name, 0).versions[1].problem


def test_a_choice_that_cannot_be_written_changes_nothing(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, name = made(tmp_path, tiny_bundle)
    found = library(tmp_path, tiny_bundle)
    (store.root / "current.json").unlink()
    (store.root / "current.json").mkdir()
    with pytest.raises((NoSpace, Conflict)):
        found.use(name, 0)
    assert found.models[name].folder == store.root / "1"


def test_versions_of_other_weights_of_the_same_name_are_left_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    _, name = made(tmp_path, tiny_bundle)
    other = shutil.copytree(tiny_bundle, tmp_path / "other")
    weights = other / "models" / "model.pt"
    weights.write_bytes(weights.read_bytes() + b"\0")
    found = library(tmp_path, other)
    assert found.models[name].folder == other and found.versions(name).current == 0


def test_unknown_models_and_versions_are_told(tiny_bundle: Path, tmp_path: Path) -> None:
    found = library(tmp_path, tiny_bundle)
    name = found.name(None)
    with pytest.raises(Unknown, match=f"unknown model; this server has {name}"):
        found.versions("other")
    with pytest.raises(Unknown, match="no version 3; there are 0"):
        found.use(name, 3)


def test_a_version_chosen_on_the_command_line_is_used_without_a_new_start(tiny_bundle: Path, tmp_path: Path) -> None:
    store, name = made(tmp_path, tiny_bundle)
    found = library(tmp_path, tiny_bundle)
    told: list[str] = []
    found.on_change.append(told.append)
    store.use(0)
    found.follow(besides=[name])
    assert found.current(name) == 1
    found.follow()
    assert (found.current(name), found.models[name].folder, told) == (0, tiny_bundle, [name])
    found.follow()
    assert told == [name]


def test_a_choice_that_cannot_be_read_leaves_the_version_in_use(tiny_bundle: Path, tmp_path: Path) -> None:
    store, name = made(tmp_path, tiny_bundle)
    found = library(tmp_path, tiny_bundle)
    (store.root / "current.json").write_text("{")
    found.follow()
    assert found.current(name) == 1
    store.use(0)
    found.follow()
    assert found.current(name) == 0
