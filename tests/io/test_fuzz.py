"""Files cut off or with flipped bits are read or explained, whatever their format; nothing hangs, nothing crashes."""

from __future__ import annotations

import gzip
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label, write_volume
from monai_semgan.organs import Segments
from tests.dicom_phantoms import datasets, enhanced, nuclear, radiograph, save, write_series
from tests.phantoms import grid, labels_at, patient, points_of

NAMES = {1: "liver", 4: "spleen"}
SECONDS = 60
"""What no small file may take, on the slowest machine."""


def values(shape: tuple[int, ...] = (7, 6, 5)) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1500, shape).astype(np.int16)


def place() -> np.ndarray:
    return grid((2.0, 2.5, 3.0), degrees=(3.0, 5.0, 8.0))[0]


def volume(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return write_volume(values(), Volume(values(), place()), folder / name)

    return make


def plain_nifti(folder: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(values(), place()), folder / "a.nii")
    return folder / "a.nii"


def slice_file(syntax: str | None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pytest.importorskip("openjpeg")
        pytest.importorskip("jpeg_ls")
        path = save(datasets(values((32, 40, 1)), place())[0], folder / "a.dcm")
        if syntax is not None:
            dataset = pydicom.dcmread(path)
            if syntax == DeflatedExplicitVRLittleEndian:
                dataset.file_meta.TransferSyntaxUID = syntax
            else:
                dataset.compress(syntax)
            dataset.save_as(path, enforce_file_format=True)
        return path

    return make


def lossless_jpeg(folder: Path) -> Path:
    if not shutil.which("dcmcjpeg"):
        pytest.skip("dcmcjpeg of DCMTK is not installed")
    path = slice_file(None)(folder)
    subprocess.run(["dcmcjpeg", "+e1", str(path), str(path)], check=True)
    return path


def multi_frame(folder: Path) -> Path:
    return save(enhanced(values() - values() % 2, place()), folder / "a.dcm")


def segmentation(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pytest.importorskip("highdicom")
        affine, shape = grid((40.0, 40.0, 40.0), codes="LPS")
        write_series(folder / "series", datasets(np.round(patient(affine, shape, seed=0).array), affine))
        scan = read_volume(folder / "series")
        label = labels_at(points_of(scan.affine, scan.array.shape))
        label[:2, :2, :2] = 1
        label[3:5, :2, :2] = 4
        return write_label(label, scan, folder / name, Segments(NAMES))

    return make


def picture(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        grey = np.random.default_rng(0).integers(0, 255, (40, 30)).astype(np.uint8)
        Image.fromarray(grey).save(folder / name)
        return folder / name

    return make


FORMATS: dict[str, Callable[[Path], Path]] = {
    "NIfTI": plain_nifti,
    "NIfTI in gzip": volume("a.nii.gz"),
    "NRRD": volume("a.nrrd"),
    "MHA": volume("a.mha"),
    "DICOM": slice_file(None),
    "DICOM RLE": slice_file(RLELossless),
    "DICOM JPEG 2000": slice_file(JPEG2000Lossless),
    "DICOM JPEG-LS": slice_file(JPEGLSLossless),
    "DICOM lossless JPEG": lossless_jpeg,
    "DICOM deflated": slice_file(DeflatedExplicitVRLittleEndian),
    "DICOM multi-frame": multi_frame,
    "DICOM nuclear medicine": lambda d: save(nuclear(np.abs(values()), place()), d / "a.dcm"),
    "DICOM radiograph": lambda d: save(
        radiograph(np.abs(values((40, 30))), "CR", WindowCenter="500", WindowWidth="900"), d / "a.dcm"
    ),
    "DICOM segmentation": segmentation("l.dcm"),
    "segmentation of 3D Slicer": segmentation("l.seg.nrrd"),
    "PNG": picture("a.png"),
    "TIFF": picture("a.tif"),
    "JPEG": picture("a.jpg"),
}


def damaged(content: bytes, place: float, bit: int, cut: bool, head: bool) -> bytes:
    """Cut off, or with one bit flipped; in the first 2 kB if it shall be the header, where most harm is done."""
    changed = bytearray(content)
    at = int(place * (min(len(changed), 2048 if head else len(changed)) - 1))
    if cut:
        return bytes(changed[:at])
    changed[at] ^= 1 << bit
    return bytes(changed)


def read(path: Path, scan: Path) -> None:
    """Reads as a scan, or as a label of its scan; raises nothing but what a user is told in one line."""
    try:
        if path.name.startswith("l."):
            label = read_label(path, read_volume(scan), names=NAMES)
            assert label.array.max() <= 4
        else:
            found = read_volume(path)
            assert found.array.ndim == 3 and np.isfinite(found.affine).all() and np.isfinite(found.array).all()
    except SemganError as error:
        assert "\n" not in str(error) and "ecret" not in str(error) and "Traceback" not in str(error)


@contextmanager
def no_hang() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still reading after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp("original") for name in FORMATS}


def original(kind: str, folder: Path) -> Path:
    made = [path for path in folder.iterdir() if path.is_file()]
    return made[0] if made else FORMATS[kind](folder)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_damaged_below_is_whole_before(kind: str, originals: dict[str, Path]) -> None:
    path = original(kind, originals[kind])
    if path.name.startswith("l."):
        assert set(np.unique(read_label(path, read_volume(path.parent / "series"), names=NAMES).array)) == {0, 1, 4}
    else:
        assert read_volume(path).array.std() > 10


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(place=st.floats(0, 1), bit=st.integers(0, 7), cut=st.booleans(), head=st.booleans())
def test_a_damaged_file_is_read_or_explained(
    kind: str,
    tmp_path: Path,
    originals: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
    place: float,
    bit: int,
    cut: bool,
    head: bool,
) -> None:
    source = original(kind, originals[kind])
    path = tmp_path / source.name
    path.write_bytes(damaged(source.read_bytes(), place, bit, cut, head))
    with no_hang():
        read(path, source.parent / "series")
    assert capfd.readouterr() == ("", ""), "libraries print nothing past Python"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(place=st.floats(0, 1), bit=st.integers(0, 7), cut=st.booleans())
def test_a_header_damaged_inside_gzip_is_read_or_explained(tmp_path: Path, place: float, bit: int, cut: bool) -> None:
    content = plain_nifti(tmp_path).read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(damaged(content[:352], place, bit, cut, True) + content[352:]))
    with no_hang():
        read(path, tmp_path)


BATCH = """
    import sys
    from pathlib import Path
    import numpy as np
    from tests.io.test_fuzz import damaged, read
    random = np.random.default_rng(int(sys.argv[2]))
    for source in sorted(Path(sys.argv[1]).rglob("*.*")):
        if source.parent.name == "series" or not source.is_file():
            continue
        folder = Path(sys.argv[3]) / source.parent.name
        folder.mkdir(exist_ok=True)
        for number in range(12):
            content = source.read_bytes()
            for _ in range(number % 3 + 1):
                place, bit = float(random.random()), int(random.integers(8))
                content = damaged(content, place, bit, number % 4 == 3, number % 2 == 0) or b"x"
            path = folder / source.name
            path.write_bytes(content)
            print(source.parent.name, source.name, number, flush=True)
            read(path, source.parent / "series")
    print("done")
"""


def bounded() -> None:
    """4 GB of address space: a header must not make the reader take more."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def test_a_process_of_its_own_survives_many_damaged_files_in_bounded_memory(tmp_path: Path) -> None:
    for number, (kind, make) in enumerate(FORMATS.items()):
        folder = tmp_path / "originals" / f"{number:02d}"
        folder.mkdir(parents=True)
        try:
            make(folder)
        except pytest.skip.Exception:
            continue
        assert original(kind, folder)
    (tmp_path / "damaged").mkdir()
    arguments = [str(tmp_path / "originals"), "1", str(tmp_path / "damaged")]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BATCH), *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        preexec_fn=bounded,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0 and done.stdout.endswith("done\n"), (done.stdout[-200:], done.stderr[-2000:])
