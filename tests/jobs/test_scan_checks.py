"""Scans are looked at by few processes at once, none of which takes more memory than a scan can need."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("filelock", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.jobs import scan_checks as module
from monai_semgan.jobs.job_errors import JobError
from monai_semgan.jobs.scan_checks import check_growth, check_scan
from tests.phantoms import grid, patient, save_nifti

pytestmark = pytest.mark.label
BOMB = (512, 512, 300)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CT."""
    affine, shape = grid((12.0, 12.0, 12.0), codes="LPI")
    return save_nifti(tmp_path_factory.mktemp("scan") / "ct.nii.gz", patient(affine, shape).array, affine)


def nifti_bomb(folder: Path) -> Path:
    """A NIfTI file that is a thousand times larger when unpacked."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(BOMB)
    header["magic"], header["vox_offset"] = b"n+1", 352
    path = folder / "bomb.nii.gz"
    with gzip.open(path, "wb", 6) as stream:
        stream.write(header.binaryblock + bytes(4))
        for _ in range(BOMB[2]):
            stream.write(bytes(BOMB[0] * BOMB[1]))
    return path


def nrrd_bomb(folder: Path) -> Path:
    """The same as NRRD."""
    path = folder / "bomb.nrrd"
    sizes = " ".join(map(str, BOMB))
    head = (
        f"NRRD0004\ntype: unsigned char\ndimension: 3\nsizes: {sizes}\nencoding: gzip\nspace: left-posterior-superior\n"
    )
    head += "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nkinds: domain domain domain\n\n"
    path.write_bytes(head.encode() + gzip.compress(bytes(BOMB[0] * BOMB[1] * BOMB[2])))
    return path


@pytest.mark.parametrize("make", [nifti_bomb, nrrd_bomb], ids=["nifti", "nrrd"])
def test_a_small_file_that_unpacks_to_a_giant_is_refused_from_its_header(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(SemganError, match="unpack to 78643200 voxels"):
        check_growth(path)
    with pytest.raises(JobError, match="no scan shrinks that much"):
        check_scan(path)


def test_a_scan_of_usual_size_may_be_one_value_nearly_everywhere(tmp_path: Path) -> None:
    array = np.zeros((512, 512, 100), np.int16)
    array[200:300, 200:300, 40:60] = 1000
    check_growth(save_nifti(tmp_path / "empty.nii.gz", array, np.eye(4)))


def test_what_is_no_image_or_has_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"no image")
    for path in (tmp_path / "a.nii.gz", tmp_path / "gone.nii.gz"):
        with pytest.raises(JobError):
            check_scan(path)


def test_few_processes_read_at_once(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, real = 0, 0, subprocess.run
    lock = threading.Lock()

    def counted(*words: Any, **options: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            time.sleep(0.05)
            return real([sys.executable, "-c", 'print(\'{"problem": "none"}\')'], **options)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(module.subprocess, "run", counted)
    threads = [threading.Thread(target=_quietly, args=(scan,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == module.AT_ONCE


def _quietly(path: Path) -> None:
    with pytest.raises(JobError):
        check_scan(path)


def test_large_scans_are_read_one_after_the_other(scan: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    command = "from monai_semgan.jobs import scan_checks as m; import sys; m.LARGE_VOXELS = int(sys.argv.pop()); "
    command += "sys.exit(m.main(*sys.argv[1:]))"

    def reading(large_voxels: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", command, scan, tmp_path / "lock", large_voxels]
        return subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE)

    with FileLock(str(tmp_path / "lock")):
        waiting, small = reading(10), reading(10**9)
        assert b"shape" in small.communicate(timeout=120)[0]
        assert waiting.poll() is None
    assert b"shape" in waiting.communicate(timeout=120)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems hold no process to that")
def test_a_process_takes_no_more_memory_than_it_is_allowed() -> None:
    code = "from monai_semgan.jobs.scan_checks import limit_memory; import numpy; limit_memory(100 << 20)\n"
    code += "numpy.ones(40 << 20, numpy.uint8); numpy.ones(200 << 20, numpy.uint8)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "Unable to allocate 200. MiB" in run.stderr


def test_a_scan_is_looked_at_without_libraries_that_it_does_not_need(tmp_path: Path) -> None:
    affine, shape = grid((8.0, 8.0, 12.0))
    scan = save_nifti(tmp_path / "scan.nii.gz", patient(affine, shape).array, affine)
    code = "import sys; from monai_semgan.jobs.scan_checks import main; main(sys.argv[1]); print(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code, str(scan)], capture_output=True, text=True, check=True)
    said, modules = run.stdout.splitlines()
    assert '"shape"' in said
    assert not {"torch", "monai", "SimpleITK", "pydantic", "fastapi", "pydicom"}.intersection(modules.split())
