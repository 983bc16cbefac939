"""The cache of fetched series: bounded, forgotten after a time, and what is in use stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")
pytest.importorskip("dicomweb_client")

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_address import parse_address
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.label_app.archive_store.archive_cache import BUSY_SECONDS, ArchiveCache
from tests.dicomweb.odd_archive import OddArchive
from tests.label_app.archive_store.serving import write_scan

HOUR = 3600.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddArchive]:
    """An archive with three series of the same size."""
    folder = tmp_path_factory.mktemp("scans")
    for name in "abc":
        write_scan(folder / name, spacing=(30.0, 30.0, 30.0))
    with OddArchive(path for name in "abc" for path in (folder / name).iterdir()) as archive:
        yield archive


@pytest.fixture
def listed(archive: OddArchive) -> list[ArchiveSeries]:
    """Its series."""
    return Archive(parse_address(archive.url)).list_series()


@pytest.fixture
def clock() -> Clock:
    """The clock of the cache."""
    return Clock()


@pytest.fixture
def cache(archive: OddArchive, clock: Clock, tmp_path: Path) -> ArchiveCache:
    """A cache without limits that matter."""
    return ArchiveCache(tmp_path / "cache", parse_address(archive.url), clock=clock)


def fetch(cache: ArchiveCache, clock: Clock, series: ArchiveSeries) -> Path:
    """Fetch a series, and let the clock tell when that was."""
    folder = cache.fetched(series)
    os.utime(folder, (clock.now, clock.now))
    return folder


def test_a_series_is_fetched_once(
    cache: ArchiveCache, clock: Clock, listed: list[ArchiveSeries], archive: OddArchive
) -> None:
    folder = fetch(cache, clock, listed[0])
    before = archive.asked("together")
    assert cache.fetched(listed[0]) == folder and archive.asked("together") == before
    assert len(list(folder.glob("*.dcm"))) == len(
        [1 for one in archive.instances.values() if one.series == listed[0].series]
    )


def test_what_is_not_used_for_long_is_forgotten(
    cache: ArchiveCache, clock: Clock, listed: list[ArchiveSeries], archive: OddArchive
) -> None:
    first, second = (fetch(cache, clock, one) for one in listed[:2])
    clock.now += 20 * HOUR
    cache.fetched(listed[1])  # used meanwhile
    clock.now += 5 * HOUR
    cache.tidy()
    assert not first.exists() and second.is_dir()
    assert cache.fetched(listed[0]) == first and first.is_dir()


def test_the_series_that_was_not_used_for_longest_makes_room(
    cache: ArchiveCache, clock: Clock, listed: list[ArchiveSeries]
) -> None:
    folders = []
    for one in listed:
        folders.append(fetch(cache, clock, one))
        clock.now += HOUR
    cache.limit_bytes = sum(path.stat().st_size for folder in folders[1:] for path in folder.iterdir())
    cache.tidy()
    assert [folder.exists() for folder in folders] == [False, True, True]


def test_what_is_in_use_stays_however_full_the_cache_is(
    cache: ArchiveCache, clock: Clock, listed: list[ArchiveSeries]
) -> None:
    folders = [fetch(cache, clock, one) for one in listed]
    cache.limit_bytes = 1
    cache.tidy()
    assert all(folder.is_dir() for folder in folders)  # somebody may just be reading them
    clock.now += 30 * HOUR
    cache.in_use = lambda: {folders[1]}
    cache.tidy()
    assert [folder.exists() for folder in folders] == [False, True, False]
    cache.in_use = lambda: ()
    cache.tidy()
    assert not folders[1].exists()


def test_a_volume_is_used_when_it_is_asked_for(cache: ArchiveCache, clock: Clock) -> None:
    file = cache.volumes / "image" / "state" / "image.nrrd"
    assert not cache.use(file, file.parents[1])
    file.parent.mkdir(parents=True)
    file.write_bytes(b"voxels")
    assert cache.use(file, file.parents[1])
    clock.now += BUSY_SECONDS / 2
    cache.limit_bytes = 1
    cache.tidy()
    assert file.is_file()
    clock.now += BUSY_SECONDS
    cache.tidy()
    assert not file.exists()


def test_a_series_that_has_changed_is_completed(
    cache: ArchiveCache, clock: Clock, listed: list[ArchiveSeries], archive: OddArchive
) -> None:
    folder = fetch(cache, clock, listed[2])
    (removed, *_) = [uid for uid, one in archive.instances.items() if one.series == listed[2].series]
    instance = archive.instances.pop(removed)
    try:
        (now,) = [one for one in Archive(parse_address(archive.url)).list_series() if one.series == listed[2].series]
        assert cache.fetched(now) == folder and not (folder / f"{removed}.dcm").exists()
    finally:
        archive.instances[removed] = instance
