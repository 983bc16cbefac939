"""Nobody is given a damaged image as the next sample, and none stands in the way of those that can be opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_volume
from monai_semgan.label_app.activelearning.openable import Openable
from monai_semgan.label_app.activelearning.strategies import strategies

pytestmark = pytest.mark.label
NAMES = ("semgan_out_of_domain", "semgan_disagreement", "random", "first", "semgan_residual")
ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")


def write_scan(path: Path) -> None:
    """Write a small scan whose voxels do not shrink to nothing."""
    array = np.random.default_rng(0).integers(-1000, 1000, (24, 20, 16)).astype(np.int16)
    write_volume(array, Volume(array, np.diag([2.0, 2.0, 5.0, 1.0])), path)


@pytest.fixture
def studies(tmp_path: Path, make_datastore: Callable[..., Any]) -> Any:
    """A datastore of `b`, which is whole, between damaged ones."""
    write_scan(tmp_path / "b.nii.gz")
    (tmp_path / "a.nii.gz").write_bytes((tmp_path / "b.nii.gz").read_bytes()[:4000])
    (tmp_path / "c.nii.gz").write_bytes(b"garbage")
    (tmp_path / "d.nrrd").write_bytes(b"NRRD0004\nno header")
    return make_datastore()


def ask(studies: Any, name: str, user: str, openable: Openable | None = None) -> str | None:
    """Ask one of a server's strategies."""
    found = strategies(usable=openable or Openable())[name]({"strategy": name, "client_id": user}, studies)
    return found["id"] if found else None


@pytest.mark.parametrize("name", NAMES)
def test_damaged_images_are_passed_over(studies: Any, name: str) -> None:
    assert ask(studies, name, "ann") == "b"


@pytest.mark.parametrize("name", NAMES)
def test_who_has_an_image_keeps_it_when_only_damaged_ones_are_left(studies: Any, name: str) -> None:
    choose = strategies(usable=Openable())[name]
    given = [choose({"strategy": name, "client_id": user}, studies) for user in ("ann", "ann", "bob")]
    assert [found["id"] if found else None for found in given] == ["b", "b", None]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_whole_file_can_be_opened(tmp_path: Path, make_datastore: Callable[..., Any], ending: str) -> None:
    write_scan(tmp_path / f"scan{ending}")
    assert Openable()("scan", make_datastore())


def test_an_image_that_was_copied_again_is_looked_at_again(
    studies: Any, tmp_path: Path, make_datastore: Callable[..., Any]
) -> None:
    openable = Openable()
    assert not openable("a", studies)
    (tmp_path / "a.nii.gz").write_bytes((tmp_path / "b.nii.gz").read_bytes())
    assert openable("a", make_datastore())
