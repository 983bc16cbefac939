"""A kept result is not taken for that of an input of which any byte has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.io.formats import label_endings, readable_endings
from monai_semgan.utils.file_state import SMALL, file_state, files_of, fingerprint

VOXELS = bytes(range(64))


def _write(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write files, the first of which is the input."""
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / next(iter(contents))


def _meta(data: str) -> bytes:
    return f"ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementDataFile = {data}\n".encode()


def _nrrd(data: str, start: str = "NRRD0004\n# a comment\n") -> bytes:
    return f"{start}type: uint8\ndimension: 3\nsizes: 4 4 4\n{data}\n".encode()


RAW = {"a.raw": VOXELS}
SLICES = {f"s{number:03d}.raw": VOXELS for number in (1, 2, 11)}
BELONGING: dict[str, dict[str, bytes]] = {
    "mhd": {"a.mhd": _meta("a.raw"), **RAW},
    "mhd with a space": {"a.mhd": _meta("my scan.raw"), "my scan.raw": VOXELS},
    "mhd below": {"a.mhd": _meta("data/a.zraw"), "data/a.zraw": VOXELS},
    "MHD of Windows": {"A.MHD": _meta("a.raw").replace(b"\n", b"\r\n"), **RAW},
    "mha that is detached": {"a.mha": _meta("a.raw"), **RAW},
    "mhd of a list": {"a.mhd": _meta("LIST\n" + "\n".join(SLICES)), **SLICES},
    "mhd of a list of planes": {"a.mhd": _meta("LIST 2\n" + "\n".join(SLICES)), **SLICES},
    "mhd of a pattern": {"a.mhd": _meta("s%03d.raw 1 11 1"), **SLICES},
    "mhd of a pattern alone": {"a.mhd": _meta("s%03d.raw"), **SLICES},
    "nhdr": {"a.nhdr": _nrrd("data file: a.raw"), **RAW},
    "nhdr in one word": {"a.nhdr": _nrrd("datafile: ./a.raw"), **RAW},
    "nhdr of Windows": {"a.nhdr": _nrrd("data file: a.raw\n").replace(b"\n", b"\r\n"), **RAW},
    "nrrd that is detached": {"a.nrrd": _nrrd("data file: a.raw.gz\n"), "a.raw.gz": VOXELS},
    "nhdr of a list": {"a.nhdr": _nrrd("data file: LIST\n" + "\n".join(SLICES)), **SLICES},
    "nhdr of a pattern": {"a.nhdr": _nrrd("data file: s%03d.raw 1 11 1 2"), **SLICES},
    "Analyze": {"a.hdr": VOXELS, "a.img": VOXELS, "a.mat": VOXELS},
    "Analyze, by its voxels": {"a.img": VOXELS, "a.hdr": VOXELS},
    "Analyze, packed": {"a.hdr.gz": VOXELS, "a.img.gz": VOXELS},
    "DICOM": {"study/1/a.dcm": VOXELS, "study/1/b": VOXELS, "study/2/a.dcm": VOXELS},
    **{
        f"one file{ending}": {f"a{ending}": VOXELS}
        for ending in {*readable_endings(), *label_endings()} - {".mhd", ".nhdr"}
    },
}


@pytest.mark.parametrize("kind", sorted(BELONGING))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_byte_of_any_file_that_belongs_to_an_input_counts(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Even if size and time of change stay as they were."""
    folder = tmp_path_factory.mktemp("input")
    contents = BELONGING[kind]
    path = _write(folder, {name: bytes(content) for name, content in contents.items()})
    path = folder / "study" if kind == "DICOM" else path
    before = file_state(path)
    assert len(before) == len(contents)
    changed = folder / data.draw(st.sampled_from(sorted(contents)))
    times = changed.stat()
    content = bytearray(changed.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    changed.write_bytes(content)
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file_state(path) != before


def test_files_that_do_not_belong_do_not_count(tmp_path: Path) -> None:
    """A neighbour that changes costs nothing."""
    for contents in BELONGING.values():
        path = _write(tmp_path, contents)
        before = file_state(path)
        (tmp_path / "b.raw").write_bytes(VOXELS)
        (tmp_path / "b.img").write_bytes(VOXELS)
        assert file_state(path) == before
        (tmp_path / "b.raw").unlink()
        (tmp_path / "b.img").unlink()
        for name in contents:
            (tmp_path / name).unlink()


@pytest.mark.parametrize("ending", [".mhd", ".nhdr"])
def test_voxels_written_by_itk_are_found(ending: str, tmp_path: Path) -> None:
    """The header and the file with the voxels, whatever the library calls it."""
    image = SimpleITK.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    SimpleITK.WriteImage(image, str(tmp_path / f"a{ending}"))
    assert files_of(tmp_path / f"a{ending}") == sorted(tmp_path.iterdir())
    assert len(file_state(tmp_path / f"a{ending}")) == 2


def test_large_files_are_known_by_their_time_and_samples(tmp_path: Path) -> None:
    """The time for any byte; the samples for another scan, or the checksum at the end, where the time is put back."""
    path, size = tmp_path / "a.nii.gz", 40 * SMALL
    content = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    content.tofile(path)
    before, times = file_state(path), path.stat()

    def with_time(changed: np.ndarray, nanoseconds: int) -> list[list[str | int]]:
        changed.tofile(path)
        os.utime(path, ns=(nanoseconds, nanoseconds))
        return file_state(path)

    other, ended, inside = content[::-1].copy(), content.copy(), content.copy()
    ended[-1] ^= 1
    inside[5000] ^= 1
    assert with_time(content, times.st_mtime_ns) == before
    assert with_time(other, times.st_mtime_ns) != before
    assert with_time(ended, times.st_mtime_ns) != before
    assert with_time(inside, times.st_mtime_ns + 10_000_000) != before


def test_another_series_of_the_same_sizes_and_times_is_noticed(tmp_path: Path) -> None:
    """As in an archive whose times were all set to one; in a long series, not every file is opened."""

    def state_of(series: int) -> list[list[str | int]]:
        for number in range(100):
            (tmp_path / f"{number}.dcm").write_bytes(b"%d %d" % (series, number))
            os.utime(tmp_path / f"{number}.dcm", ns=(1, 1))
        return file_state(tmp_path)

    assert state_of(1) == state_of(1)
    assert state_of(2) != state_of(1)
    before = state_of(1)
    os.utime(tmp_path / "77.dcm", ns=(2, 2))
    assert file_state(tmp_path) != before


def test_a_copy_with_its_times_has_the_same_state(tmp_path: Path) -> None:
    """Data that are copied to a node of a cluster for every job keep their results."""
    import shutil

    _write(tmp_path, {"here/a.mhd": _meta("a.raw"), "here/a.raw": VOXELS})
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert file_state(tmp_path / "here" / "a.mhd") == file_state(tmp_path / "there" / "a.mhd")
    assert file_state(tmp_path / "here") == file_state(tmp_path / "there")


def test_a_state_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    """JSON has no tuples and paths; a state holds none."""
    state = file_state(_write(tmp_path, BELONGING["mhd"]))
    assert json.loads(json.dumps(state)) == state
    assert fingerprint(state) == fingerprint(json.loads(json.dumps(state)))


@pytest.mark.parametrize(
    "break_it",
    [
        lambda folder: (folder / "a.raw").unlink(),
        lambda folder: (folder / "a.mhd").unlink(),
        lambda folder: (folder / "a.mhd").write_bytes(_meta("x\0y")),
        lambda folder: (folder / "a.mhd").write_bytes(_meta("s%099999999999d.raw 1 999999999999 1")),
        lambda folder: (folder / "a.mhd").write_bytes(_meta("LIST\n\0\n\n")),
        lambda folder: (folder / "a.mhd").write_bytes(_meta("")),
        lambda folder: (folder / "a.mhd").write_bytes(_meta("/dev/zero")),
        lambda folder: (folder / "a.mhd").write_bytes(_meta("no/such/s%03d.raw 1 9 1")),
        lambda folder: (folder / "a.mhd").write_bytes(_meta("x" * 5000)),
        lambda folder: (folder / "a.mhd").write_bytes(b"\xff\xfe" * 50),
    ],
)
def test_a_broken_input_has_a_state_too(break_it: Callable[[Path], None], tmp_path: Path) -> None:
    """It differs from that of the sound one, and nothing hangs or fails: reading it will tell what is wrong."""
    path = _write(tmp_path, BELONGING["mhd"])
    before = file_state(path)
    break_it(tmp_path)
    assert file_state(path) != before
    assert file_state(path) == file_state(path)
